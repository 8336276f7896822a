//! Registries: Debian's docker-registry and skopeo as oracles, and servers of our own that misbehave.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod image;
mod login;
mod program;
mod push;
mod real;
mod server;
mod storage;
mod token;

use std::{collections::BTreeMap, path::Path, time::Duration};

use vsbuild::{
    digest::Digest,
    fetch::{
        CredentialFiles, Error, Fetcher, Mirrors, Options, Proxies, Registries, Registry, Source,
        Want, What,
    },
};

fn options() -> Options {
    Options {
        attempts: 3,
        backoff: Duration::from_millis(2),
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(5),
        proxies: Proxies::NONE,
        registry_proxies: Proxies::NONE,
        ..Options::default()
    }
}

/// A fetcher without credentials and configuration.
fn anonymous() -> Fetcher {
    with(&BTreeMap::new(), CredentialFiles::default())
}

fn with(configured: &BTreeMap<String, Registry>, credentials: CredentialFiles) -> Fetcher {
    let registries = Registries::new(configured, credentials).unwrap();
    Fetcher::new(Mirrors::default(), options()).with_registries(registries)
}

fn want(registry: &str, what: What, bytes: &[u8]) -> Want {
    let source =
        Source::Registry { registry: registry.to_owned(), repository: REPOSITORY.to_owned(), what };
    Want { source, size: bytes.len() as u64, sha256: Digest::of(bytes) }
}

/// Pulls a blob; what is there afterwards is right or nothing.
fn pull(fetcher: &Fetcher, registry: &str, bytes: &[u8], partial: &Path) -> Result<(), Error> {
    let result = fetcher.fetch(&want(registry, What::Blob, bytes), partial, &|_| ());
    if result.is_ok() {
        assert!(std::fs::read(partial).unwrap() == bytes);
    }
    result
}

const REPOSITORY: &str = "team/name";

/// Says on the test's output that it checked nothing.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skip(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Whether an error says all this, in its text or its hint.
#[track_caller]
fn says(error: &Error, parts: &[&str]) {
    let text = format!("{error}\n{}", error.hint().unwrap_or_default());
    for part in parts {
        assert!(text.contains(part), "no `{part}` in: {text}");
    }
}
