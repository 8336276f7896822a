use std::{num::NonZero, path::PathBuf};

use serde::Deserialize;

use crate::{remote::Address, trust::PublicKey};

/// A cache that is asked for what others have made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::cli) struct CacheEntry {
    /// Where it is.
    pub(in crate::cli) url: Address,
    /// The lower, the earlier it is asked; of one priority, in the order of the file.
    #[serde(default)]
    pub(in crate::cli) priority: i32,
    /// Whether it is asked for packages and layers before their mirrors are.
    #[serde(default)]
    pub(in crate::cli) inputs: bool,
    /// Where an S3 store is, `https://HOST[:PORT]`; as the environment says, if not given.
    pub(in crate::cli) endpoint: Option<String>,
    /// In which region of it.
    pub(in crate::cli) region: Option<String>,
    /// The file of the token that a web server is shown, from the directory of the configuration file.
    pub(in crate::cli) token_file: Option<PathBuf>,
    /// Keys that count for what this cache has, besides those of `[trust]`.
    #[serde(default)]
    pub(in crate::cli) keys: Vec<PublicKey>,
    /// How many must agree on what this cache has, before it counts at all.
    pub(in crate::cli) need: Option<NonZero<usize>>,
}
