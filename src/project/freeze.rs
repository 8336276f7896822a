use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
};

use super::{Error, LOCKFILE, Project, SETTINGS, shipped::FILES};
use crate::{
    lock::Lock,
    path::GuestPath,
    recipe::{self, Library, Name, Recipes, Source},
    tree::{BlobSink, Draft, Inode, Kind, Meta, Node, Time, Tree},
};

/// The settings of a project that needs nothing which comes with vsbuild.
const WHOLE: &str =
    "# All recipes are here; none of those inside vsbuild is used.\nshipped = false\n";

/// The time of a frozen project's files: 2023-06-10 00:00 UTC, as of all that has no time.
const MTIME: i64 = 1_686_355_200;

/// A project of its own with what `goals` need, and nothing else: the files in which their recipes are written, what these
/// name, the lockfile's lines about them, settings that say that it is whole. What comes with vsbuild becomes a part of it.
///
/// `sources` are the trees of all that the recipes of the goals name. The texts go to `sink`; the bytes of sources are there
/// already. Nothing else of the user's folder gets in, nor what stands in their settings.
pub fn freeze(
    project: &Project,
    recipes: &Recipes,
    goals: &[Name],
    sources: &BTreeMap<Source, Tree>,
    sink: &dyn BlobSink,
) -> Result<Tree, Error> {
    let mut frozen = Frozen { draft: Draft::with_root(meta(0o755)) };
    for file in recipe::written_in(&project.texts, recipes, goals) {
        let text = project.texts.get(&file).map_or("", String::as_str);
        frozen.text(&file.path, text, sink)?;
    }
    for (source, tree) in sources {
        let top = if is_directory(project, source) {
            source.path.clone()
        } else {
            source.path.parent().unwrap_or_default()
        };
        for (path, node) in tree.iter().filter(|(path, _)| !path.is_root()) {
            let path = top.concat(path);
            let path = path.map_err(|bad| bad_name(source, bad))?;
            frozen.insert(path, node)?;
        }
        // A directory without anything in it is something, too.
        if is_directory(project, source) && tree.is_empty() {
            let inode = Inode { meta: meta(0o755), kind: Kind::Directory };
            frozen.insert(top, &Node::Inode(inode))?;
        }
    }
    let lock = lock_of(&project.lock, recipes, goals);
    for (name, text) in [(LOCKFILE, lock.to_text().as_str()), (SETTINGS, WHOLE)] {
        if let Ok(path) = GuestPath::new(name) {
            frozen.text(&path, text, sink)?;
        }
    }
    let whole = Source { library: Library::Project, path: GuestPath::root() };
    frozen.draft.finish().map_err(|fault| Error::NoTree { source_path: whole, source: fault })
}

/// The names under which a lockfile has what `goals` and all that they need ask for.
pub fn names_of(recipes: &Recipes, goals: &[Name]) -> BTreeSet<Name> {
    let closure = recipes.closure(goals);
    let sets = closure.iter().filter_map(|name| Some(recipes.get(name)?.package_set()?.0));
    sets.chain(closure.iter().map(|name| (*name).clone())).collect()
}

fn lock_of(lock: &Lock, recipes: &Recipes, goals: &[Name]) -> Lock {
    let outputs = lock.outputs.iter().filter(|(name, _)| goals.contains(name));
    let outputs = outputs.map(|(name, files)| (name.clone(), files.clone())).collect();
    Lock { outputs, ..lock.only(&names_of(recipes, goals)) }
}

fn meta(mode: u16) -> Meta {
    Meta::root_owned(mode, Time::from_seconds(MTIME))
}

fn bad_name(source: &Source, bad: crate::path::BadPath) -> Error {
    Error::BadName { source_path: source.clone(), source: bad }
}

/// Whether a source is a directory, and not a single file. Both become a tree.
fn is_directory(project: &Project, source: &Source) -> bool {
    match source.library {
        Library::Project => project.root.join(OsStr::from_bytes(source.path.as_bytes())).is_dir(),
        Library::Shipped => {
            !FILES.iter().any(|file| file.path.as_bytes() == source.path.as_bytes())
        }
    }
}

struct Frozen {
    draft: Draft,
}

impl Frozen {
    fn text(&mut self, path: &GuestPath, text: &str, sink: &dyn BlobSink) -> Result<(), Error> {
        let content = sink.put(&mut text.as_bytes())?;
        self.insert(
            path.clone(),
            &Node::Inode(Inode { meta: meta(0o644), kind: Kind::File(content) }),
        )
    }

    /// Two libraries can have different things at one path; there is one place for them here.
    fn insert(&mut self, path: GuestPath, node: &Node) -> Result<(), Error> {
        let mut node = node.clone();
        if let Node::Inode(inode) = &mut node {
            inode.meta.mtime = Time::from_seconds(MTIME);
        }
        match self.draft.get(&path) {
            Some(there) if *there != node => Err(Error::Clash { path }),
            Some(_) => Ok(()),
            None => {
                self.draft.ensure_parents(&path, &meta(0o755));
                self.draft.insert(path, node);
                Ok(())
            }
        }
    }
}
