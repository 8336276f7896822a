//! `Packages`: what an archive offers for one architecture (the debian repository format, "Packages Indices").

use super::{
    MultiArch,
    control::{self, Paragraph, Paragraphs},
    relation::{self, Alternatives, Version, is_package_name},
};
use crate::{digest::Digest, path::GuestPath};

/// A package as an index describes it: what a solver needs to choose it, and what it takes to fetch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub package: String,
    /// Its version.
    pub version: Version,
    /// `amd64`, `all`.
    pub architecture: String,
    /// How it stands to packages of other architectures.
    pub multi_arch: MultiArch,
    /// Whether every system must have it.
    pub essential: bool,
    /// How much a system wants it.
    pub priority: Priority,
    /// Its path in the archive, relative, without `..`.
    pub filename: String,
    /// Length of the package in bytes.
    pub size: u64,
    /// Digest of the package.
    pub sha256: Digest,
    /// What must be there for it to work.
    pub depends: Vec<Alternatives>,
    /// What must be there for it to be unpacked.
    pub pre_depends: Vec<Alternatives>,
    /// What must not be there with it.
    pub conflicts: Vec<Alternatives>,
    /// What it breaks; for a solver the same as a conflict.
    pub breaks: Vec<Alternatives>,
    /// Virtual packages that it stands for; a version is only ever `=`.
    pub provides: Vec<Alternatives>,
}

/// How much a system wants a package (policy, 2.5), the most wanted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Priority {
    /// Nothing works without it.
    Required,
    /// Everyone expects it.
    Important,
    /// A small system with a console.
    Standard,
    /// All else.
    #[default]
    Optional,
    /// Deprecated: all else, and not wanted by most.
    Extra,
}

/// Why an index is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not UTF-8.
    #[error("the package index is not UTF-8")]
    NotText(#[source] std::str::Utf8Error),
    /// The text is not in the format of control files.
    #[error("the package index is malformed")]
    Text(#[source] control::Malformed),
    /// A field is missing or has a value it cannot have.
    #[error("the package index describes `{package}` without a good field `{field}`")]
    Field {
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
    },
    /// A version or relationship is malformed.
    #[error("the package index describes `{package}` with a malformed field `{field}`")]
    Relation {
        /// The package.
        package: String,
        /// The field.
        field: &'static str,
        /// How.
        source: relation::Malformed,
    },
}

/// Parses a `Packages` file, in its order.
pub fn parse(text: &[u8]) -> Result<Vec<Entry>, Error> {
    let text = std::str::from_utf8(text).map_err(Error::NotText)?;
    Paragraphs::new(text).map(|paragraph| entry(&paragraph.map_err(Error::Text)?)).collect()
}

fn entry(paragraph: &Paragraph<'_>) -> Result<Entry, Error> {
    let package = paragraph.get("Package").unwrap_or_default().to_owned();
    let fault = |field| Error::Field { package: package.clone(), field };
    let text =
        |field| paragraph.get(field).filter(|text| !text.is_empty()).ok_or_else(|| fault(field));
    let name = &package;
    let malformed = |field| move |source| Error::Relation { package: name.clone(), field, source };
    let relations = |field| match paragraph.get(field) {
        None => Ok(Vec::new()),
        Some(text) => relation::relations(text).map_err(malformed(field)),
    };
    if !is_package_name(&package) {
        return Err(fault("Package"));
    }
    let filename = text("Filename")?;
    if GuestPath::new(filename).is_err() {
        return Err(fault("Filename"));
    }
    Ok(Entry {
        version: relation::version(text("Version")?).map_err(malformed("Version"))?,
        architecture: text("Architecture")?.to_owned(),
        multi_arch: MultiArch::of(paragraph).ok_or_else(|| fault("Multi-Arch"))?,
        essential: paragraph.get("Essential") == Some("yes"),
        priority: Priority::of(paragraph.get("Priority")),
        filename: filename.to_owned(),
        size: text("Size")?.parse().map_err(|_| fault("Size"))?,
        sha256: text("SHA256")?.parse().map_err(|_| fault("SHA256"))?,
        depends: relations("Depends")?,
        pre_depends: relations("Pre-Depends")?,
        conflicts: relations("Conflicts")?,
        breaks: relations("Breaks")?,
        provides: relations("Provides")?,
        package,
    })
}

impl Priority {
    fn of(field: Option<&str>) -> Self {
        match field {
            Some("required") => Self::Required,
            Some("important") => Self::Important,
            Some("standard") => Self::Standard,
            Some("extra") => Self::Extra,
            _ => Self::Optional,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn index() -> String {
        format!(
            "Package: libc6\nEssential: yes\nPriority: required\nMulti-Arch: same\nVersion: 2.36-9\n\
             Architecture: amd64\nPre-Depends: a\nDepends: b | c (>= 1), d\nBreaks: e (<< 2)\n\
             Provides: libc (= 2)\nConflicts: f\nFilename: pool/main/g/libc6.deb\nSize: 12\nSHA256: {SHA256}\n\
             Description: x\n y\n\nPackage: b\nVersion: 1\nArchitecture: all\nFilename: b.deb\nSize: 1\nSHA256: {SHA256}\n"
        )
    }

    #[test]
    fn an_index_gives_what_a_solver_needs() {
        let entries = parse(index().as_bytes()).unwrap();
        let [libc, b] = &entries[..] else { panic!("two entries") };
        assert_eq!(
            (libc.package.as_str(), libc.version.to_string()),
            ("libc6", "2.36-9".to_owned())
        );
        assert_eq!((libc.multi_arch, libc.essential), (MultiArch::Same, true));
        assert_eq!((libc.priority, b.priority), (Priority::Required, Priority::Optional));
        assert_eq!((libc.filename.as_str(), libc.size), ("pool/main/g/libc6.deb", 12));
        assert_eq!((libc.depends.len(), libc.depends[0].len()), (2, 2));
        assert_eq!(libc.pre_depends[0][0].to_string(), "a");
        assert_eq!(libc.breaks[0][0].to_string(), "e (<< 2)");
        assert_eq!(libc.conflicts[0][0].to_string(), "f");
        assert_eq!(libc.provides[0][0].to_string(), "libc (= 2)");
        assert_eq!(libc.sha256, Digest::of("abc"));
        assert_eq!((b.multi_arch, b.depends.len()), (MultiArch::No, 0));
    }

    #[test]
    fn a_bad_entry_names_its_package_and_field() {
        let message = |from: &str, to: &str| {
            parse(index().replacen(from, to, 1).as_bytes()).unwrap_err().to_string()
        };
        assert!(message("Size: 12\n", "").contains("`libc6` without a good field `Size`"));
        assert!(message("Size: 12", "Size: 12x").contains("`Size`"));
        assert!(message("pool/main", "../main").contains("`Filename`"));
        assert!(message("Package: libc6", "Package: ../libc6").contains("`Package`"));
        assert!(message("SHA256: ba", "SHA256: b").contains("`SHA256`"));
        assert!(message("Multi-Arch: same", "Multi-Arch: maybe").contains("`Multi-Arch`"));
        assert!(message("(>= 1)", "(>= )").contains("malformed field `Depends`"));
        assert!(parse(b"Package: \xff\n").is_err());
        assert_eq!(parse(b"").unwrap(), []);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(at in 0..500usize, with in any::<u8>()) {
            let mut text = index().into_bytes();
            if let Some(byte) = text.get_mut(at) {
                *byte = with;
            }
            let _ = parse(&text);
        }
    }
}
