//! The user's folder: finds it, reads it, turns its files into values.
//!
//! A project holds recipes in `recipes/` and `kernels/`, a lockfile, and perhaps settings in `vsbuild.toml`. What comes
//! with vsbuild lies inside the program, and is used by name from every project that does not keep its own copy.

mod error;
mod ignore;
mod init;
mod read;
mod shipped;
mod sources;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use init::init;
pub use read::Project;
pub use shipped::{shipped_harness, shipped_lock, shipped_texts};
pub use sources::sources;

/// The name of a project's lockfile.
pub const LOCKFILE: &str = "lockfile.toml";
/// The name of a project's settings: `shipped = false` for one that keeps its own copy of all recipes.
pub const SETTINGS: &str = "vsbuild.toml";
/// The directories that hold recipes: files `NAME.toml` right in them.
pub const RECIPES: [&str; 2] = ["recipes", "kernels"];
