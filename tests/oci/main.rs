//! OCI images beside the programs that others make and read them with.
//!
//! GNU tar, skopeo, umoci, containerd and runc judge what we write, and give us theirs to read. Nothing is fetched.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]
#![allow(unreachable_pub, reason = "the modules of a test are its own")]

mod apply;
mod bench;
mod image;
mod run;
