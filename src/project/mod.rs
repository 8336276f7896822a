//! The user's folder: finds it, reads it, turns its files into values.
//!
//! A project holds recipes in `recipes/` and `kernels/`, a lockfile, and perhaps settings in `vsbuild.toml`. What comes
//! with vsbuild lies inside the program, and is used by name from every project that does not keep its own copy.

mod error;
mod freeze;
mod ignore;
mod init;
mod read;
mod shipped;
mod sources;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use freeze::{freeze, names_of};
pub use init::init;
pub use read::{Project, vendor_dir};
pub use shipped::{shipped_harness, shipped_lock, shipped_texts};
pub use sources::sources;

/// The name of a project's lockfile.
pub const LOCKFILE: &str = "lockfile.toml";
/// The name of a project's settings: `shipped = false` for one that keeps its own copy of all recipes, `vendor = "DIR"` for one
/// that keeps its inputs in another directory of the project than [`VENDOR`].
pub const SETTINGS: &str = "vsbuild.toml";
/// The directory of a project that has inputs, if nothing else is said: a cache in a directory.
pub const VENDOR: &str = "vendor";
/// The directories that hold recipes: files `NAME.toml` right in them.
pub const RECIPES: [&str; 2] = ["recipes", "kernels"];
