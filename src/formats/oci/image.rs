//! An image among files: in a layout's folder or in an archive.

use std::io::Read;

use super::{
    Config, Descriptor, Document, Error, Manifest,
    manifest::{DOCUMENT_MAX, MediaType},
};
use crate::{
    formats::compress::Compression,
    path::GuestPath,
    tree::{Blobs, Tree},
};

/// Where the files of a layout or of Docker's archive are.
pub trait Files {
    /// A file from its beginning, and how many bytes it has; an error if there is none.
    fn open(&mut self, path: &GuestPath) -> Result<(u64, Box<dyn Read + '_>), Error>;
}

/// A folder in the store.
pub struct Folder<'a> {
    /// Its files.
    pub tree: &'a Tree,
    /// Their contents.
    pub blobs: &'a dyn Blobs,
}

impl Files for Folder<'_> {
    fn open(&mut self, path: &GuestPath) -> Result<(u64, Box<dyn Read + '_>), Error> {
        let content = self.tree.content(path).ok_or_else(|| Error::NoSuchFile(path.clone()))?;
        Ok((content.size, self.blobs.open(&content.digest)?))
    }
}

/// Which image is wanted of those that are there.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Its name, if there are several.
    pub name: Option<&'a str>,
    /// What it is to run on: `amd64`, `arm64`.
    pub architecture: &'a str,
}

/// An image that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The bytes of its config, as they came.
    pub config_bytes: Vec<u8>,
    /// What they say.
    pub config: Config,
    /// Where its layers are, the lowest first: as many as the config has diff ids, which are to be checked.
    pub layers: Vec<LayerFile>,
}

/// A layer that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerFile {
    /// Where it is among the files.
    pub path: GuestPath,
    /// How many bytes it has there.
    pub size: u64,
    /// How it is packed.
    pub compression: Compression,
}

/// Checks that a manifest and the config that it names fit together and are for `architecture`.
pub fn check(manifest: &Manifest, config: &Config, architecture: &str) -> Result<(), Error> {
    if config.architecture != architecture {
        return Err(Error::MissingPlatform {
            wanted: format!("linux/{architecture}"),
            there: vec![format!("linux/{}", config.architecture)],
        });
    }
    let (layers, diff_ids) = (manifest.layers.len(), config.diff_ids.len());
    if layers != diff_ids {
        return Err(Error::LayerCount { layers, diff_ids });
    }
    Ok(())
}

/// The manifest that `top` is, or that it names for `architecture`; `read` brings documents by descriptor.
pub fn manifest_of(
    top: &Descriptor,
    architecture: &str,
    read: &mut dyn FnMut(&Descriptor) -> Result<Vec<u8>, Error>,
) -> Result<Manifest, Error> {
    let mut open = |descriptor: &Descriptor| {
        let bytes = read(descriptor)?;
        descriptor.check(&bytes)?;
        match (Document::parse(&bytes)?, descriptor.media_type) {
            (document @ Document::Manifest(_), MediaType::Manifest)
            | (document @ Document::Index(_), MediaType::Index) => Ok(document),
            _ => Err(Error::NoManifest),
        }
    };
    match open(top)? {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(index) => match open(&index.choose(architecture)?)? {
            Document::Manifest(manifest) => Ok(manifest),
            Document::Index(_) => Err(Error::NoManifest),
        },
    }
}

/// All of a file that must be small; `what` it is, is for the error.
pub(super) fn read_small(
    files: &mut dyn Files,
    path: &GuestPath,
    what: &'static str,
) -> Result<Vec<u8>, Error> {
    let (size, reader) = files.open(path)?;
    if size > DOCUMENT_MAX {
        return Err(Error::LongDocument { what, max: DOCUMENT_MAX });
    }
    let mut bytes = Vec::new();
    reader.take(size).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// How a file is packed, by its first bytes.
pub(super) fn packed(files: &mut dyn Files, path: &GuestPath) -> Result<LayerFile, Error> {
    let (size, reader) = files.open(path)?;
    let mut start = Vec::new();
    reader.take(6).read_to_end(&mut start)?;
    Ok(LayerFile { path: path.clone(), size, compression: Compression::from_magic(&start) })
}
