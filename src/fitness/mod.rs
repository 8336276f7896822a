//! Fitness: what gem5 gets wrong, and where an image has it.
//!
//! [`Faults`] is the table of what a version of gem5 is known to compute wrongly; [`lint`] says before hours are spent whether
//! an image can run there: kernel, disk, memory, init, and every program and library in it, disassembled by [`Scanner`].

pub mod conformance;
mod faults;
mod guest;
mod kernel;
mod lint;
mod programs;
mod scan;
#[cfg(test)]
mod tests;
mod touched;
pub mod trial;
mod whose;

pub use faults::{BadTable, Count, Fault, Faults, Harm, Memory, Pattern, Wrong};
pub use lint::{Error, Finding, Level, Linted, Subject, lint};
pub use scan::{Family, Found, Places, Scanner, is_variant};
pub use touched::touched;
