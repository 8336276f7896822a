//! What others made, from wherever it came, as one tree.

use std::io::{self, BufReader, Read};

use fs_err::File;
use rayon::prelude::*;

use super::super::BuildError;
use crate::{
    digest::Digest,
    formats::{
        compress::{Bounded, Compression, decoder},
        oci::{
            self, Config, Document, Image, Unpacked, Wanted, archive,
            image::{self, Files, Folder},
            layer::{self, Layer, Limits},
            layout,
        },
    },
    plan::{ImageFrom, OciImage},
    store::Store,
    tree::{BlobSink, Blobs, Content, Tree},
};

/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;

pub(in crate::realise) fn build(
    image: &OciImage<Digest>,
    store: &Store,
) -> Result<Tree, BuildError> {
    let architecture = image.architecture;
    let unpacked = match &image.from {
        ImageFrom::Blobs { manifest, config, layers } => {
            let bytes = store.read(config)?;
            let parsed = named_by(manifest, config, &bytes, layers, architecture, store)?;
            let open = |index: usize| Ok(store.blob_file(&layers[index])?);
            unpack(&bytes, &parsed, &open, store)?
        }
        ImageFrom::Layout { tree, tag } => {
            let tree = store.tree(tree)?;
            let wanted = Wanted { name: tag.as_deref(), architecture };
            let found = layout::find(&mut Folder { tree: &tree, blobs: store }, &wanted)?;
            let open = |index: usize| {
                let path = &found.layers[index].path;
                let content = tree.content(path);
                let content = content.ok_or_else(|| oci::Error::NoSuchFile(path.clone()))?;
                Ok(store.blob_file(&content.digest)?)
            };
            unpack(&found.config_bytes, &found.config, &open, store)?
        }
        ImageFrom::Archive { tree, path, tag } => {
            let tree = store.tree(tree)?;
            let content = tree.content(path);
            let content = content.ok_or_else(|| BuildError::NotAFile { path: path.clone() })?;
            let wanted = Wanted { name: tag.as_deref(), architecture };
            let mut archive = archive::Archive::open(store.blob_file(&content.digest)?)?;
            let found = archive.find(&wanted)?;
            let layers = extracted(&mut archive, &found, store)?;
            let open = |index: usize| Ok(store.blob_file(&layers[index])?);
            unpack(&found.config_bytes, &found.config, &open, store)?
        }
    };
    Ok(unpacked.to_tree()?)
}

/// The configuration of an image whose blobs the lockfile names, if its manifest names the same.
fn named_by(
    manifest: &Digest,
    config: &Digest,
    bytes: &[u8],
    layers: &[Digest],
    architecture: &str,
    store: &Store,
) -> Result<Config, BuildError> {
    let Document::Manifest(found) = Document::parse(&store.read(manifest)?)? else {
        return Err(oci::Error::NoManifest.into());
    };
    let named = found.layers.iter().map(|layer| &layer.digest);
    if found.config.digest != *config || !named.eq(layers) {
        return Err(BuildError::NotTheManifest { manifest: *manifest });
    }
    let config = Config::parse(bytes)?;
    image::check(&found, &config, architecture)?;
    Ok(config)
}

/// The layers of an archive as blobs of their own.
fn extracted(
    archive: &mut archive::Archive<File>,
    image: &Image,
    store: &Store,
) -> Result<Vec<Digest>, BuildError> {
    let layers = image.layers.iter().map(|layer| {
        let (_, mut bytes) = archive.open(&layer.path)?;
        Ok(store.put(&mut bytes)?.digest)
    });
    layers.collect()
}

/// Unpacks an image whose layers can be opened by number. Each layer is first decompressed and compared with its diff id; only
/// then is anything in it looked at.
fn unpack(
    bytes: &[u8],
    config: &Config,
    open: &(dyn Fn(usize) -> Result<File, BuildError> + Sync),
    store: &Store,
) -> Result<Unpacked, BuildError> {
    let plain = config.diff_ids.par_iter().enumerate();
    let plain = plain.map(|(index, diff_id)| plain_layer(open(index)?, diff_id, store));
    let plain: Vec<Content> = plain.collect::<Result<_, BuildError>>()?;
    let mut layers: Vec<Layer> = Vec::with_capacity(plain.len());
    for tar in plain {
        let file = BufReader::with_capacity(BUFFER, store.blob_file(&tar.digest)?);
        let below: Vec<&Tree> = layers.iter().map(|layer| &layer.tree).collect();
        let read = layer::read(file, &below, &Limits::default(), store, &mut io::sink())?;
        layers.push(read);
    }
    Ok(Unpacked { config: store.put(&mut &*bytes)?, layers })
}

/// A layer without compression, in the store.
fn plain_layer(mut file: File, diff_id: &Digest, store: &Store) -> Result<Content, BuildError> {
    let mut start = Vec::new();
    file.by_ref().take(6).read_to_end(&mut start)?;
    let compression = Compression::from_magic(&start);
    let whole = BufReader::with_capacity(BUFFER, io::Cursor::new(start).chain(file));
    let mut tar = Bounded::new(decoder(compression, whole)?, Limits::default().bytes);
    let content = store.put(&mut tar)?;
    if content.digest == *diff_id {
        return Ok(content);
    }
    Err(BuildError::OtherLayer { wanted: *diff_id, found: content.digest })
}
