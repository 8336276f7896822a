//! Debian's formats: binary packages, package indexes, and dpkg's database of what is installed.
//!
//! A package is never installed in the sense of dpkg: its files and its records become a tree, and its maintainer
//! scripts are not run and not kept. What dpkg and scanners read in the guest is as if dpkg had installed it:
//!
//! ```text
//! var/lib/dpkg/info/format             the layout of this directory: 1
//! var/lib/dpkg/info/NAME[:ARCH].list   the paths of the package; :ARCH for `Multi-Arch: same`
//! var/lib/dpkg/info/NAME[:ARCH].*      its control files but `control` and the scripts
//! var/lib/dpkg/status.d/NAME[:ARCH]    its paragraph of var/lib/dpkg/status, see [`database`]
//! ```

pub mod control;
pub mod copyright;
pub mod index;
mod merged;
mod package;
mod records;
pub mod relation;
pub mod release;
mod status;
#[cfg(test)]
mod tests;

/// Version of the way in which a package becomes a tree. Whoever changes it raises this, and every package is read anew.
pub const FORMAT: u32 = 1;

pub use merged::{NotMergeable, merged_usr};
pub use package::{Error, MultiArch, Package, read};
pub use status::{StatusError, database, status};
