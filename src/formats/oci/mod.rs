//! OCI images: descriptors, manifests, layers as trees and as tar, layouts and archives.
//!
//! Formats are those of the image specification 1.1 and of Docker's registry (manifest version 2, schema 2). What is
//! read is only taken with the digest that names it; what is written has one spelling: compact JSON with the fields in
//! the order of the specification, layers uncompressed. So an image has the same bytes however it arrived.

pub mod archive;
pub mod config;
mod error;
pub mod image;
pub mod layer;
pub mod layout;
pub mod manifest;
pub mod runtime;
mod unpacked;

pub use config::Config;
pub use error::Error;
pub use image::{Image, Wanted};
pub use manifest::{Descriptor, Document, Manifest, canonical_manifest};
pub use unpacked::{Unpacked, UnpackedError};

/// Compact JSON; the types that come here have only text as keys, so nothing can fail.
fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("our own types are JSON")
}
