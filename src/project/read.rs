use std::{
    collections::BTreeMap,
    io::Read,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde::Deserialize;

use super::{Error, LOCKFILE, RECIPES, SETTINGS, VENDOR, ignore::is_ignored, shipped_texts};
use crate::{
    lock::Lock,
    path::GuestPath,
    recipe::{Library, Source},
};

/// The largest recipe that is read, in bytes.
const RECIPE_MAX: u64 = 1 << 20;
/// The largest lockfile that is read, in bytes.
const LOCKFILE_MAX: u64 = 64 << 20;

/// A user's folder, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Where it lies, as an absolute path.
    pub root: PathBuf,
    /// The texts of its recipes and of those that come with vsbuild.
    pub texts: BTreeMap<Source, String>,
    /// Its lockfile; empty if there is none yet.
    pub lock: Lock,
}

/// `vsbuild.toml`: what a project says about itself. It may be left out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Whether the recipes that come with vsbuild can be used by name. A project that keeps a copy of all of them says
    /// no, and then depends on no version of them but its own.
    #[serde(default = "yes")]
    shipped: bool,
    /// The directory of the project that has its inputs: `vendor` if not given.
    vendor: Option<String>,
}

fn yes() -> bool {
    true
}

impl Project {
    /// Finds and reads the project that `start` lies in: the nearest directory, `start` itself first, that holds a
    /// lockfile, settings or recipes.
    pub fn find(start: &Path) -> Result<Self, Error> {
        let start = fs::canonicalize(start)?;
        let root = start.ancestors().find(|dir| is_project(dir));
        Self::read(root.ok_or_else(|| Error::NoProject { start: start.clone() })?)
    }

    /// Reads the project at `root`.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let settings = settings(&root.join(SETTINGS))?;
        let mut texts = if settings.shipped { shipped_texts() } else { BTreeMap::new() };
        for directory in RECIPES {
            read_recipes(root, directory, &mut texts)?;
        }
        let path = root.join(LOCKFILE);
        let lock = match read_text(&path, LOCKFILE_MAX)? {
            Some(text) => Lock::parse(&text).map_err(|bad| Error::lock(path, &text, bad))?,
            None => Lock::default(),
        };
        Ok(Self { root: root.to_owned(), texts, lock })
    }
}

/// The directory in which the project that `start` lies in keeps its inputs, whether it is there or not; none if there is no
/// project.
pub fn vendor_dir(start: &Path) -> Result<Option<PathBuf>, Error> {
    let start = fs::canonicalize(start)?;
    let Some(root) = start.ancestors().find(|dir| is_project(dir)) else { return Ok(None) };
    let path = root.join(SETTINGS);
    let name = settings(&path)?.vendor.unwrap_or_else(|| VENDOR.to_owned());
    match GuestPath::new(&name) {
        Ok(inside) if !inside.is_root() => Ok(Some(root.join(name))),
        _ => Err(Error::BadSettings {
            path,
            message: format!("`vendor` is a directory inside the project, not {name:?}"),
        }),
    }
}

fn is_project(dir: &Path) -> bool {
    let is_file = |name| dir.join(name).is_file();
    is_file(LOCKFILE) || is_file(SETTINGS) || dir.join(RECIPES[0]).is_dir()
}

fn settings(path: &Path) -> Result<Settings, Error> {
    let text = read_text(path, RECIPE_MAX)?.unwrap_or_default();
    toml::from_str(&text).map_err(|error| Error::BadSettings {
        path: path.to_owned(),
        message: error.message().to_owned(),
    })
}

fn read_recipes(
    root: &Path,
    directory: &str,
    texts: &mut BTreeMap<Source, String>,
) -> Result<(), Error> {
    let path = root.join(directory);
    if !path.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(&path)? {
        let name = entry?.file_name();
        let path = path.join(&name);
        let is_recipe = name.as_bytes().ends_with(b".toml") && !name.as_bytes().starts_with(b".");
        if !is_recipe || is_ignored(name.as_bytes(), false) {
            continue;
        }
        if let Some(text) = read_text(&path, RECIPE_MAX)? {
            let joined = GuestPath::new(directory).and_then(|path| path.join(name.as_bytes()));
            let library = Library::Project;
            let source = joined.map(|path| Source { library, path });
            let source = source.map_err(|bad| {
                let source_path = Source { library, path: GuestPath::root() };
                Error::BadName { source_path, source: bad }
            })?;
            texts.insert(source, text);
        }
    }
    Ok(())
}

/// The text of a file; none if it is not there.
fn read_text(path: &Path, limit: u64) -> Result<Option<String>, Error> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(Error::TooLarge { path: path.to_owned(), limit });
    }
    let text = String::from_utf8(bytes).map_err(|_| Error::NotText { path: path.to_owned() })?;
    Ok(Some(text))
}
