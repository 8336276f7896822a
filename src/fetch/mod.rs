//! Brings bytes with a known digest from mirrors and registries, and puts images into registries.
//!
//! A [`Want`] names an archive and a path in it, or a repository of a registry, and a size and a digest; [`Mirrors`] say
//! which servers hold that archive, [`Registries`] where registries are and who we are to them.
//! The place where bytes come from is never trusted: they count only when size and digest hold, so any server, proxy
//! or copy on a disk will do.

mod apt;
mod busy;
mod client;
mod error;
mod fetcher;
mod landing;
mod mirror;
mod quest;
mod registry;
mod shelf;
mod transfer;
mod upload;

use std::{num::NonZeroUsize, time::Duration};

pub use apt::{Apt, Proxies};
pub use error::{Error, Tried, Try};
pub use fetcher::Fetcher;
pub use mirror::{BadMirror, Mirror, Mirrors, archive_of_variable, variable_of_archive};
pub use registry::{
    BadImage, BadRegistry, CredentialFiles, ImageName, Manifest, Piece, Pushed, Reference,
    Registries, Registry, What,
};

// What `remote` speaks HTTP with.
pub(crate) use busy::rest;
pub(crate) use client::{Clients, Redirects, To, Way};
pub(crate) use landing::Landing;
pub(crate) use registry::is_loopback;
pub(crate) use transfer::{Expected, Failure, Origin, exchange, refusal, transfer};
pub(crate) use upload::upload;

use crate::digest::Digest;

/// A file to be brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// Where it is.
    pub source: Source,
    /// Length in bytes.
    pub size: u64,
    /// The digest of all bytes.
    pub sha256: Digest,
}

/// Where a file is, whichever server that is on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// In an archive.
    Archive {
        /// The archive's name, `debian`.
        archive: String,
        /// Where in the archive: relative, without `.` and `..`, not percent-encoded.
        path: String,
    },
    /// In a registry, under its digest.
    Registry {
        /// The registry's host, with its port if that is not the usual one: `docker.io`, `localhost:5000`.
        registry: String,
        /// The repository in it: `team/name`.
        repository: String,
        /// Whether it is kept there as a blob or as a manifest.
        what: What,
    },
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
    /// Through which proxies to go to mirrors of archives.
    pub proxies: Proxies,
    /// Through which proxies to go to registries, but for those of this machine.
    pub registry_proxies: Proxies,
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
            registry_proxies: Proxies::default(),
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
