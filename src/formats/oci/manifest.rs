//! Manifests and indexes: what an image is made of, by digest.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::{digest::Digest, formats::compress::Compression};

/// The most bytes of a manifest, index or config; registries take no more either.
pub const DOCUMENT_MAX: u64 = 4 << 20;
/// The most bytes of a layer.
const LAYER_MAX: u64 = 64 << 30;
/// The most layers of an image. Docker makes at most 127.
pub(super) const LAYERS_MAX: usize = 256;

/// The type of the manifests that we make.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The type of the indexes that we make.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The type of the configs in the manifests that we make, whatever it was where they came from.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The type of the layers in the manifests that we make.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The known types of what a descriptor may name, in OCI's and Docker's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// An index; Docker says manifest list.
    Index,
    /// A manifest.
    Manifest,
    /// The config of an image.
    Config,
    /// A layer, packed so.
    Layer(Compression),
}

impl MediaType {
    /// None for types that are not known.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            INDEX | "application/vnd.docker.distribution.manifest.list.v2+json" => Self::Index,
            MANIFEST | "application/vnd.docker.distribution.manifest.v2+json" => Self::Manifest,
            CONFIG | "application/vnd.docker.container.image.v1+json" => Self::Config,
            LAYER | "application/vnd.docker.image.rootfs.diff.tar" => {
                Self::Layer(Compression::Plain)
            }
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Self::Layer(Compression::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Self::Layer(Compression::Zstd),
            _ => return None,
        })
    }
}

/// A reference to bytes: what they are, what they are called, how many they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptor {
    /// What they are.
    pub media_type: MediaType,
    /// Their digest.
    pub digest: Digest,
    /// How many, at most 64 GiB for layers and 4 MiB for all else.
    pub size: u64,
}

impl Descriptor {
    /// Checks that `bytes` are what is meant.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Error> {
        let (digest, expected, found) = (self.digest, self.size, bytes.len() as u64);
        if expected != found {
            return Err(Error::WrongSize { digest, expected, found });
        }
        match Digest::of(bytes) {
            found if found == digest => Ok(()),
            found => Err(Error::WrongDigest { expected: digest, found }),
        }
    }
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// As Go and Debian call it: `amd64`, `arm64`.
    pub architecture: String,
    /// `linux` for all that we take.
    pub os: String,
    /// A level of the architecture: `v8`.
    #[serde(default)]
    pub variant: Option<String>,
}

impl Platform {
    /// Whether every machine with Linux and this architecture can run it.
    fn suits(&self, architecture: &str) -> bool {
        let base = match architecture {
            "amd64" => "v1",
            "arm64" => "v8",
            _ => "",
        };
        let variant = self.variant.as_deref().unwrap_or_default();
        self.os == "linux"
            && self.architecture == architecture
            && (variant.is_empty() || variant == base)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match self.variant.as_deref() {
            None | Some("") => Ok(()),
            Some(variant) => write!(f, "/{variant}"),
        }
    }
}

/// A manifest or an index: what a tag names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Images for several platforms.
    Index(Index),
}

/// An image: its config and its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The config; its digest is Docker's image id.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
}

/// A list of images, often one image for several platforms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The entries in their order.
    pub entries: Vec<Entry>,
}

/// An entry of an index, checked only when it is chosen: an index may name what we do not know.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    #[serde(rename = "mediaType")]
    media_type: String,
    digest: String,
    size: u64,
    /// What it runs on.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// Notes, such as its name in a layout.
    #[serde(default, deserialize_with = "or_default")]
    pub annotations: BTreeMap<String, String>,
}

/// The fields of all documents of which we read any.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    schema_version: u64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Entry>,
    layers: Option<Vec<Entry>>,
    manifests: Option<Vec<Entry>>,
}

impl Document {
    /// Reads a manifest or an index in OCI's or Docker's format. Their digest is that of `bytes`.
    ///
    /// # Errors
    ///
    /// Docker's schema 1, artifacts, foreign layers, types and digests that are not known, sizes beyond all reason, and
    /// what could be read as manifest and index both.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "manifest";
        if bytes.len() as u64 > DOCUMENT_MAX {
            return Err(Error::LongDocument { what: WHAT, max: DOCUMENT_MAX });
        }
        let raw: Raw =
            serde_json::from_slice(bytes).map_err(|source| Error::Json { what: WHAT, source })?;
        if raw.schema_version == 1 {
            return Err(Error::Schema1);
        }
        let stated = raw.media_type.as_deref().filter(|name| !name.is_empty());
        let is = |kind| stated.is_none_or(|name| MediaType::from_name(name) == Some(kind));
        match raw {
            Raw {
                schema_version: 2, manifests: Some(entries), config: None, layers: None, ..
            } if is(MediaType::Index) => Ok(Self::Index(Index { entries })),
            Raw { schema_version: 2, config: Some(config), manifests: None, layers, .. }
                if is(MediaType::Manifest) =>
            {
                if MediaType::from_name(&config.media_type) != Some(MediaType::Config) {
                    return Err(Error::Artifact(raw.artifact_type.unwrap_or(config.media_type)));
                }
                Manifest::new(&config, &layers.unwrap_or_default()).map(Self::Manifest)
            }
            _ => Err(Error::NoManifest),
        }
    }
}

impl Manifest {
    fn new(config: &Entry, layers: &[Entry]) -> Result<Self, Error> {
        if layers.len() > LAYERS_MAX {
            return Err(Error::TooManyLayers(layers.len()));
        }
        let layers = layers.iter().map(|layer| {
            let descriptor = layer.descriptor("layer")?;
            match descriptor.media_type {
                MediaType::Layer(_) => Ok(descriptor),
                MediaType::Index | MediaType::Manifest | MediaType::Config => {
                    Err(layer.unknown("layer"))
                }
            }
        });
        Ok(Self { config: config.descriptor("config")?, layers: layers.collect::<Result<_, _>>()? })
    }
}

impl Index {
    /// The image for Linux on `architecture`, the first if there are several.
    ///
    /// A level of the architecture above the lowest is passed over. An entry that does not say what it runs on is taken
    /// if it is the only one of its kind and nothing suits better; its config tells.
    pub fn choose(&self, architecture: &str) -> Result<Descriptor, Error> {
        let suits = |entry: &&Entry| entry.platform.as_ref().is_some_and(|p| p.suits(architecture));
        let mut silent = self.entries.iter().filter(|entry| entry.platform.is_none());
        let only = silent.next().filter(|_| silent.next().is_none());
        let Some(chosen) = self.entries.iter().find(suits).or(only) else {
            let platforms = self.entries.iter().filter_map(|entry| entry.platform.as_ref());
            let known = platforms.filter(|platform| platform.os != "unknown");
            return Err(Error::MissingPlatform {
                wanted: format!("linux/{architecture}"),
                there: known.map(ToString::to_string).collect(),
            });
        };
        let descriptor = chosen.descriptor("image")?;
        match descriptor.media_type {
            MediaType::Manifest => Ok(descriptor),
            MediaType::Index => Err(Error::NestedIndex(descriptor.digest)),
            MediaType::Config | MediaType::Layer(_) => Err(chosen.unknown("image")),
        }
    }
}

impl Entry {
    /// What it names; `what` it should be is for the error.
    pub fn descriptor(&self, what: &'static str) -> Result<Descriptor, Error> {
        let bad = || Error::Digest(self.digest.clone());
        let digest = self.digest.strip_prefix("sha256:").ok_or_else(bad)?;
        let digest = digest.parse().map_err(|_| bad())?;
        let Some(media_type) = MediaType::from_name(&self.media_type) else {
            let media_type = self.media_type.clone();
            return match media_type.contains(".nondistributable.")
                || media_type.contains(".foreign.")
            {
                true => Err(Error::ForeignLayer { digest, media_type }),
                false => Err(self.unknown(what)),
            };
        };
        let size = self.size;
        let max = match media_type {
            MediaType::Layer(_) => LAYER_MAX,
            MediaType::Index | MediaType::Manifest | MediaType::Config => DOCUMENT_MAX,
        };
        if size > max {
            return Err(Error::AbsurdSize { digest, size, max });
        }
        Ok(Descriptor { media_type, digest, size })
    }

    fn unknown(&self, what: &'static str) -> Error {
        Error::MediaType { what, media_type: self.media_type.clone() }
    }
}

/// Go writes empty maps and lists as null at times.
pub(super) fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A descriptor as we write it, the fields in the order of the specification.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Written<'a> {
    pub(super) media_type: &'a str,
    #[serde(serialize_with = "with_algorithm")]
    pub(super) digest: Digest,
    pub(super) size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) annotations: Option<BTreeMap<&'a str, &'a str>>,
}

pub(super) fn with_algorithm<S: serde::Serializer>(
    digest: &Digest,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("sha256:{digest}"))
}

/// The manifest that every image has with us, however it came: the config as it is, and each layer, given by diff id and
/// size, uncompressed.
///
/// Compact JSON without a newline, the fields in the order of the image specification. A change of these bytes changes
/// the digests of all images in guests and registries.
pub fn canonical_manifest(config: &[u8], layers: &[(Digest, u64)]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Canonical<'a> {
        schema_version: u8,
        media_type: &'a str,
        config: Written<'a>,
        layers: Vec<Written<'a>>,
    }
    let written =
        |media_type, digest, size| Written { media_type, digest, size, annotations: None };
    super::json(&Canonical {
        schema_version: 2,
        media_type: MANIFEST,
        config: written(CONFIG, Digest::of(config), config.len() as u64),
        layers: layers.iter().map(|&(diff_id, size)| written(LAYER, diff_id, size)).collect(),
    })
}

#[cfg(test)]
mod tests;
