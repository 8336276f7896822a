use std::{
    collections::{BTreeMap, BTreeSet},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
};

use fs_err as fs;

use super::{Error, Project, ignore::is_ignored, shipped::FILES};
use crate::{
    path::{BadPath, GuestPath},
    recipe::{Library, Source},
    tree::{BlobSink, Content, Draft, Inode, Kind, Meta, Node, Time, Tree},
};

/// The time of every file of a source. Not 0, which some programs take for "no time".
const MTIME: i64 = 1;

/// The files and directories that recipes name, as trees; their bytes go to `sink`.
///
/// A directory becomes the tree of what it holds, a single file the tree with that one file under its own name.
/// Nothing of the host gets in but names, bytes, link targets and whether the owner may execute a file: all belongs to
/// root, modes are 0755 and 0644, times are the same. Left out is what [`is_ignored`] names.
pub fn sources(
    project: &Project,
    needed: &BTreeSet<Source>,
    sink: &dyn BlobSink,
) -> Result<BTreeMap<Source, Tree>, Error> {
    let read = |source: &Source| {
        let mut taker = Taker { source, sink, draft: Draft::with_root(meta(true)) };
        match source.library {
            Library::Shipped => taker.shipped()?,
            Library::Project => taker.local(&project.root)?,
        }
        let no_tree = |fault| Error::NoTree { source_path: source.clone(), source: fault };
        Ok((source.clone(), taker.draft.finish().map_err(no_tree)?))
    };
    needed.iter().map(read).collect()
}

fn meta(executable: bool) -> Meta {
    Meta::root_owned(if executable { 0o755 } else { 0o644 }, Time::from_seconds(MTIME))
}

struct Taker<'a> {
    source: &'a Source,
    sink: &'a dyn BlobSink,
    draft: Draft,
}

impl Taker<'_> {
    /// Takes the source from the files inside the program.
    fn shipped(&mut self) -> Result<(), Error> {
        let mut found = false;
        for file in FILES {
            let path = GuestPath::new(file.path).map_err(|bad| self.bad_name(bad))?;
            let Some(below) = path.below(&self.source.path) else { continue };
            let place = if below.is_root() { self.own_name()? } else { below };
            let content = self.sink.put(&mut &*file.bytes)?;
            self.draft.ensure_parents(&place, &meta(true));
            self.file(place, content, file.executable);
            found = true;
        }
        if found { Ok(()) } else { Err(Error::NoSource(self.source.clone())) }
    }

    /// Takes the source from the project at `root`.
    fn local(&mut self, root: &Path) -> Result<(), Error> {
        let path = root.join(std::ffi::OsStr::from_bytes(self.source.path.as_bytes()));
        if !path.exists() {
            return Err(Error::NoSource(self.source.clone()));
        }
        let path = fs::canonicalize(path)?;
        if !path.starts_with(fs::canonicalize(root)?) {
            return Err(Error::Outside(self.source.clone()));
        }
        if path.is_dir() {
            self.directory(&path, &GuestPath::root())
        } else {
            let name = self.own_name()?;
            self.entry(&path, name)
        }
    }

    fn directory(&mut self, path: &Path, place: &GuestPath) -> Result<(), Error> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.push(entry?.file_name());
        }
        names.sort();
        let has_manifest = names.iter().any(|name| name == "Cargo.toml");
        for name in names.iter().filter(|name| !is_ignored(name.as_bytes(), has_manifest)) {
            let place = place.join(name.as_bytes()).map_err(|bad| self.bad_name(bad))?;
            self.entry(&path.join(name), place)?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, place: GuestPath) -> Result<(), Error> {
        let metadata = fs::symlink_metadata(path)?;
        if metadata.is_dir() {
            let inode = Inode { meta: meta(true), kind: Kind::Directory };
            self.draft.insert(place.clone(), Node::Inode(inode));
            return self.directory(path, &place);
        }
        if metadata.is_symlink() {
            let target = fs::read_link(path)?;
            let mode = Meta { mode: 0o777, ..meta(true) };
            let kind = Kind::Symlink(target.as_os_str().as_bytes().into());
            self.draft.insert(place, Node::Inode(Inode { meta: mode, kind }));
            return Ok(());
        }
        if !metadata.is_file() {
            return Err(Error::OddFile { path: path.to_owned() });
        }
        let content = self.sink.put(&mut fs::File::open(path)?)?;
        self.file(place, content, metadata.permissions().mode() & 0o100 != 0);
        Ok(())
    }

    fn file(&mut self, place: GuestPath, content: Content, executable: bool) {
        let inode = Inode { meta: meta(executable), kind: Kind::File(content) };
        self.draft.insert(place, Node::Inode(inode));
    }

    fn own_name(&self) -> Result<GuestPath, Error> {
        let name = self.source.path.file_name().unwrap_or_default();
        GuestPath::new(name).map_err(|bad| self.bad_name(bad))
    }

    fn bad_name(&self, bad: BadPath) -> Error {
        Error::BadName { source_path: self.source.clone(), source: bad }
    }
}
