use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, SystemTime},
};

use super::{
    Body, Entry, Error, Name, Options, Remote,
    card::{self, Card, EMPTY},
    web::Source,
};
use crate::{
    digest::Digest,
    fetch::{self, Fetcher, Mirrors, Reference, Source as Kept, Want, What},
};

/// So many manifests are asked for at a time when everything is listed.
const AT_ONCE: usize = 8;

/// A repository of a registry. What is kept under a name is the one layer of an image whose tag is made of the name.
///
/// What a registry no longer needs after a removal, or when something is replaced, goes when it next cleans up.
#[derive(Debug)]
pub(super) struct Oci {
    fetcher: Fetcher,
    registry: String,
    repository: String,
    address: String,
    /// How long to wait before a second try.
    pause: Duration,
    /// Whether the empty configuration is known to be there. Who sends it first keeps the others waiting: a registry that is sent
    /// the same at once by many can be seen half done.
    has_empty: Mutex<bool>,
}

impl Oci {
    pub(super) fn new(registry: &str, repository: &str, options: &Options) -> Self {
        let fetcher = Fetcher::new(Mirrors::default(), options.of_fetch())
            .with_registries(options.registries.clone());
        let address = format!("oci://{registry}/{repository}");
        Self {
            fetcher,
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            address,
            pause: options.pause,
            has_empty: Mutex::new(false),
        }
    }

    /// The card under a tag, and the digest of its manifest.
    fn card(&self, tag: &str) -> Result<Option<(Card, Digest)>, Error> {
        let reference = Reference::Tag(tag.to_owned());
        match self.fetcher.manifest(&self.registry, &self.repository, &reference) {
            Ok(manifest) => match Card::parse(&manifest.bytes) {
                Some(card) => Ok(Some((card, manifest.digest))),
                None => Err(self.wrong(tag, "it is an image, but none that vsbuild made")),
            },
            Err(fetch::Error::NotInRegistry { .. }) => Ok(None),
            Err(error) => Err(self.error(tag, error)),
        }
    }

    fn card_of(&self, name: &Name) -> Result<Option<(Card, Digest)>, Error> {
        match self.card(&card::tag(name))? {
            Some((card, _)) if card.name != *name => {
                Err(self.wrong(name.as_str(), &format!("it is called {} there", card.name)))
            }
            found => Ok(found),
        }
    }

    fn push(&self, name: &Name, digest: Digest, body: &dyn Source) -> Result<u64, Error> {
        let (_, size) = body.open()?;
        let open = || body.open().map(|(reader, _)| reader);
        self.fetcher
            .push_blob(&self.registry, &self.repository, &digest, size, open, &|_| ())
            .map_err(|error| self.error(name.as_str(), error))?;
        Ok(size)
    }

    fn push_empty(&self, name: &Name) -> Result<(), Error> {
        let mut has_empty = self.has_empty.lock().unwrap_or_else(PoisonError::into_inner);
        if !*has_empty {
            self.push(name, Digest::of(EMPTY), &Body::Bytes(EMPTY))?;
            *has_empty = true;
        }
        Ok(())
    }

    /// What is kept under a tag, if it is ours and still there.
    fn entry(&self, tag: &str, under: &Name) -> Result<Option<Entry>, Error> {
        let known = card::name(tag);
        if known.as_ref().is_some_and(|name| !name.is_under(under)) {
            return Ok(None);
        }
        let card = match self.card(tag) {
            // Others may use the repository, too.
            Err(Error::Wrong { .. }) | Ok(None) => return Ok(None),
            Ok(Some((card, _))) => card,
            Err(error) => return Err(error),
        };
        let ours = card::tag(&card.name) == tag && card.name.is_under(under);
        Ok(ours.then_some(Entry { name: card.name, size: card.size, modified: card.kept }))
    }

    fn wrong(&self, name: &str, why: &str) -> Error {
        let address = self.address.clone();
        Error::Wrong { address, name: name.to_owned(), why: why.to_owned() }
    }

    fn error(&self, name: &str, error: fetch::Error) -> Error {
        let (address, name) = (self.address.clone(), name.to_owned());
        match error {
            fetch::Error::Partial { source, .. } | fetch::Error::Unreadable { source, .. } => {
                Error::Io(source)
            }
            fetch::Error::Denied { tried, .. } => {
                Error::Denied { address, name, why: said(&tried) }
            }
            fetch::Error::Undeletable { .. } => {
                Error::Unable { address, what: "remove anything: the registry does not allow it" }
            }
            fetch::Error::NotPushed { tried, .. } if has_no_room(&tried) => {
                Error::Full { address, name, why: said(&tried) }
            }
            fetch::Error::NotInRegistry { tried, .. } | fetch::Error::Damaged { tried, .. } => {
                Error::Wrong { address, name, why: said(&tried) }
            }
            fetch::Error::NotPushed { tried, .. }
            | fetch::Error::NotPulled { tried, .. }
            | fetch::Error::NotDeleted { tried, .. } => {
                Error::Unreachable { address, why: said(&tried) }
            }
            fetch::Error::BadManifest { why, .. } => Error::Wrong { address, name, why },
            fetch::Error::Client { why } => Error::Unreachable { address, why },
            error @ (fetch::Error::BadImage(_)
            | fetch::Error::AwayFromRegistry { .. }
            | fetch::Error::NoMirror { .. }
            | fetch::Error::Offline { .. }
            | fetch::Error::Gone { .. }
            | fetch::Error::Failed { .. }
            | fetch::Error::BadPath { .. }) => Error::Unusable { address, why: error.to_string() },
        }
    }
}

impl Remote for Oci {
    fn address(&self) -> &str {
        &self.address
    }

    fn get(&self, name: &Name, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some((card, _)) = self.card_of(name)? else { return Ok(None) };
        if card.size > limit {
            let why = format!("it has {} bytes there, more than {limit}", card.size);
            return Err(self.wrong(name.as_str(), &why));
        }
        let bytes = self.fetcher.blob(&self.registry, &self.repository, card.size, card.layer);
        bytes.map(Some).map_err(|error| self.error(name.as_str(), error))
    }

    fn fetch(
        &self,
        name: &Name,
        size: u64,
        partial: &Path,
        reached: &dyn Fn(u64),
    ) -> Result<bool, Error> {
        let Some((card, _)) = self.card_of(name)? else { return Ok(false) };
        if card.size != size {
            let why = format!("it has {} bytes there instead of {size}", card.size);
            return Err(self.wrong(name.as_str(), &why));
        }
        let source = Kept::Registry {
            registry: self.registry.clone(),
            repository: self.repository.clone(),
            what: What::Blob,
        };
        let want = Want { source, size, sha256: card.layer };
        let progress = |event: fetch::Progress<'_>| {
            if let fetch::Progress::Reached(here) = event {
                reached(here);
            }
        };
        let fetched = self.fetcher.fetch(&want, partial, &progress);
        fetched.map(|()| true).map_err(|error| self.error(name.as_str(), error))
    }

    fn has(&self, name: &Name) -> Result<bool, Error> {
        Ok(self.card_of(name)?.is_some())
    }

    fn put(&self, name: &Name, body: Body<'_>) -> Result<(), Error> {
        let layer = match body {
            Body::Bytes(bytes) => Digest::of(bytes),
            Body::File(path) => Digest::read(&mut fs_err::File::open(path)?)?,
        };
        self.push_empty(name)?;
        let size = self.push(name, layer, &body)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let kept = now.ok().map(|now| now.as_secs());
        let manifest = Card { name: name.clone(), size, layer, kept }.manifest();
        let reference = Reference::Tag(card::tag(name));
        let (registry, repository) = (&self.registry, &self.repository);
        let push = || {
            self.fetcher
                .push_manifest(registry, repository, &reference, card::MANIFEST, &manifest)
                .map(drop)
        };
        let pushed = match push() {
            // Another program may be sending what this names just now.
            Err(fetch::Error::NotPushed { tried, .. }) if was_bad(&tried) => {
                thread::sleep(self.pause);
                push()
            }
            pushed => pushed,
        };
        pushed.map_err(|error| self.error(name.as_str(), error))
    }

    fn list(&self, under: &Name) -> Result<Vec<Entry>, Error> {
        let tags = self.fetcher.tags(&self.registry, &self.repository);
        let tags = tags.map_err(|error| self.error(under.as_str(), error))?;
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Ok(Vec::new())));
        thread::scope(|scope| {
            for _ in 0..AT_ONCE.min(tags.len()) {
                scope.spawn(|| {
                    while let Some(tag) = tags.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let found = self.entry(tag, under);
                        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                        match (&mut *done, found) {
                            (Ok(entries), Ok(entry)) => entries.extend(entry),
                            (Ok(_), Err(error)) => *done = Err(error),
                            (Err(_), _) => break,
                        }
                    }
                });
            }
        });
        let mut entries: Vec<Entry> = done.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        entries.sort();
        Ok(entries)
    }

    fn remove(&self, name: &Name) -> Result<(), Error> {
        let Some((_, digest)) = self.card_of(name)? else { return Ok(()) };
        let deleted = self.fetcher.delete_manifest(&self.registry, &self.repository, digest);
        deleted.map_err(|error| self.error(name.as_str(), error))
    }
}

/// What the servers said, in one line.
fn said(tried: &fetch::Tried) -> String {
    let said: Vec<String> = tried.0.iter().map(|one| format!("{}: {}", one.url, one.why)).collect();
    said.join("; ")
}

/// Whether a registry found something wrong with what it was sent.
fn was_bad(tried: &fetch::Tried) -> bool {
    tried.0.iter().any(|one| one.why.starts_with("400 "))
}

/// Whether a registry's answer began with a status that says so.
fn has_no_room(tried: &fetch::Tried) -> bool {
    tried.0.iter().any(|one| one.why.starts_with("413 ") || one.why.starts_with("507 "))
}
