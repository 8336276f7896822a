//! Reads every byte, and puts aside what is not what it is called.

use std::{collections::BTreeSet, io, path::PathBuf};

use fs_err as fs;
use rayon::prelude::*;

use super::{Error, Kind, Object, Store};
use crate::{digest::Digest, tree::Tree};

/// What a look at every byte found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// How many objects were read.
    pub objects: usize,
    /// How many bytes they take.
    pub bytes: u64,
    /// What was damaged.
    pub damaged: Vec<Damage>,
}

/// Something that was not what it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// What it is.
    pub object: Object,
    /// What is wrong with it.
    pub what: String,
    /// Where it is now; none if it was replaced by a good copy that the store had.
    pub quarantine: Option<PathBuf>,
}

impl Store {
    /// Checks all objects, several at once. What is damaged goes to quarantine and counts as absent from then on; a
    /// program is made again from its blob when it is needed, anything else by the next build. `seen` is told of each
    /// object, with its size, as it is done.
    pub fn verify(&self, seen: &(dyn Fn(u64) + Sync)) -> Result<Verified, Error> {
        let objects = self.objects()?;
        let blobs: BTreeSet<Digest> = of_kind(&objects, Kind::Blob).collect();
        let faults: Vec<(Object, String)> = objects
            .par_iter()
            .filter_map(|object| {
                let fault = self.fault(object, &blobs);
                seen(object.size);
                Some((object.clone(), fault?))
            })
            .collect();
        let mut damaged = Vec::new();
        for (object, what) in faults {
            let from = self.place(object.kind.room(), &object.digest);
            let name = format!("{}-{}", object.kind.room(), object.digest);
            let to = self.dir.join("quarantine").join(name);
            fs::rename(from, &to)?;
            damaged.push(Damage { object, what, quarantine: Some(to) });
        }
        damaged.extend(self.forsake(&objects, &damaged)?);
        self.forget_damaged(&objects, &damaged)?;
        let bytes = objects.iter().map(|object| object.size).sum();
        Ok(Verified { objects: objects.len(), bytes, damaged })
    }

    /// Trees that name a blob which is gone now count as absent too, so that they are made again.
    fn forsake(&self, objects: &[Object], damaged: &[Damage]) -> Result<Vec<Damage>, Error> {
        let is_blob = |damage: &&Damage| damage.object.kind == Kind::Blob;
        let gone: BTreeSet<Digest> =
            damaged.iter().filter(is_blob).map(|damage| damage.object.digest).collect();
        if gone.is_empty() {
            return Ok(Vec::new());
        }
        let mut forsaken = Vec::new();
        for object in objects.iter().filter(|object| object.kind == Kind::Tree) {
            let Ok(tree) = self.tree(&object.digest) else { continue };
            if let Some(lost) = tree.contents().find(|content| gone.contains(&content.digest)) {
                fs::remove_file(self.tree_path(&object.digest))?;
                let what = format!("it has the damaged blob {}", lost.digest);
                forsaken.push(Damage { object: object.clone(), what, quarantine: None });
            }
        }
        Ok(forsaken)
    }

    /// What was made from damaged content may be wrong, however whole it is: forgets how it came about, so that it is made
    /// again.
    fn forget_damaged(&self, objects: &[Object], damaged: &[Damage]) -> Result<(), Error> {
        let mut tainted: BTreeSet<Digest> =
            damaged.iter().map(|damage| damage.object.digest).collect();
        let mut records: Vec<(Digest, super::Realisation)> = Vec::new();
        for key in of_kind(objects, Kind::Realisation) {
            records.extend(self.realisation(&key)?.map(|record| (key, record)));
        }
        loop {
            let is_tainted = |(_, record): &(Digest, super::Realisation)| {
                record.inputs.iter().any(|input| tainted.contains(input))
            };
            let (forgotten, kept): (Vec<_>, Vec<_>) = records.into_iter().partition(is_tainted);
            if forgotten.is_empty() {
                return Ok(());
            }
            for (key, record) in forgotten {
                fs::remove_file(self.place("realisations", &key))?;
                tainted.insert(record.output);
            }
            records = kept;
        }
    }

    fn fault(&self, object: &Object, blobs: &BTreeSet<Digest>) -> Option<String> {
        let path = self.place(object.kind.room(), &object.digest);
        let read = || fs::read(&path).map_err(|error| error.to_string());
        let checked = match object.kind {
            Kind::Blob | Kind::Program | Kind::Statement => {
                hash(&path).map_err(|error| error.to_string()).and_then(|found| {
                    if found == object.digest {
                        Ok(())
                    } else {
                        Err(format!("its bytes are {found}"))
                    }
                })
            }
            Kind::Tree => read().and_then(|text| {
                let tree = Tree::decode(&text).map_err(|error| error.to_string())?;
                if Digest::of(&text) != object.digest {
                    return Err("it is another tree".to_owned());
                }
                match tree.contents().find(|content| !blobs.contains(&content.digest)) {
                    None => Ok(()),
                    Some(lost) => Err(format!("its blob {} is not here", lost.digest)),
                }
            }),
            Kind::Realisation => read().and_then(|text| {
                let record: Result<super::Realisation, _> = serde_json::from_slice(&text);
                record.map(drop).map_err(|error| error.to_string())
            }),
            Kind::Log => Ok(()),
        };
        checked.err()
    }
}

fn of_kind(objects: &[Object], kind: Kind) -> impl Iterator<Item = Digest> {
    objects.iter().filter(move |object| object.kind == kind).map(|object| object.digest)
}

fn hash(path: &PathBuf) -> io::Result<Digest> {
    Digest::read(&mut io::BufReader::with_capacity(1 << 20, fs::File::open(path)?))
}
