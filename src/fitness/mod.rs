//! Fitness: what gem5 gets wrong, and where an image has it.

pub mod conformance;
mod faults;
pub mod trial;

pub use faults::{Count, Fault, Faults, Harm, Memory, Pattern, Wrong};
