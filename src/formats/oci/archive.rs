//! Images in tar archives: as `docker save` writes them, and layouts packed up.

use std::{
    collections::BTreeMap,
    io::{Read, Seek, SeekFrom},
};

use serde::Deserialize;

use super::{
    Config, Error, Image, Wanted,
    image::{self, Files},
    layout::{self, same_name},
};
use crate::{
    digest::Digest,
    formats::tar::{self, Body, Dialect, Members},
    path::GuestPath,
};

/// The most files of an archive: layouts have a few for each image.
const MEMBERS_MAX: usize = 100_000;
/// Contents above this size are passed over by seeking, in bytes.
const SEEK_MIN: u64 = 1 << 20;
/// How many links may follow each other.
const LINKS_MAX: usize = 8;

/// An archive with images, whose members are listed.
#[derive(Debug)]
pub struct Archive<R> {
    reader: R,
    members: BTreeMap<GuestPath, Member>,
}

#[derive(Debug)]
enum Member {
    File {
        offset: u64,
        size: u64,
    },
    /// Docker once wrote a layer that comes again as a link to the first one.
    Link(GuestPath),
}

impl<R: Read + Seek> Archive<R> {
    /// Lists the members of an uncompressed archive; large contents are not read.
    pub fn open(mut reader: R) -> Result<Self, Error> {
        let length = reader.seek(SeekFrom::End(0))?;
        let mut members = BTreeMap::new();
        let mut from = Some(0);
        while let Some(offset) = from {
            reader.seek(SeekFrom::Start(offset))?;
            from = list(&mut reader, offset, length, &mut members)?;
        }
        Ok(Self { reader, members })
    }

    /// Finds an image: by Docker's `manifest.json`, else as in a [layout](layout::find).
    ///
    /// # Errors
    ///
    /// No such image, several without a name, nothing for the architecture, missing members.
    pub fn find(&mut self, wanted: &Wanted<'_>) -> Result<Image, Error> {
        const WHAT: &str = "file `manifest.json`";
        let place = GuestPath::new("manifest.json").expect("a path");
        if !self.members.contains_key(&place) {
            return layout::find(self, wanted);
        }
        let bytes = image::read_small(self, &place, WHAT)?;
        let mut saved: Vec<Saved> =
            serde_json::from_slice(&bytes).map_err(|source| Error::Json { what: WHAT, source })?;
        let names = |saved: &[Saved]| {
            let mut names: Vec<String> = saved.iter().flat_map(Saved::tags).cloned().collect();
            names.sort();
            names.dedup();
            names
        };
        let there = names(&saved);
        if let Some(name) = wanted.name {
            saved.retain(|image| image.tags().any(|tag| same_name(tag, name)));
        }
        let mut found: Vec<Image> = Vec::new();
        let mut architectures = Vec::new();
        for image in &saved {
            let image = self.saved(image)?;
            match image.config.architecture == wanted.architecture {
                true if found.is_empty() => found.push(image),
                true => return Err(Error::SeveralImages(there)),
                false => architectures.push(format!("linux/{}", image.config.architecture)),
            }
        }
        let none = match architectures.is_empty() {
            true => Error::NoSuchImage {
                wanted: wanted.name.unwrap_or("of any kind").to_owned(),
                there,
            },
            false => Error::MissingPlatform {
                wanted: format!("linux/{}", wanted.architecture),
                there: architectures,
            },
        };
        found.pop().ok_or(none)
    }

    fn saved(&mut self, saved: &Saved) -> Result<Image, Error> {
        let path =
            |text: &String| GuestPath::lenient(text).map_err(|_| Error::BadPath(text.clone()));
        let config_path = path(&saved.config)?;
        let config_bytes = image::read_small(self, &config_path, "image's config")?;
        check_name(&config_path, &config_bytes)?;
        let config = Config::parse(&config_bytes)?;
        let (layers, diff_ids) = (saved.layers.len(), config.diff_ids.len());
        if layers != diff_ids {
            return Err(Error::LayerCount { layers, diff_ids });
        }
        let layers = saved.layers.iter().map(|layer| image::packed(self, &path(layer)?));
        Ok(Image { layers: layers.collect::<Result<_, _>>()?, config, config_bytes })
    }
}

impl<R: Read + Seek> Files for Archive<R> {
    fn open(&mut self, path: &GuestPath) -> Result<(u64, Box<dyn Read + '_>), Error> {
        let mut place = path;
        for _ in 0..LINKS_MAX {
            match self.members.get(place) {
                Some(Member::Link(target)) => place = target,
                Some(&Member::File { offset, size }) => {
                    self.reader.seek(SeekFrom::Start(offset))?;
                    return Ok((size, Box::new(self.reader.by_ref().take(size))));
                }
                None => break,
            }
        }
        Err(Error::NoSuchFile(path.clone()))
    }
}

/// Docker calls configs by their digests, `HEX.json` or as blobs of a layout; then these must be right.
fn check_name(path: &GuestPath, bytes: &[u8]) -> Result<(), Error> {
    let name = String::from_utf8_lossy(path.file_name().unwrap_or_default());
    let name = name.strip_suffix(".json").unwrap_or(&name);
    match (name.parse::<Digest>(), Digest::of(bytes)) {
        (Ok(expected), found) if expected != found => Err(Error::WrongDigest { expected, found }),
        _ => Ok(()),
    }
}

/// An image in Docker's `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

impl Saved {
    fn tags(&self) -> impl Iterator<Item = &String> {
        self.repo_tags.iter().flatten()
    }
}

/// Lists members from `start` on; stops after one with a large content and says where to go on.
fn list(
    reader: &mut impl Read,
    start: u64,
    length: u64,
    found: &mut BTreeMap<GuestPath, Member>,
) -> Result<Option<u64>, Error> {
    let mut members = Members::new(reader, Dialect::Layer);
    while let Some(member) = members.next_member()? {
        let place = members.place();
        let (offset, next) = (start.saturating_add(place.offset), start.saturating_add(place.next));
        if offset.saturating_add(place.size) > length {
            return Err(tar::Error::Truncated { offset: length }.into());
        }
        let entry = match member.body {
            Body::File { size } => Some(Member::File { offset, size }),
            Body::HardLink(target) => Some(Member::Link(target)),
            Body::Symlink(target) => follow(&member.path, &target).map(Member::Link),
            Body::Directory | Body::CharDevice(_) | Body::BlockDevice(_) | Body::Fifo => None,
        };
        if found.len() >= MEMBERS_MAX {
            return Err(Error::ManyFiles { max: MEMBERS_MAX });
        }
        found.extend(entry.map(|entry| (member.path, entry)));
        if place.size >= SEEK_MIN {
            return Ok(Some(next));
        }
    }
    Ok(None)
}

/// Where a symbolic link in the archive leads; none if that is outside.
fn follow(link: &GuestPath, target: &[u8]) -> Option<GuestPath> {
    let mut place = link.parent()?;
    for name in target.split(|&byte| byte == b'/') {
        place = match name {
            b"" | b"." => place,
            b".." => place.parent()?,
            name => place.join(name).ok()?,
        };
    }
    (!target.starts_with(b"/")).then_some(place)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        formats::{
            compress::Compression,
            oci::{
                layer,
                layout::{Packed, layout},
            },
        },
        tree::{BlobSink, MemoryBlobs, Meta, Time},
    };

    fn member(name: &str, body: Body, content: &[u8]) -> Vec<u8> {
        let meta = Meta::root_owned(0o644, Time::default());
        let header = tar::headers(&tar::Member { path: GuestPath::new(name).unwrap(), meta, body });
        [&header, content, &vec![0; tar::padding(content.len() as u64)]].concat()
    }

    fn file(name: &str, content: &[u8]) -> Vec<u8> {
        member(name, Body::File { size: content.len() as u64 }, content)
    }

    fn config(architecture: &str, layers: usize) -> Vec<u8> {
        let diff_ids = (0..layers).map(|at| Digest::of(at.to_string())).collect();
        let architecture = architecture.to_owned();
        Config { architecture, diff_ids, ..Config::default() }.to_bytes(&[])
    }

    /// As Docker 20 saves two images, the second layer of the first being the first one again.
    fn saved() -> Vec<Vec<u8>> {
        let manifest = br#"[{"Config":"1.json","RepoTags":["team/one:latest","one:v1"],"Layers":["a/layer.tar","b/layer.tar"]},
            {"Config":"2.json","RepoTags":null,"Layers":["c/layer.tar"]}]"#;
        vec![
            member("a", Body::Directory, b""),
            file("a/layer.tar", &vec![1; 3 << 20]),
            member("b/layer.tar", Body::Symlink(b"../a/layer.tar"[..].into()), b""),
            file("c/layer.tar", b"\x1f\x8b and more"),
            file("1.json", &config("amd64", 2)),
            file("2.json", &config("arm64", 1)),
            file("manifest.json", manifest),
            tar::END.to_vec(),
        ]
    }

    fn find(bytes: &[u8], name: Option<&str>, architecture: &str) -> Result<Image, String> {
        let mut archive = Archive::open(Cursor::new(bytes)).map_err(|error| error.to_string())?;
        archive.find(&Wanted { name, architecture }).map_err(|error| error.to_string())
    }

    #[test]
    fn what_docker_saved_is_found() {
        let bytes = saved().concat();
        for name in [None, Some("team/one"), Some("docker.io/library/one:v1")] {
            let image = find(&bytes, name, "amd64").unwrap();
            assert_eq!(image.config_bytes, config("amd64", 2));
            let sizes: Vec<_> = image.layers.iter().map(|layer| layer.size).collect();
            assert_eq!(sizes, [3 << 20, 3 << 20]);
        }
        let image = find(&bytes, None, "arm64").unwrap();
        assert_eq!(image.layers[0].compression, Compression::Gzip);
        let mut archive = Archive::open(Cursor::new(&bytes)).unwrap();
        let (size, mut reader) = archive.open(&image.layers[0].path).unwrap();
        let mut layer = Vec::new();
        reader.read_to_end(&mut layer).unwrap();
        assert_eq!((size, &*layer), (11, &b"\x1f\x8b and more"[..]));
    }

    #[test]
    fn what_is_missing_is_told() {
        let bytes = saved().concat();
        let told = find(&bytes, Some("three"), "amd64").unwrap_err();
        assert_eq!(told, "there is no image `three` here, only one:v1, team/one:latest");
        let told = find(&bytes, Some("one:v1"), "arm64").unwrap_err();
        assert_eq!(told, "there is no image for linux/arm64 here, only for linux/amd64");
        for (without, told) in [
            (1, "there is no file /a/layer.tar here"),
            (2, "there is no file /b/layer.tar here"),
            (4, "there is no file /1.json here"),
            (6, "there is no file /oci-layout here"),
        ] {
            let mut members = saved();
            members.remove(without);
            let error = find(&members.concat(), None, "amd64").unwrap_err();
            assert!(without == 1 || error == told, "{error}");
            assert!(error.starts_with("there is no file"), "{error}");
        }
        assert!(find(&bytes[..2 << 20], None, "amd64").unwrap_err().contains("archive is refused"));
        let circle = [member(
            "manifest.json",
            Body::HardLink(GuestPath::new("manifest.json").unwrap()),
            b"",
        )];
        assert!(find(&circle.concat(), None, "amd64").unwrap_err().contains("/manifest.json"));
        let outside = br#"[{"Config":"../x","Layers":[]}]"#;
        let outside = file("manifest.json", outside);
        assert!(find(&outside, None, "amd64").unwrap_err().contains("`../x` is no path"));
        let wrong = format!("{}.json", Digest::of("another"));
        let list = format!("[{{\"Config\":\"{wrong}\",\"Layers\":[]}}]");
        let named = [file(&wrong, b"{}"), file("manifest.json", list.as_bytes())];
        assert!(
            find(&named.concat(), None, "amd64").unwrap_err().contains("but this is sha256:4413")
        );
        let few = [
            file("1.json", &config("amd64", 2)),
            file("manifest.json", br#"[{"Config":"1.json","Layers":[]}]"#),
        ];
        let told = find(&few.concat(), None, "amd64").unwrap_err();
        assert_eq!(told, "the manifest has 0 layers, the config 2");
    }

    #[test]
    fn a_layout_in_an_archive_is_found() {
        let blobs = MemoryBlobs::default();
        let layer = blobs.put(&mut &b"layer"[..]).unwrap();
        let config = config("amd64", 1);
        let packed = Packed { name: "latest", config: &config, layers: &[layer] };
        let tree = layout(&[packed], &blobs).unwrap();
        let mut bytes = Vec::new();
        layer::write(&tree, &blobs, &mut bytes).unwrap();
        let image = find(&bytes, Some("latest"), "amd64").unwrap();
        assert_eq!((image.config_bytes, image.layers[0].size), (config, 5));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn reading_never_panics(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), cut in any::<prop::sample::Index>()) {
            let mut members = saved();
            members.remove(1);
            let mut bytes = members.concat();
            for (at, with) in places {
                *at.get_mut(&mut bytes) = with;
            }
            let _ = find(&bytes, None, "amd64");
            bytes.truncate(cut.index(bytes.len()));
            let _ = find(&bytes, Some("one:v1"), "amd64");
        }
    }
}
