//! Arguments of what concerns caches.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Subcommand};

use super::examples::SERVE_EXAMPLES;
use crate::serve::Size;

/// `cache`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Cache {
    /// Serve a directory as a cache, for a lab.
    ///
    /// Whoever may read gets what is there; who may write sends more, and nothing is kept that is not what its name says:
    /// bytes by their digest, statements by the signature of a key that is listed. Without tokens nobody can write. All options
    /// can stand in the table [serve] of the configuration file, and some only there: see docs/serve.md. SIGTERM stops the server
    /// when the requests under way have ended; SIGHUP has it read tokens and certificate and open its log again.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<Serve>),
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
