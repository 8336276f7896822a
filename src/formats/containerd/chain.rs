use std::collections::BTreeMap;

use super::{Error, Image};
use crate::{digest::Digest, tree::Tree};

/// The chain id of each layer with all below it, lowest first (image-spec 1.0, config.md, "Layer ChainID").
///
/// It is how containerd calls the snapshot that the layer became.
pub fn chain_ids(diff_ids: impl IntoIterator<Item = Digest>) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::new();
    for diff_id in diff_ids {
        chain.push(match chain.last() {
            None => diff_id,
            Some(below) => Digest::of(format!("sha256:{below} sha256:{diff_id}")),
        });
    }
    chain
}

/// A layer on those below it, as containerd has it unpacked.
pub(super) struct Snapshot<'a> {
    /// Its number, from 1 on: the name of its directory.
    pub id: u64,
    pub chain: Digest,
    pub parent: Option<Digest>,
    pub tree: &'a Tree,
}

/// All snapshots of all images, each once, in the order of their numbers: what stands on nothing comes first, then what
/// stands on that; equals by chain id. So neither the order nor the names of the images show, and a parent comes before
/// what stands on it.
pub(super) fn snapshots<'a>(images: &[&'a Image]) -> Result<Vec<Snapshot<'a>>, Error> {
    let mut found: BTreeMap<(usize, Digest), (Option<Digest>, &Tree)> = BTreeMap::new();
    for image in images {
        let chain = chain_ids(image.layers.iter().map(|layer| layer.tar.digest));
        for (depth, layer) in image.layers.iter().enumerate() {
            let parent = depth.checked_sub(1).map(|below| chain[below]);
            let (_, known) = found.entry((depth, chain[depth])).or_insert((parent, &layer.tree));
            if **known != layer.tree {
                return Err(Error::TwoTrees { name: image.name.clone(), chain: chain[depth] });
            }
        }
    }
    let numbered = (1..).zip(found);
    let snapshots =
        numbered.map(|(id, ((_, chain), (parent, tree)))| Snapshot { id, chain, parent, tree });
    Ok(snapshots.collect())
}
