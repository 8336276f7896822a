use std::{collections::BTreeMap, fmt::Write};

use super::leads_out;
use crate::{
    digest::Digest,
    recipe::Name,
    tree::{self, Inode, Kind, Node, Tree},
    trust::{KeyId, PublicKey},
};

/// The first line.
const HEAD: &str = "vsbuild-bundle 1";
/// Its name in a bundle.
pub const MANIFEST: &str = "MANIFEST";

/// What a bundle holds, `vsbuild-bundle 1`: the file `artifact/MANIFEST`, which the archive has first.
///
/// ```text
/// vsbuild-bundle 1
/// program VERSION            of the vsbuild that wrote it
/// recipe NAME PLANKEY        what can be built, and its plan key
/// file NAME FILE SHA256      what the image NAME is expected to come to; after its recipe
/// key NAME:BASE64            a public key that signed statements of the cache in vendor/
/// vsbuild-tree 1
/// d / 0755 0 0 1686355200    and so on: everything else in artifact/, as a tree manifest (see ARCHITECTURE.md)
/// ```
///
/// Recipes and files are sorted by name, keys by id. Files, directories and symbolic links that stay inside are all there is.
/// There is one text for a manifest; another spelling is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What is said of the whole.
    pub about: About,
    /// All that lies in the bundle, but for the manifest.
    pub files: Tree,
}

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct About {
    /// The version of the vsbuild that wrote it.
    pub program: String,
    /// What can be built of it.
    pub goals: BTreeMap<Name, Goal>,
    /// Who signed what is said in it of outputs. To be listed here makes nobody trusted.
    pub keys: BTreeMap<KeyId, PublicKey>,
}

/// One thing that can be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// Its plan key: whoever finds another one plans something else.
    pub plan_key: Digest,
    /// The files of an image with what they are expected to be.
    pub files: BTreeMap<String, Digest>,
}

/// The text is no manifest of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    /// A line has another form than it may.
    #[error("line {0} is wrong")]
    Line(usize),
    /// The list of files is wrong; its lines count from where it begins.
    #[error(transparent)]
    Files(#[from] tree::BadManifest),
    /// Something is listed that no bundle holds.
    #[error("{0} is neither a file nor a directory nor a symbolic link of a bundle's own")]
    Odd(String),
    /// A link leads out, or may.
    #[error("the symbolic link {0} leads out of the bundle, or may")]
    LeadsOut(String),
    /// The same manifest has another text.
    #[error("it is not in its canonical form (order, spelling or something twice)")]
    NotCanonical,
}

impl Manifest {
    /// The text.
    pub fn encode(&self) -> Vec<u8> {
        let About { program, goals, keys } = &self.about;
        let mut text = format!("{HEAD}\nprogram {program}\n");
        for (name, Goal { plan_key, files }) in goals {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "recipe {name} {plan_key}");
            for (file, sha256) in files {
                let _ = writeln!(text, "file {name} {file} {sha256}");
            }
        }
        for key in keys.values() {
            let _ = writeln!(text, "key {key}");
        }
        let mut bytes = text.into_bytes();
        bytes.extend(self.files.encode());
        bytes
    }

    /// Reads the text, in the one spelling that it has.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadManifest> {
        let mut about = About::default();
        let (mut rest, mut number) = (bytes, 0);
        loop {
            let end =
                rest.iter().position(|byte| *byte == b'\n').ok_or(BadManifest::Line(number + 1))?;
            let line = std::str::from_utf8(&rest[..end]).ok();
            if line == Some(tree::FORMAT) {
                break;
            }
            number += 1;
            let known = line.and_then(|line| match number {
                1 => (line == HEAD).then_some(()),
                _ => about.read(line),
            });
            known.ok_or(BadManifest::Line(number))?;
            rest = &rest[end + 1..];
        }
        let manifest = Self { about, files: Tree::decode(rest)? };
        manifest.check_files()?;
        if manifest.encode() == bytes { Ok(manifest) } else { Err(BadManifest::NotCanonical) }
    }

    /// How many bytes all files have.
    pub fn size(&self) -> u64 {
        self.files.contents().fold(0, |sum, content| sum.saturating_add(content.size))
    }

    fn check_files(&self) -> Result<(), BadManifest> {
        for (path, node) in self.files.iter() {
            let odd = || Err(BadManifest::Odd(path.to_string()));
            let Node::Inode(Inode { meta, kind }) = node else { return odd() };
            let mode = match kind {
                Kind::Directory => [0o755].as_slice(),
                Kind::File(_) => &[0o644, 0o755],
                Kind::Symlink(target) if leads_out(path, target) => {
                    return Err(BadManifest::LeadsOut(path.to_string()));
                }
                Kind::Symlink(_) => &[0o777],
                Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo | Kind::Socket => {
                    return odd();
                }
            };
            if !mode.contains(&meta.mode) || *meta != super::meta(meta.mode) {
                return odd();
            }
        }
        Ok(())
    }
}

impl About {
    fn read(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["program", version] if is_plain(version) => self.program = (*version).to_owned(),
            ["recipe", name, plan_key] => {
                let goal = Goal { plan_key: plan_key.parse().ok()?, files: BTreeMap::new() };
                self.goals.insert(name.parse().ok()?, goal);
            }
            ["file", name, file, sha256] if is_plain(file) && !file.contains('/') => {
                let goal = self.goals.get_mut(&name.parse::<Name>().ok()?)?;
                goal.files.insert((*file).to_owned(), sha256.parse().ok()?);
            }
            ["key", key] => {
                let key: PublicKey = key.parse().ok()?;
                self.keys.insert(key.id(), key);
            }
            _ => return None,
        }
        Some(())
    }
}

fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic())
}
