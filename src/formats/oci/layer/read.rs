use std::io::{self, Read, Write};

use super::{Error, Layer, upper::Upper};
use crate::{
    formats::{
        compress::Bounded,
        tar::{Body, Dialect, Member, Members},
    },
    tree::{BlobSink, ContentHasher, Kind, Tree},
};

/// What a layer may be at most.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of the uncompressed archive.
    pub bytes: u64,
    /// Members.
    pub members: u64,
    /// Bytes of all paths, targets of links and extended attributes together, which stay in memory. Directories that no
    /// member describes count too.
    pub text: u64,
}

impl Default for Limits {
    /// 64 GiB, four million members, 512 MiB of text: far above every image that a function has.
    fn default() -> Self {
        Self { bytes: 64 << 30, members: 4_000_000, text: 512 << 20 }
    }
}

/// Reads a layer from its uncompressed archive, up to the end of `archive`, in one pass.
///
/// Files go to `sink` and every byte of the archive, padding included, to `copy`. `below` are the layers under this
/// one, the lowest first: directories that this layer implies but does not describe look as they do there, as in
/// containerd's overlay applier (archive/tar.go), and hard links may name files there, whose content is not put again. A later member replaces an
/// earlier one, a directory is merged with the one before it, and the top is always root's with mode 0755: all as
/// containerd has it. Times that containerd would take from the clock are those of the members, or 1970.
///
/// # Errors
///
/// Names that lead out of the layer or through its links, whiteouts of what the same layer holds, links to nothing,
/// what is no tar archive, and more than `limits`; all that fails in `archive`, `sink` or `copy`.
pub fn read(
    archive: impl Read,
    below: &[&Tree],
    limits: &Limits,
    sink: &dyn BlobSink,
    copy: &mut dyn Write,
) -> Result<Layer, Error> {
    let archive = Bounded::new(archive, limits.bytes);
    let mut stream = Stream { archive, copy, hasher: ContentHasher::default() };
    let mut members = Members::new(&mut stream, Dialect::Layer);
    let mut upper = Upper::new(below);
    let (mut count, mut text) = (0, 0u64);
    while let Some(member) = members.next_member()? {
        let refuse = |what| Err(Error::Member { path: member.path.clone(), what });
        count += 1;
        text += member.text();
        if count > limits.members {
            return refuse("there are more members than allowed");
        }
        text += upper.make_parents(&member.path)?;
        if text > limits.text {
            return refuse("there are more and longer paths and attributes than allowed");
        }
        if upper.take_marker(&member)? {
            continue;
        }
        let Member { path, meta, body } = member;
        let kind = match body {
            Body::HardLink(target) => {
                upper.link(path, meta, &target)?;
                continue;
            }
            Body::File { .. } => {
                Kind::File(members.take_content(&path, &mut |_, bytes| sink.put(bytes))?)
            }
            Body::Directory => Kind::Directory,
            Body::Symlink(target) => Kind::Symlink(target),
            Body::CharDevice(device) => Kind::CharDevice(device),
            Body::BlockDevice(device) => Kind::BlockDevice(device),
            Body::Fifo => Kind::Fifo,
        };
        upper.place(path, meta, kind);
    }
    drop(members);
    Ok(Layer { tar: stream.hasher.finish(), tree: upper.finish()? })
}

/// Hashes and copies what passes through.
struct Stream<'a, R> {
    archive: R,
    copy: &'a mut dyn Write,
    hasher: ContentHasher,
}

impl<R: Read> Read for Stream<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.archive.read(buffer)?;
        let bytes = &buffer[..count];
        self.copy.write_all(bytes)?;
        self.hasher.update(bytes);
        Ok(count)
    }
}
