//! A package as a tree, /usr merged.

use std::io::BufReader;

use super::BuildError;
use crate::{digest::Digest, formats::deb, plan::Unpack, store::Store, tree::Tree};

/// Bytes of a package that are read at once.
const BUFFER: usize = 256 << 10;

/// Reads a package straight into the store.
pub(in crate::realise) fn build(
    unpack: &Unpack<Digest>,
    store: &Store,
) -> Result<Tree, BuildError> {
    let file = store.blob_file(&unpack.package)?;
    let package = deb::read(BufReader::with_capacity(BUFFER, file), store)?;
    Ok(deb::merged_usr(package.tree, &package.name)?)
}
