use serde::Deserialize;

use crate::{digest::Digest, recipe::Architecture};

/// An image of a container in a registry: the question and the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedImage {
    /// What was asked for, in full: registry, repository and tag.
    pub reference: String,
    /// For which machines.
    pub architecture: Architecture,
    /// The list of platforms that the reference named, if it named one. For people: builds do not need it.
    pub index: Option<LockedBlob>,
    /// The manifest of the image for that architecture.
    pub manifest: LockedBlob,
    /// Its configuration.
    pub config: LockedBlob,
    /// Its layers as the registry holds them, the lowest first.
    pub layers: Vec<LockedBlob>,
}

impl LockedImage {
    /// All that must be fetched, in a fixed order.
    pub fn blobs(&self) -> impl Iterator<Item = &LockedBlob> {
        [&self.manifest, &self.config].into_iter().chain(&self.layers)
    }
}

/// Bytes in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedBlob {
    /// Length in bytes.
    pub size: u64,
    /// Digest of all bytes.
    pub sha256: Digest,
}
