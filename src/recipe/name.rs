use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

use crate::path::{BadPath, GuestPath};

/// The name of a recipe: lower-case letters, digits, `.`, `+` and `-`, beginning with a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

/// The longest name of a recipe, in bytes; it becomes part of file names.
pub const NAME_MAX: usize = 128;

/// The text is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a recipe's name (lower-case letters, digits, `.`, `+`, `-`, at most 128)", .0.escape_debug())]
pub struct NotAName(pub String);

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of something written inside this recipe, such as `hello.rootfs` for the root file system of `hello`.
    pub fn inner(&self, part: &'static str) -> Self {
        Self(format!("{}.{part}", self.0).into())
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = text.bytes().next().is_some_and(letter)
            && text.len() <= NAME_MAX
            && text.bytes().all(|byte| letter(byte) || b".+-".contains(&byte));
        if good { Ok(Self(text.into())) } else { Err(NotAName(text.to_owned())) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Whose files these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Library {
    /// What comes with vsbuild.
    Shipped,
    /// The user's own project.
    Project,
}

/// A file or directory of a library: a recipe's text, or something that a recipe names.
///
/// The path is relative to the library's root and cannot leave it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source {
    /// Whose it is.
    pub library: Library,
    /// Where in the library.
    pub path: GuestPath,
}

impl Source {
    /// A file of the user's project.
    pub fn project(path: impl AsRef<[u8]>) -> Result<Self, BadPath> {
        Ok(Self { library: Library::Project, path: GuestPath::new(path)? })
    }

    /// A file that comes with vsbuild.
    pub fn shipped(path: impl AsRef<[u8]>) -> Result<Self, BadPath> {
        Ok(Self { library: Library::Shipped, path: GuestPath::new(path)? })
    }
}

impl fmt::Display for Source {
    /// The path as the user would write it; what comes with vsbuild has `vsbuild:` before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.to_string();
        let path = path.trim_start_matches('/');
        match self.library {
            Library::Shipped => write!(f, "vsbuild:{path}"),
            Library::Project => f.write_str(if path.is_empty() { "." } else { path }),
        }
    }
}
