//! Arguments of what concerns caches.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand};

use super::{
    examples::{CACHE_GC_EXAMPLES, PULL_EXAMPLES, PUSH_EXAMPLES, SERVE_EXAMPLES},
    size::{seconds, size},
};
use crate::{remote::Address, serve::Size};

/// `cache`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Cache {
    /// Send what was made here.
    ///
    /// What the cache has is not sent again. What was made here is signed with the key of the configuration; what was taken from
    /// others goes with their statements. A disk is not sent: whoever takes an image lays it out. A push that was broken off
    /// goes on where it was. --jobs says how many packs are under way at once; 8, if not given.
    #[command(after_help = PUSH_EXAMPLES)]
    Push(Push),
    /// Bring what others have made into the store, and make nothing.
    ///
    /// It counts by the keys that are trusted, as in a build. A pull that was broken off goes on where it was.
    #[command(after_help = PULL_EXAMPLES)]
    Pull(Pull),
    /// List how much there is, who signed how many statements, and what is pinned.
    Ls {
        /// The cache: a directory, file://, http://, https://, s3:// or oci://.
        address: Address,
    },
    /// Remove what neither a statement nor a pin leads to.
    ///
    /// What came in the last day stays, since a push may go on that was broken off. While somebody pushes nothing is removed.
    #[command(after_help = CACHE_GC_EXAMPLES)]
    Gc(CollectCache),
    /// Keep what something is made of in a cache, whatever else is removed there.
    Pin(PinCache),
    /// Let a cache remove what a pin keeps.
    Unpin {
        /// The cache.
        address: Address,
        /// The pinned image or recipe.
        name: String,
    },
    /// Serve a directory as a cache, for a lab.
    ///
    /// Whoever may read gets what is there; who may write sends more, and nothing is kept that is not what its name says:
    /// bytes by their digest, statements by the signature of a key that is listed. Without tokens nobody can write. All options
    /// can stand in the table [serve] of the configuration file, and some only there: see docs/serve.md. SIGTERM stops the server
    /// when the requests under way have ended; SIGHUP has it read tokens and certificate and open its log again.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<Serve>),
}

/// `cache push`
#[derive(Debug, Args)]
pub(in crate::cli) struct Push {
    /// What to send: images or other recipes, which are made already.
    #[arg(required = true, value_name = "NAME")]
    pub(in crate::cli) names: Vec<String>,
    /// Where to: a directory, file://, http://, https://, s3:// or oci://.
    #[arg(long, value_name = "ADDRESS")]
    pub(in crate::cli) to: Address,
    /// Send the packages and layers too that it is made from, so that nobody needs their mirrors.
    #[arg(long)]
    pub(in crate::cli) with_inputs: bool,
    /// Send the disks of images too, in pieces and without their zeros.
    #[arg(long)]
    pub(in crate::cli) with_images: bool,
    /// Sign with the secret key in this file, not with that of the configuration.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) key: Option<PathBuf>,
}

/// `cache pull`
#[derive(Debug, Args)]
pub(in crate::cli) struct Pull {
    /// What to bring: images or other recipes.
    #[arg(required = true, value_name = "NAME")]
    pub(in crate::cli) names: Vec<String>,
    /// Where from: a directory, file://, http://, https://, s3:// or oci://.
    #[arg(long, value_name = "ADDRESS")]
    pub(in crate::cli) from: Address,
    /// Bring the packages and layers too that it is made from.
    #[arg(long)]
    pub(in crate::cli) with_inputs: bool,
    /// Bring the disks of images as they were sent, in place of laying them out.
    #[arg(long)]
    pub(in crate::cli) with_images: bool,
    /// Where to put disks and kernels: DIR/NAME/. `out` in the project, if not given.
    #[arg(short, long, value_name = "DIR", requires = "with_images")]
    pub(in crate::cli) out: Option<PathBuf>,
}

/// `cache gc`
#[derive(Debug, Args)]
pub(in crate::cli) struct CollectCache {
    /// The cache.
    pub(in crate::cli) address: Address,
    /// Remove statements that were sent longer ago than this, and what only they lead to: a whole number with h, d or w, such
    /// as 30d.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub(in crate::cli) older_than: Option<u64>,
    /// Remove the oldest first until the rest takes no more than this: bytes, or a whole number with K, M, G or T.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(in crate::cli) max_size: Option<u64>,
    /// Only say what would go.
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
}

/// `cache pin`
#[derive(Debug, Args)]
pub(in crate::cli) struct PinCache {
    /// The cache.
    pub(in crate::cli) address: Address,
    /// The image or recipe, which was sent already. A later pin of the same name takes the place of an older one.
    pub(in crate::cli) name: String,
    /// Why it is kept, such as the name of a paper.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: String,
}

/// `cache serve`
#[derive(Debug, Args)]
pub(in crate::cli) struct Serve {
    /// The directory. It is made if it is not there.
    pub(in crate::cli) dir: PathBuf,
    /// Where to listen. 127.0.0.1:8470, if not given; with port 0 the system chooses one.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(in crate::cli) listen: Option<SocketAddr>,
    /// Who may do what: a file with lines NAME TOKEN read|write|admin.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) tokens: Option<PathBuf>,
    /// Let only those read who show a token.
    #[arg(long)]
    pub(in crate::cli) private: bool,
    /// Keep statements of this key, besides those that are configured.
    #[arg(long = "key", value_name = "NAME:BASE64")]
    pub(in crate::cli) keys: Vec<String>,
    /// Keep not more than this, such as 500GiB.
    #[arg(long, value_name = "SIZE")]
    pub(in crate::cli) quota: Option<Size>,
    /// The certificate for TLS, with those between it and its authority, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(in crate::cli) tls_certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(in crate::cli) tls_key: Option<PathBuf>,
    /// Write a line a request into this file. To standard error, if not given.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) access_log: Option<PathBuf>,
}
