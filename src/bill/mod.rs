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

/// A time in seconds since 1970 as both forms write it: `2023-06-10T00:00:00Z`.
fn time(seconds: i64) -> String {
    let (days, within) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years that begin in March, so that the day of the leap year is the last one (H. Hinnant, civil_from_days).
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, march) = (day - (153 * month + 2) / 5 + 1, month);
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    let (hour, minute, second) = (within / 3_600, within / 60 % 60, within % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
