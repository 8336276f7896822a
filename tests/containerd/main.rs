//! Bolt's databases and containerd's state, as bbolt and containerd themselves see them.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![allow(clippy::print_stderr, reason = "a test that leaves something out says so")]
#![allow(dead_code, unreachable_pub, reason = "the modules are other tests' too")]

mod daemon;
mod databases;
mod images;
mod oracle;
mod seen;
mod stores;
mod versions;
#[path = "../ext4/workbench.rs"]
mod workbench;
