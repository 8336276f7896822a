//! The user's configuration: `config.toml`.

mod caches;

use std::{
    collections::BTreeMap,
    num::NonZero,
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde::{Deserialize, Deserializer, de};

pub(super) use caches::CacheEntry;

use super::problem::{Failure, Problem};
use crate::{
    fetch::Registry,
    serve,
    trust::{KeyId, PublicKey},
};

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
///
/// [[caches]]                      # who may have made things already; all but url may be left out
/// url = "s3://bucket/prefix"      # or https://HOST/PATH, oci://REGISTRY/REPOSITORY, file:///DIRECTORY
/// priority = 10                   # the lower, the earlier it is asked
/// inputs = true                   # ask it for packages and layers too, before their mirrors
/// endpoint = "https://s3.example" # of an S3 store, and its region
/// region = "eu-west-1"
/// token-file = "FILE"             # what a web server is shown
/// keys = ["lab-d:BASE64"]         # count for what this cache has, besides those of [trust]
/// need = 1                        # how many must agree on what it has
///
/// [trust]                         # whose word counts for what was built elsewhere
/// keys = ["lab-a:BASE64", "lab-b:BASE64", "lab-c:BASE64"]
/// revoked = ["0123456789abcdef"]  # keys or their ids: do not count, whoever lists them
/// need = 2                        # how many must agree; one, if not given
///
/// [trust.recipes."linux-6.1"]     # what goes for a recipe instead
/// need = 3
/// keys = ["lab-a:BASE64"]         # only these of the trusted keys count, if given
///
/// [sign]
/// key = "FILE"                    # signs what is built here, as `vsbuild key generate` wrote it
///
/// [serve]                         # how `vsbuild cache serve` serves: see serve::Config
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
    /// Who may have made things already.
    pub(super) caches: Vec<CacheEntry>,
    /// Whom to believe.
    pub(super) trust: Trust,
    /// What to sign with.
    pub(super) sign: Sign,
    /// How a cache is served.
    pub(super) serve: serve::Config,
}

/// Whom to believe of what was built elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Trust {
    /// Keys whose statements count.
    pub(super) keys: Vec<PublicKey>,
    /// Keys that do not count any more.
    pub(super) revoked: Vec<Which>,
    /// How many must agree.
    pub(super) need: Option<NonZero<usize>>,
    /// What goes for a recipe instead.
    pub(super) recipes: BTreeMap<String, TrustRule>,
}

/// What one recipe needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TrustRule {
    /// How many must agree.
    pub(super) need: Option<NonZero<usize>>,
    /// Which of the trusted keys count.
    pub(super) keys: Option<Vec<Which>>,
}

/// Which key, written as its id or as the key itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Which(pub(super) KeyId);

impl<'de> Deserialize<'de> for Which {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let id = match text.parse::<PublicKey>() {
            Ok(key) => Ok(key.id()),
            Err(_) => text.parse::<KeyId>(),
        };
        id.map(Self).map_err(de::Error::custom)
    }
}

/// What to sign with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Sign {
    /// The file of a secret key, from the directory of the configuration file.
    pub(super) key: Option<PathBuf>,
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
        let mut config: Self = toml::from_str(&text).map_err(|error| {
            Problem::new(
                Failure::Input,
                format!("{}: {}", path.display(), error.to_string().trim()),
            )
        })?;
        let tokens = config.caches.iter_mut().filter_map(|cache| cache.token_file.as_mut());
        for file in tokens.chain(config.sign.key.as_mut()).chain(config.serve.files_mut()) {
            *file = path.parent().map_or_else(|| file.clone(), |dir| dir.join(&*file));
        }
        Ok(config)
    }
}
