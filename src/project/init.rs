use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::{Path, PathBuf},
};

use fs_err as fs;

use super::{Error, LOCKFILE, shipped_lock, shipped_texts};
use crate::{
    lock::{self, Lock},
    path::GuestPath,
    recipe::{self, Kind, Library, Name, Recipes, Source},
};

/// Makes a lab's own project in `dir`: a recipe that extends the shipped image `base`, and a lockfile that covers it.
///
/// Gives the paths of the files made. If one of them is there already, nothing is written.
pub fn init(dir: &Path, base: &str) -> Result<Vec<PathBuf>, Error> {
    let files = draft(base, shipped_texts(), &shipped_lock()?)?;
    let paths: Vec<PathBuf> = files.iter().map(|(path, _)| dir.join(path)).collect();
    if let Some(path) = paths.iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(Error::Exists { path: path.clone() });
    }
    for (path, (_, text)) in paths.iter().zip(&files) {
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        // Somebody else may have been faster, and keeps what he made.
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(path)?;
        file.write_all(text.as_bytes())?;
    }
    Ok(paths)
}

/// The files of a new project, by path.
pub(super) fn draft(
    base: &str,
    mut texts: BTreeMap<Source, String>,
    shipped: &Lock,
) -> Result<Vec<(String, String)>, Error> {
    let recipes = recipe::load(&texts)?;
    let base = image(&recipes, base)?;
    let path = format!("recipes/my-{base}.toml");
    let text = TEMPLATE.replace("BASE", base.as_str());
    let file = GuestPath::new(&path).map(|path| Source { library: Library::Project, path });
    if let Ok(file) = file {
        texts.insert(file, text.clone());
    }
    let lock = lock_for(&recipe::load(&texts)?, &format!("my-{base}"), shipped);
    Ok(vec![
        (path, text),
        (LOCKFILE.to_owned(), lock.to_text()),
        (".gitignore".to_owned(), "/out\n/runs\n".to_owned()),
    ])
}

fn image(recipes: &Recipes, wanted: &str) -> Result<Name, Error> {
    let images = recipes.iter().filter(|recipe| matches!(recipe.kind, Kind::Image(_)));
    let mut known: Vec<&Name> = images.map(|recipe| &recipe.name).collect();
    match known.iter().position(|name| name.as_str() == wanted) {
        Some(place) => Ok(known.swap_remove(place).clone()),
        None => Err(Error::NoImage {
            name: wanted.to_owned(),
            known: known.into_iter().map(Name::to_string).collect(),
        }),
    }
}

/// What `shipped` says about the package sets of an image, and the images of containers in it. A set that is asked exactly as a shipped one has its answer,
/// so that a new project needs no network to be whole.
fn lock_for(recipes: &Recipes, image: &str, shipped: &Lock) -> Lock {
    let goal: Option<Name> = image.parse().ok();
    let closure = recipes.closure(&goal);
    let mut lock = shipped.clone();
    let mut needed: BTreeSet<Name> = closure.iter().map(|name| (*name).clone()).collect();
    for (name, asked) in closure.iter().filter_map(|name| recipes.get(name)?.package_set()) {
        let same = |set: &&Name| lock::stale(shipped, (*set).clone(), asked).is_none();
        let known = std::iter::once(&name).chain(shipped.sets.keys()).find(same);
        if let Some(set) = known.and_then(|known| shipped.sets.get(known)) {
            lock.sets.insert(name.clone(), set.clone());
            needed.insert(name);
        }
    }
    lock.only(&needed)
}

const TEMPLATE: &str = r#"# An image of your own: everything of `BASE`, and what this file adds or changes.
#
#   vsbuild lock              pins what is new here (again after each change of `packages`)
#   vsbuild image my-BASE     builds out/my-BASE/: disk.img, vmlinux, bzImage, manifest.json
#   vsbuild run my-BASE       boots it in QEMU
#   vsbuild recipes           lists all that can be built or extended
#
# A single value stands in place of the one in `BASE`; lists are added to; tables are merged by key.
kind = "image"
description = "BASE, as our lab needs it"
extends = "BASE"

# The kernel's command line, if not that of `BASE`.
#cmdline = "console=ttyS0"

[disk]
# Space for what the guest writes. Or `size`, for a file system of exactly that size.
free = "256M"

[rootfs]
# Debian packages; what they depend on comes with them. Run `vsbuild lock` afterwards.
#packages = ["strace"]
# Packages of `BASE` that are not wanted.
#exclude = []
# Paths to take out, with all below them.
#remove = ["/usr/share/locale"]

[rootfs.files."/etc/motd"]
text = "Built from my-BASE.\n"

# A file beside this recipe.
#[rootfs.files."/usr/local/bin/start"]
#source = "start.sh"
#mode = "0755"

# Symbols of the kernel's configuration. A symbol that Kconfig drops is an error, never silently lost.
#[kernel.symbols]
#CONFIG_TUN = true

# How `vsbuild run` boots it.
#[run]
#memory = "2G"
#cores = 2
#timeout = "10m"
"#;
