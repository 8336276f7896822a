use std::collections::BTreeMap;
use std::io;

use super::control;
use crate::{
    path::{BadPath, GuestPath},
    tree::{BlobSink, Blobs, Draft, Inode, Kind, Meta, Node, Tree},
};

/// Why a status database cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// What should be a paragraph about a package is not.
    #[error("a record of an installed package is malformed")]
    Stanza(#[source] control::Malformed),
    /// A package is there twice; dpkg's database cannot hold that.
    #[error("the package `{name}` is installed twice for the architecture `{architecture}`")]
    Twice {
        /// The package.
        name: String,
        /// Its architecture.
        architecture: String,
    },
    /// Something other than a record lies among the records, or something other than dpkg has written a database.
    #[error("{0} is in the way of dpkg's database")]
    InTheWay(GuestPath),
    /// A record could not be read, or the database not be stored.
    #[error("{path}: dpkg's database cannot be made")]
    Blob {
        /// Where.
        path: GuestPath,
        /// Why.
        source: io::Error,
    },
    /// Never for the paths that are used here.
    #[error(transparent)]
    Path(#[from] BadPath),
}

/// The text of `var/lib/dpkg/status` from the paragraphs of all packages, in the order of names and architectures.
pub fn status<'a>(stanzas: impl Iterator<Item = &'a [u8]>) -> Result<Vec<u8>, StatusError> {
    let mut sorted = BTreeMap::new();
    for stanza in stanzas {
        let not_text = control::Malformed { line: 1, what: "it is not UTF-8" };
        let text = std::str::from_utf8(stanza).map_err(|_| StatusError::Stanza(not_text))?;
        let paragraph = control::single(text).map_err(StatusError::Stanza)?;
        let field = |name| paragraph.get(name).unwrap_or_default().to_owned();
        let (name, architecture) = (field("Package"), field("Architecture"));
        if sorted.insert((name.clone(), architecture.clone()), text.trim()).is_some() {
            return Err(StatusError::Twice { name, architecture });
        }
    }
    let paragraphs = sorted.into_values().flat_map(|text| [text, "\n\n"]);
    Ok(paragraphs.collect::<String>().into_bytes())
}

/// The tree of a whole system: `var/lib/dpkg/status` in place of the `var/lib/dpkg/status.d` that its packages brought.
///
/// Scanners that know both would otherwise count every package twice. Without packages the tree stays as it is.
pub fn database(tree: &Tree, blobs: &dyn Blobs, sink: &dyn BlobSink) -> Result<Draft, StatusError> {
    let mut draft = tree.to_draft();
    let directory = GuestPath::new("var/lib/dpkg/status.d")?;
    let path = GuestPath::new("var/lib/dpkg/status")?;
    if tree.get(&directory).is_none() {
        return Ok(draft);
    }
    let (mut stanzas, mut mtime) = (Vec::new(), None);
    for (path, node) in tree.iter() {
        if !path.is_within(&directory) || *path == directory {
            continue;
        }
        let Node::Inode(Inode { meta, kind: Kind::File(content) }) = node else {
            return Err(StatusError::InTheWay(path.clone()));
        };
        let stanza = blobs.read(&content.digest);
        stanzas.push(stanza.map_err(|source| StatusError::Blob { path: path.clone(), source })?);
        mtime = mtime.max(Some(meta.mtime));
    }
    if draft.get(&path).is_some() {
        return Err(StatusError::InTheWay(path));
    }
    let text = status(stanzas.iter().map(Vec::as_slice))?;
    let content =
        sink.put(&mut &*text).map_err(|source| StatusError::Blob { path: path.clone(), source })?;
    draft.remove(&directory);
    let meta = Meta::root_owned(0o644, mtime.unwrap_or_default());
    draft.insert(path, Node::Inode(Inode { meta, kind: Kind::File(content) }));
    Ok(draft)
}
