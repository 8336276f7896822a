//! Bolt's databases and containerd's state, as bbolt and containerd themselves see them.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![allow(clippy::print_stderr, reason = "a test that leaves something out says so")]
#![allow(unreachable_pub, reason = "the modules are of this test alone")]

mod databases;
mod oracle;
