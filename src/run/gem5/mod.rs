//! Runs an image on gem5, as vSwarm-u does it: boot and warm up functionally, take checkpoints, measure in detail.
//!
//! A run has up to three stages, each one start of gem5 with the fixed configuration in `harness/` ([`Leg`]): *boot* ends
//! when containerd is ready, *function* when the function is warm, *measure* when the guest has ended. What the first two
//! leave is a checkpoint. Every stage is a realisation in the store, under a key of all that it follows from, so a boot is
//! shared by all functions of an image and a warm function by all machines that it is measured on.
//!
//! gem5 itself is the user's ([`Program`]); its bytes are part of every key.

mod error;
mod event;
mod follow;
pub mod keys;
mod leg;
mod machine;
mod program;
mod stages;
mod stats;
mod words;

pub use error::Error;
pub use event::Event;
pub use follow::{Sign, Stop};
pub use leg::{Leg, Until};
pub use machine::{Cache, Cpu, Machine, Mistake, Setup, Statistics};
pub use program::{Harness, Program, digest_of};
pub use stages::{Course, Files, Invocation, Run, Stage, StageName, run};
pub use words::last_words;
