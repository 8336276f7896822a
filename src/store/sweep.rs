//! Garbage: first a plan of what would go, then the going.

use std::{collections::BTreeSet, os::unix::fs::MetadataExt, path::PathBuf};

use fs_err as fs;
use walkdir::WalkDir;

use super::{Error, Store, lease};
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
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::Blob, Self::Program, Self::Tree, Self::Realisation, Self::Log];

    /// The directory of the store that has them.
    pub fn room(self) -> &'static str {
        match self {
            Self::Blob => "blobs",
            Self::Program => "programs",
            Self::Tree => "trees",
            Self::Realisation => "realisations",
            Self::Log => "logs",
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
}

impl Sweep {
    /// What it would free, in bytes.
    pub fn size(&self) -> u64 {
        self.objects.iter().map(|object| object.size).sum()
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

    /// What no root needs.
    pub fn plan_sweep(&self) -> Result<Sweep, Error> {
        let (mut blobs, mut trees, mut keys) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for root in self.roots()?.into_values() {
            for tree in &root.trees {
                // A tree that is gone, or damaged, keeps no blobs; it will be made again with them.
                if let Ok(manifest) = self.tree(tree) {
                    blobs.extend(manifest.contents().map(|content| content.digest));
                }
            }
            trees.extend(root.trees);
            keys.extend(root.keys);
        }
        let stays = |object: &Object| match object.kind {
            Kind::Blob | Kind::Program => blobs.contains(&object.digest),
            Kind::Tree => trees.contains(&object.digest),
            Kind::Realisation | Kind::Log => keys.contains(&object.digest),
        };
        let (kept, objects): (Vec<_>, Vec<_>) = self.objects()?.into_iter().partition(stays);
        Ok(Sweep { objects, kept: kept.len() })
    }

    /// Waits until nobody else has the store open, then removes what no root needs, downloads that were not finished, and
    /// sandboxes of failed scripts.
    ///
    /// Trees go before blobs, so that a kill in between leaves no tree without its blobs.
    pub fn sweep(&self) -> Result<Sweep, Error> {
        lease::exclusive(&self.lock)?;
        let swept = self.sweep_alone();
        lease::shared(&self.lock)?;
        swept
    }

    fn sweep_alone(&self) -> Result<Sweep, Error> {
        self.tidy()?;
        self.kept()?.iter().for_each(|sandbox| lease::remove(sandbox));
        let sweep = self.plan_sweep()?;
        let order = [Kind::Tree, Kind::Program, Kind::Blob, Kind::Realisation, Kind::Log];
        for kind in order {
            for object in sweep.objects.iter().filter(|object| object.kind == kind) {
                remove(self.place(kind.room(), &object.digest))?;
            }
        }
        for entry in fs::read_dir(self.dir.join("partial"))? {
            remove(entry?.path())?;
        }
        Ok(sweep)
    }
}

fn remove(path: PathBuf) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
