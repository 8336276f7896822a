//! What garbage collection keeps, and for whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::PathBuf,
};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{Error, Store};
use crate::{digest::Digest, path::GuestPath};

/// What the names of pins begin with: roots that a user sets for a reason of their own, whatever else keeps the same. No
/// recipe's name has such a character in it.
pub const PIN: &str = "pin_";

/// Something that is to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The keys whose realisations and logs stay, so that it is known how the outputs came about.
    pub keys: BTreeSet<Digest>,
    /// The trees that stay, with their blobs.
    pub trees: BTreeSet<Digest>,
    /// The directory of the user's that it is for, if there is one.
    pub place: Option<PathBuf>,
    /// Why it is kept, for a person.
    pub reason: String,
}

impl Store {
    /// Sets the root with this name, in place of an older one.
    pub fn set_root(&self, name: &str, root: &Root) -> Result<(), Error> {
        let place = self.root_path(name)?;
        let text = serde_json::to_vec_pretty(root)
            .map_err(|source| Error::BadRecord { path: place.clone(), source })?;
        let mut file = self.staging()?;
        file.write_all(&text)?;
        self.settle(file, &place)
    }

    /// All roots by name.
    pub fn roots(&self) -> Result<BTreeMap<String, Root>, Error> {
        let mut roots = BTreeMap::new();
        for entry in fs::read_dir(self.dir.join("roots"))? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = fs::read(&path)?;
            // A root that cannot be read must not look like one that keeps nothing.
            let root = serde_json::from_slice(&text)
                .map_err(|source| Error::BadRecord { path: path.clone(), source })?;
            roots.insert(name, root);
        }
        Ok(roots)
    }

    /// Removes a root; says whether there was one. What it kept goes with the next collection.
    pub fn remove_root(&self, name: &str) -> Result<bool, Error> {
        match fs::remove_file(self.root_path(name)?) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Where roots lead to this tree or blob: root, tree, and for a blob its first path in there.
    pub fn why(&self, digest: &Digest) -> Result<Vec<(String, Digest, Option<GuestPath>)>, Error> {
        let mut ways = Vec::new();
        for (name, root) in self.roots()? {
            for tree in &root.trees {
                if tree == digest || root.keys.contains(digest) {
                    ways.push((name.clone(), *tree, None));
                    continue;
                }
                let Some(manifest) = self.whole_tree(tree)? else { continue };
                let holds = manifest.iter().find(|(path, _)| {
                    manifest.content(path).is_some_and(|content| content.digest == *digest)
                });
                if let Some((path, _)) = holds {
                    ways.push((name.clone(), *tree, Some(path.clone())));
                }
            }
        }
        Ok(ways)
    }

    fn root_path(&self, name: &str) -> Result<PathBuf, Error> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".+-_@".contains(&byte);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(Error::BadName(name.to_owned()));
        }
        Ok(self.dir.join("roots").join(name))
    }
}
