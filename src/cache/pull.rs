use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use fs_err::{self as fs, File};

use super::{
    Cache, Error, Index, Item, SMALL, Way,
    cover::{Place, Places},
    crowd,
    pack::{self, PACK_SIZE, PACKED_MOST},
};
use crate::{
    digest::{Digest, Hasher},
    store::{self, Scratch, Store},
    tree::{Content, Hole, Tree},
};

/// The most bytes of a manifest, unpacked.
const LONGEST_MANIFEST: u64 = 512 << 20;
/// The most bytes of what is small, as it lies in a cache: manifests, ways, indexes.
const SMALL_MOST: u64 = 128 << 20;

/// What to take from one pack.
#[derive(Debug)]
struct Take {
    pack: Digest,
    size: u64,
    /// The blobs' parts, with what they are parts of.
    parts: Vec<(Content, Place)>,
}

/// How far a pull is.
struct Progress<'a> {
    now: AtomicU64,
    total: u64,
    reached: &'a (dyn Fn(u64, u64) + Sync),
}

impl Progress<'_> {
    fn add(&self, bytes: u64) {
        let now = self.now.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.reached)(now, self.total);
    }
}

impl Cache {
    /// Brings a tree with all its blobs into the store, and says whether the cache has it. `reached` is told how many bytes
    /// of how many are here.
    pub fn pull(
        &self,
        tree: &Digest,
        store: &Store,
        reached: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<bool, Error> {
        Ok(self.pull_all(std::slice::from_ref(tree), store, reached)?.contains(tree))
    }

    /// Brings several trees at once, so that what they share comes once, and says which of them are in the store now.
    ///
    /// Only packs that have something which is not here are taken. A tree appears when all its blobs are there. After an
    /// error, what arrived whole stays, and packs that arrived in part go on where they stopped.
    pub fn pull_all(
        &self,
        trees: &[Digest],
        store: &Store,
        reached: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<BTreeSet<Digest>, Error> {
        let (here, missing): (Vec<Digest>, Vec<Digest>) =
            trees.iter().partition(|tree| store.has_tree(tree));
        let found = crowd::each(&missing, SMALL, |tree| self.tree(tree))?;
        let found: Vec<Tree> = found.into_iter().flatten().collect();
        self.bring(&found, store, reached)?;
        let mut here: BTreeSet<Digest> = here.into_iter().collect();
        for tree in &found {
            here.insert(store.put_tree(tree)?);
        }
        Ok(here)
    }

    /// The manifest of a tree, if the cache has it.
    pub fn tree(&self, tree: &Digest) -> Result<Option<Tree>, Error> {
        let item = Item::Tree(*tree);
        let Some(bytes) = self.remote.get(&item.name(), SMALL_MOST)? else { return Ok(None) };
        // A few bytes may unpack to very many: these come into memory only if they are what was asked for.
        let found = unpacked(&bytes).map_err(|error| self.wrong(&item, error))?;
        if found != *tree {
            return Err(self.wrong(&item, format!("it is the tree {found}")));
        }
        let manifest =
            pack::unpack(&bytes, LONGEST_MANIFEST).map_err(|error| self.wrong(&item, error))?;
        let tree = Tree::decode(&manifest).map_err(|error| self.wrong(&item, error))?;
        // Not every tree was signed by somebody.
        if let Some(content) = tree.contents().find(|content| !holds_its_holes(content)) {
            let why = format!("the blob {} has zeros behind its end", content.digest);
            return Err(self.wrong(&item, why));
        }
        Ok(Some(tree))
    }

    /// Where the blobs of a tree are, if the cache says so.
    pub(super) fn way(&self, tree: &Digest) -> Result<Option<Way>, Error> {
        let item = Item::Way(*tree);
        let Some(bytes) = self.remote.get(&item.name(), SMALL_MOST)? else { return Ok(None) };
        Way::unpack(&bytes).map(Some).map_err(|error| self.wrong(&item, error))
    }

    /// The same for a tree that is known. A way to more packs than the tree has pieces is refused, since of each of them an
    /// index would have to be read and kept.
    fn way_to(&self, tree: &Tree) -> Result<Option<Way>, Error> {
        let digest = tree.digest();
        let Some(way) = self.way(&digest)? else { return Ok(None) };
        let most = tree.contents().map(pieces).fold(0, u64::saturating_add);
        let count = way.packs.len();
        if count as u64 > most {
            let why = format!("it leads to {count} packs, but its tree needs {most} at most");
            return Err(self.wrong(&Item::Way(digest), why));
        }
        Ok(Some(way))
    }

    /// What a pack has, if the cache says so.
    pub(super) fn index(&self, pack: &Digest) -> Result<Option<Arc<Index>>, Error> {
        let known = || self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = known().get(pack) {
            return Ok(Some(Arc::clone(index)));
        }
        let item = Item::Index(*pack);
        let Some(bytes) = self.remote.get(&item.name(), SMALL_MOST)? else { return Ok(None) };
        let index = Index::unpack(&bytes).map_err(|error| self.wrong(&item, error))?;
        let index = Arc::new(index);
        known().insert(*pack, Arc::clone(&index));
        Ok(Some(index))
    }

    /// Brings all blobs of some trees that are not in the store.
    fn bring(
        &self,
        trees: &[Tree],
        store: &Store,
        reached: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<(), Error> {
        let mut missing: BTreeMap<Digest, &Content> = BTreeMap::new();
        let mut lacking = Vec::new();
        for tree in trees {
            let before = missing.len();
            let gone = tree.contents().filter(|content| !store.has_blob(&content.digest));
            missing.extend(gone.map(|content| (content.digest, content)));
            if missing.len() > before {
                lacking.push(tree);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let ways = crowd::each(&lacking, SMALL, |tree| self.way_to(tree))?;
        let sizes: BTreeMap<Digest, u64> =
            ways.into_iter().flatten().flat_map(|way| way.packs).collect();
        let packs: Vec<Digest> = sizes.keys().copied().collect();
        let indexes = crowd::each(&packs, SMALL, |pack| self.index(pack))?;
        let mut places = Places::default();
        for (pack, index) in packs.iter().zip(&indexes) {
            if let Some(index) = index {
                places.add(pack, index);
            }
        }
        let mut takes: BTreeMap<Digest, Take> = BTreeMap::new();
        let mut assembly = Assembly::new(store)?;
        for content in missing.values() {
            let Some(cover) = places.cover(content) else {
                let blob = content.digest;
                let tree =
                    trees.iter().find(|tree| tree.contents().any(|content| content.digest == blob));
                let tree = tree.map(Tree::digest).unwrap_or(blob);
                let why = format!("it leads to no pack with the blob {blob}");
                return Err(self.wrong(&Item::Way(tree), why));
            };
            if !matches!(cover.as_slice(), [place] if place.is_whole(content)) {
                assembly.begin(content)?;
            }
            for place in cover {
                let size = sizes.get(&place.pack).copied().unwrap_or_default();
                let take = takes.entry(place.pack);
                let take =
                    take.or_insert_with(|| Take { pack: place.pack, size, parts: Vec::new() });
                take.parts.push(((*content).clone(), place));
            }
        }
        let takes: Vec<Take> = takes.into_values().collect();
        let total = takes.iter().map(|take| take.size).sum();
        let progress = Progress { now: AtomicU64::new(0), total, reached };
        crowd::each(&takes, self.at_once, |take| self.take(take, store, &assembly, &progress))?;
        self.assemble(assembly, store)
    }

    /// Takes what is needed from one pack.
    fn take(
        &self,
        take: &Take,
        store: &Store,
        assembly: &Assembly,
        progress: &Progress<'_>,
    ) -> Result<(), Error> {
        let _lease = store.lease(&take.pack, &mut |_| ())?;
        // Another program may have brought them while we waited.
        let wanted = || take.parts.iter().filter(|(part, _)| !store.has_blob(&part.digest));
        if wanted().next().is_none() {
            progress.add(take.size);
            return Ok(());
        }
        let partial = store.partial(&take.pack)?;
        let packed = self.packed(take, &partial, progress)?;
        let item = Item::Pack(take.pack);
        let bytes = pack::unpack(&packed, PACK_SIZE).map_err(|error| self.wrong(&item, error))?;
        drop(packed);
        let mut keep = false;
        for (content, place) in wanted() {
            let part = slice(&bytes, place).ok_or_else(|| {
                self.wrong(&Item::Index(take.pack), "it tells of more than the pack has")
            })?;
            if place.is_whole(content) {
                self.keep(store, part, content, &take.pack)?;
            } else {
                assembly.put(content, place.start, part)?;
                keep = true;
            }
        }
        // A pack with a part of a blob that is not whole yet stays, so that a killed pull need not fetch it again.
        if keep {
            assembly.later(partial)
        } else {
            forget(&partial)?
        }
        Ok(())
    }

    fn keep(
        &self,
        store: &Store,
        bytes: &[u8],
        content: &Content,
        pack: &Digest,
    ) -> Result<(), Error> {
        match store.put_blob(bytes, &content.digest) {
            Err(store::Error::WrongDigest { expected, found, .. }) => {
                let why = format!("what it calls the blob {expected} is {found}");
                Err(self.wrong(&Item::Index(*pack), why))
            }
            other => Ok(other?),
        }
    }

    /// The bytes of a pack as they lie in the cache, checked.
    fn packed(
        &self,
        take: &Take,
        partial: &std::path::Path,
        progress: &Progress<'_>,
    ) -> Result<Vec<u8>, Error> {
        let item = Item::Pack(take.pack);
        if take.size > PACKED_MOST {
            return Err(self.wrong(&item, format!("a pack cannot have {} bytes", take.size)));
        }
        let mut again = true;
        let last = AtomicU64::new(0);
        loop {
            let resumed = partial.exists();
            let reached = |now: u64| {
                let before = last.fetch_max(now, Ordering::Relaxed);
                progress.add(now.saturating_sub(before));
            };
            if !self.remote.fetch(&item.name(), take.size, partial, &reached)? {
                return Err(self.wrong(&item, "it is not there, but a way leads to it"));
            }
            reached(take.size);
            match fs::read(partial) {
                Ok(bytes) if Digest::of(&bytes) == take.pack => return Ok(bytes),
                Ok(bytes) => {
                    forget(partial)?;
                    // What was there from before may be to blame, but only once.
                    if !(resumed && again) {
                        let why = format!("its bytes are {}", Digest::of(&bytes));
                        return Err(self.wrong(&item, why));
                    }
                }
                // Another program was done with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound && again => (),
                Err(error) => return Err(error.into()),
            }
            again = false;
        }
    }

    /// Makes blobs of what was brought in parts.
    fn assemble(&self, assembly: Assembly, store: &Store) -> Result<(), Error> {
        let Assembly { scratch, files, partials } = assembly;
        let blobs: Vec<Digest> = files.into_keys().collect();
        let adopted = crowd::each(&blobs, self.at_once, |blob| {
            if store.has_blob(blob) {
                return Ok(());
            }
            store.adopt(&place(&scratch, blob), blob)
        });
        // With wrong parts or with right ones, these packs have served.
        let partials = partials.into_inner().unwrap_or_else(PoisonError::into_inner);
        match adopted {
            Err(store::Error::WrongDigest { expected, found, .. }) => {
                partials.iter().try_for_each(|partial| forget(partial))?;
                let why = format!("the parts of the blob {expected} in its packs are {found}");
                Err(Error::Remote(crate::remote::Error::Wrong {
                    address: self.address().to_owned(),
                    name: "indexes".to_owned(),
                    why,
                }))
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(partials.iter().try_for_each(|partial| forget(partial))?),
        }
    }

    /// Brings a fetched file into `partial`, and says whether the cache has it. What is there already counts as the
    /// beginning; wrong bytes are removed.
    pub fn input(
        &self,
        sha256: &Digest,
        size: u64,
        partial: &std::path::Path,
        reached: &dyn Fn(u64),
    ) -> Result<bool, Error> {
        let item = Item::Input(*sha256);
        for last in [false, true] {
            let resumed = fs::metadata(partial).is_ok_and(|meta| meta.len() > 0);
            if !self.remote.fetch(&item.name(), size, partial, reached)? {
                return Ok(false);
            }
            let found = Digest::read(&mut File::open(partial)?)?;
            if found == *sha256 {
                return Ok(true);
            }
            forget(partial)?;
            if last || !resumed {
                return Err(self.wrong(&item, format!("its bytes are {found}")));
            }
        }
        Ok(false)
    }
}

/// The digest of a manifest that lies packed in a cache.
fn unpacked(bytes: &[u8]) -> io::Result<Digest> {
    // By itself, zstd refuses what needs a window of more than 128 MiB.
    let decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
    let mut hasher = Hasher::default();
    if io::copy(&mut decoder.take(LONGEST_MANIFEST + 1), &mut hasher)? > LONGEST_MANIFEST {
        let why = format!("it is longer than {LONGEST_MANIFEST} bytes, unpacked");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    Ok(hasher.finish())
}

/// Whether all that is said to be zeros is within a blob.
fn holds_its_holes(content: &Content) -> bool {
    let end = |hole: &Hole| hole.start.checked_add(hole.length);
    content.holes.iter().all(|hole| end(hole).is_some_and(|end| end <= content.size))
}

/// The most packs that a blob can be spread over: each stretch between its zeros begins one, and goes on in another after as
/// many bytes as a pack holds.
fn pieces(content: &Content) -> u64 {
    1 + content.holes.len() as u64 + content.size / PACK_SIZE
}

/// The bytes at a place of an unpacked pack.
fn slice<'b>(bytes: &'b [u8], place: &Place) -> Option<&'b [u8]> {
    let start = usize::try_from(place.offset).ok()?;
    let end = start.checked_add(usize::try_from(place.length).ok()?)?;
    bytes.get(start..end)
}

/// Removes a file that may be gone.
fn forget(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn place(scratch: &Scratch, blob: &Digest) -> PathBuf {
    scratch.path().join(blob.hex())
}

/// Blobs that are brought in parts.
struct Assembly {
    scratch: Scratch,
    files: BTreeMap<Digest, File>,
    /// Packs that are not needed any more once all blobs are whole.
    partials: Mutex<Vec<PathBuf>>,
}

impl Assembly {
    fn new(store: &Store) -> Result<Self, Error> {
        let scratch = store.scratch()?;
        Ok(Self { scratch, files: BTreeMap::new(), partials: Mutex::default() })
    }

    /// Makes the file of a blob: zeros, until its parts come.
    fn begin(&mut self, content: &Content) -> Result<(), Error> {
        let file = File::create(place(&self.scratch, &content.digest))?;
        file.set_len(content.size)?;
        self.files.insert(content.digest, file);
        Ok(())
    }

    fn put(&self, content: &Content, start: u64, bytes: &[u8]) -> Result<(), Error> {
        match self.files.get(&content.digest) {
            Some(file) => Ok(file.file().write_all_at(bytes, start)?),
            None => Err(io::Error::from(io::ErrorKind::NotFound).into()),
        }
    }

    fn partials(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.partials.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn later(&self, partial: PathBuf) {
        self.partials().push(partial);
    }
}
