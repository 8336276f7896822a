use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::{Path, PathBuf},
};

use fs_err as fs;
use walkdir::WalkDir;

use super::{
    Cache, Error, Index, Item, SMALL, Way,
    cover::Places,
    crowd,
    layout::{room, rooms},
};
use crate::{digest::Digest, remote, store::Store, tree::Content};

/// The most bytes of an index that is read here, as it lies in a cache.
const LONGEST_INDEX: u64 = 128 << 20;

/// What packs a cache has, and what is in them.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) sizes: BTreeMap<Digest, u64>,
    pub(super) places: Places,
}

impl Known {
    /// Adds a pack.
    pub(super) fn add(&mut self, pack: &Digest, size: u64, index: &Index) {
        self.sizes.insert(*pack, size);
        self.places.add(pack, index);
    }

    /// Whether all of a blob is there.
    pub(super) fn has(&self, content: &Content) -> bool {
        self.places.cover(content).is_some()
    }

    /// The packs that have all of some blobs; none if one is lacking.
    pub(super) fn way<'c>(&self, contents: impl Iterator<Item = &'c Content>) -> Option<Way> {
        let mut way = Way::default();
        for content in contents {
            for place in self.places.cover(content)? {
                way.packs.insert(place.pack, *self.sizes.get(&place.pack)?);
            }
        }
        Some(way)
    }

    /// Whether a way leads where it should: to packs that are there and have all of some blobs.
    pub(super) fn is_good<'c>(
        &self,
        way: &Way,
        contents: impl Iterator<Item = &'c Content>,
    ) -> bool {
        let there = way.packs.iter().all(|(pack, size)| self.sizes.get(pack) == Some(size));
        let covered = |content: &Content| {
            // A pack of the way need not be the one that would be taken today.
            let cover = self.places.cover_within(content, &way.packs);
            cover.is_some()
        };
        there && contents.into_iter().all(covered)
    }
}

impl Cache {
    /// Reads what is in all packs of the cache. Indexes that were read once are kept in the store, so that only new ones
    /// travel. A cache that cannot say what it has is asked about `trees` alone.
    pub(super) fn known(&self, trees: &[Digest], store: &Store) -> Result<Known, Error> {
        let packs = match self.remote.list(&room(rooms::PACKS)) {
            Err(remote::Error::Unable { .. }) => return self.known_of(trees),
            packs => packs?,
        };
        let sizes: BTreeMap<Digest, u64> = packs
            .into_iter()
            .filter_map(|entry| match Item::of(&entry.name) {
                Some(Item::Pack(pack)) => Some((pack, entry.size)),
                _ => None,
            })
            .collect();
        let listed: BTreeSet<Digest> = self
            .remote
            .list(&room(rooms::INDEXES))?
            .into_iter()
            .filter_map(|entry| match Item::of(&entry.name) {
                Some(Item::Index(pack)) => Some(pack),
                _ => None,
            })
            .collect();
        let notes = Notes(store.notes_of(self.address())?);
        notes.forget_all_but(&listed);
        let there: Vec<Digest> =
            listed.into_iter().filter(|pack| sizes.contains_key(pack)).collect();
        let indexes = crowd::each(&there, SMALL, |pack| self.noted(pack, &notes))?;
        let mut known = Known::default();
        for (pack, index) in there.iter().zip(indexes) {
            if let (Some(index), Some(size)) = (index, sizes.get(pack)) {
                known.add(pack, *size, &index);
            }
        }
        Ok(known)
    }

    /// What the packs have to which the ways of some trees lead.
    fn known_of(&self, trees: &[Digest]) -> Result<Known, Error> {
        let ways = crowd::each(trees, SMALL, |tree| match self.way(tree) {
            // A damaged way is written anew.
            Err(error) if error.is_remote() && !error.is_final() => Ok(None),
            way => way,
        })?;
        let sizes: BTreeMap<Digest, u64> =
            ways.into_iter().flatten().flat_map(|way| way.packs).collect();
        let sizes: Vec<(Digest, u64)> = sizes.into_iter().collect();
        let indexes = crowd::each(&sizes, SMALL, |(pack, _)| {
            let there = self.remote.has(&Item::Pack(*pack).name())?;
            let bytes = self.remote.get(&Item::Index(*pack).name(), LONGEST_INDEX)?;
            Ok::<_, Error>(bytes.filter(|_| there).and_then(|bytes| Index::unpack(&bytes).ok()))
        })?;
        let mut known = Known::default();
        for ((pack, size), index) in sizes.iter().zip(indexes) {
            if let Some(index) = index {
                known.add(pack, *size, &index);
            }
        }
        Ok(known)
    }

    /// The index of a pack, from the notes if it is there. One that cannot be read says nothing: what the pack has is sent
    /// again.
    fn noted(&self, pack: &Digest, notes: &Notes) -> Result<Option<Index>, Error> {
        if let Some(index) = notes.index(pack) {
            return Ok(Some(index));
        }
        let bytes = self.remote.get(&Item::Index(*pack).name(), LONGEST_INDEX)?;
        let Some(bytes) = bytes else { return Ok(None) };
        let Ok(index) = Index::unpack(&bytes) else { return Ok(None) };
        notes.keep(pack, &bytes)?;
        Ok(Some(index))
    }

    /// Notes an index that was sent just now.
    pub(super) fn note(&self, store: &Store, pack: &Digest, bytes: &[u8]) -> Result<(), Error> {
        Notes(store.notes_of(self.address())?).keep(pack, bytes)
    }
}

/// Indexes of one cache, as they lie there, in a directory of the store: `ab/HEX`.
struct Notes(PathBuf);

impl Notes {
    fn place(&self, pack: &Digest) -> PathBuf {
        let hex = pack.hex();
        self.0.join(&hex[..2]).join(hex)
    }

    fn index(&self, pack: &Digest) -> Option<Index> {
        // What cannot be read is asked for again.
        Index::unpack(&fs::read(self.place(pack)).ok()?).ok()
    }

    fn keep(&self, pack: &Digest, bytes: &[u8]) -> Result<(), Error> {
        let place = self.place(pack);
        let parent = place.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        file.write_all(bytes)?;
        file.persist(&place).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes what is not in the cache any more, and what killed programs left.
    fn forget_all_but(&self, packs: &BTreeSet<Digest>) {
        for entry in WalkDir::new(&self.0).min_depth(2).into_iter().flatten() {
            let pack = entry.file_name().to_str().and_then(|name| name.parse::<Digest>().ok());
            if pack.is_some_and(|pack| !packs.contains(&pack)) {
                // It may be gone; and what stays does no harm.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}
