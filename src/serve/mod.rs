//! A cache for a lab, over HTTP.
//!
//! Serves a directory in the layout `vsbuild-cache 1` (see [`Item`](crate::cache::Item)): anybody who may read gets files, whole or
//! in parts; who may write sends them, and nothing is kept that is not what its name says. Packs, trees and inputs stream through,
//! in memory that does not depend on how large they are. Hints, statements, pins and the trees of disks are read as a whole to
//! be checked: as many at once as there are cores, and none longer than `check.rs` says.
//!
//! ```text
//! GET, HEAD /NAME        a file; Range, If-None-Match and If-Range are understood
//! GET /?list=PREFIX      all names that begin with these parts, as JSON: [{"name","size","modified"}]
//! PUT /NAME              keeps a file, after it was checked
//! DELETE /NAME           removes it: administrators, and for marks in pushing/ whoever may write
//! GET /metrics           for Prometheus
//! GET /healthz           "ok"
//! ```
//!
//! Below DIR the server has `.staging/upload-*` (what is not whole yet, swept at the start), `.serve.lock` (one server a
//! directory), and on each file an extended attribute `user.vsbuild.by` that says whose token brought it.

mod access;
mod answer;
mod body;
mod check;
mod config;
mod desk;
mod error;
mod listen;
mod log;
mod metrics;
mod network;
mod range;
mod read;
mod server;
mod stall;
mod tokens;
mod upload;
mod usage;

pub use access::Right;
pub use config::{Config, Gc, Limits, Quota, Reading, Size, Tls};
pub use error::Error;
pub use network::Network;
pub use server::Server;
