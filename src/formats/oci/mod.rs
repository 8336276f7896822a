//! OCI images: descriptors, manifests, layers as trees and as tar, layouts and archives.
//!
//! Formats are those of the image specification 1.1 and of Docker's registry (manifest version 2, schema 2). What is
//! read is only taken with the digest that names it; what is written has one spelling: compact JSON with the fields in
//! the order of the specification, layers uncompressed. So an image has the same bytes however it arrived.

pub mod layer;
