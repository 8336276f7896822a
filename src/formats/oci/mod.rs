//! OCI images: descriptors, manifests, layers as trees and as tar, layouts and archives.
