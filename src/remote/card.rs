//! How something with a name lies in a registry.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Name;
use crate::digest::Digest;

/// The kind of manifest (OCI image specification 1.1).
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// What says that an image is ours. Whoever changes it finds nothing any more.
const KIND: &str = "application/vnd.vsbuild.cache.v1";
const EMPTY_KIND: &str = "application/vnd.oci.empty.v1+json";
/// The configuration of what has none (OCI image specification 1.1, "Guidance for an Empty Descriptor").
pub(super) const EMPTY: &[u8] = b"{}";
const BYTES: &str = "application/octet-stream";
const NAMED: &str = "org.vsbuild.name";
const KEPT: &str = "org.vsbuild.kept";
/// The longest tag (OCI distribution specification 1.1, "Pulling manifests").
const LONGEST_TAG: usize = 128;
/// Stands for the slash. No name has a capital letter in it, so each tag is of one name only.
const SLASH: char = 'S';
/// What a tag begins with that is a name's digest.
const DIGEST: char = 'D';

/// What a manifest says of the bytes that are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Card {
    pub(super) name: Name,
    pub(super) size: u64,
    pub(super) layer: Digest,
    /// When, in seconds since 1970.
    pub(super) kept: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u32,
    media_type: String,
    artifact_type: String,
    config: Descriptor,
    layers: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
}

impl Card {
    /// The same as a manifest.
    pub(super) fn manifest(&self) -> Vec<u8> {
        let descriptor = |media_type: &str, digest: Digest, size| Descriptor {
            media_type: media_type.to_owned(),
            digest: format!("sha256:{digest}"),
            size,
        };
        let name = (NAMED.to_owned(), self.name.to_string());
        let kept = self.kept.map(|kept| (KEPT.to_owned(), kept.to_string()));
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            artifact_type: KIND.to_owned(),
            config: descriptor(EMPTY_KIND, Digest::of(EMPTY), EMPTY.len() as u64),
            layers: vec![descriptor(BYTES, self.layer, self.size)],
            annotations: std::iter::once(name).chain(kept).collect(),
        };
        // Strings and numbers can always be written.
        serde_json::to_vec(&manifest).unwrap_or_default()
    }

    /// Reads a manifest; none if it is not one of ours.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let manifest: Manifest = serde_json::from_slice(json).ok()?;
        let [layer] = &manifest.layers[..] else { return None };
        if manifest.artifact_type != KIND {
            return None;
        }
        Some(Self {
            name: manifest.annotations.get(NAMED)?.parse().ok()?,
            size: layer.size,
            layer: layer.digest.strip_prefix("sha256:")?.parse().ok()?,
            kept: manifest.annotations.get(KEPT).and_then(|kept| kept.parse().ok()),
        })
    }
}

/// The tag for a name: the name with `S` for each slash. If that is too long, or begins with what no tag begins with, it
/// is `D` and the name's sha256 in hexadecimal.
pub(super) fn tag(name: &Name) -> String {
    let text = name.as_str();
    if text.len() > LONGEST_TAG || text.starts_with('-') {
        format!("{DIGEST}{}", Digest::of(text))
    } else {
        text.replace('/', &SLASH.to_string())
    }
}

/// The name that a tag is for, if it says it.
pub(super) fn name(tag: &str) -> Option<Name> {
    let plain = !tag.starts_with(DIGEST) && !tag.contains('/');
    let name: Name = tag.replace(SLASH, "/").parse().ok().filter(|_| plain)?;
    (self::tag(&name) == tag).then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(digest: &str) -> String {
        format!("statements/ab/{digest}/0123456789abcdef")
    }

    #[test]
    fn names_become_tags() {
        let long = format!("a/{}", "b".repeat(127));
        for (name, expected) in [
            ("format", "format".to_owned()),
            ("packs/ab/x.y-z_1", "packsSabSx.y-z_1".to_owned()),
            (&text("12"), "statementsSabS12S0123456789abcdef".to_owned()),
            ("-a", format!("D{}", Digest::of("-a"))),
            (&long, format!("D{}", Digest::of(&long))),
        ] {
            assert_eq!(tag(&name.parse().unwrap()), expected);
        }
        let longest = text(&"0".repeat(64));
        assert_eq!(name(&tag(&longest.parse().unwrap())).unwrap().as_str(), longest);
    }

    #[test]
    fn a_manifest_of_others_is_none_of_ours() {
        let card = Card {
            name: "packs/a".parse().unwrap(),
            size: 3,
            layer: Digest::of("abc"),
            kept: Some(7),
        };
        let manifest = String::from_utf8(card.manifest()).unwrap();
        assert_eq!(Card::parse(manifest.as_bytes()), Some(card));
        for (from, to) in
            [(KIND, "application/x"), (NAMED, "other"), ("packs/a", "../a"), ("sha256:", "sha512:")]
        {
            assert!(manifest.contains(from));
            assert_eq!(Card::parse(manifest.replace(from, to).as_bytes()), None, "{from}");
        }
    }

    proptest! {
        #[test]
        fn a_tag_is_a_tag_and_of_one_name(parts in "[a-z0-9_-][a-z0-9._-]{0,9}(/[a-z0-9_-][a-z0-9._-]{0,30}){0,5}") {
            let original: Name = parts.parse().unwrap();
            let tag = tag(&original);
            prop_assert!(tag.len() <= LONGEST_TAG);
            let first = tag.chars().next().unwrap();
            prop_assert!(first.is_ascii_alphanumeric() || first == '_');
            if !tag.starts_with(DIGEST) {
                prop_assert_eq!(name(&tag), Some(original));
            }
        }

        #[test]
        fn whatever_is_under_a_tag_is_a_card_or_none(tag in ".{0,40}", text in ".{0,60}") {
            if let Some(name) = name(&tag) {
                prop_assert_eq!(self::tag(&name), tag);
            }
            prop_assert_eq!(Card::parse(text.as_bytes()), None);
        }
    }
}
