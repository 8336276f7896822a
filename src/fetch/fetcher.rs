use std::{
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use reqwest::blocking::Client;

use super::{
    Error, Mirror, Mirrors, Options, Progress, Tried, Try, Want,
    client::client,
    landing::Landing,
    transfer::{Expected, Failure, transfer},
};
use crate::digest::Digest;

/// No wait between rounds is longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A round that brings so many bytes does not count as a failed one: the line is bad, but not dead.
const PROGRESS: u64 = 1 << 20;

/// Fetches from mirrors. Threads may share one; so they share its connections.
#[derive(Debug)]
pub struct Fetcher {
    mirrors: Mirrors,
    options: Options,
    /// Made when the first server is asked, since reading the host's certificates takes a while.
    client: OnceLock<Result<Client, String>>,
}

/// One file and all that is known of the attempts to get it.
struct Quest<'a> {
    archive: &'a str,
    path: &'a str,
    expected: Expected,
    progress: &'a dyn Fn(Progress<'_>),
    servers: Vec<Server<'a>>,
}

struct Server<'a> {
    mirror: &'a Mirror,
    url: String,
    said: Option<String>,
    state: State,
}

#[derive(PartialEq)]
enum State {
    Hopeful,
    Missing,
    Hopeless,
}

impl Fetcher {
    /// Nothing is asked yet.
    pub fn new(mirrors: Mirrors, options: Options) -> Self {
        Self { mirrors, options, client: OnceLock::new() }
    }

    /// Which servers hold what.
    pub fn mirrors(&self) -> &Mirrors {
        &self.mirrors
    }

    /// How hard it tries.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Fetches a file into `partial`, and returns only when size and digest hold.
    ///
    /// What `partial` holds already counts as the beginning. After an error it holds what arrived, for another try,
    /// unless that was wrong; then it is gone. Nobody else may write to it meanwhile.
    pub fn fetch(
        &self,
        want: &Want,
        partial: &Path,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<(), Error> {
        let expected = Expected::Exactly { size: want.size, sha256: want.sha256 };
        let quest = self.quest(&want.archive, &want.path, expected, progress)?;
        let kept = |source| Error::Partial { path: partial.to_owned(), source };
        let mut landing = Landing::file(partial, want.size).map_err(kept)?;
        let result = self.pursue(quest, &mut landing, kept);
        if result.is_err() && landing.length() == 0 {
            // An error here would hide the one that matters, and an empty file does no harm.
            let _ = fs_err::remove_file(partial);
        }
        result
    }

    /// Fetches many files, [`Options::jobs`] at a time, and says of each how it went. `progress` is told which file it
    /// is about by its place in `wants`.
    pub fn fetch_all(
        &self,
        wants: &[(Want, PathBuf)],
        progress: &(dyn Fn(usize, Progress<'_>) + Sync),
    ) -> Vec<Result<(), Error>> {
        let next = AtomicUsize::new(0);
        let done: Vec<OnceLock<Result<(), Error>>> =
            wants.iter().map(|_| OnceLock::new()).collect();
        thread::scope(|scope| {
            for _ in 0..self.options.jobs.get().min(wants.len()) {
                scope.spawn(|| {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let (Some((want, partial)), Some(place)) = (wants.get(at), done.get(at))
                        else {
                            break;
                        };
                        let result = self.fetch(want, partial, &|event| progress(at, event));
                        place.get_or_init(|| result);
                    }
                });
            }
        });
        done.into_iter().filter_map(OnceLock::into_inner).collect()
    }

    /// Fetches a document of which nothing is known, but that it has at most `limit` bytes. Whoever asks must verify it
    /// before believing a word.
    pub fn document(&self, archive: &str, path: &str, limit: u64) -> Result<Vec<u8>, Error> {
        self.to_memory(archive, path, Expected::AtMost(limit))
    }

    /// Fetches a file of known size and digest into memory.
    pub fn verified(
        &self,
        archive: &str,
        path: &str,
        size: u64,
        sha256: Digest,
    ) -> Result<Vec<u8>, Error> {
        self.to_memory(archive, path, Expected::Exactly { size, sha256 })
    }

    fn to_memory(&self, archive: &str, path: &str, expected: Expected) -> Result<Vec<u8>, Error> {
        let quest = self.quest(archive, path, expected, &|_| ())?;
        let mut landing = Landing::memory();
        self.pursue(quest, &mut landing, |why| Error::Client { why: why.to_string() })?;
        Ok(landing.into_bytes())
    }

    fn quest<'a>(
        &'a self,
        archive: &'a str,
        path: &'a str,
        expected: Expected,
        progress: &'a dyn Fn(Progress<'_>),
    ) -> Result<Quest<'a>, Error> {
        let named = || (archive.to_owned(), path.to_owned());
        if !stays_inside(path) {
            let (archive, path) = named();
            return Err(Error::BadPath { archive, path });
        }
        let mirrors = self.mirrors.of(archive);
        if mirrors.is_empty() {
            let (archive, path) = named();
            return Err(Error::NoMirror { archive, path });
        }
        let usable = mirrors.iter().filter(|mirror| mirror.is_local() || !self.options.offline);
        let servers: Vec<Server<'_>> = usable
            .map(|mirror| Server {
                mirror,
                url: mirror.shown(path),
                said: None,
                state: State::Hopeful,
            })
            .collect();
        if servers.is_empty() {
            let (archive, path) = named();
            return Err(Error::Offline { archive, path });
        }
        Ok(Quest { archive, path, expected, progress, servers })
    }

    fn pursue(
        &self,
        mut quest: Quest<'_>,
        landing: &mut Landing,
        kept: impl FnOnce(std::io::Error) -> Error,
    ) -> Result<(), Error> {
        let mut failed = 0;
        let mut furthest = landing.length();
        loop {
            for server in &mut quest.servers {
                if server.state != State::Hopeful {
                    continue;
                }
                match self.try_server(server, quest.path, quest.expected, landing, quest.progress) {
                    Ok(()) => return Ok(()),
                    Err(Failure::Kept(error)) => return Err(kept(error)),
                    Err(failure) => server.note(failure, quest.progress),
                }
            }
            if landing.length() >= furthest.saturating_add(PROGRESS) {
                furthest = landing.length();
            } else {
                failed += 1;
            }
            let hope = quest.servers.iter().any(|server| server.state == State::Hopeful);
            if !hope || failed >= self.options.attempts.max(1) {
                return Err(quest.despair());
            }
            let wait = wait(self.options.backoff, failed, quest.path);
            (quest.progress)(Progress::Waiting(wait));
            thread::sleep(wait);
        }
    }

    /// Asks one server; a second time at once if the beginning that did not come from it may have been wrong.
    fn try_server(
        &self,
        server: &Server<'_>,
        path: &str,
        expected: Expected,
        landing: &mut Landing,
        progress: &dyn Fn(Progress<'_>),
    ) -> Result<(), Failure> {
        let client = || self.client.get_or_init(|| client(&self.options)).clone();
        let attempt = |landing: &mut Landing| {
            progress(Progress::Asked { url: &server.url, from: landing.length() });
            let reached = |length| progress(Progress::Reached(length));
            let result = transfer(client, server.mirror, path, expected, landing, &reached);
            if let Err(Failure::Wrong { .. }) = result {
                landing.clear().map_err(Failure::Kept)?;
            }
            result
        };
        match attempt(landing) {
            Err(Failure::Wrong { resumed, .. }) if resumed > 0 => attempt(landing),
            result => result,
        }
    }
}

impl Server<'_> {
    fn note(&mut self, failure: Failure, progress: &dyn Fn(Progress<'_>)) {
        let (state, why) = match failure {
            Failure::Missing(why) => (State::Missing, why),
            Failure::Refused(why) | Failure::Wrong { why, .. } => (State::Hopeless, why),
            Failure::Transient(why) => (State::Hopeful, why),
            Failure::Kept(error) => (State::Hopeful, error.to_string()),
        };
        progress(Progress::Failed { url: &self.url, why: &why });
        self.state = state;
        self.said = Some(why);
    }
}

impl Quest<'_> {
    fn despair(self) -> Error {
        let gone = self.servers.iter().all(|server| server.state == State::Missing);
        let (archive, path) = (self.archive.to_owned(), self.path.to_owned());
        let said = |server: Server<'_>| Try {
            url: server.url,
            why: server.said.unwrap_or_else(|| "not asked".to_owned()),
        };
        let tried = Tried(self.servers.into_iter().map(said).collect());
        if gone {
            let name = path.rsplit('/').next().unwrap_or_default().to_owned();
            Error::Gone { name, archive, path, tried }
        } else {
            Error::Failed { archive, path, tried }
        }
    }
}

/// Whether a path is relative and goes only downwards.
fn stays_inside(path: &str) -> bool {
    !path.contains(['\0', '\\'])
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

/// How long to wait after this many failed rounds: twice as long each time, and between half and all of that, so that
/// many transfers that failed together do not come back together. Which it is depends on the path alone.
fn wait(first: Duration, failed: u32, path: &str) -> Duration {
    let doubled = first.saturating_mul(1 << failed.saturating_sub(1).min(16));
    let jitter = Digest::of(format!("{path} {failed}")).as_bytes()[0];
    doubled.min(LONGEST_WAIT).mul_f64(0.5 + f64::from(jitter) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_differ() {
        let first = Duration::from_millis(100);
        for failed in 1..40 {
            let wait = wait(first, failed, "a");
            let full = first * 2u32.pow((failed - 1).min(16));
            let full = full.min(LONGEST_WAIT);
            assert!(full / 2 <= wait && wait <= full, "{failed}: {wait:?}");
        }
        assert_ne!(wait(first, 3, "a"), wait(first, 3, "b"));
        assert_eq!(wait(first, 3, "a"), wait(first, 3, "a"));
    }

    #[test]
    fn a_path_stays_inside_its_archive() {
        for (path, inside) in [
            ("pool/main/a/a_1.deb", true),
            ("a..b/.c", true),
            ("", false),
            ("/etc/passwd", false),
            ("a/../b", false),
            ("./a", false),
            ("a//b", false),
            ("a\\b", false),
        ] {
            assert_eq!(stays_inside(path), inside, "{path}");
        }
    }
}
