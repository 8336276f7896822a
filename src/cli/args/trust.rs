//! Arguments of who says what was built, and who believes it.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::remote::Address;

/// `key`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Key {
    /// Make a key, and print its public part.
    ///
    /// The secret part goes into a file that nobody else can read. Name the file as `key` in the table [sign] of the
    /// configuration file, and what is built here is signed when it is pushed. Others name the public part in `keys` of their
    /// table [trust].
    Generate {
        /// Whose key it is: a lab, a machine. Letters, digits, `.`, `-` and `_`.
        name: String,
        /// The file to make. $XDG_CONFIG_HOME/vsbuild/key, if not given.
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Print the public part of a key.
    Public {
        /// The file of the secret part. As the configuration says, if not given, or else $XDG_CONFIG_HOME/vsbuild/key.
        file: Option<PathBuf>,
    },
}

/// `challenge`
#[derive(Debug, Args)]
pub(in crate::cli) struct Challenge {
    /// The cache: a directory, file://, https://, s3:// or oci://.
    #[arg(value_name = "URL")]
    pub(in crate::cli) cache: Address,
    /// What to compare, with all that it is made of. All images that the lockfile has hashes of, if not given.
    #[arg(value_name = "NAME")]
    pub(in crate::cli) names: Vec<String>,
    /// Build it again from its inputs first, in another store and under other conditions, and compare that.
    #[arg(long)]
    pub(in crate::cli) rebuild: bool,
    /// Where to build again: a directory, best on another file system. In the store, if not given.
    #[arg(long, requires = "rebuild", value_name = "DIR")]
    pub(in crate::cli) scratch: Option<PathBuf>,
}
