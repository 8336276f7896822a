//! Errata: programs changed where gem5 would run them wrongly, on request.

use std::{collections::BTreeMap, io::Read};

use super::BuildError;
use crate::{
    digest::Digest,
    formats::elf::{self, barrier},
    path::GuestPath,
    plan::Errata,
    store::Store,
    tree::{BlobSink, Blobs, Content, Inode, Kind, Node, Tree},
};

/// Where images of containers have their files: named by digest, they are changed in the recipe that makes the image, or not
/// at all.
const CONTAINERS: &str = "var/lib/containerd";

/// The tree with its programs changed; everything else about them stays, their times too.
pub(super) fn apply(tree: Tree, errata: &Errata, store: &Store) -> Result<Tree, BuildError> {
    if errata.is_empty() {
        return Ok(tree);
    }
    let left_alone = GuestPath::new(CONTAINERS)?;
    let mut draft = tree.to_draft();
    let mut done: BTreeMap<Digest, Option<Content>> = BTreeMap::new();
    for (path, node) in tree.iter() {
        let Node::Inode(Inode { kind: Kind::File(content), .. }) = node else { continue };
        if path.is_within(&left_alone) {
            continue;
        }
        let changed = match done.get(&content.digest) {
            Some(changed) => changed.clone(),
            None => {
                let changed = mend(path, content, errata, store)?;
                done.insert(content.digest, changed.clone());
                changed
            }
        };
        if let (Some(changed), Some(Node::Inode(inode))) = (changed, draft.get_mut(path)) {
            inode.kind = Kind::File(changed);
        }
    }
    Ok(draft.finish()?)
}

/// The new content of a program; nothing if there is nothing to change.
fn mend(
    path: &GuestPath,
    content: &Content,
    errata: &Errata,
    store: &Store,
) -> Result<Option<Content>, BuildError> {
    let mut bytes = Vec::new();
    let mut file = store.open(&content.digest)?;
    file.by_ref().take(elf::MAGIC.len() as u64).read_to_end(&mut bytes)?;
    if bytes != elf::MAGIC {
        return Ok(None);
    }
    file.read_to_end(&mut bytes)?;
    let mut changed = false;
    for erratum in errata.keys() {
        // There is only this one so far; a recipe cannot name another.
        changed |= barrier::lengthen(&mut bytes).map_err(|source| BuildError::Erratum {
            erratum,
            path: path.clone(),
            source,
        })?;
    }
    if changed { Ok(Some(store.put(&mut &bytes[..])?)) } else { Ok(None) }
}
