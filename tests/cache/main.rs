//! Caches from one end to the other: what one machine has made is sent, and another takes it, through every kind of place and
//! with every fault that we could think of.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![allow(dead_code, reason = "the servers are also those of other tests")]

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod full;
mod images;
mod kills;
mod line;
#[path = "../common/nginx.rs"]
mod nginx;
mod pins;
mod places;
mod random;
#[path = "../registry/real.rs"]
mod real;
#[path = "../common/s3.rs"]
mod s3;
mod sent;
mod trust;
mod world;

/// Says on the test's output that it checked nothing.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}
