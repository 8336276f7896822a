use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, symlink},
    },
    path::Path,
};

use fs_err::{self as fs, File};

use super::{
    About, Error, MANIFEST, Manifest, OUT, TOP, VENDOR,
    claim::Claim,
    pack::{member, member_of},
};
use crate::{
    cache::{FORMAT, Item},
    digest::Digest,
    formats::{
        compress::Compression,
        tar::{self, Body, Dialect, Member, Members},
    },
    path::GuestPath,
    recipe::Name,
    tree::{Content, ContentHasher, HOLE_MIN, Inode, Kind, Node},
};

/// The longest manifest that is read, in bytes: some million files.
const LONGEST: u64 = 256 << 20;
/// The shortest archive that could be a bundle: two headers, and the end.
const SHORTEST: u64 = 2 * 512 + tar::END.len() as u64;
/// Bytes read at once; a multiple of the shortest hole.
const CHUNK: usize = 1 << 20;

/// What a bundle says of itself; nothing after its manifest is read.
pub fn look(archive: &Path) -> Result<Manifest, Error> {
    Reader::open(archive)?.manifest()
}

/// Unpacks a bundle to `dir`, which is not there yet or is empty, and gives its manifest.
///
/// Every member must be the one that the manifest has at that place: its path, kind, mode, owner, time, size and digest. What is
/// in the cache must be what its name says. `dir` appears when all of it was checked; after an error there is nothing.
/// `reached` is told how many bytes of files, of how many, are unpacked.
pub fn unpack(archive: &Path, dir: &Path, reached: &dyn Fn(u64, u64)) -> Result<Manifest, Error> {
    let dir = &std::path::absolute(dir)?;
    if dir.symlink_metadata().is_ok() && !(dir.is_dir() && fs::read_dir(dir)?.next().is_none()) {
        return Err(Error::Exists(dir.to_owned()));
    }
    let mut reader = Reader::open(archive)?;
    let manifest = reader.manifest()?;
    check_names(&manifest, archive)?;
    dir.parent().map_or(Ok(()), fs::create_dir_all)?;
    let claim = Claim::directory(dir)?;
    fs::write(claim.path().join(MANIFEST), manifest.encode())?;
    reader.files(&manifest, claim.path(), reached)?;
    // One flush for all of it: a file at a time takes its turn at the disk for each.
    rustix::fs::syncfs(claim.open()).map_err(io::Error::from)?;
    claim.settle(dir)?;
    Ok(manifest)
}

/// What is in the cache must be called by its digest, and what there is of images must be what is said of these.
fn check_names(manifest: &Manifest, archive: &Path) -> Result<(), Error> {
    let (vendor, out) = (GuestPath::new(VENDOR)?, GuestPath::new(OUT)?);
    for (path, node) in manifest.files.iter() {
        let wrong = |what: &str| Error::Wrong {
            archive: archive.to_owned(),
            member: path.to_string(),
            what: what.to_owned(),
        };
        if let Some(below) = path.below(&out) {
            check_image(&manifest.about, &below, node).map_err(|what| wrong(&what))?;
        }
        let Some(below) = path.below(&vendor) else { continue };
        let content = match node {
            Node::Inode(Inode { kind: Kind::Directory, .. }) => continue,
            Node::Inode(Inode { kind: Kind::File(content), .. }) => content,
            _ => return Err(wrong("there are only files in a cache")),
        };
        let name = std::str::from_utf8(below.as_bytes()).ok().and_then(|name| name.parse().ok());
        let right = match name.and_then(|name| Item::of(&name)) {
            None | Some(Item::Pushing(_)) => return Err(wrong("nothing of a cache is called so")),
            Some(Item::Format) => content.digest == Digest::of(FORMAT),
            Some(Item::Input(digest) | Item::Pack(digest)) => content.digest == digest,
            // These are read, and checked, when they are used.
            Some(Item::Index(_) | Item::Tree(_) | Item::Way(_) | Item::Image(_)) => true,
            Some(Item::Statement { .. } | Item::Pin(_)) => true,
        };
        if !right {
            return Err(wrong(&format!("its bytes are {}, which is not its name", content.digest)));
        }
    }
    Ok(())
}

/// In `out` vsbuild writes, and takes what it wrote before for what it is: so only files of images get in there.
fn check_image(about: &About, below: &GuestPath, node: &Node) -> Result<(), String> {
    let content = match node {
        Node::Inode(Inode { kind: Kind::Directory, .. }) => return Ok(()),
        Node::Inode(Inode { kind: Kind::File(content), .. }) => content,
        _ => return Err("there are only files of images here".to_owned()),
    };
    let said = std::str::from_utf8(below.as_bytes()).ok().and_then(|below| {
        let (name, file) = below.split_once('/')?;
        about.goals.get(&name.parse::<Name>().ok()?)?.files.get(file)
    });
    match said {
        Some(said) if *said == content.digest => Ok(()),
        Some(said) => Err(format!("its bytes are {}, not {said}", content.digest)),
        None => Err("no image has such a file".to_owned()),
    }
}

struct Reader<'a> {
    archive: &'a Path,
    length: u64,
    members: Members<File>,
}

impl<'a> Reader<'a> {
    fn open(archive: &'a Path) -> Result<Self, Error> {
        let file = File::open(archive)?;
        let mut first = [0; 6];
        let read = file.file().read_at(&mut first, 0)?;
        let with = match Compression::from_magic(first.get(..read).unwrap_or_default()) {
            Compression::Plain => None,
            Compression::Gzip => Some("gzip"),
            Compression::Xz => Some("xz"),
            Compression::Zstd => Some("zstd"),
        };
        if let Some(with) = with {
            return Err(Error::Compressed { archive: archive.to_owned(), with });
        }
        let length = file.metadata()?.len();
        Ok(Self { archive, length, members: Members::new(file, Dialect::Strict) })
    }

    fn wrong(&self, member: impl ToString, what: impl Into<String>) -> Error {
        let (archive, member) = (self.archive.to_owned(), member.to_string());
        Error::Wrong { archive, member, what: what.into() }
    }

    fn next(&mut self) -> Result<Option<Member>, Error> {
        let archive = self.archive.to_owned();
        self.members.next_member().map_err(|source| Error::BadArchive { archive, source })
    }

    fn manifest(&mut self) -> Result<Manifest, Error> {
        let (top, place) = (
            member(&GuestPath::root(), Body::Directory, 0o755)?,
            member(&GuestPath::new(MANIFEST)?, Body::File { size: 0 }, 0o644)?,
        );
        let no_bundle = Error::NoBundle(self.archive.to_owned());
        if self.length < SHORTEST || self.next()?.as_ref() != Some(&top) {
            return Err(no_bundle);
        }
        let size = match self.next()? {
            Some(Member { path, body: Body::File { size }, .. }) if path == place.path => size,
            _ => return Err(no_bundle),
        };
        if size > LONGEST {
            return Err(self.wrong(MANIFEST, format!("it is longer than {LONGEST} bytes")));
        }
        let mut text = Vec::new();
        self.members.read_to_end(&mut text)?;
        if text.len() as u64 != size {
            return Err(self.wrong(MANIFEST, "the archive ends early"));
        }
        let archive = self.archive.to_owned();
        let manifest = Manifest::decode(&text);
        let manifest = manifest.map_err(|source| Error::BadManifest { archive, source })?;
        if manifest.size() > self.length {
            let (said, length) = (manifest.size(), self.length);
            let what = format!("it names {said} bytes of files, but the archive has {length}");
            return Err(self.wrong(MANIFEST, what));
        }
        Ok(manifest)
    }

    fn files(
        &mut self,
        manifest: &Manifest,
        dir: &Path,
        reached: &dyn Fn(u64, u64),
    ) -> Result<(), Error> {
        let (mut seen, mut done, total) = (BTreeSet::new(), 0, manifest.size());
        for (path, node) in manifest.files.iter().filter(|(path, _)| !path.is_root()) {
            let expected = member_of(path, node)?;
            let found = self.next()?;
            let found = found.ok_or_else(|| self.wrong(path, "it is not in the archive"))?;
            if found != expected {
                return Err(self.out_of_place(&found, &expected, &seen));
            }
            let place = dir.join(OsStr::from_bytes(path.as_bytes()));
            match node {
                Node::Inode(Inode { kind: Kind::File(content), meta }) => {
                    self.file(path, content, &place, meta.mode)?;
                    done += content.size;
                    reached(done, total);
                }
                Node::Inode(Inode { kind: Kind::Symlink(target), .. }) => {
                    symlink(OsStr::from_bytes(target), &place)?;
                }
                _ => fs::create_dir(&place)?,
            }
            seen.insert(found.path);
        }
        let end = self.members.place().next + tar::END.len() as u64;
        match self.next()? {
            None if self.length < end => Err(self.wrong("its end", "the archive ends early")),
            None if self.length > end => Err(self.wrong("its end", "something follows the end")),
            None => Ok(()),
            Some(more) => Err(self.out_of_place(&more, &more, &seen)),
        }
    }

    /// What to say of a member that is not the one that should be here.
    fn out_of_place(&self, found: &Member, expected: &Member, seen: &BTreeSet<GuestPath>) -> Error {
        let what = if seen.contains(&found.path)
            || found.path.as_bytes() == format!("{TOP}/{MANIFEST}").as_bytes()
        {
            "it is in the archive twice".to_owned()
        } else if found.path == expected.path && found != expected {
            "its kind, size, mode, owner or time is not what the manifest says".to_owned()
        } else {
            "the manifest does not name it here".to_owned()
        };
        self.wrong(&found.path, what)
    }

    fn file(
        &mut self,
        path: &GuestPath,
        content: &Content,
        place: &Path,
        mode: u16,
    ) -> Result<(), Error> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, mode.into());
        let mut to = options.open(place)?;
        let (mut hasher, mut buffer) = (ContentHasher::default(), vec![0; CHUNK]);
        let mut length = 0;
        while length < content.size {
            let mut filled = 0;
            while filled < CHUNK {
                match self.members.read(&mut buffer[filled..])? {
                    0 => break,
                    read => filled += read,
                }
            }
            if filled == 0 {
                return Err(self.wrong(path, "the archive ends in the middle of it"));
            }
            hasher.update(&buffer[..filled]);
            for piece in buffer[..filled].chunks(HOLE_MIN as usize) {
                if piece.iter().all(|byte| *byte == 0) {
                    to.seek(SeekFrom::Current(piece.len() as i64))?;
                } else {
                    to.write_all(piece)?;
                }
            }
            length += filled as u64;
        }
        to.set_len(content.size)?;
        let found = hasher.finish();
        if found != *content {
            let what = format!("its bytes are {}, not {}", found.digest, content.digest);
            return Err(self.wrong(path, what));
        }
        Ok(())
    }
}
