//! Arguments of what makes a project whole: bundles, and inputs kept beside the recipes.

use std::path::PathBuf;

use clap::Args;

use crate::trust::KeyId;

/// `export`
#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    /// The recipes to be built of it, as `vsbuild recipes` lists them: images, mostly.
    #[arg(value_name = "NAME", required = true)]
    pub(in crate::cli) names: Vec<String>,
    /// The bundle: a tar archive. One that is there is replaced.
    #[arg(short, long, value_name = "FILE")]
    pub(in crate::cli) out: PathBuf,
    /// Only recipes and inputs, nothing of what was made of them: all is to be built.
    #[arg(long, conflicts_with_all = ["with_images", "key"])]
    pub(in crate::cli) source_only: bool,
    /// With the files of the images too, in out/NAME/, for whoever only wants to boot them.
    #[arg(long)]
    pub(in crate::cli) with_images: bool,
    /// Sign what was built here with this key. With that of the configuration, if not given.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) key: Option<PathBuf>,
}

/// `import`
#[derive(Debug, Args)]
pub(in crate::cli) struct Import {
    /// The bundle, as `vsbuild export` wrote it.
    #[arg(value_name = "FILE")]
    pub(in crate::cli) bundle: PathBuf,
    /// The directory to make: a project. The bundle's name without `.tar`, if not given.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) to: Option<PathBuf>,
    /// Believe what this key of the bundle signed, and take the outputs instead of building them; may be given several times.
    #[arg(long = "trust-bundle-key", value_name = "KEYID")]
    pub(in crate::cli) trusted: Vec<KeyId>,
}

/// `vendor`
#[derive(Debug, Args)]
pub(in crate::cli) struct Vendor {
    /// Only what these recipes need, and not all that the lockfile names.
    #[arg(value_name = "NAME")]
    pub(in crate::cli) names: Vec<String>,
    /// The directory. That of vsbuild.toml, if not given, or else `vendor` in the project.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) dir: Option<PathBuf>,
    /// Fetch nothing: read every file, and name what lacks or is damaged.
    #[arg(long, conflicts_with = "prune")]
    pub(in crate::cli) check: bool,
    /// Remove what the lockfile does not name any more, after the rest is there.
    #[arg(long, conflicts_with = "names")]
    pub(in crate::cli) prune: bool,
}
