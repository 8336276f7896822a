use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::licence::Extracted;
use crate::{digest::Digest, path::GuestPath};

/// Everything that a bill says, in neither form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bill {
    /// What it is about: an image, mostly.
    pub subject: Id,
    /// The time of it, in seconds since 1970.
    pub epoch: i64,
    /// All elements but files.
    pub components: BTreeMap<Id, Component>,
    /// Files of the root file system that belong to no package and to no image of a container.
    pub files: BTreeMap<Id, LooseFile>,
    /// How they stand to each other.
    pub relations: BTreeSet<Relation>,
    /// The texts of licences that SPDX does not list, by their references.
    pub texts: BTreeMap<String, Extracted>,
}

/// The name of an element in a bill: letters, digits, dots and dashes, the same in both forms.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id(String);

impl Id {
    /// `KIND-NAME-DIGEST`, of which the digest alone makes it unique.
    pub fn new(kind: &str, name: &str, digest: &Digest) -> Self {
        let tame = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let name: String = name.chars().map(tame).collect();
        Self(format!("{kind}-{name}-{}", &digest.hex()[..16]))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The image that the bill is about.
    Image,
    /// A kernel that was built from its source.
    Kernel,
    /// What a script of a recipe made.
    Built,
    /// A Debian package.
    Package,
    /// A set of packages.
    Set,
    /// A root file system, or the state of containerd.
    System,
    /// An image of a container.
    Container,
    /// Files of the project: what is compiled, scripts, patches.
    Source,
    /// One file by its bytes: a part of the image, a layer, a manifest.
    File,
}

/// One element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// What it is.
    pub kind: Kind,
    /// What a person calls it.
    pub name: String,
    /// Its version, if it has one.
    pub version: Option<String>,
    /// One line about it.
    pub summary: Option<String>,
    /// The digest of its bytes, if it is one file.
    pub sha256: Option<Digest>,
    /// The digest of its tree, if it is one and is part of the image or of the project.
    pub tree: Option<Digest>,
    /// A package URL.
    pub purl: Option<String>,
    /// Who is responsible for it.
    pub supplier: Option<Supplier>,
    /// Where its authors are.
    pub homepage: Option<String>,
    /// What it was built from elsewhere.
    pub origin: Option<Origin>,
    /// An SPDX expression.
    pub licence: Option<String>,
    /// More that is known of it, by name.
    pub notes: BTreeMap<&'static str, String>,
    /// Whether its bytes are part of the subject; else it only served to make it.
    pub inside: bool,
}

impl Component {
    /// One of which nothing but its name is known.
    pub fn new(kind: Kind, name: &str) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            version: None,
            summary: None,
            sha256: None,
            tree: None,
            purl: None,
            supplier: None,
            homepage: None,
            origin: None,
            licence: None,
            notes: BTreeMap::new(),
            inside: false,
        }
    }
}

/// Who is responsible for a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supplier {
    /// A person or a team.
    pub name: String,
    /// Where to write to.
    pub email: Option<String>,
}

/// The source package of a Debian package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its package URL.
    pub purl: String,
}

/// A file that belongs to no package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LooseFile {
    /// Where it is in the guest.
    pub path: GuestPath,
    /// Digest of its bytes.
    pub sha256: Digest,
    /// SHA-1 of its bytes in hexadecimal digits, which SPDX 2.3 asks of every file (8.4).
    pub sha1: String,
}

/// How an element stands to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// It has the other in it.
    Contains,
    /// It works only with the other.
    DependsOn,
    /// It was made from the other.
    GeneratedFrom,
    /// It was made with the help of the other.
    BuiltWith,
    /// The other is a patch that was applied to it.
    PatchedWith,
}

/// One element, how it stands to another, and that.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relation {
    /// The element.
    pub from: Id,
    /// How it stands to the other.
    pub link: Link,
    /// The other.
    pub to: Id,
}
