//! Arguments of what is taken from others.

use clap::Args;

use crate::{remote::Address, trust::PublicKey};

/// Whom to ask for what is made already, before it is made here.
#[derive(Debug, Args)]
pub(in crate::cli) struct Substitute {
    /// Ask this cache too, before those of the configuration file; may be given several times.
    #[arg(
        long = "substituter",
        global = true,
        value_name = "URL",
        conflicts_with = "no_substitute",
        help_heading = "Global options"
    )]
    pub(in crate::cli) substituters: Vec<Address>,
    /// Believe what this key says too, besides those of the configuration file; may be given several times.
    #[arg(
        long = "trusted-key",
        global = true,
        value_name = "NAME:BASE64",
        help_heading = "Global options"
    )]
    pub(in crate::cli) trusted_keys: Vec<PublicKey>,
    /// Ask no cache: make all that is not here.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(in crate::cli) no_substitute: bool,
}
