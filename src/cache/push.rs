use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::{Cache, Error, Item, PACK_SIZE, SMALL, Segment, crowd, known::Known};
use crate::{
    digest::Digest,
    store::Store,
    tree::{Content, Tree},
    trust::KeyId,
};

/// What is to be in a cache.
#[derive(Debug, Clone, Default)]
pub struct Parcel {
    /// Trees of the store, with all their blobs.
    pub trees: BTreeSet<Digest>,
    /// Trees that are in no store, with the files that have the bytes of their blobs.
    pub loose: Vec<(Tree, BTreeMap<Digest, PathBuf>)>,
    /// Disks, with the trees that have each as their one file.
    pub images: BTreeMap<Digest, Digest>,
    /// Fetched files of the store.
    pub inputs: BTreeSet<Digest>,
    /// What builders say.
    pub statements: Vec<Said>,
}

/// A signed statement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Said {
    /// The step that it is about.
    pub plan_key: Digest,
    /// Whose key signed it.
    pub by: KeyId,
    /// The statement as it was signed.
    pub bytes: Vec<u8>,
}

/// What a push would send.
#[derive(Debug)]
pub struct PushPlan {
    /// The packs to be made.
    pub packs: Vec<Vec<Segment>>,
    /// The trees whose manifests are not there.
    pub trees: BTreeSet<Digest>,
    /// The trees whose ways are not there, or lead to packs that are gone.
    pub ways: BTreeSet<Digest>,
    /// The disks that the cache does not know where to find, with their trees.
    pub images: BTreeMap<Digest, Digest>,
    /// The fetched files that are not there, with their sizes.
    pub inputs: BTreeMap<Digest, u64>,
    /// The statements. They are sent whether they are there or not: they are small, and a fresh one says that it is used.
    pub statements: Vec<Said>,
    /// How many bytes of packs and inputs were sent, as they lie in the cache. None, as long as nothing is sent.
    pub packed: u64,
    /// How many bytes of files, before compression, the cache has already.
    pub there: u64,
    /// Where blobs are that are in no store, and how long blobs are.
    pub(super) files: BTreeMap<Digest, PathBuf>,
    pub(super) sizes: BTreeMap<Digest, u64>,
    pub(super) manifests: BTreeMap<Digest, Tree>,
    pub(super) known: Known,
}

impl PushPlan {
    /// How many bytes of files and inputs are to be sent, before compression.
    pub fn bytes(&self) -> u64 {
        let segments = self.packs.iter().flatten().map(|segment| segment.length);
        segments.chain(self.inputs.values().copied()).sum()
    }
}

impl Cache {
    /// Looks at what the cache has, and says what is to be sent so that it has all of a parcel. Sends nothing.
    pub fn plan_push(&self, parcel: &Parcel, store: &Store) -> Result<PushPlan, Error> {
        self.check()?;
        let mut manifests = BTreeMap::new();
        for tree in &parcel.trees {
            manifests.insert(*tree, store.tree(tree)?);
        }
        let mut files = BTreeMap::new();
        for (tree, blobs) in &parcel.loose {
            files.extend(blobs.iter().map(|(blob, path)| (*blob, path.clone())));
            manifests.insert(tree.digest(), tree.clone());
        }
        let digests: Vec<Digest> = manifests.keys().copied().collect();
        let known = self.known(&digests, store)?;
        let (mut missing, mut seen, mut there) = (Vec::new(), BTreeSet::new(), 0);
        for content in manifests.values().flat_map(Tree::contents) {
            if !seen.insert(content.digest) {
                continue;
            }
            if known.has(content) {
                there += content.size;
            } else {
                missing.push(content);
            }
        }
        let sizes = missing.iter().map(|content| (content.digest, content.size)).collect();
        let packs = split(&missing);
        let lacks = |item: fn(Digest) -> Item| {
            move |digest: &Digest| {
                let lacks = !self.remote.has(&item(*digest).name())?;
                Ok::<_, Error>(lacks.then_some(*digest))
            }
        };
        let trees = crowd::each(&digests, SMALL, lacks(Item::Tree))?;
        let ways = crowd::each(&digests, SMALL, |digest| {
            // A damaged way is written anew.
            let way = match self.way(digest) {
                Err(error) if error.is_remote() && !error.is_final() => None,
                other => other?,
            };
            let good = way.is_some_and(|way| known.is_good(&way, manifests[digest].contents()));
            Ok::<_, Error>((!good).then_some(*digest))
        })?;
        let disks: Vec<(Digest, Digest)> =
            parcel.images.iter().map(|(disk, tree)| (*disk, *tree)).collect();
        let images = crowd::each(&disks, SMALL, |(disk, tree)| {
            let image = match self.noted_image(disk) {
                Err(error) if error.is_remote() && !error.is_final() => None,
                other => other?,
            };
            let good = image.is_some_and(|image| image.tree == *tree);
            Ok::<_, Error>((!good).then_some((*disk, *tree)))
        })?;
        let inputs: Vec<Digest> = parcel.inputs.iter().copied().collect();
        let inputs = crowd::each(&inputs, SMALL, lacks(Item::Input))?;
        let mut lengths = BTreeMap::new();
        for input in inputs.into_iter().flatten() {
            lengths.insert(input, fs_err::metadata(store.blob_path(&input))?.len());
        }
        Ok(PushPlan {
            packs,
            trees: trees.into_iter().flatten().collect(),
            ways: ways.into_iter().flatten().collect(),
            images: images.into_iter().flatten().collect(),
            inputs: lengths,
            statements: parcel.statements.clone(),
            packed: 0,
            there,
            files,
            sizes,
            manifests,
            known,
        })
    }
}

/// Deals blobs out to packs, in the order in which they come, so that what lies together in a tree is fetched together. A
/// blob that fits into a pack is never split; of a longer one the zeros are left out.
fn split(contents: &[&Content]) -> Vec<Vec<Segment>> {
    let mut packs = Vec::new();
    let (mut pack, mut filled) = (Vec::new(), 0);
    let mut add = |segment: Segment| {
        if filled + segment.length > PACK_SIZE {
            packs.push(std::mem::take(&mut pack));
            filled = 0;
        }
        filled += segment.length;
        pack.push(segment);
    };
    for Content { digest, size, .. } in contents.iter().filter(|content| content.size <= PACK_SIZE)
    {
        if *size > 0 {
            add(Segment { blob: *digest, start: 0, length: *size });
        }
    }
    for content in contents.iter().filter(|content| content.size > PACK_SIZE) {
        for (mut start, mut length) in content.data() {
            while length > 0 {
                let piece = length.min(PACK_SIZE);
                add(Segment { blob: content.digest, start, length: piece });
                start += piece;
                length -= piece;
            }
        }
    }
    if !pack.is_empty() {
        packs.push(pack);
    }
    packs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        cache::{Index, cover::Places},
        tree::Hole,
    };

    proptest! {
        #[test]
        fn packs_are_not_too_long_and_cover_every_blob(sizes in prop::collection::vec((0..3 * PACK_SIZE, any::<bool>()), 0..30)) {
            let contents: Vec<Content> = sizes
                .into_iter()
                .enumerate()
                .map(|(number, (size, sparse))| {
                    let hole = Hole { start: 4096, length: 1 << 20 };
                    let holes = if sparse && size > 2 << 20 { vec![hole] } else { vec![] };
                    Content { digest: Digest::of(number.to_le_bytes()), size, holes: holes.into() }
                })
                .collect();
            let packs = split(&contents.iter().collect::<Vec<_>>());
            let mut places = Places::default();
            for (number, segments) in packs.into_iter().enumerate() {
                prop_assert!(!segments.is_empty());
                places.add(&Digest::of(format!("{number}")), &Index::new(segments).unwrap());
            }
            for content in &contents {
                let cover = places.cover(content);
                prop_assert!(cover.is_some());
                if content.size <= PACK_SIZE {
                    prop_assert!(cover.unwrap().len() <= 1, "split though it fits");
                }
            }
        }
    }
}
