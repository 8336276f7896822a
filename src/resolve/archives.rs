use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    sync::Arc,
};

use super::{Error, Keyring, SuiteFault, Universe};
use crate::{
    digest::Digest,
    fetch::{self, Fetcher},
    formats::{
        compress::{Bounded, Compression, decoder},
        deb::{
            control,
            index::{self, Entry},
            release::{self, Release},
        },
    },
    lock::{LockedSuite, SuiteId},
    recipe::{Architecture, Suite},
};

/// The longest InRelease file that is taken, in bytes; Debian's have 150,000.
const INRELEASE_MAX: u64 = 8 << 20;
/// The longest compressed index that is taken, in bytes; Debian's longest has 10 million.
const INDEX_MAX: u64 = 256 << 20;
/// The longest unpacked index that is taken, in bytes.
const UNPACKED_MAX: u64 = 1 << 30;
/// How far in the future an InRelease file may be, in seconds: clocks differ.
const SKEW: i64 = 3600;
/// The ends of an index's name, the shortest file first.
const SUFFIXES: [&str; 4] = [".xz", ".zst", ".gz", ""];

/// What makes an InRelease file worth believing.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The keys that may sign.
    pub keyring: Keyring,
    /// The time, in seconds since 1970.
    pub now: i64,
    /// Whether one that has expired is as good as any, as those of a snapshot service.
    pub ignore_valid_until: bool,
}

/// The suites of Debian archives as they are now. Each is read once, so that all that is asked here is answered from
/// the same state of the world.
#[derive(Debug)]
pub struct Archives<'f> {
    fetcher: &'f Fetcher,
    trust: Trust,
    releases: BTreeMap<(String, String), Arc<Signed>>,
    indexes: BTreeMap<(String, String, String), Arc<[Entry]>>,
    universes: BTreeMap<(Architecture, Vec<Suite>), Arc<Universe>>,
}

/// An InRelease file that is believed.
#[derive(Debug)]
struct Signed {
    release: Release,
    date: String,
    inrelease: Digest,
    /// Whether packages for all architectures stand in the index of each.
    all_in_each: bool,
}

impl<'f> Archives<'f> {
    /// Nothing is fetched yet.
    pub fn new(fetcher: &'f Fetcher, trust: Trust) -> Self {
        Self {
            fetcher,
            trust,
            releases: BTreeMap::new(),
            indexes: BTreeMap::new(),
            universes: BTreeMap::new(),
        }
    }

    /// What fetches for them.
    pub(super) fn fetcher(&self) -> &'f Fetcher {
        self.fetcher
    }

    /// All that these suites offer to machines of this architecture.
    pub fn universe(
        &mut self,
        suites: &[Suite],
        architecture: Architecture,
    ) -> Result<Arc<Universe>, Error> {
        let key = (architecture, suites.to_vec());
        if let Some(known) = self.universes.get(&key) {
            return Ok(known.clone());
        }
        let mut locked: BTreeMap<SuiteId, LockedSuite> = BTreeMap::new();
        let mut indexes = Vec::new();
        for suite in suites {
            let signed = self.signed(suite)?;
            let archive: Arc<str> = suite.archive.as_str().into();
            for path in index_paths(&signed, suite, architecture).map_err(of(suite))? {
                indexes.push((archive.clone(), self.index(suite, &signed, &path)?));
            }
            let id = SuiteId {
                archive: suite.archive.clone(),
                suite: suite.suite.clone(),
                architecture,
            };
            let here = locked.entry(id).or_insert_with(|| LockedSuite {
                components: BTreeSet::new(),
                date: signed.date.clone(),
                inrelease: signed.inrelease,
            });
            here.components.extend(suite.components.iter().cloned());
        }
        let universe = Arc::new(Universe::new(architecture, locked, indexes));
        self.universes.insert(key, universe.clone());
        Ok(universe)
    }

    fn signed(&mut self, suite: &Suite) -> Result<Arc<Signed>, Error> {
        let key = (suite.archive.clone(), suite.suite.clone());
        if let Some(known) = self.releases.get(&key) {
            return Ok(known.clone());
        }
        let path = format!("dists/{}/InRelease", suite.suite);
        let document = self.fetcher.document(&suite.archive, &path, INRELEASE_MAX)?;
        let signed = Arc::new(read_release(&document, suite, &self.trust).map_err(of(suite))?);
        self.releases.insert(key, signed.clone());
        Ok(signed)
    }

    fn index(&mut self, suite: &Suite, signed: &Signed, path: &str) -> Result<Arc<[Entry]>, Error> {
        let key = (suite.archive.clone(), suite.suite.clone(), path.to_owned());
        if let Some(known) = self.indexes.get(&key) {
            return Ok(known.clone());
        }
        let text = self.index_text(suite, signed, path)?;
        let entries = index::parse(&text)
            .map_err(|source| of(suite)(SuiteFault::Index { path: path.to_owned(), source }))?;
        let entries: Arc<[Entry]> = entries.into();
        self.indexes.insert(key, entries.clone());
        Ok(entries)
    }

    /// An index, fetched by its hash and unpacked.
    fn index_text(&self, suite: &Suite, signed: &Signed, path: &str) -> Result<Vec<u8>, Error> {
        let files = &signed.release.files;
        let (packed, suffix, file) = SUFFIXES
            .iter()
            .find_map(|suffix| {
                let packed = format!("{path}{suffix}");
                let file = files.get(&packed).filter(|file| file.size <= INDEX_MAX)?;
                Some((packed, suffix, file))
            })
            .ok_or_else(|| of(suite)(SuiteFault::NoIndex { path: path.to_owned() }))?;
        let base = format!("dists/{}", suite.suite);
        let get =
            |path: String| self.fetcher.verified(&suite.archive, &path, file.size, file.sha256);
        let by_hash = packed.rsplit_once('/').filter(|_| signed.release.acquire_by_hash);
        let bytes = match by_hash {
            None => get(format!("{base}/{packed}"))?,
            Some((folder, _)) => {
                match get(format!("{base}/{folder}/by-hash/SHA256/{}", file.sha256)) {
                    // Not every copy of an archive has these.
                    Err(fetch::Error::Gone { .. }) => get(format!("{base}/{packed}"))?,
                    result => result?,
                }
            }
        };
        let limit = files.get(path).map_or(UNPACKED_MAX, |plain| plain.size.min(UNPACKED_MAX));
        let compression = Compression::from_suffix(suffix).unwrap_or(Compression::Plain);
        let mut text = Vec::new();
        decoder(compression, bytes.as_slice())
            .and_then(|unpacked| Bounded::new(unpacked, limit).read_to_end(&mut text))
            .map_err(|source| of(suite)(SuiteFault::Unpack { path: packed.clone(), source }))?;
        Ok(text)
    }
}

/// Says which suite a fault is of.
fn of(suite: &Suite) -> impl Fn(SuiteFault) -> Error {
    let suite = format!("{} {}", suite.archive, suite.suite);
    move |source| Error::Suite { suite: suite.clone(), source: Box::new(source) }
}

/// Verifies an InRelease file and that it is the one that was asked for.
fn read_release(document: &[u8], suite: &Suite, trust: &Trust) -> Result<Signed, SuiteFault> {
    let verified = trust.keyring.verify(document, trust.now)?;
    let release = release::parse(verified.text.as_bytes())?;
    let paragraph = control::single(&verified.text).map_err(release::Error::Text)?;
    let date = paragraph.get("Date").unwrap_or_default().to_owned();
    let all_in_each = paragraph
        .get("No-Support-for-Architecture-all")
        .is_some_and(|what| what.split_whitespace().any(|what| what == "Packages"));
    let names = [&release.codename, &release.suite];
    if !names.iter().any(|name| name.as_ref() == Some(&suite.suite)) {
        let says = names.into_iter().flatten().cloned().collect::<Vec<_>>().join(" or ");
        return Err(SuiteFault::Other { says });
    }
    if release.date > trust.now.saturating_add(SKEW) {
        return Err(SuiteFault::Future { date });
    }
    if !trust.ignore_valid_until && release.valid_until.is_some_and(|until| until < trust.now) {
        return Err(SuiteFault::Expired { date });
    }
    Ok(Signed { release, date, inrelease: Digest::of(document), all_in_each })
}

/// Where the indexes are that have packages for these machines, relative to the InRelease file, not compressed.
fn index_paths(
    signed: &Signed,
    suite: &Suite,
    architecture: Architecture,
) -> Result<Vec<String>, SuiteFault> {
    let release = &signed.release;
    let has = |word: &str| release.architectures.iter().any(|known| known == word);
    if !has(architecture.word()) {
        let known = release.architectures.clone();
        return Err(SuiteFault::Architecture { asked: architecture.to_string(), known });
    }
    let mut paths = Vec::new();
    for component in &suite.components {
        // Those of the security archive are called `updates/main`, but their indexes are where those of `main` are.
        let named = |known: &String| known.rsplit('/').next() == Some(component);
        if !release.components.iter().any(named) {
            let known = release.components.clone();
            return Err(SuiteFault::Component { asked: component.clone(), known });
        }
        paths.push(format!("{component}/binary-{architecture}/Packages"));
        if has("all") && !signed.all_in_each {
            paths.push(format!("{component}/binary-all/Packages"));
        }
    }
    Ok(paths)
}
