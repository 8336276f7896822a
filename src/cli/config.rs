//! The user's configuration: `config.toml`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde::Deserialize;

use super::problem::{Failure, Problem};
use crate::fetch::Registry;

/// What may stand in the configuration file. All of it is optional.
///
/// ```toml
/// gem5 = "/opt/gem5/build/X86/gem5.opt"   # what simulates
///
/// [mirrors]                       # archive = servers that hold it, tried in this order
/// debian = ["http://mirror.example/debian"]
///
/// [registries."registry.example"]  # a registry by the name in its images' references
/// mirrors = ["https://mirror.example"]
/// server = "https://registry.example"
/// plain-http = false
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    /// gem5's program.
    pub(super) gem5: Option<PathBuf>,
    /// Servers by archive.
    pub(super) mirrors: BTreeMap<String, Vec<String>>,
    /// What is said of registries of images.
    pub(super) registries: BTreeMap<String, Registry>,
}

impl Config {
    /// Reads the file; if it is not there and `required` is not set, there is no configuration.
    pub(super) fn read(path: &Path, required: bool) -> Result<Self, Problem> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if !required && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(Problem::from_error(Failure::Input, &error)),
        };
        toml::from_str(&text).map_err(|error| {
            Problem::new(
                Failure::Input,
                format!("{}: {}", path.display(), error.to_string().trim()),
            )
        })
    }
}
