//! Files of a root file system that belong to no package.

use std::{collections::BTreeMap, io::Read};

use sha1::{Digest as _, Sha1};

use super::{
    gather::{Error, Gathering},
    model::{Id, Link, LooseFile},
};
use crate::{
    digest::Digest,
    path::GuestPath,
    plan::{Derivation, StepId},
    tree::{Blobs, Content, Inode, Kind, Node, Tree},
};

/// Bytes read at once.
const BUFFER: usize = 256 << 10;

/// Who has certain bytes: an element, and where in it.
struct Owner {
    id: Id,
    /// The path in a package or layer. A file of the same bytes whose path ends so is that file, and is not loose.
    path: Option<GuestPath>,
}

/// Adds the loose files of what `holder` made, each with what it comes from.
pub(super) fn files(gathering: &mut Gathering<'_>, holder: StepId) -> Result<(), Error> {
    let owners = owners(gathering)?;
    let tree = gathering.store.tree(&gathering.output(holder)?)?;
    let system = gathering.id(holder);
    for (path, node) in tree.iter() {
        let Node::Inode(Inode { kind: Kind::File(content), .. }) = node else { continue };
        let found = owners.get(&content.digest).map(Vec::as_slice).unwrap_or_default();
        let whole = |owner: &&Owner| owner.path.as_ref().is_some_and(|part| ends_with(path, part));
        if found.iter().any(|owner| whole(&owner)) {
            continue;
        }
        let sha1 = sha1(content, gathering)?;
        let id = Id::new(
            "loose",
            &String::from_utf8_lossy(path.file_name().unwrap_or_default()),
            &Digest::of([path.as_bytes(), b"\0", content.digest.as_bytes()].concat()),
        );
        let file = LooseFile { path: path.clone(), sha256: content.digest, sha1 };
        gathering.bill.files.insert(id.clone(), file);
        gathering.relate(&system, Link::Contains, &id);
        // That a file is empty says nothing of where it comes from.
        let from = found.iter().find(|owner| content.size > 0 && owner.id != system);
        if let Some(owner) = from {
            gathering.relate(&id, Link::GeneratedFrom, &owner.id);
        }
    }
    Ok(())
}

/// By digest: whose files have these bytes.
fn owners(gathering: &Gathering<'_>) -> Result<BTreeMap<Digest, Vec<Owner>>, Error> {
    let mut owners: BTreeMap<Digest, Vec<Owner>> = BTreeMap::new();
    let layers = GuestPath::new("layers")?;
    for &step in &gathering.inside {
        let derivation = gathering.derivation(step);
        let packaged = matches!(derivation, Derivation::Unpack(_) | Derivation::OciImage(_));
        let own = |path: &GuestPath| match derivation {
            Derivation::Unpack(_) | Derivation::Run(_) | Derivation::OciImage(_) => true,
            // What is in its layers comes from elsewhere; the layers themselves and the configuration are its own.
            Derivation::Function(_) => path.components().count() <= 2,
            Derivation::Fetch(_)
            | Derivation::Packages(_)
            | Derivation::Rootfs(_)
            | Derivation::Disk(_)
            | Derivation::Preload(_) => false,
        };
        if matches!(derivation, Derivation::Fetch(_) | Derivation::Disk(_)) {
            continue;
        }
        let id = gathering.id(step);
        let tree = gathering.store.tree(&gathering.output(step)?)?;
        for (path, content) in contents(&tree).filter(|(path, _)| own(path)) {
            let inner = match path.below(&layers) {
                // Below the directory of its layer.
                Some(below) if matches!(derivation, Derivation::OciImage(_)) => below
                    .components()
                    .skip(1)
                    .try_fold(GuestPath::root(), |path, name| path.join(name))?,
                _ => path.clone(),
            };
            let path = Some(inner).filter(|_| packaged);
            owners.entry(content.digest).or_default().push(Owner { id: id.clone(), path });
        }
    }
    Ok(owners)
}

fn contents(tree: &Tree) -> impl Iterator<Item = (&GuestPath, &Content)> {
    tree.iter().filter_map(|(path, _)| Some((path, tree.content(path)?)))
}

/// Whether the last components of `path` are those of `part`.
fn ends_with(path: &GuestPath, part: &GuestPath) -> bool {
    match path.as_bytes().strip_suffix(part.as_bytes()) {
        Some(before) => !part.is_root() && (before.is_empty() || before.ends_with(b"/")),
        None => false,
    }
}

fn sha1(content: &Content, gathering: &Gathering<'_>) -> Result<String, Error> {
    let mut hasher = Sha1::new();
    let mut bytes = gathering.store.open(&content.digest)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = bytes.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        hasher.update(&buffer[..count]);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
