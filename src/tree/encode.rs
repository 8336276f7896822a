//! The canonical bytes of a tree. ARCHITECTURE.md describes them for readers of other programs.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use super::{Content, Device, Draft, Fault, Hole, Inode, Kind, Meta, Node, Time, Tree};
use crate::{
    digest::Digest,
    path::{BadPath, GuestPath},
};

/// The first line of every manifest. Another format of manifest gets another number, and every tree another digest.
pub const FORMAT: &str = "vsbuild-tree 1";

/// Bytes that are not a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadManifest {
    /// A line does not have the form of its kind.
    #[error("manifest, line {line}: {what}")]
    Line {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// The lines are no tree.
    #[error("manifest: {0}")]
    Tree(#[from] Fault),
    /// The same tree has other canonical bytes.
    #[error("manifest: not in canonical form (order, spelling or a path twice)")]
    NotCanonical,
}

impl Tree {
    /// The canonical bytes: one line a path in the order of paths, below [`FORMAT`].
    ///
    /// ```text
    /// d PATH MODE UID GID MTIME {XATTR}
    /// f PATH MODE UID GID MTIME {XATTR} SIZE SHA256 {START+LENGTH}
    /// l PATH MODE UID GID MTIME {XATTR} TARGET
    /// c PATH MODE UID GID MTIME {XATTR} MAJOR:MINOR      (b for a block device)
    /// p PATH MODE UID GID MTIME {XATTR}                  (s for a socket)
    /// h PATH OWNER
    /// ```
    ///
    /// MODE is octal, MTIME is seconds with `.` and nine digits of nanoseconds if these are not zero, XATTR is
    /// `@NAME=VALUE`, START+LENGTH are holes. Bytes other than `!` to `~`, and `%`, `@` and `=`, are written `%xx`.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = String::with_capacity(self.len() * 160);
        text.push_str(FORMAT);
        text.push('\n');
        for (path, node) in self.iter() {
            // Writing to a String cannot fail.
            let _ = write_node(&mut text, path, node);
        }
        text.into_bytes()
    }

    /// The digest of the canonical bytes: the name of the tree.
    pub fn digest(&self) -> Digest {
        Digest::of(self.encode())
    }

    /// Reads what [`Tree::encode`] wrote, and nothing else: a tree has one manifest.
    pub fn decode(manifest: &[u8]) -> Result<Self, BadManifest> {
        let bad = |line, what: &str| BadManifest::Line { line, what: what.to_owned() };
        let text = std::str::from_utf8(manifest).map_err(|_| bad(1, "not text"))?;
        let mut lines = text.lines();
        if lines.next() != Some(FORMAT) {
            return Err(bad(1, &format!("a manifest begins with `{FORMAT}`")));
        }
        let mut nodes = BTreeMap::new();
        for (index, line) in lines.enumerate() {
            let (path, node) = read_node(line)
                .map_err(|what| BadManifest::Line { line: index + 2, what: what.0 })?;
            nodes.insert(path, node);
        }
        let tree = Draft::from_nodes(nodes).finish()?;
        if tree.encode() == manifest { Ok(tree) } else { Err(BadManifest::NotCanonical) }
    }
}

fn write_node(text: &mut String, path: &GuestPath, node: &Node) -> fmt::Result {
    let (inode, letter) = match node {
        Node::HardLink(owner) => {
            return writeln!(text, "h /{} /{}", Word(path.as_bytes()), Word(owner.as_bytes()));
        }
        Node::Inode(inode) => (inode, letter(&inode.kind)),
    };
    let Meta { mode, uid, gid, mtime, xattrs } = &inode.meta;
    write!(text, "{letter} /{} {mode:04o} {uid} {gid} {}", Word(path.as_bytes()), mtime.seconds)?;
    if mtime.nanos != 0 {
        write!(text, ".{:09}", mtime.nanos)?;
    }
    for (name, value) in xattrs {
        write!(text, " @{}={}", Word(name), Word(value))?;
    }
    match &inode.kind {
        Kind::File(Content { digest, size, holes }) => {
            write!(text, " {size} {digest}")?;
            for Hole { start, length } in holes {
                write!(text, " {start}+{length}")?;
            }
        }
        Kind::Symlink(target) => write!(text, " {}", Word(target))?,
        Kind::CharDevice(device) | Kind::BlockDevice(device) => {
            write!(text, " {}:{}", device.major, device.minor)?;
        }
        Kind::Directory | Kind::Fifo | Kind::Socket => (),
    }
    text.push('\n');
    Ok(())
}

fn letter(kind: &Kind) -> char {
    match kind {
        Kind::Directory => 'd',
        Kind::File(_) => 'f',
        Kind::Symlink(_) => 'l',
        Kind::CharDevice(_) => 'c',
        Kind::BlockDevice(_) => 'b',
        Kind::Fifo => 'p',
        Kind::Socket => 's',
    }
}

/// Bytes as one word of the manifest.
struct Word<'a>(&'a [u8]);

impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            match byte {
                b'%' | b'@' | b'=' => write!(f, "%{byte:02x}")?,
                b'!'..=b'~' => f.write_char(char::from(byte))?,
                _ => write!(f, "%{byte:02x}")?,
            }
        }
        Ok(())
    }
}

struct Bad(String);

impl From<&str> for Bad {
    fn from(what: &str) -> Self {
        Self(what.to_owned())
    }
}

impl From<BadPath> for Bad {
    fn from(bad: BadPath) -> Self {
        Self(bad.to_string())
    }
}

fn read_node(line: &str) -> Result<(GuestPath, Node), Bad> {
    let mut words = line.split(' ').peekable();
    let kind = words.next().unwrap_or_default();
    let path = read_path(words.next())?;
    if kind == "h" {
        return Ok((path, Node::HardLink(read_path(words.next())?)));
    }
    let mode = u16::from_str_radix(words.next().ok_or("a mode is missing")?, 8)
        .map_err(|_| "a mode is four octal digits")?;
    let uid = read_number(words.next())?;
    let gid = read_number(words.next())?;
    let mtime = read_time(words.next().ok_or("a time is missing")?)?;
    let mut xattrs = BTreeMap::new();
    while let Some(attribute) = words.next_if(|word| word.starts_with('@')) {
        let (name, value) = attribute[1..].split_once('=').ok_or("an attribute without `=`")?;
        xattrs.insert(read_word(name)?.into(), read_word(value)?.into());
    }
    let kind = match kind {
        "d" => Kind::Directory,
        "f" => {
            let size = read_number(words.next())?;
            let digest = words.next().ok_or("a digest is missing")?;
            let digest = digest.parse().map_err(|_| "a digest is 64 hexadecimal digits")?;
            Kind::File(Content {
                digest,
                size,
                holes: words.map(read_hole).collect::<Result<_, _>>()?,
            })
        }
        "l" => Kind::Symlink(read_word(words.next().ok_or("a target is missing")?)?.into()),
        "c" => Kind::CharDevice(read_device(words.next())?),
        "b" => Kind::BlockDevice(read_device(words.next())?),
        "p" => Kind::Fifo,
        "s" => Kind::Socket,
        _ => return Err("a line begins with one of d f l c b p s h".into()),
    };
    Ok((path, Node::Inode(Inode { meta: Meta { mode, uid, gid, mtime, xattrs }, kind })))
}

fn read_path(word: Option<&str>) -> Result<GuestPath, Bad> {
    let word = word.and_then(|word| word.strip_prefix('/')).ok_or("a path begins with a slash")?;
    Ok(GuestPath::new(read_word(word)?)?)
}

fn read_number<T: std::str::FromStr>(word: Option<&str>) -> Result<T, Bad> {
    word.and_then(|word| word.parse().ok()).ok_or_else(|| "a number is missing".into())
}

fn read_time(word: &str) -> Result<Time, Bad> {
    let (seconds, nanos) = word.split_once('.').unwrap_or((word, "0"));
    Ok(Time { seconds: read_number(Some(seconds))?, nanos: read_number(Some(nanos))? })
}

fn read_hole(word: &str) -> Result<Hole, Bad> {
    let (start, length) = word.split_once('+').ok_or("a hole is START+LENGTH")?;
    Ok(Hole { start: read_number(Some(start))?, length: read_number(Some(length))? })
}

fn read_device(word: Option<&str>) -> Result<Device, Bad> {
    let (major, minor) =
        word.and_then(|word| word.split_once(':')).ok_or("a device is MAJOR:MINOR")?;
    Ok(Device { major: read_number(Some(major))?, minor: read_number(Some(minor))? })
}

fn read_word(word: &str) -> Result<Vec<u8>, Bad> {
    let mut pieces = word.split('%');
    let mut bytes = pieces.next().unwrap_or_default().as_bytes().to_vec();
    for piece in pieces {
        let digits = piece.get(..2).ok_or("`%` without two digits")?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| "`%` without two digits")?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_manifest_of_a_small_tree_is_fixed() {
        let tree = small();
        assert_eq!(String::from_utf8_lossy(&tree.encode()), SMALL);
        assert_eq!(
            tree.digest().hex(),
            "ed477825375b3cf091a4d7bf9a246e06b2c65a173f8e970b350f51e457de161b"
        );
        assert_eq!(Tree::decode(SMALL.as_bytes()), Ok(tree));
    }

    const SMALL: &str = "\
vsbuild-tree 1
d / 0755 0 0 0
d /dev 0755 0 0 0
c /dev/null 0666 0 0 0 1:3
f /sh 4755 100000 5 -1.500000000 @security.capability=%01%00 3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
l /spa%20ce%40 0777 0 0 0 sh%0a
h /zsh /sh
";

    fn small() -> Tree {
        let path = |text: &str| GuestPath::new(text).expect("a path");
        let meta = |mode| Meta::root_owned(mode, Time::default());
        let node = |meta, kind| Node::Inode(Inode { meta, kind });
        let mut draft = Draft::with_root(meta(0o755));
        draft.insert(path("dev"), node(meta(0o755), Kind::Directory));
        let null = Kind::CharDevice(Device { major: 1, minor: 3 });
        draft.insert(path("dev/null"), node(meta(0o666), null));
        let xattrs = [(b"security.capability"[..].into(), [1, 0][..].into())].into();
        let mtime = Time { seconds: -1, nanos: 500_000_000 };
        let sh = Meta { mode: 0o4755, uid: 100_000, gid: 5, mtime, xattrs };
        draft.insert(path("sh"), node(sh, Kind::File(Content::of(b"abc"))));
        draft.insert(path("spa ce@"), node(meta(0o777), Kind::Symlink(b"sh\n"[..].into())));
        draft.insert(path("zsh"), Node::HardLink(path("sh")));
        draft.finish().expect("a tree")
    }

    #[test]
    fn a_tree_has_one_manifest() {
        let lines: Vec<&str> = SMALL.lines().collect();
        let swapped = [&lines[..2], &[lines[4]], &lines[2..4], &lines[5..]].concat();
        for wrong in [
            SMALL.replace("0755", "755"),
            SMALL.replace("%20", " "),
            SMALL.replace("%0a", "%0A"),
            SMALL.replace("-1.500000000", "-1.500000000 "),
            SMALL.replace("h /zsh /sh", "h /zsh /zsh"),
            SMALL.replace("tree 1", "tree 2"),
            SMALL.replace("/dev/null", "/dev/../null"),
            SMALL.trim_end().to_owned(),
            format!("{SMALL}\n"),
            swapped.join("\n") + "\n",
        ] {
            assert!(Tree::decode(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn decoding_never_panics_and_takes_only_canonical_bytes(cut in 0..SMALL.len(), with in any::<u8>()) {
            let mut bytes = SMALL.as_bytes().to_vec();
            bytes[cut] = with;
            if let Ok(tree) = Tree::decode(&bytes) {
                prop_assert_eq!(tree.encode(), bytes);
            }
        }
    }
}
