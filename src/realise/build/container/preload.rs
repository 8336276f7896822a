//! containerd's state, and beside it what the guest must know to run and call its functions.

use super::{super::BuildError, conf};
use crate::{
    digest::Digest,
    formats::{
        containerd::{self, LayerBlobs},
        oci::{Config, Unpacked},
    },
    path::GuestPath,
    plan::{Container, Preload},
    store::Store,
    tree::{BlobSink, Blobs, Draft, Inode, Kind, Meta, Node, Time, Tree},
};

/// Where containerd keeps its state.
const STATE: &str = "var/lib/containerd";
/// Permissions of that directory: layers in it may have set-uid programs that the guest's users must not reach.
const STATE_MODE: u16 = 0o711;
/// Where the guest looks for its functions.
const FUNCTIONS: &str = "etc/vsbuild/functions";

pub(in crate::realise) fn build(
    preload: &Preload<Digest>,
    store: &Store,
) -> Result<Tree, BuildError> {
    let epoch = Time::from_seconds(preload.epoch);
    let directory = Meta::root_owned(0o755, epoch);
    let mut draft = Draft::with_root(directory.clone());
    let mut images = Vec::with_capacity(preload.containers.len());
    let functions = GuestPath::new(FUNCTIONS)?;
    for (name, container) in &preload.containers {
        let image = Unpacked::from_tree(&store.tree(&container.image)?)?;
        let config = store.read(&image.config.digest)?;
        for (file, text) in files(name, container, &config, &image, store)? {
            let path = functions.join(file)?;
            draft.ensure_parents(&path, &directory);
            let content = store.put(&mut text.as_slice())?;
            let inode = Inode { meta: Meta::root_owned(0o644, epoch), kind: Kind::File(content) };
            draft.insert(path, Node::Inode(inode));
        }
        let (name, layers) = (container.reference.clone(), image.layers);
        images.push(containerd::Image { name, config, layers });
    }
    let options = containerd::Options {
        namespace: preload.namespace.clone(),
        layers: if preload.blobs { LayerBlobs::Kept } else { LayerBlobs::LeftOut },
        epoch,
    };
    let state = containerd::state(&images, &options, store)?;
    let place = GuestPath::new(STATE)?;
    draft.ensure_parents(&place, &directory);
    draft.graft(&place, state.iter())?;
    if let Some(Node::Inode(inode)) = draft.get_mut(&place) {
        inode.meta.mode = STATE_MODE;
    }
    Ok(draft.finish()?)
}

/// The files of one function in the guest's list, by name; none for an image that is only there.
fn files(
    name: &str,
    container: &Container<Digest>,
    config: &[u8],
    image: &Unpacked,
    store: &Store,
) -> Result<Vec<(String, Vec<u8>)>, BuildError> {
    let Some(invoke) = &container.invoke else { return Ok(Vec::new()) };
    let config = Config::parse(config)?;
    let spec = conf::spec(name, container, &config, image, store)?;
    let text = conf::text(name, &container.reference, &config.diff_ids, invoke);
    Ok(vec![(format!("{name}.conf"), text.into_bytes()), (format!("{name}.json"), spec)])
}
