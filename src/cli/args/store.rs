//! What can be typed after `store`.

use clap::{Args, Subcommand};

use super::size::size;

/// `store`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Store {
    /// List what is in it.
    Ls,
    /// Print the path of a blob or tree.
    Path {
        /// Its digest.
        digest: String,
    },
    /// Check every byte; what is damaged is put aside, and built again when it is needed.
    Verify,
    /// Remove what no root needs.
    ///
    /// Images are roots, and so are pins: what they are made of stays. What only `build` made goes, and packages, unfinished
    /// downloads and the sandboxes of failed builds; what is needed again is fetched or built again.
    Gc(Collect),
    /// List the roots: what gc keeps.
    Roots {
        /// Let gc have what this root keeps.
        #[arg(long, value_name = "ROOT")]
        remove: Option<String>,
    },
    /// Say which root keeps something.
    Why {
        /// Its digest.
        digest: String,
    },
    /// Forget what a derivation came to, so that what it comes to next is believed.
    Forget {
        /// The derivation's key, as `vsbuild show` and the message about a difference name it.
        key: String,
    },
    /// Keep what something is made of, whatever happens to the project; without a name, list the pins.
    Pin(Pin),
    /// Let gc have what a pin keeps.
    Unpin {
        /// The pinned image or recipe.
        name: String,
    },
}

/// `store gc`
#[derive(Debug, Args)]
pub(in crate::cli) struct Collect {
    /// Only say what would go.
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Spare what was made or used in the last so many days.
    #[arg(long, value_name = "DAYS")]
    pub(in crate::cli) older_than: Option<u32>,
    /// Remove the oldest first, and only until the rest takes no more than this: bytes, or a whole number with K, M, G or T.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(in crate::cli) max_size: Option<u64>,
}

/// `store pin`
#[derive(Debug, Args)]
pub(in crate::cli) struct Pin {
    /// The image or recipe, which is made already. A later pin of the same name takes the place of an older one.
    #[arg(requires = "reason")]
    pub(in crate::cli) name: Option<String>,
    /// Why it is kept, such as the name of a paper.
    #[arg(long, requires = "name", value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
}
