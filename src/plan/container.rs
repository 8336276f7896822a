//! Derivations that have to do with containers.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Errata, Layer};
use crate::path::GuestPath;

/// An image of a container that others made, as a tree.
///
/// The tree has a file `config`, its configuration, and for every layer, counted in three digits from the lowest, a
/// file `layers/000.tar`, uncompressed, and a directory `layers/000`, the same unpacked as overlayfs' upper directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OciImage<I> {
    /// Version of the reader: [`OciImage::FORMAT`].
    pub format: u32,
    /// For which machines, in Debian's words.
    pub architecture: &'static str,
    /// Where it comes from.
    pub from: ImageFrom<I>,
}

impl<I> OciImage<I> {
    /// Changes when the same image comes out as another tree.
    pub const FORMAT: u32 = 1;
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageFrom<I> {
    /// Blobs that a registry holds.
    Blobs {
        /// The manifest.
        manifest: I,
        /// The configuration.
        config: I,
        /// The layers, the lowest first.
        layers: Vec<I>,
    },
    /// A directory in the layout of the OCI image specification.
    Layout {
        /// The tree that is this directory.
        tree: I,
        /// Which image, if there are several.
        tag: Option<String>,
    },
    /// A tar file by `docker save`, or one that holds a layout.
    Archive {
        /// The tree that has the file.
        tree: I,
        /// The file.
        path: GuestPath,
        /// Which image, if there are several.
        tag: Option<String>,
    },
}

/// An image of a container, made of trees. What comes out is the same as for [`OciImage`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Function<I> {
    /// Version of the writer: [`Function::FORMAT`].
    pub format: u32,
    /// For which machines, in Debian's words.
    pub architecture: &'static str,
    /// The layers, the lowest first.
    pub layers: Vec<Layer<I>>,
    /// The program and the arguments that are always there.
    pub entrypoint: Vec<String>,
    /// Arguments that can be replaced.
    pub command: Vec<String>,
    /// `user`, `user:group` or numbers; root if empty.
    pub user: String,
    /// The directory it starts in.
    pub workdir: String,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// TCP ports that it listens on.
    pub ports: BTreeSet<u16>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// The time it was made, in seconds.
    pub epoch: i64,
    /// Changes to programs, each with the version of what it does; not in the key where there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub errata: Errata,
}

impl<I> Function<I> {
    /// Changes when the same layers come out as another image.
    pub const FORMAT: u32 = 1;
}

/// containerd's state with images in it, and the guest's list of functions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preload<I> {
    /// Version of the writer: [`Preload::FORMAT`].
    pub format: u32,
    /// containerd's namespace.
    pub namespace: String,
    /// Whether the layers' blobs are there.
    pub blobs: bool,
    /// The images by the names of their recipes.
    pub containers: BTreeMap<String, Container<I>>,
    /// The time of all that has no other, in seconds.
    pub epoch: i64,
}

impl<I> Preload<I> {
    /// Changes when the same images come out as another state.
    pub const FORMAT: u32 = 1;
}

/// One image of a [`Preload`], and how its container is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Container<I> {
    /// What [`OciImage`] or [`Function`] made.
    pub image: I,
    /// What containerd calls the image.
    pub reference: String,
    /// The program in place of the image's own, which then does not get the image's arguments either.
    pub entrypoint: Option<Vec<String>>,
    /// Arguments in place of the image's own.
    pub command: Option<Vec<String>>,
    /// More environment variables.
    pub env: BTreeMap<String, String>,
    /// Lines for the guest that say how it is called; none for an image that the guest does not run by itself.
    pub invoke: Option<Vec<String>>,
}

type Rename<'n, 'a, I, J> = &'n mut dyn FnMut(&'a I) -> Option<J>;

impl<I> OciImage<I> {
    pub(super) fn try_map<'a, J>(&'a self, name: Rename<'_, 'a, I, J>) -> Option<OciImage<J>> {
        let from = match &self.from {
            ImageFrom::Blobs { manifest, config, layers } => ImageFrom::Blobs {
                manifest: name(manifest)?,
                config: name(config)?,
                layers: layers.iter().map(name).collect::<Option<_>>()?,
            },
            ImageFrom::Layout { tree, tag } => {
                ImageFrom::Layout { tree: name(tree)?, tag: tag.clone() }
            }
            ImageFrom::Archive { tree, path, tag } => {
                ImageFrom::Archive { tree: name(tree)?, path: path.clone(), tag: tag.clone() }
            }
        };
        Some(OciImage { format: self.format, architecture: self.architecture, from })
    }
}

impl<I> Function<I> {
    pub(super) fn try_map<'a, J>(&'a self, name: Rename<'_, 'a, I, J>) -> Option<Function<J>> {
        Some(Function {
            format: self.format,
            architecture: self.architecture,
            layers: self.layers.iter().map(|it| it.try_map(name)).collect::<Option<_>>()?,
            entrypoint: self.entrypoint.clone(),
            command: self.command.clone(),
            user: self.user.clone(),
            workdir: self.workdir.clone(),
            env: self.env.clone(),
            ports: self.ports.clone(),
            labels: self.labels.clone(),
            epoch: self.epoch,
            errata: self.errata.clone(),
        })
    }
}

impl<I> Preload<I> {
    pub(super) fn try_map<'a, J>(&'a self, name: Rename<'_, 'a, I, J>) -> Option<Preload<J>> {
        let container = |(label, container): (&String, &'a Container<I>)| {
            let Container { image, reference, entrypoint, command, env, invoke } = container;
            let container = Container {
                image: name(image)?,
                reference: reference.clone(),
                entrypoint: entrypoint.clone(),
                command: command.clone(),
                env: env.clone(),
                invoke: invoke.clone(),
            };
            Some((label.clone(), container))
        };
        Some(Preload {
            format: self.format,
            namespace: self.namespace.clone(),
            blobs: self.blobs,
            containers: self.containers.iter().map(container).collect::<Option<_>>()?,
            epoch: self.epoch,
        })
    }
}
