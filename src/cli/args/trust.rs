//! Arguments of who says what was built, and who believes it.

use std::path::PathBuf;

use clap::Subcommand;

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
