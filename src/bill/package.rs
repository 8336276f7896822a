//! What a Debian package says of itself.

use std::collections::BTreeMap;

use super::{
    gather::Error,
    licence::{self, Licences},
    model::{Component, Kind, Origin, Supplier},
};
use crate::{
    digest::Digest,
    formats::deb::{
        control::{self, Paragraph},
        copyright,
        relation::{self, Alternatives},
    },
    path::GuestPath,
    store::Store,
    tree::{Blobs, Kind as FileKind, Tree},
};

/// The records of one package each, which a tree of one package has one of.
const RECORDS: &str = "var/lib/dpkg/status.d";
/// How many links a copyright file may be behind.
const LINKS_MAX: usize = 8;

/// A package, read.
pub(super) struct Package {
    pub(super) component: Component,
    pub(super) licences: Licences,
    /// What it needs.
    pub(super) needs: Vec<Alternatives>,
    /// The names that it goes by, its own first.
    pub(super) provides: Vec<String>,
    /// The link that its copyright file is, if that leads to another package's directory.
    pub(super) documented_by: Option<String>,
}

/// Reads what the tree of a package says; `archive` is where the package comes from.
pub(super) fn read(
    name: &str,
    tree: &Tree,
    archive: &str,
    sha256: Digest,
    store: &Store,
) -> Result<Package, Error> {
    let record = GuestPath::new(RECORDS)?;
    let content = tree.iter().find(|(path, _)| path.parent().as_ref() == Some(&record));
    let content = content.and_then(|(path, _)| tree.content(path));
    let content = content.ok_or_else(|| Error::NoRecord(name.to_owned()))?;
    let text = String::from_utf8_lossy(&store.read(&content.digest)?).into_owned();
    let paragraph = control::single(&text)
        .map_err(|source| Error::Record { package: name.to_owned(), source })?;
    let field = |name: &str| paragraph.get(name).map(str::to_owned);
    let package = field("Package").unwrap_or_default();
    let version = field("Version").unwrap_or_default();
    let architecture = field("Architecture").unwrap_or_default();
    let (bytes, documented_by) = copyright_file(&package, tree, store)?;
    let licences = licence::of(&copyright::read(&bytes));
    let mut component = Component::new(Kind::Package, &package);
    component.purl = Some(purl(archive, &package, &version, &architecture));
    component.origin = Some(origin(archive, &paragraph, &package, &version));
    component.version = Some(version);
    component.sha256 = Some(sha256);
    component.supplier = paragraph.get("Maintainer").map(supplier);
    component.homepage = field("Homepage");
    component.summary =
        paragraph.get("Description").and_then(|text| text.lines().next()).map(str::to_owned);
    component.licence = licences.expression.clone();
    component.notes = BTreeMap::from([("architecture", architecture)]);
    let relations = |name: &str| relation::relations(paragraph.get(name).unwrap_or_default());
    let malformed = |source| Error::Relation { package: package.clone(), source };
    let mut needs = relations("Pre-Depends").map_err(malformed)?;
    needs.extend(relations("Depends").map_err(malformed)?);
    let provided = relations("Provides").map_err(malformed)?;
    let provided = provided.iter().flatten().map(|relation| relation.package.to_string());
    let provides = std::iter::once(package.clone()).chain(provided).collect();
    Ok(Package { component, licences, needs, provides, documented_by })
}

/// The bytes of the copyright file; or, where the package's documents are a link, the package that has them.
fn copyright_file(
    package: &str,
    tree: &Tree,
    store: &Store,
) -> Result<(Vec<u8>, Option<String>), Error> {
    let mut path = GuestPath::new(format!("usr/share/doc/{package}/copyright"))?;
    let documents = GuestPath::new("usr/share/doc")?;
    for _ in 0..LINKS_MAX {
        if let Some(content) = tree.content(&path) {
            return Ok((store.read(&content.digest)?, None));
        }
        let Some((link, target)) = link_on(tree, &path) else { break };
        let rest = path.below(&link).unwrap_or_default();
        let base = if target.starts_with('/') {
            GuestPath::root()
        } else {
            link.parent().unwrap_or_default()
        };
        let Some(there) = resolve(&base, &target) else { break };
        path = there.concat(&rest)?;
    }
    let other = path
        .below(&documents)
        .and_then(|path| Some(String::from_utf8_lossy(path.components().next()?).into_owned()));
    Ok((Vec::new(), other.filter(|other| other != package)))
}

/// The topmost symbolic link on the way to `path`, itself included.
fn link_on(tree: &Tree, path: &GuestPath) -> Option<(GuestPath, String)> {
    let mut way: Vec<GuestPath> = std::iter::once(path.clone()).chain(path.ancestors()).collect();
    way.reverse();
    way.into_iter().find_map(|path| match &tree.inode(&path)?.kind {
        FileKind::Symlink(target) => Some((path, String::from_utf8_lossy(target).into_owned())),
        _ => None,
    })
}

/// Where a link in `base` leads; none if that is outside.
fn resolve(base: &GuestPath, target: &str) -> Option<GuestPath> {
    let mut path = base.clone();
    for name in target.split('/') {
        path = match name {
            "" | "." => path,
            ".." => path.parent()?,
            name => path.join(name).ok()?,
        };
    }
    Some(path)
}

/// A package URL of the type deb (package-url, types/deb).
pub(super) fn purl(archive: &str, package: &str, version: &str, architecture: &str) -> String {
    format!(
        "pkg:deb/{}/{}@{}?arch={architecture}",
        quoted(archive),
        quoted(package),
        quoted(version)
    )
}

/// Text as a package URL takes it: what is neither letter, digit, dot, dash, underscore, tilde nor colon in hexadecimal digits.
pub(super) fn quoted(text: &str) -> String {
    let quoted = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    });
    quoted.collect()
}

/// The source package: `Source: glibc (2.36-9)`, or else the same name and version.
fn origin(archive: &str, paragraph: &Paragraph<'_>, package: &str, version: &str) -> Origin {
    let source = paragraph.get("Source").unwrap_or(package);
    let (name, rest) = source.split_once('(').unwrap_or((source, ""));
    let name = name.trim().to_owned();
    let version = match rest.trim().trim_end_matches(')').trim() {
        "" => version.to_owned(),
        other => other.to_owned(),
    };
    let purl = purl(archive, &name, &version, "source");
    Origin { name, version, purl }
}

/// `NAME <EMAIL>`, policy 5.6.2.
fn supplier(text: &str) -> Supplier {
    let (name, email) = match text.split_once('<') {
        Some((name, rest)) => (name, rest.split('>').next().map(|email| email.trim().to_owned())),
        None => (text, None),
    };
    let name = name.trim().trim_matches('"').to_owned();
    Supplier { name, email: email.filter(|email| !email.is_empty()) }
}
