//! Brings bytes with a known digest from mirrors.
//!
//! A [`Want`] names an archive, a path in it, a size and a digest; [`Mirrors`] say which servers hold that archive.
//! The place where bytes come from is never trusted: they count only when size and digest hold, so any server, proxy
//! or copy on a disk will do.

mod apt;
mod client;
mod error;
mod fetcher;
mod landing;
mod mirror;
mod transfer;

use std::{num::NonZeroUsize, time::Duration};

pub use apt::{Apt, Proxies};
pub use error::{Error, Tried, Try};
pub use fetcher::Fetcher;
pub use mirror::{BadMirror, Mirror, Mirrors, archive_of_variable, variable_of_archive};

use crate::digest::Digest;

/// A file in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// The archive's name, `debian`.
    pub archive: String,
    /// Where in the archive: relative, without `.` and `..`, not percent-encoded.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// The digest of all bytes.
    pub sha256: Digest,
}

/// How hard to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Ask no server; mirrors that are directories of this machine still count.
    pub offline: bool,
    /// How many rounds over all mirrors to make before giving up, at least one.
    pub attempts: u32,
    /// How long to wait before the second round; each later wait is twice as long, with some jitter, up to a minute.
    pub backoff: Duration,
    /// How long a server may take to accept a connection.
    pub connect: Duration,
    /// How long a server may be silent, before its answer or in the middle of it.
    pub stall: Duration,
    /// How many files [`Fetcher::fetch_all`] fetches at a time.
    pub jobs: NonZeroUsize,
    /// Through which proxies to go.
    pub proxies: Proxies,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            offline: false,
            attempts: 5,
            backoff: Duration::from_millis(500),
            connect: Duration::from_secs(20),
            stall: Duration::from_secs(30),
            jobs: NonZeroUsize::MIN.saturating_add(7),
            proxies: Proxies::default(),
        }
    }
}

/// What happens while a file is fetched. Addresses are without passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// A server was asked for the bytes from this offset on.
    Asked {
        /// The address.
        url: &'a str,
        /// How many bytes were here already.
        from: u64,
    },
    /// So many bytes are here now; less than before if a transfer had to begin anew.
    Reached(u64),
    /// A server did not deliver; the next one is tried, or the same one later.
    Failed {
        /// The address.
        url: &'a str,
        /// What it said.
        why: &'a str,
    },
    /// All servers failed; the next round begins after this time.
    Waiting(Duration),
}
