use std::io;

use crate::{digest::Digest, formats::tar, path::GuestPath};

/// Why an image is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A document is not the JSON that it must be.
    #[error("the {what} is malformed")]
    Json {
        /// Which document.
        what: &'static str,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// A document is longer than any honest one.
    #[error("the {what} is longer than {max} bytes")]
    LongDocument {
        /// Which document.
        what: &'static str,
        /// What is allowed, in bytes.
        max: u64,
    },
    /// A manifest in Docker's first format, which has no digests of what it unpacks to.
    #[error(
        "the image has a manifest of Docker's schema 1; push it again with a program of this decade"
    )]
    Schema1,
    /// A document that is no manifest and no index, or both at once, or calls itself something else.
    #[error("the document is not clearly an image manifest or an index, version 2")]
    NoManifest,
    /// Something that is kept in registries, but is no container image.
    #[error("this is no container image but an artifact of type `{0}`")]
    Artifact(String),
    /// A layer, manifest or entry of a type that is not known.
    #[error("`{media_type}` is no known type of {what}")]
    MediaType {
        /// What must have a known type.
        what: &'static str,
        /// What it has.
        media_type: String,
    },
    /// A layer that registries may not hand out.
    #[error(
        "layer sha256:{digest} is not in the registry: its type `{media_type}` is for foreign layers, as Windows has"
    )]
    ForeignLayer {
        /// Which.
        digest: Digest,
        /// Its type.
        media_type: String,
    },
    /// A digest that is none, or not of SHA-256.
    #[error("`{0}` is no sha256 digest; others are not supported")]
    Digest(String),
    /// A size that nothing honest has.
    #[error("sha256:{digest} says that it has {size} bytes; at most {max} are taken")]
    AbsurdSize {
        /// Of what.
        digest: Digest,
        /// What it says.
        size: u64,
        /// What is allowed.
        max: u64,
    },
    /// More layers than overlayfs can stack.
    #[error("the image has {0} layers; at most {max} are taken", max = super::manifest::LAYERS_MAX)]
    TooManyLayers(usize),
    /// An index inside an index.
    #[error("sha256:{0} is an index inside an index, which is not supported")]
    NestedIndex(Digest),
    /// There is nothing for the platform that is wanted.
    #[error("there is no image for {wanted} here, only for {}", list(there))]
    MissingPlatform {
        /// As `linux/amd64`.
        wanted: String,
        /// What there is.
        there: Vec<String>,
    },
    /// What was brought has another length than its descriptor says.
    #[error("sha256:{digest} should have {expected} bytes, but has {found}")]
    WrongSize {
        /// Of what.
        digest: Digest,
        /// What its descriptor says.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// What was brought is not what its descriptor names.
    #[error("expected sha256:{expected}, but this is sha256:{found}")]
    WrongDigest {
        /// What the descriptor names.
        expected: Digest,
        /// What there is.
        found: Digest,
    },
    /// The manifest and the config of an image do not fit together.
    #[error("the manifest has {layers} layers, the config {diff_ids}")]
    LayerCount {
        /// How many the manifest has.
        layers: usize,
        /// How many the config has.
        diff_ids: usize,
    },
    /// A config says what no image for Linux can say.
    #[error("the image's config is refused: {0}")]
    Config(&'static str),
    /// A layout or archive has no image of this name.
    #[error("there is no image `{wanted}` here, only {}", list(there))]
    NoSuchImage {
        /// What was wanted.
        wanted: String,
        /// What there is.
        there: Vec<String>,
    },
    /// A layout or archive has several images, and none was named.
    #[error("there are several images here, name one: {}", list(.0))]
    SeveralImages(Vec<String>),
    /// A layout or archive lacks a file.
    #[error("there is no file {0} here")]
    NoSuchFile(GuestPath),
    /// A path in a document is none.
    #[error("`{0}` is no path inside the archive")]
    BadPath(String),
    /// An archive has more files than images need.
    #[error("the archive has more than {max} files")]
    ManyFiles {
        /// What is allowed.
        max: usize,
    },
    /// A layout of a version that is not known.
    #[error("the layout has version `{0}`, not 1")]
    LayoutVersion(String),
    /// The archive of an image is no sound tar archive.
    #[error("the image's archive is refused")]
    Tar(#[from] tar::Error),
    /// Something could not be read or stored.
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing that has a name".to_owned(),
        names => names.join(", "),
    }
}
