//! Image layouts: folders with an index and blobs by digest (image specification, image-layout.md).

use std::collections::{BTreeMap, BTreeSet};

use oci_spec::distribution::Reference;
use serde::{Deserialize, Serialize};

use super::{
    Config, Descriptor, Document, Error, Image, Wanted, canonical_manifest,
    image::{self, Files, LayerFile},
    manifest::{INDEX, Index, MANIFEST, Written},
};
use crate::{
    digest::Digest,
    path::GuestPath,
    tree::{BlobSink, Content, Draft, Inode, Kind, Meta, Node, Time, Tree},
};

/// The annotation with an image's name in a layout.
const NAME: &str = "org.opencontainers.image.ref.name";
/// The one of containerd and newer Docker, which is the whole reference.
const FULL_NAME: &str = "io.containerd.image.name";
const MARKER: &[u8] = b"{\"imageLayoutVersion\":\"1.0.0\"}";

/// Where a blob lies in a layout.
pub fn blob_path(digest: &Digest) -> GuestPath {
    GuestPath::new(format!("blobs/sha256/{digest}")).expect("digits are a path")
}

/// Finds an image in a layout.
///
/// Names are those of the annotation `org.opencontainers.image.ref.name`, or whole references as containerd notes them.
/// The config is checked against its digest; the layers' files are found, but not read.
///
/// # Errors
///
/// No layout, no such image or several without a name, nothing for the architecture, missing or wrong files.
pub fn find(files: &mut dyn Files, wanted: &Wanted<'_>) -> Result<Image, Error> {
    check_version(files)?;
    let bytes = image::read_small(files, &path("index.json"), "index of the layout")?;
    let Document::Index(index) = Document::parse(&bytes)? else {
        return Err(Error::NoManifest);
    };
    let top = pick(index, wanted)?;
    let mut read = |descriptor: &Descriptor| {
        image::read_small(files, &blob_path(&descriptor.digest), "image's manifest")
    };
    let manifest = image::manifest_of(&top, wanted.architecture, &mut read)?;
    let config_bytes = read(&manifest.config)?;
    manifest.config.check(&config_bytes)?;
    let config = Config::parse(&config_bytes)?;
    image::check(&manifest, &config, wanted.architecture)?;
    let layers = manifest.layers.iter().map(|layer| {
        let file = image::packed(files, &blob_path(&layer.digest))?;
        let (digest, expected, found) = (layer.digest, layer.size, file.size);
        match expected == found {
            true => Ok(file),
            false => Err(Error::WrongSize { digest, expected, found }),
        }
    });
    let layers: Vec<LayerFile> = layers.collect::<Result<_, _>>()?;
    Ok(Image { config_bytes, config, layers })
}

fn check_version(files: &mut dyn Files) -> Result<(), Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Marker {
        image_layout_version: String,
    }
    const WHAT: &str = "file `oci-layout`";
    let bytes = image::read_small(files, &path("oci-layout"), WHAT)?;
    let marker: Marker =
        serde_json::from_slice(&bytes).map_err(|source| Error::Json { what: WHAT, source })?;
    match marker.image_layout_version.starts_with("1.") {
        true => Ok(()),
        false => Err(Error::LayoutVersion(marker.image_layout_version)),
    }
}

/// The entry that is wanted: by its name, and by platform if several have that.
fn pick(mut index: Index, wanted: &Wanted<'_>) -> Result<Descriptor, Error> {
    let mut names = BTreeSet::new();
    for entry in &index.entries {
        names.extend(entry.annotations.get(FULL_NAME).or(entry.annotations.get(NAME)).cloned());
    }
    match wanted.name {
        Some(name) => index.entries.retain(|entry| {
            let names = [NAME, FULL_NAME].map(|key| entry.annotations.get(key));
            names.into_iter().flatten().any(|other| same_name(other, name))
        }),
        None if names.len() > 1 => return Err(Error::SeveralImages(names.into_iter().collect())),
        None => (),
    }
    match &*index.entries {
        [] => {
            let wanted = wanted.name.unwrap_or("of any kind").to_owned();
            Err(Error::NoSuchImage { wanted, there: names.into_iter().collect() })
        }
        [entry] => entry.descriptor("image"),
        _ => index.choose(wanted.architecture),
    }
}

/// Whether two names mean one image: as they stand, or as references of registries.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    let whole = |name: &str| name.parse::<Reference>().map(|reference| reference.whole());
    one == other || matches!((whole(one), whole(other)), (Ok(one), Ok(other)) if one == other)
}

/// An image to be put in a layout.
#[derive(Debug, Clone, Copy)]
pub struct Packed<'a> {
    /// Its name there.
    pub name: &'a str,
    /// The bytes of its config.
    pub config: &'a [u8],
    /// Its uncompressed layers, the lowest first, whose bytes are where those of the layout will be looked for.
    pub layers: &'a [Content],
}

/// Makes a layout of images, each with its [canonical manifest](canonical_manifest). The documents go to `sink`.
///
/// # Errors
///
/// Only what `sink` says.
pub fn layout(images: &[Packed<'_>], sink: &dyn BlobSink) -> Result<Tree, Error> {
    let mut contents = BTreeMap::new();
    let put = |contents: &mut BTreeMap<GuestPath, Content>, bytes: &[u8]| {
        let content = sink.put(&mut &*bytes)?;
        let digest = content.digest;
        contents.insert(blob_path(&digest), content);
        Ok::<Digest, Error>(digest)
    };
    let mut manifests = Vec::new();
    for Packed { name, config, layers } in images {
        let ids: Vec<_> = layers.iter().map(|layer| (layer.digest, layer.size)).collect();
        let manifest = canonical_manifest(config, &ids);
        put(&mut contents, config)?;
        let digest = put(&mut contents, &manifest)?;
        contents.extend(layers.iter().map(|layer| (blob_path(&layer.digest), layer.clone())));
        manifests.push(Written {
            media_type: MANIFEST,
            digest,
            size: manifest.len() as u64,
            annotations: Some(BTreeMap::from([(NAME, *name)])),
        });
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Top<'a> {
        schema_version: u8,
        media_type: &'a str,
        manifests: Vec<Written<'a>>,
    }
    let index = super::json(&Top { schema_version: 2, media_type: INDEX, manifests });
    contents.insert(path("index.json"), sink.put(&mut &*index)?);
    contents.insert(path("oci-layout"), sink.put(&mut &*MARKER)?);
    let meta = |mode| Meta::root_owned(mode, Time::default());
    let mut draft = Draft::with_root(meta(0o755));
    draft.ensure_parents(&path("blobs/sha256/x"), &meta(0o755));
    for (path, content) in contents {
        draft.insert(path, Node::Inode(Inode { meta: meta(0o644), kind: Kind::File(content) }));
    }
    Ok(draft.finish().expect("files in three folders are a tree"))
}

fn path(text: &'static str) -> GuestPath {
    GuestPath::new(text).expect("a path")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        formats::{compress::Compression, oci::image::Folder},
        tree::MemoryBlobs,
    };

    fn config(architecture: &str, layers: &[&str]) -> Vec<u8> {
        let diff_ids = layers.iter().map(Digest::of).collect();
        let architecture = architecture.to_owned();
        Config { architecture, diff_ids, ..Config::default() }.to_bytes(&[])
    }

    fn content(blobs: &MemoryBlobs, text: &str) -> Content {
        blobs.put(&mut text.as_bytes()).unwrap()
    }

    /// A layout with two images that share a layer.
    fn two(blobs: &MemoryBlobs) -> Tree {
        let layers = [content(blobs, "base"), content(blobs, "top")];
        let (one, two) = (config("amd64", &["base"]), config("amd64", &["base", "top"]));
        let images = [
            Packed { name: "one", config: &one, layers: &layers[..1] },
            Packed { name: "team/two:v2", config: &two, layers: &layers },
        ];
        layout(&images, blobs).unwrap()
    }

    fn find_in(tree: &Tree, blobs: &MemoryBlobs, name: Option<&str>) -> Result<Image, String> {
        let wanted = Wanted { name, architecture: "amd64" };
        find(&mut Folder { tree, blobs }, &wanted).map_err(|error| error.to_string())
    }

    /// `tree` with another file at `at`.
    fn with(tree: &Tree, blobs: &MemoryBlobs, at: &GuestPath, text: &str) -> Tree {
        let meta = Meta::root_owned(0o644, Time::default());
        let mut draft = tree.to_draft();
        let kind = Kind::File(content(blobs, text));
        draft.insert(at.clone(), Node::Inode(Inode { meta, kind }));
        draft.finish().unwrap()
    }

    #[test]
    fn what_is_laid_out_is_found_again() {
        let blobs = MemoryBlobs::default();
        let tree = two(&blobs);
        assert_eq!(tree.len(), 3 + 2 + 2 * 2 + 2, "shared blobs are there once");
        let one = find_in(&tree, &blobs, Some("one")).unwrap();
        assert_eq!(one.config_bytes, config("amd64", &["base"]));
        let base = LayerFile {
            path: blob_path(&Digest::of("base")),
            size: 4,
            compression: Compression::Plain,
        };
        assert_eq!(one.layers, std::slice::from_ref(&base));
        for name in ["team/two:v2", "docker.io/team/two:v2"] {
            let two = find_in(&tree, &blobs, Some(name)).unwrap();
            assert_eq!((two.layers.len(), &two.layers[0]), (2, &base), "{name}");
        }
    }

    #[test]
    fn an_image_must_be_named_among_several() {
        let blobs = MemoryBlobs::default();
        let tree = two(&blobs);
        let told = find_in(&tree, &blobs, None).unwrap_err();
        assert_eq!(told, "there are several images here, name one: one, team/two:v2");
        let told = find_in(&tree, &blobs, Some("three")).unwrap_err();
        assert_eq!(told, "there is no image `three` here, only one, team/two:v2");
        let wanted = Wanted { name: Some("one"), architecture: "arm64" };
        let told = find(&mut Folder { tree: &tree, blobs: &blobs }, &wanted).unwrap_err();
        let expected = "there is no image for linux/arm64 here, only for linux/amd64";
        assert_eq!(told.to_string(), expected);
    }

    #[test]
    fn an_index_by_platform_is_followed() {
        let blobs = MemoryBlobs::default();
        let configs = ["amd64", "arm64"].map(|architecture| config(architecture, &[]));
        let packed = configs.each_ref().map(|config| Packed { name: "x", config, layers: &[] });
        let tree = layout(&packed, &blobs).unwrap();
        let manifests = configs.each_ref().map(|config| canonical_manifest(config, &[]));
        let entry = |at: usize, architecture| {
            format!(
                "{{\"mediaType\":\"{MANIFEST}\",\"digest\":\"sha256:{}\",\"size\":{},\
                 \"platform\":{{\"os\":\"linux\",\"architecture\":\"{architecture}\"}}}}",
                Digest::of(&manifests[at]),
                manifests[at].len(),
            )
        };
        let nested = format!(
            "{{\"schemaVersion\":2,\"manifests\":[{},{}]}}",
            entry(1, "arm64"),
            entry(0, "amd64")
        );
        let tree = with(&tree, &blobs, &blob_path(&Digest::of(&nested)), &nested);
        let top = format!(
            "{{\"schemaVersion\":2,\"manifests\":[{{\"mediaType\":\"{INDEX}\",\"digest\":\"sha256:{}\",\"size\":{}}}]}}",
            Digest::of(&nested),
            nested.len()
        );
        for index in [&top, &nested] {
            let tree = with(&tree, &blobs, &path("index.json"), index);
            assert_eq!(find_in(&tree, &blobs, None).unwrap().config_bytes, configs[0]);
        }
    }

    #[test]
    fn a_damaged_layout_is_refused() {
        let blobs = MemoryBlobs::default();
        let tree = two(&blobs);
        let told = |at: &GuestPath, text: Option<&str>| {
            let tree = match text {
                Some(text) => with(&tree, &blobs, at, text),
                None => {
                    let mut draft = tree.to_draft();
                    draft.remove(at);
                    draft.finish().unwrap()
                }
            };
            find_in(&tree, &blobs, Some("one")).unwrap_err()
        };
        let config = blob_path(&Digest::of(config("amd64", &["base"])));
        let base = blob_path(&Digest::of("base"));
        assert_eq!(told(&path("oci-layout"), None), "there is no file /oci-layout here");
        assert!(told(&path("oci-layout"), Some("{}")).contains("`oci-layout` is malformed"));
        let old = "{\"imageLayoutVersion\":\"0.9\"}";
        assert_eq!(told(&path("oci-layout"), Some(old)), "the layout has version `0.9`, not 1");
        assert!(told(&path("index.json"), Some("{")).contains("malformed"));
        assert_eq!(told(&config, None), format!("there is no file {config} here"));
        assert!(told(&config, Some("{}")).contains("should have"));
        assert_eq!(told(&base, None), format!("there is no file {base} here"));
        assert!(told(&base, Some("longer")).contains("should have 4 bytes, but has 6"));
    }

    proptest! {
        #[test]
        fn reading_never_panics(at in 0..4usize, places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5)) {
            let blobs = MemoryBlobs::default();
            let tree = two(&blobs);
            let name = tree.iter().filter(|(path, _)| tree.content(path).is_some()).nth(at).unwrap().0;
            let mut text = crate::tree::Blobs::read(&blobs, &tree.content(name).unwrap().digest).unwrap();
            for (at, with) in places {
                *at.get_mut(&mut text) = with;
            }
            let tree = with(&tree, &blobs, name, &String::from_utf8_lossy(&text));
            let _ = find_in(&tree, &blobs, Some("one"));
        }
    }
}
