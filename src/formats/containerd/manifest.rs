use serde::Serialize;

use crate::digest::Digest;

/// Media type of the manifest itself.
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an image's config.
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of a layer as it is in vsbuild's images: not compressed.
pub(super) const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The manifest that an image has in the guest: a function of its config and of its layers as they are when unpacked, so
/// that neither the registry nor the compression shows in it.
///
/// Both are given as digest and size in bytes, layers lowest first. The result is an OCI image manifest (image-spec 1.0,
/// manifest.md) as compact JSON, with fields in the order of the specification and no newline at the end.
pub fn canonical_manifest(config: (Digest, u64), layers: &[(Digest, u64)]) -> Vec<u8> {
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST,
        config: descriptor(CONFIG, config),
        layers: layers.iter().map(|layer| descriptor(LAYER, *layer)).collect(),
    };
    serde_json::to_vec(&manifest).expect("numbers and text are JSON")
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: &'static str,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    digest: String,
    size: u64,
}

fn descriptor(media_type: &'static str, (digest, size): (Digest, u64)) -> Descriptor {
    Descriptor { media_type, digest: format!("sha256:{digest}"), size }
}
