use std::collections::BTreeMap;

use super::{Error, LOCKFILE, RECIPES};
use crate::{
    lock::Lock,
    path::GuestPath,
    recipe::{Library, Source},
};

/// One file that is part of the program.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) executable: bool,
    pub(super) bytes: &'static [u8],
}

/// All files that ship, in the order of their paths within a directory.
pub(super) const FILES: &[File] = &include!(concat!(env!("OUT_DIR"), "/shipped.rs"));

/// The texts of the recipes that come with vsbuild.
pub fn shipped_texts() -> BTreeMap<Source, String> {
    let recipes = FILES.iter().filter_map(|file| {
        let (directory, name) = file.path.rsplit_once('/')?;
        let recipe = RECIPES.contains(&directory) && name.ends_with(".toml");
        let path = GuestPath::new(file.path).ok().filter(|_| recipe)?;
        let text = String::from_utf8_lossy(file.bytes).into_owned();
        Some((Source { library: Library::Shipped, path }, text))
    });
    recipes.collect()
}

/// The fixed configuration of gem5 that comes with vsbuild: every file below `harness/`, by its path in there.
pub fn shipped_harness() -> BTreeMap<&'static str, &'static [u8]> {
    let below = |file: &File| Some((file.path.strip_prefix("harness/")?, file.bytes));
    FILES.iter().filter_map(below).collect()
}

/// The lockfile that comes with vsbuild; empty if there is none.
pub fn shipped_lock() -> Result<Lock, Error> {
    let Some(file) = FILES.iter().find(|file| file.path == LOCKFILE) else {
        return Ok(Lock::default());
    };
    let text = String::from_utf8_lossy(file.bytes);
    Lock::parse(&text).map_err(|bad| Error::lock(format!("vsbuild:{LOCKFILE}").into(), &text, bad))
}
