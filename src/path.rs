//! Guest paths: bytes, relative, without `.` and `..`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest name of one file on Linux file systems, in bytes.
pub const NAME_MAX: usize = 255;
/// The longest path that Linux takes in a system call, in bytes.
pub const PATH_MAX: usize = 4095;

/// A path inside a tree: components joined by `/`, relative to the tree's root, which is the empty path.
///
/// Components are non-empty, at most [`NAME_MAX`] bytes of anything but NUL and `/`, and never `.` or `..`: a
/// `GuestPath` cannot leave its tree. The order is that of the components, so a directory stands before what it
/// holds and the whole of a directory stands together.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct GuestPath(Box<[u8]>);

/// Why bytes are not a [`GuestPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a path inside a tree: {reason}", path.escape_ascii())]
pub struct BadPath {
    /// The bytes as they came.
    pub path: Vec<u8>,
    /// What is wrong with them.
    pub reason: &'static str,
}

impl GuestPath {
    /// The root of the tree.
    pub fn root() -> Self {
        Self::default()
    }

    /// Takes exactly the canonical spelling: `a/b`, no leading, trailing or double slash.
    pub fn new(path: impl AsRef<[u8]>) -> Result<Self, BadPath> {
        let path = path.as_ref();
        let bad = |reason| BadPath { path: path.to_owned(), reason };
        if path.is_empty() {
            return Ok(Self::root());
        }
        if path.len() > PATH_MAX {
            return Err(bad("it is longer than 4095 bytes"));
        }
        for name in path.split(|&byte| byte == b'/') {
            check_name(name).map_err(bad)?;
        }
        Ok(Self(path.into()))
    }

    /// Takes an absolute path as users and archives write it: `/a/b`, `./a/b/` and `a//b` are all `a/b`.
    ///
    /// `..` stays an error: what it means depends on links that are not known here.
    pub fn lenient(path: impl AsRef<[u8]>) -> Result<Self, BadPath> {
        let path = path.as_ref();
        let names = path.split(|&byte| byte == b'/').filter(|name| !matches!(*name, b"" | b"."));
        Self::new(names.collect::<Vec<_>>().join(&b'/'))
            .map_err(|bad| BadPath { path: path.to_owned(), ..bad })
    }

    /// This path with one more component.
    pub fn join(&self, name: impl AsRef<[u8]>) -> Result<Self, BadPath> {
        let name = name.as_ref();
        let mut path = self.0.to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        match check_name(name) {
            Ok(()) if path.len() <= PATH_MAX => Ok(Self(path.into())),
            Ok(()) => Err(BadPath { path, reason: "it is longer than 4095 bytes" }),
            Err(reason) => Err(BadPath { path, reason }),
        }
    }

    /// `self/below`, both of any depth.
    pub fn concat(&self, below: &Self) -> Result<Self, BadPath> {
        match (self.is_root(), below.is_root()) {
            (true, _) => Ok(below.clone()),
            (_, true) => Ok(self.clone()),
            _ => Self::new([&*self.0, &*below.0].join(&b'/')),
        }
    }

    /// Whether this is the root of the tree.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The canonical bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The components, from the root down.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&byte| byte == b'/').filter(|name| !name.is_empty())
    }

    /// The last component; none for the root.
    pub fn file_name(&self) -> Option<&[u8]> {
        self.components().next_back()
    }

    /// The directory that holds this path; none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let cut = self.0.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        Some(Self(self.0[..cut].into()))
    }

    /// All directories above this path, nearest first, ending with the root.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// Whether this path is `dir` or lies below it.
    pub fn is_within(&self, dir: &Self) -> bool {
        self.below(dir).is_some()
    }

    /// The rest of this path below `dir`; none if it lies elsewhere.
    pub fn below(&self, dir: &Self) -> Option<Self> {
        if dir.is_root() {
            return Some(self.clone());
        }
        match self.0.strip_prefix(&*dir.0)? {
            b"" => Some(Self::root()),
            [b'/', rest @ ..] => Some(Self(rest.into())),
            _ => None,
        }
    }
}

fn check_name(name: &[u8]) -> Result<(), &'static str> {
    match name {
        b"" => Err("a component is empty"),
        b"." | b".." => Err("a component is `.` or `..`"),
        _ if name.len() > NAME_MAX => Err("a component is longer than 255 bytes"),
        _ if name.contains(&0) => Err("it contains a NUL byte"),
        _ if name.contains(&b'/') => Err("a component contains a slash"),
        _ => Ok(()),
    }
}

impl Ord for GuestPath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // As if `/` sorted below every other byte, which is the order of the component lists.
        let rank = |byte: u8| if byte == b'/' { 0 } else { u16::from(byte) + 1 };
        let differ = self.0.iter().zip(&other.0).find(|(mine, theirs)| mine != theirs);
        match differ {
            Some((&mine, &theirs)) => rank(mine).cmp(&rank(theirs)),
            None => self.0.len().cmp(&other.0.len()),
        }
    }
}

impl PartialOrd for GuestPath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for GuestPath {
    /// With a leading slash, as seen in the guest; bytes outside ASCII are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(&self.0) {
            Ok(text) if !text.chars().any(char::is_control) => write!(f, "/{text}"),
            _ => write!(f, "/{}", self.0.escape_ascii()),
        }
    }
}

impl fmt::Debug for GuestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for GuestPath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<Self, BadPath> {
        Self::lenient(text)
    }
}

impl Serialize for GuestPath {
    /// As text with a leading slash; a path that is not UTF-8 cannot be written so and is an error.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = std::str::from_utf8(&self.0).map_err(serde::ser::Error::custom)?;
        serializer.collect_str(&format_args!("/{text}"))
    }
}

impl<'de> Deserialize<'de> for GuestPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_cannot_leave_its_tree() {
        for bad in ["a/../b", "..", "./a", "/a", "a/", "a//b", "a/./b", "a\0b"] {
            assert!(GuestPath::new(bad).is_err(), "{bad}");
        }
        assert!(GuestPath::lenient("/a/../b").is_err());
        assert!(GuestPath::new([b'x'; 256]).is_err());
    }

    #[test]
    fn a_user_may_write_slashes_freely() {
        for good in ["/usr/bin", "usr/bin", "./usr//bin/", "usr/./bin"] {
            assert_eq!(GuestPath::lenient(good), GuestPath::new("usr/bin"), "{good}");
        }
        assert_eq!(GuestPath::lenient("/"), Ok(GuestPath::root()));
    }

    #[test]
    fn a_directory_stands_before_its_content_and_apart_from_its_siblings() {
        let mut paths =
            ["a.b", "a/z", "a", "b", "", "a-", "a/b/c"].map(|p| GuestPath::new(p).expect(p));
        paths.sort();
        assert_eq!(
            paths.map(|p| p.to_string()),
            ["/", "/a", "/a/b/c", "/a/z", "/a-", "/a.b", "/b"]
        );
    }

    #[test]
    fn relations_between_paths() {
        let path = |text: &str| GuestPath::new(text).expect("a path");
        assert_eq!(path("a/b").parent(), Some(path("a")));
        assert_eq!(path("a").parent(), Some(GuestPath::root()));
        assert_eq!(GuestPath::root().parent(), None);
        assert!(path("ab").below(&path("a")).is_none());
        assert_eq!(path("a/b").below(&path("a")), Some(path("b")));
        assert_eq!(path("a/b/c").ancestors().count(), 3);
        assert_eq!(path("a").concat(&path("b/c")), Ok(path("a/b/c")));
    }
}
