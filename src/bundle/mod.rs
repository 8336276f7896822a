//! An artifact in one file: everything that is needed to build and verify without a network.
//!
//! A bundle is a tar archive with a project and, in the project's directory `vendor`, a cache with all inputs, and perhaps with
//! what was made of them. Unpacked by any program it is a project that builds; [`unpack`] checks all of it on the way. The
//! archive holds what its [`Manifest`] says, in that order, and nothing else: so the same content is always the same bytes,
//! and what is not as it should be is noticed where it stands.
//!
//! [`Vendor`] is the same directory of inputs in a project that is no bundle.

mod claim;
mod error;
mod manifest;
mod pack;
mod readme;
#[cfg(test)]
mod tests;
mod unpack;
mod vendor;

pub use error::Error;
pub use manifest::{About, BadManifest, Goal, MANIFEST, Manifest};
pub use pack::{Packing, Piece, Written};
pub use unpack::{look, unpack};
pub use vendor::{State, Vendor};

use crate::{
    path::GuestPath,
    tree::{Meta, Time},
};

/// The directory that everything in the archive lies in.
const TOP: &str = "artifact";
/// What says how a bundle is used.
const README: &str = "README";
/// The directory with inputs and outputs, as a project has it that says nothing else.
const VENDOR: &str = "vendor";
/// The directory with files of images.
const OUT: &str = "out";
/// The time of everything in a bundle: 2023-06-10 00:00 UTC.
const MTIME: i64 = 1_686_355_200;

/// What files, directories and links in a bundle have.
fn meta(mode: u16) -> Meta {
    Meta::root_owned(mode, Time::from_seconds(MTIME))
}

/// Whether a symbolic link at `path` leads out of the directory that all paths are in, or may.
///
/// What is above it are directories, so that `..` at the beginning climbs these. Behind a name, which may be a link to
/// anywhere inside, nobody can tell from the text where `..` leads.
fn leads_out(path: &GuestPath, target: &[u8]) -> bool {
    let mut depth = path.components().count().saturating_sub(1);
    if target.starts_with(b"/") {
        return true;
    }
    let mut named = false;
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => (),
            b".." if named => return true,
            b".." => match depth.checked_sub(1) {
                Some(up) => depth = up,
                None => return true,
            },
            _ => named = true,
        }
    }
    false
}
