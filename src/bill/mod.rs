//! Bills of material of an image: SPDX and CycloneDX.
//!
//! First a [`Bill`] is gathered from the plan, from what its steps came to and from the packages themselves; it knows
//! neither form. Then it is written as [`spdx`] or as [`cyclonedx`]. No clock and no chance: the time is the image's
//! epoch, and every element is named by what it is made from, so that one image has one bill, wherever it is written.

mod cyclonedx;
mod gather;
mod licence;
mod loose;
mod model;
mod package;
mod spdx;
#[cfg(test)]
mod tests;

pub use cyclonedx::cyclonedx;
pub use gather::{Error, Subject, gather, inside};
pub use licence::{Extracted, Licences};
pub use model::{Bill, Component, Id, Kind, Link, LooseFile, Origin, Relation, Supplier};
pub use spdx::spdx;
