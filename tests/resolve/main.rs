//! Locking Debian packages, held against apt and gpgv.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod apt;
mod gpg;
mod lock;
mod mirror;
mod signatures;

use std::{
    process::{Command, Output},
    time::SystemTime,
};

/// Says on the test's output that it checked nothing, for whoever reads the log of a machine without apt or a mirror.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

fn run(program: &str, arguments: &[&str]) -> Option<Output> {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output().ok()?;
    Some(output)
}

fn stdout(program: &str, arguments: &[&str]) -> Option<String> {
    let output = run(program, arguments).filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).unwrap())
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}
