//! Garbage: first a plan of what would go, then the going.

use std::{collections::BTreeSet, os::unix::fs::MetadataExt, path::Path, time::SystemTime};

use fs_err as fs;
use walkdir::WalkDir;

use super::{Error, Store, age, lease};
use crate::digest::Digest;

/// What kind of thing an object is: the room that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The bytes of a file.
    Blob,
    /// The same, executable.
    Program,
    /// A manifest.
    Tree,
    /// What a key came to.
    Realisation,
    /// What a script printed.
    Log,
    /// What others said of an output.
    Statement,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] =
        [Self::Blob, Self::Program, Self::Tree, Self::Realisation, Self::Log, Self::Statement];

    /// The directory of the store that has them.
    pub fn room(self) -> &'static str {
        match self {
            Self::Blob => "blobs",
            Self::Program => "programs",
            Self::Tree => "trees",
            Self::Realisation => "realisations",
            Self::Log => "logs",
            Self::Statement => "statements",
        }
    }

    /// When it goes: first what cannot be without the others. A tree with its blobs may be without a record of how it came
    /// about, but a record may as well be without its tree, which is made again then.
    fn turn(self) -> u8 {
        match self {
            Self::Tree => 0,
            Self::Program => 1,
            Self::Blob => 2,
            Self::Realisation => 3,
            Self::Log => 4,
            Self::Statement => 5,
        }
    }
}

/// One object of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// What it is.
    pub kind: Kind,
    /// Its digest; for realisations and logs the key.
    pub digest: Digest,
    /// What it takes on the disk, in bytes.
    pub size: u64,
}

/// What a collection would remove.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sweep {
    /// The objects that no root needs.
    pub objects: Vec<Object>,
    /// How many objects stay.
    pub kept: usize,
    /// What these take on the disk, in bytes.
    pub kept_size: u64,
}

/// What a collection spares, besides what roots need: nothing, if nothing is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spare {
    /// What was made or used since.
    pub since: Option<SystemTime>,
    /// So many bytes of objects: the oldest go first, until the rest takes no more.
    pub size: Option<u64>,
}

impl Sweep {
    /// What it would free, in bytes.
    pub fn size(&self) -> u64 {
        total(&self.objects)
    }
}

impl Store {
    /// Everything in the store, by kind and digest. Files that are no objects are passed over.
    pub fn objects(&self) -> Result<Vec<Object>, Error> {
        let mut objects = Vec::new();
        for kind in Kind::ALL {
            let room = self.dir.join(kind.room());
            for entry in WalkDir::new(&room).min_depth(2).sort_by_file_name() {
                // It may go while we look.
                let Ok(entry) = entry else { continue };
                let digest = entry.file_name().to_str().and_then(|name| name.parse().ok());
                if let (Some(digest), Ok(meta)) = (digest, entry.metadata()) {
                    objects.push(Object { kind, digest, size: meta.blocks() * 512 });
                }
            }
        }
        Ok(objects)
    }

    /// What no root needs and is not spared, in the order in which it goes.
    pub fn plan_sweep(&self, spare: &Spare) -> Result<Sweep, Error> {
        let (mut blobs, mut trees, mut keys) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for root in self.roots()?.into_values() {
            for tree in &root.trees {
                // What is not there keeps no blobs; it will be made again with them.
                if let Some(manifest) = self.whole_tree(tree)? {
                    blobs.extend(manifest.contents().map(|content| content.digest));
                }
            }
            trees.extend(root.trees);
            keys.extend(root.keys);
        }
        let mut statements = BTreeSet::new();
        for key in &keys {
            statements.extend(self.realisation(key)?.into_iter().flat_map(|made| made.vouched));
        }
        let stays = |object: &Object| match object.kind {
            Kind::Blob | Kind::Program => blobs.contains(&object.digest),
            Kind::Tree => trees.contains(&object.digest),
            Kind::Realisation | Kind::Log => keys.contains(&object.digest),
            Kind::Statement => statements.contains(&object.digest),
        };
        let (kept, objects): (Vec<_>, Vec<_>) = self.objects()?.into_iter().partition(stays);
        let mut sweep = Sweep { objects, kept: kept.len(), kept_size: total(&kept) };
        if *spare != Spare::default() {
            self.spare(&mut sweep, spare)?;
        }
        // Trees go before blobs, so that a kill in between leaves no tree without its blobs.
        sweep.objects.sort_by_key(|object| object.kind.turn());
        Ok(sweep)
    }

    /// Takes out of a sweep what is young, and what is not among the oldest that must go.
    fn spare(&self, sweep: &mut Sweep, Spare { since, size }: &Spare) -> Result<(), Error> {
        let ages = self.ages(&self.objects()?)?;
        let mut aged: Vec<(SystemTime, Object)> = std::mem::take(&mut sweep.objects)
            .into_iter()
            .filter_map(|object| Some((*ages.get(&(object.kind, object.digest))?, object)))
            .collect();
        // Of one age, in the order in which they go.
        aged.sort_by_key(|(used, object)| (*used, object.kind.turn(), object.digest));
        let mut here = sweep.kept_size + aged.iter().map(|(_, object)| object.size).sum::<u64>();
        for (used, object) in aged {
            let is_old = since.is_none_or(|since| used < since);
            if is_old && size.is_none_or(|size| here > size) {
                here -= object.size;
                sweep.objects.push(object);
            } else {
                sweep.kept += 1;
                sweep.kept_size += object.size;
            }
        }
        Ok(())
    }

    /// Waits until nobody else has the store open, then removes what no root needs and is not spared. Downloads that were
    /// not finished, and sandboxes of failed scripts, go too, if they are not young.
    pub fn sweep(&self, spare: &Spare) -> Result<Sweep, Error> {
        lease::exclusive(&self.lock)?;
        let swept = self.sweep_alone(spare);
        lease::shared(&self.lock)?;
        swept
    }

    fn sweep_alone(&self, spare: &Spare) -> Result<Sweep, Error> {
        self.tidy()?;
        let is_old = |path: &Path| {
            let meta = fs::symlink_metadata(path);
            spare.since.is_none_or(|since| meta.is_ok_and(|meta| age::changed(&meta) < since))
        };
        self.kept()?.iter().filter(|sandbox| is_old(sandbox)).for_each(|dir| lease::remove(dir));
        let sweep = self.plan_sweep(spare)?;
        for object in &sweep.objects {
            remove(&self.place(object.kind.room(), &object.digest))?;
        }
        for entry in fs::read_dir(self.dir.join("partial"))? {
            let path = entry?.path();
            if is_old(&path) {
                remove(&path)?;
            }
        }
        Ok(sweep)
    }
}

fn total(objects: &[Object]) -> u64 {
    objects.iter().map(|object| object.size).sum()
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
