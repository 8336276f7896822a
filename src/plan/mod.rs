//! Recipe plus lock become a graph of derivations, each with its key.
//!
//! A [`Plan`] is a function of recipes, lockfile and local sources alone: it is the same on every machine and says
//! nothing about what is built already. Its steps name their inputs by [`StepId`]; only when the outputs of all
//! inputs are known by digest does a step have a [`Key`]. So an input that was built anew but came out the same
//! changes no key above it, and nothing above it is built again. Before that a step has a [plan key](Plan::plan_keys), by which
//! others are asked about it.

mod container;
mod derivation;
mod function;
mod graph;
mod guest;
mod key;
mod lower;
mod plan_key;
mod shape;

pub use container::{Container, Function, ImageFrom, OciImage, Preload};
pub use derivation::{
    Attributes, Derivation, Disk, Entry, Errata, Fetch, FetchFrom, FileContent, Layer, Packages,
    Rootfs, Run, RunInput, Size, Unpack,
};
pub use graph::{ImagePlan, Input, Plan, Step, StepId, Through};
pub use key::{FORMAT, Key};
pub use lower::{Fault, SourceTree, lower, needed_sources};
pub use plan_key::PLAN_KEY_FORMAT;
