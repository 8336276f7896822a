use std::{
    collections::VecDeque,
    io::{self, Read, Write},
};

use super::{Error, OPAQUE, OPAQUE_XATTR, WHITEOUT, is_kept, is_opaque, is_whiteout};
use crate::{
    formats::tar::{self, Body, Member},
    path::GuestPath,
    tree::{Blobs, Content, ContentHasher, Inode, Kind, Meta, Node, Tree},
};

/// Writes a tree as a layer; says what the archive is, whose digest is the diff id.
///
/// # Errors
///
/// See [`Archive::new`]; besides, what `blobs` and `out` say.
pub fn write(tree: &Tree, blobs: &dyn Blobs, out: &mut dyn Write) -> Result<Content, Error> {
    let mut archive = Archive::new(tree, blobs)?;
    let mut hasher = ContentHasher::default();
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = archive.read(&mut buffer).map_err(Error::Write)?;
        if count == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..count]);
        out.write_all(&buffer[..count]).map_err(Error::Write)?;
    }
}

/// A tree as a layer: the bytes of an uncompressed archive, to be read.
///
/// Members come in the order of paths, each spelled as [`tar::headers`] does. What [`super::read`] gave is written so
/// that reading gives it again.
pub struct Archive<'a> {
    members: VecDeque<(Member, Option<&'a Content>)>,
    blobs: &'a dyn Blobs,
    /// Headers, padding or the end, which come next.
    pending: io::Cursor<Vec<u8>>,
    /// After that, the rest of a file.
    content: Option<Rest<'a>>,
    ended: bool,
}

struct Rest<'a> {
    reader: Box<dyn Read + 'a>,
    left: u64,
    padding: usize,
}

impl<'a> Archive<'a> {
    /// Nothing is read yet.
    ///
    /// # Errors
    ///
    /// If the tree has what no layer can say: sockets, names that begin with `.wh.`, attributes that containerd would
    /// not set, such as `trusted.` ones other than overlayfs' `opaque`.
    pub fn new(tree: &'a Tree, blobs: &'a dyn Blobs) -> Result<Self, Error> {
        let mut members = VecDeque::new();
        for (path, node) in tree.iter() {
            let unwritable = |what| Error::Unwritable { path: path.clone(), what };
            let inode = tree.inode(path).ok_or_else(|| unwritable("it is a link to nothing"))?;
            if is_whiteout(inode) {
                let place = whiteout_of(path).map_err(unwritable)?;
                members.push_back((marker(place, &inode.meta), None));
                continue;
            }
            if path.file_name().is_some_and(|name| name.starts_with(WHITEOUT)) {
                return Err(unwritable("a layer would take its name for a whiteout"));
            }
            let mut meta = inode.meta.clone();
            if is_opaque(inode) && inode.kind == Kind::Directory {
                meta.xattrs.remove(OPAQUE_XATTR);
            }
            if !meta.xattrs.keys().all(|name| is_kept(name, &inode.kind)) {
                return Err(unwritable("it has an extended attribute that no layer can set"));
            }
            let (body, content) = match node {
                Node::HardLink(owner) => (Body::HardLink(owner.clone()), None),
                Node::Inode(inode) => body(inode).map_err(unwritable)?,
            };
            members.push_back((Member { path: path.clone(), meta, body }, content));
            if is_opaque(inode) {
                let place = path.join(OPAQUE).map_err(|_| unwritable("its path is too long"))?;
                members.push_back((marker(place, &inode.meta), None));
            }
        }
        let pending = io::Cursor::new(Vec::new());
        Ok(Self { members, blobs, pending, content: None, ended: false })
    }

    /// Prepares the next member, or the end once; false after it.
    fn advance(&mut self) -> io::Result<bool> {
        let next = match self.members.pop_front() {
            None if self.ended => return Ok(false),
            None => {
                self.ended = true;
                tar::END.to_vec()
            }
            Some((member, content)) => {
                if let Some(content) = content.filter(|content| content.size > 0) {
                    self.content = Some(Rest {
                        reader: self.blobs.open(&content.digest)?,
                        left: content.size,
                        padding: tar::padding(content.size),
                    });
                }
                tar::headers(&member)
            }
        };
        self.pending = io::Cursor::new(next);
        Ok(true)
    }
}

impl Read for Rest<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.reader.read(&mut buffer[..most])?;
        if count == 0 {
            let what = "the content of a file is shorter than its tree says";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

impl Read for Archive<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let count = self.pending.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            if let Some(rest) = &mut self.content {
                if rest.left > 0 {
                    return rest.read(buffer);
                }
                self.pending = io::Cursor::new(vec![0; rest.padding]);
                self.content = None;
            } else if !self.advance()? {
                return Ok(0);
            }
        }
    }
}

/// A member that is only its name. Of a whiteout the owner and the time are kept besides.
fn marker(path: GuestPath, meta: &Meta) -> Member {
    let Meta { uid, gid, mtime, .. } = *meta;
    let meta = Meta { uid, gid, ..Meta::root_owned(0, mtime) };
    Member { path, meta, body: Body::File { size: 0 } }
}

fn whiteout_of(path: &GuestPath) -> Result<GuestPath, &'static str> {
    let name = [WHITEOUT, path.file_name().unwrap_or_default()].concat();
    if name == OPAQUE {
        return Err("a layer would take its whiteout for something else");
    }
    let parent = path.parent().ok_or("the top cannot be removed")?;
    parent.join(name).map_err(|_| "its name is too long for a whiteout")
}

fn body(inode: &Inode) -> Result<(Body, Option<&Content>), &'static str> {
    Ok(match &inode.kind {
        Kind::Directory => (Body::Directory, None),
        Kind::File(content) => (Body::File { size: content.size }, Some(content)),
        Kind::Symlink(target) => (Body::Symlink(target.clone()), None),
        Kind::CharDevice(device) => (Body::CharDevice(*device), None),
        Kind::BlockDevice(device) => (Body::BlockDevice(*device), None),
        Kind::Fifo => (Body::Fifo, None),
        Kind::Socket => return Err("no layer can hold a socket"),
    })
}
