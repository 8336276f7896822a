//! Arguments of what hands an image on: its bill of material.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `sbom`
#[derive(Debug, Args)]
pub(in crate::cli) struct Sbom {
    /// The recipe, as `vsbuild recipes` lists it: an image, mostly.
    pub(in crate::cli) name: String,
    /// In which form.
    #[arg(long, value_enum, default_value = "spdx")]
    pub(in crate::cli) format: SbomFormat,
    /// Where to put it. On standard output, if not given.
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) out: Option<PathBuf>,
}

/// Forms of a bill of material.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum SbomFormat {
    /// SPDX 2.3, as JSON.
    Spdx,
    /// CycloneDX 1.6, as JSON.
    Cyclonedx,
}
