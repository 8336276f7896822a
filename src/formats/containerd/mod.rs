//! containerd's state on disk, with images imported and unpacked, as a tree.
//!
//! It is what `ctr images import` would leave in `/var/lib/containerd`, but a function of the images alone. In the tree:
//!
//! ```text
//! io.containerd.content.v1.content/blobs/sha256/HEX     manifests, configs, and layers if they are kept
//! io.containerd.content.v1.content/ingest/              empty
//! io.containerd.metadata.v1.bolt/meta.db                names, blobs, snapshots, and what keeps what from being collected
//! io.containerd.runtime.v1.linux/, …v2.task/            empty
//! io.containerd.snapshotter.v1.overlayfs/metadata.db    the snapshotter's own list
//! io.containerd.snapshotter.v1.overlayfs/snapshots/N/   fs: a layer as overlayfs' upper directory; work: empty
//! tmpmounts/                                            empty
//! ```
//!
//! A layer that several images have on the same layers is there once. Format and schema are those of containerd 1.6; 1.7
//! has the same.

mod chain;
mod database;
mod place;
#[cfg(test)]
mod tests;
mod usage;

use std::{collections::BTreeMap, io};

use serde::Deserialize;

pub use chain::chain_ids;

use crate::{
    digest::Digest,
    formats::{
        bolt,
        oci::{canonical_manifest, layer::Layer},
    },
    path::BadPath,
    tree::{BlobSink, Fault, Time, Tree},
};
use chain::snapshots;
use database::{Blob, Metadata, SNAPSHOTTER, named};
use place::Place;

/// Version of the state's bytes: whoever changes them raises this, and every state is made anew.
pub const FORMAT: u32 = 1;

/// An image as it goes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Its full reference, as `docker.io/library/busybox:latest`.
    pub name: String,
    /// Its config, the bytes as they came.
    pub config: Vec<u8>,
    /// Its layers, the lowest first.
    pub layers: Vec<Layer>,
}

/// What else there is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// containerd's namespace for all of the images, as `default`.
    pub namespace: String,
    /// What becomes of the layers as tar files.
    pub layers: LayerBlobs,
    /// The time of everything but what is in layers.
    pub epoch: Time,
}

/// What becomes of the layers as tar files. Containers run from the unpacked ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerBlobs {
    /// They are in the content store; the images are complete.
    Kept,
    /// They are not, as after `ctr content prune references`. Containers run, and nothing that is there gets collected as
    /// garbage; but `ctr images check` calls the images incomplete, and they cannot be exported, pushed or unpacked for
    /// another snapshotter.
    LeftOut,
}

/// Why images cannot become a state.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// containerd would refuse the namespace.
    #[error(
        "`{namespace}` is no namespace of containerd: at most 76 letters and digits, with single `.`, `_` or `-` between them, and not `version`"
    )]
    Namespace {
        /// What was asked for.
        namespace: String,
    },
    /// Two images that are not the same have one name.
    #[error("two different images are called `{name}`")]
    TwoImages {
        /// The name.
        name: String,
    },
    /// One layer on the same layers came with two contents.
    #[error("{name}: the layer with chain id {chain} is unpacked differently in another image")]
    TwoTrees {
        /// The second image.
        name: String,
        /// The layer with all below it.
        chain: Digest,
    },
    /// An image's config is not what it must be.
    #[error("{name}: its config is no OCI image config")]
    Config {
        /// The image.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// An image's config names other layers than it has, or none.
    #[error("{name}: its config names {named} layers, and not these {given} in this order")]
    Layers {
        /// The image.
        name: String,
        /// How many are in the config.
        named: usize,
        /// How many were given.
        given: usize,
    },
    /// A name or a label is too long for the database.
    #[error(transparent)]
    Bolt(#[from] bolt::Error),
    /// A path of a layer is too long below the state's directories.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// A layer's tree does not fit in.
    #[error(transparent)]
    Tree(#[from] Fault),
    /// A new blob could not be put away.
    #[error("cannot keep {what}")]
    Blob {
        /// Which.
        what: String,
        /// Why.
        source: io::Error,
    },
}

/// The state with these images, as the tree of `/var/lib/containerd`. New blobs go to `sink`; the layers' tar files must be
/// where it puts them already.
///
/// The order of images does not matter, nor that one comes twice.
pub fn state(images: &[Image], options: &Options, sink: &dyn BlobSink) -> Result<Tree, Error> {
    check_namespace(&options.namespace)?;
    let mut by_name: BTreeMap<&str, &Image> = BTreeMap::new();
    for image in images {
        check_layers(image)?;
        if by_name.insert(&image.name, image).is_some_and(|other| other != image) {
            return Err(Error::TwoImages { name: image.name.clone() });
        }
    }
    let images: Vec<&Image> = by_name.into_values().collect();
    let snapshots = snapshots(&images)?;
    let mut place = Place::new(options.epoch, sink)?;
    let mut metadata = Metadata {
        namespace: &options.namespace,
        images: BTreeMap::new(),
        blobs: BTreeMap::new(),
        snapshots: &snapshots,
        epoch: options.epoch,
    };
    for image in &images {
        let target = blobs(image, options.layers, &mut place, &mut metadata.blobs)?;
        metadata.images.insert(&image.name, target);
    }
    place.metadata(&bolt::write(&metadata.database())?)?;
    place.snapshotter(&bolt::write(&metadata.snapshotter())?)?;
    for snapshot in &snapshots {
        place.snapshot(snapshot)?;
    }
    Ok(place.finish()?)
}

/// Puts an image's blobs in place, notes them, and says what its manifest is called and how long it is.
fn blobs(
    image: &Image,
    layers: LayerBlobs,
    place: &mut Place<'_>,
    notes: &mut BTreeMap<Digest, Blob>,
) -> Result<(Digest, u64), Error> {
    let config = place.blob(&image.config)?;
    let tars: Vec<(Digest, u64)> =
        image.layers.iter().map(|layer| (layer.tar.digest, layer.tar.size)).collect();
    let manifest = place.blob(&canonical_manifest(&image.config, &tars))?;
    // Labels are what containerd's collector of garbage follows: an image leads to its manifest, that to its config and
    // layers, and the config to the snapshot on top.
    let mut labels = BTreeMap::new();
    labels.insert("containerd.io/gc.ref.content.config".to_owned(), named(&config.0));
    if layers == LayerBlobs::Kept {
        for (index, layer) in image.layers.iter().enumerate() {
            place.layer(&layer.tar)?;
            let (digest, size) = (layer.tar.digest, layer.tar.size);
            labels.insert(format!("containerd.io/gc.ref.content.l.{index}"), named(&digest));
            let label = ("containerd.io/uncompressed".to_owned(), named(&digest));
            notes.insert(digest, Blob { size, labels: [label].into() });
        }
    }
    notes.insert(manifest.0, Blob { size: manifest.1, labels });
    let chain = chain_ids(tars.iter().map(|(digest, _)| *digest));
    let top = chain.last();
    let label = top.map(|top| (format!("containerd.io/gc.ref.snapshot.{SNAPSHOTTER}"), named(top)));
    notes.insert(config.0, Blob { size: config.1, labels: label.into_iter().collect() });
    Ok(manifest)
}

/// As containerd's identifiers/validate.go; and `version` is a key where namespaces are.
fn check_namespace(namespace: &str) -> Result<(), Error> {
    let word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let good = namespace.len() <= 76
        && namespace != "version"
        && namespace.split(['.', '_', '-']).all(word);
    if good { Ok(()) } else { Err(Error::Namespace { namespace: namespace.to_owned() }) }
}

/// containerd finds an image's snapshots by what its config says, so that must be true.
fn check_layers(image: &Image) -> Result<(), Error> {
    let config: Config = serde_json::from_slice(&image.config)
        .map_err(|source| Error::Config { name: image.name.clone(), source })?;
    let named_there = config.rootfs.diff_ids;
    let given: Vec<String> = image.layers.iter().map(|layer| named(&layer.tar.digest)).collect();
    if given.is_empty() || named_there != given {
        let (named, given) = (named_there.len(), given.len());
        return Err(Error::Layers { name: image.name.clone(), named, given });
    }
    Ok(())
}

#[derive(Deserialize)]
struct Config {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}
