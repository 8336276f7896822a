//! Artifacts: what is exported builds elsewhere without a network, and nothing that is wrong gets in.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "../common/mod.rs"]
mod common;
mod documented;
mod faults;
mod hostile;
#[path = "../registry/real.rs"]
#[allow(dead_code, reason = "these tests need a part of it")]
mod real;
mod site;
mod vendor;
mod whole;

/// Says on the test's output that it checked nothing.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}
