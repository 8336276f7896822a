use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use fs_err::{self as fs, File};
use rayon::prelude::*;

use super::{
    About, Error, MANIFEST, Manifest, OUT, README, TOP, VENDOR, claim::Claim, leads_out, meta,
    readme::readme,
};
use crate::{
    digest::{Digest, Hasher},
    formats::tar::{self, Body, Member},
    path::GuestPath,
    store::Store,
    tree::{BlobSink, Content, Draft, Inode, Kind, Node, Tree},
};

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// Directories of a bundle in which nothing of the project can be.
const OWN: [&str; 4] = [MANIFEST, README, VENDOR, OUT];

/// A bundle as it comes together: what goes in, and where the bytes are.
#[derive(Debug)]
pub struct Packing {
    draft: Draft,
    places: BTreeMap<Digest, PathBuf>,
}

/// A file that goes into a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it will be in the bundle.
    pub path: GuestPath,
    /// Where its bytes are.
    pub place: PathBuf,
    /// What they must be, if that is known.
    pub sha256: Option<Digest>,
}

/// A bundle that is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Length in bytes.
    pub size: u64,
    /// The digest of all bytes.
    pub sha256: Digest,
    /// How many files are in it.
    pub files: usize,
}

impl Packing {
    /// Begins with a project, whose bytes are in the store.
    pub fn new(project: &Tree, store: &Store) -> Result<Self, Error> {
        let mut packing = Self { draft: Draft::with_root(meta(0o755)), places: BTreeMap::new() };
        for (path, node) in project.iter().filter(|(path, _)| !path.is_root()) {
            let first = path.components().next().unwrap_or_default();
            if OWN.iter().any(|own| own.as_bytes() == first) {
                return Err(Error::Taken(path.clone()));
            }
            let Node::Inode(Inode { kind, meta: old }) = node else {
                return Err(Error::Odd(path.clone()));
            };
            match kind {
                Kind::Directory => (),
                Kind::File(content) => {
                    packing.places.insert(content.digest, store.blob_path(&content.digest));
                }
                Kind::Symlink(target) if leads_out(path, target) => {
                    return Err(Error::LeadsOut { path: path.clone(), target: target.to_vec() });
                }
                Kind::Symlink(_) => (),
                Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo | Kind::Socket => {
                    return Err(Error::Odd(path.clone()));
                }
            }
            let inode = Inode { meta: meta(old.mode), kind: kind.clone() };
            packing.draft.insert(path.clone(), Node::Inode(inode));
        }
        Ok(packing)
    }

    /// Adds files, each of which is read once to know what it is. One that is not what it must be is an error.
    pub fn add(&mut self, files: &[Piece]) -> Result<(), Error> {
        let contents: Vec<Content> = files
            .par_iter()
            .map(|Piece { place, sha256, .. }| {
                let content = Content::read(&mut File::open(place)?)?;
                match sha256.filter(|expected| *expected != content.digest) {
                    None => Ok(content),
                    Some(expected) => {
                        let (path, found) = (place.clone(), content.digest);
                        Err(Error::Damaged { path, expected, found })
                    }
                }
            })
            .collect::<Result<_, Error>>()?;
        for (Piece { path, place, .. }, content) in files.iter().zip(contents) {
            self.places.insert(content.digest, place.clone());
            self.file(path, content);
        }
        Ok(())
    }

    fn file(&mut self, path: &GuestPath, content: Content) {
        self.draft.ensure_parents(path, &meta(0o755));
        let inode = Inode { meta: meta(0o644), kind: Kind::File(content) };
        self.draft.insert(path.clone(), Node::Inode(inode));
    }

    /// Writes the bundle to `out`, in place of a file that is there, once all of it is whole. `with_outputs` says whether the
    /// cache in it has more than inputs. `reached` is told how many bytes of files, of how many, are written.
    pub fn write(
        mut self,
        about: About,
        with_outputs: bool,
        store: &Store,
        out: &Path,
        reached: &dyn Fn(u64, u64),
    ) -> Result<Written, Error> {
        let content = store.put(&mut readme(&about, with_outputs).as_bytes())?;
        self.places.insert(content.digest, store.blob_path(&content.digest));
        self.file(&GuestPath::new(README)?, content);
        let Self { draft, places } = self;
        let manifest = Manifest { about, files: draft.finish()? };
        let claim = Claim::file(out)?;
        // The error of the file system names no file, and a disk that is full should be known by its name.
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("{} could not be written: {error}", out.display()))
        };
        let file = io::BufWriter::with_capacity(CHUNK, claim.open().file());
        let mut archive =
            Archive { to: file, hasher: Hasher::default(), size: 0, content: 0, named: &named };
        archive.manifest(&manifest)?;
        let (mut files, total) = (0, manifest.size());
        for (path, node) in manifest.files.iter().filter(|(path, _)| !path.is_root()) {
            archive.member(path, node, &places)?;
            reached(archive.content, total);
            files += usize::from(matches!(node, Node::Inode(Inode { kind: Kind::File(_), .. })));
        }
        let (size, sha256) = archive.finish()?;
        claim.open().sync_all()?;
        claim.settle(out)?;
        Ok(Written { size, sha256, files })
    }
}

/// The archive as far as it is written.
struct Archive<'a, W: Write> {
    to: W,
    hasher: Hasher,
    /// How long it is, and how much of that are the bytes of files.
    size: u64,
    content: u64,
    named: &'a dyn Fn(io::Error) -> io::Error,
}

impl<W: Write> Archive<'_, W> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.to.write_all(bytes).map_err(self.named)?;
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    fn pad(&mut self, size: u64) -> Result<(), Error> {
        self.bytes(&tar::END[..tar::padding(size)])
    }

    /// The directory of everything, and the manifest.
    fn manifest(&mut self, manifest: &Manifest) -> Result<(), Error> {
        let text = manifest.encode();
        let size = text.len() as u64;
        self.bytes(&tar::headers(&member(&GuestPath::root(), Body::Directory, 0o755)?))?;
        self.bytes(&tar::headers(&member(
            &GuestPath::new(MANIFEST)?,
            Body::File { size },
            0o644,
        )?))?;
        self.bytes(&text)?;
        self.pad(size)
    }

    fn member(
        &mut self,
        path: &GuestPath,
        node: &Node,
        places: &BTreeMap<Digest, PathBuf>,
    ) -> Result<(), Error> {
        self.bytes(&tar::headers(&member_of(path, node)?))?;
        let Node::Inode(Inode { kind: Kind::File(content), .. }) = node else { return Ok(()) };
        let place = places.get(&content.digest).map_or(Path::new(""), PathBuf::as_path);
        self.copy(place, content)?;
        self.content += content.size;
        self.pad(content.size)
    }

    /// The bytes of a file, which must be what they were.
    fn copy(&mut self, place: &Path, content: &Content) -> Result<(), Error> {
        let mut from = fs::File::open(place)?.take(content.size + 1);
        let (mut hasher, mut buffer) = (Hasher::default(), vec![0; CHUNK]);
        let mut left = content.size;
        loop {
            let read = from.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            left = left.saturating_sub(read as u64);
            self.bytes(&buffer[..read])?;
        }
        let found = hasher.finish();
        if found != content.digest || left > 0 {
            let path = place.to_owned();
            return Err(Error::Damaged { path, expected: content.digest, found });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(u64, Digest), Error> {
        self.bytes(&tar::END)?;
        self.to.flush().map_err(self.named)?;
        Ok((self.size, self.hasher.finish()))
    }
}

/// A member of the archive at a path in the bundle.
pub(super) fn member(path: &GuestPath, body: Body, mode: u16) -> Result<Member, Error> {
    Ok(Member { path: GuestPath::new(TOP)?.concat(path)?, meta: meta(mode), body })
}

/// The member that a node of a manifest is.
pub(super) fn member_of(path: &GuestPath, node: &Node) -> Result<Member, Error> {
    let Node::Inode(Inode { meta, kind }) = node else { return Err(Error::Odd(path.clone())) };
    let body = match kind {
        Kind::Directory => Body::Directory,
        Kind::File(content) => Body::File { size: content.size },
        Kind::Symlink(target) => Body::Symlink(target.clone()),
        Kind::CharDevice(_) | Kind::BlockDevice(_) | Kind::Fifo | Kind::Socket => {
            return Err(Error::Odd(path.clone()));
        }
    };
    member(path, body, meta.mode)
}
