//! Bills of material of an image: SPDX and CycloneDX.
