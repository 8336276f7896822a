//! Fitness: what gem5 gets wrong, and where an image has it.

mod faults;

pub use faults::{Count, Fault, Faults, Harm, Memory, Pattern, Wrong};
