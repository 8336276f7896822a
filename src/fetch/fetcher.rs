use std::{
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use reqwest::blocking::Response;

use super::{
    Error, ImageName, Mirror, Mirrors, Options, Piece, Progress, Reference, Registries, Source,
    Want,
    client::{Clients, Redirects, To, Way},
    landing::Landing,
    quest::{Quest, Server, Subject},
    registry::Doorman,
    shelf::Shelf,
    transfer::{Expected, Failure, Origin, exchange, judge},
};
use crate::digest::Digest;

/// Fetches from mirrors and registries. Threads may share one; so they share its connections.
#[derive(Debug)]
pub struct Fetcher {
    mirrors: Mirrors,
    pub(super) clients: Clients,
    pub(super) doorman: Doorman,
    shelf: Option<Shelf>,
}

/// A file below a mirror's address.
struct InArchive<'a> {
    mirror: &'a Mirror,
    path: &'a str,
    clients: &'a Clients,
}

impl Origin for InArchive<'_> {
    fn file(&self) -> Option<PathBuf> {
        self.mirror.local(self.path)
    }

    fn get(&self, range: Option<&str>) -> Result<Response, Failure> {
        let client = self.clients.get(Way { to: To::Archive, redirects: Redirects::Follow })?;
        judge(exchange(client.get(self.mirror.url(self.path)), range)?)
    }
}

impl Fetcher {
    /// Nothing is asked yet.
    pub fn new(mirrors: Mirrors, options: Options) -> Self {
        let (clients, doorman) = (Clients::new(options), Doorman::new(Registries::default()));
        Self { mirrors, clients, doorman, shelf: None }
    }

    /// The same with a directory that has some files by their sha256, as `ab/HEX`, and is looked into before anybody is asked,
    /// offline too.
    #[must_use]
    pub fn with_shelf(self, dir: PathBuf) -> Self {
        Self { shelf: Some(Shelf::new(dir)), ..self }
    }

    /// The same with what is known of registries. Without it each one is at the host that its images name, and nobody
    /// has any credentials.
    #[must_use]
    pub fn with_registries(self, registries: Registries) -> Self {
        Self { doorman: Doorman::new(registries), ..self }
    }

    /// Which servers hold what.
    pub fn mirrors(&self) -> &Mirrors {
        &self.mirrors
    }

    /// How hard it tries.
    pub fn options(&self) -> &Options {
        self.clients.options()
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
        let kept = |source| Error::Partial { path: partial.to_owned(), source };
        if let Some(shelf) = &self.shelf
            && shelf.take(want, partial, progress).map_err(kept)?
        {
            return Ok(());
        }
        let expected = Expected::Exactly { size: want.size, sha256: want.sha256 };
        let quest = match &want.source {
            Source::Archive { archive, path } => self.quest(archive, path, expected, progress)?,
            Source::Registry { registry, repository, what } => {
                let reference = Reference::Digest(want.sha256);
                let image = ImageName::new(registry, repository, reference)?;
                self.pull(Piece { what: *what, image }, expected, progress, None)?
            }
        };
        let mut landing = Landing::file(partial, want.size).map_err(kept)?;
        let result = quest.pursue(self.options(), &mut landing, kept);
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
            for _ in 0..self.options().jobs.get().min(wants.len()) {
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
        quest.pursue(self.options(), &mut landing, |why| Error::Client { why: why.to_string() })?;
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
        let usable = mirrors.iter().filter(|mirror| mirror.is_local() || !self.options().offline);
        let origin = |mirror| InArchive { mirror, path, clients: &self.clients };
        let servers: Vec<Server<'_>> =
            usable.map(|mirror| Server::new(origin(mirror), mirror.shown(path))).collect();
        if servers.is_empty() {
            let (archive, path) = named();
            return Err(Error::Offline { archive, path });
        }
        Ok(Quest { subject: Subject::File { archive, path }, expected, progress, servers })
    }
}

/// Whether a path is relative and goes only downwards.
fn stays_inside(path: &str) -> bool {
    !path.contains(['\0', '\\'])
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

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
