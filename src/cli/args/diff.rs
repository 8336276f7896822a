//! Arguments of `diff`.

use std::num::NonZero;

use clap::{Args, ValueEnum};

use crate::compare::Field;

/// `diff`
#[derive(Debug, Args)]
pub(in crate::cli) struct Diff {
    /// A recipe of this project, DIR#NAME for one of another project, a raw disk (DISK#N: its partition N), a directory, a lockfile,
    /// an image's manifest.json or directory, any other file, or the digest of a tree or key of the store.
    pub(in crate::cli) a: String,
    /// What to compare it with, likewise.
    pub(in crate::cli) b: String,
    /// How many lines to show of each text that differs.
    #[arg(long, value_name = "N", default_value = "20")]
    pub(in crate::cli) lines: NonZero<usize>,
    /// Show everything, however long it is.
    #[arg(long, conflicts_with = "lines")]
    pub(in crate::cli) all: bool,
    /// What of files does not count.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "FIELD")]
    pub(in crate::cli) ignore: Vec<Ignored>,
    /// Compare the bytes of file systems even where their files differ.
    #[arg(long)]
    pub(in crate::cli) structures: bool,
}

/// What may be ignored of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Ignored {
    /// Permission bits.
    Mode,
    /// Owner and group.
    Owner,
    /// Times.
    Time,
    /// Extended attributes.
    Xattrs,
    /// Which names are one file.
    Links,
}

impl From<Ignored> for Field {
    fn from(ignored: Ignored) -> Self {
        match ignored {
            Ignored::Mode => Self::Mode,
            Ignored::Owner => Self::Owner,
            Ignored::Time => Self::Time,
            Ignored::Xattrs => Self::Xattrs,
            Ignored::Links => Self::Links,
        }
    }
}
