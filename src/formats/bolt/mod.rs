//! A writer of the bolt database format, version 2: the same pairs give the same bytes.
//!
//! Bolt (go.etcd.io/bbolt) is how containerd keeps what it knows. Bolt's own files are never twice the same, because
//! pages land where earlier transactions left room. Here a whole database is laid out at once, from the leaves up, each
//! bucket after the buckets in it: nothing is free, nothing is left over, and all padding is zero.
//!
//! ```text
//! page 0, 1    meta pages, both with the same root; the second is the newer one
//! page 2 …     leaf and branch pages, in the order of keys; the root of everything is the last of them
//! last page    the list of free pages, empty
//! ```
//!
//! The format is that of bbolt's page.go, bucket.go and db.go (1.3). A program that uses bolt may go on writing where
//! this leaves off.

mod bucket;
mod page;
mod read;
#[cfg(test)]
mod tests;
mod write;

/// Version of the writer: the same version writes the same bytes. Whoever changes the bytes raises this.
pub const FORMAT: u32 = 1;

pub use bucket::{Bucket, Database, Item};
pub use read::{BadDatabase, read};
pub use write::{Error, write};

/// The longest key, in bytes. The shortest has one.
pub const KEY_MAX: usize = 32768;
/// The longest key and value together, in bytes.
///
/// Bolt promises values of 2^31 - 2 bytes, but reaches a value by its distance from the head of its entry (16 bytes,
/// then the key), which must stay below 2^31.
pub const ENTRY_MAX: usize = (1 << 31) - 1 - 16;
/// How deep buckets may lie in each other. Bolt has no such limit, but its functions recurse, and so do these.
pub const DEPTH_MAX: usize = 512;
