//! What the user wrote: the TOML files, read, inherited and checked.
//!
//! Each file goes through three forms: as typed (`schema`), with what it inherits (`inherit`), and as meant (`check`
//! makes the types of `model`). Every mistake in every file is reported at once, with its place.

mod capability;
mod check;
mod container;
mod erratum;
mod image;
mod inherit;
mod model;
mod name;
mod problem;
mod rootfs;
mod schema;
#[cfg(test)]
mod tests;
mod value;
mod walk;
mod written;

use std::collections::{BTreeMap, BTreeSet};

pub use capability::{Capabilities, NotCapabilities};
pub use container::{
    Field, Function, Generator, Invoke, OciImage, Origin, Preload, Reference, Reply,
};
pub use erratum::Erratum;
pub use image::{Disk, Image, Layout, Run, Size, Table};
pub use model::{Architecture, Build, Input, Kernel, Kind, Packages, Recipe, Recipes, Suite};
pub use name::{Library, NAME_MAX, Name, NotAName, Source};
pub use problem::{Problem, Problems};
pub use rootfs::{
    Attributes, DeviceKind, DeviceNode, Directory, File, FileContent, Group, Owner, Rootfs,
    RootfsLayer, User,
};
pub use value::is_package_name;
pub use written::written_in;

/// Reads all recipes of a project and of what comes with vsbuild; a file's name without `.toml` is the recipe's.
pub fn load(texts: &BTreeMap<Source, String>) -> Result<Recipes, Problems> {
    let report = walk::Report::default();
    let typed = schema::read(texts, &report);
    let inherited = inherit::apply(&typed, &report);
    let names: BTreeSet<&Name> = typed.keys().collect();
    let recipes = check::all(&inherited, &names, &report);
    let problems = report.finish();
    if problems.is_empty() { Ok(recipes) } else { Err(Problems(problems)) }
}
