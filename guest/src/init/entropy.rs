//! Random numbers.
//!
//! A simulated machine has no source of entropy: the first program that asks for random numbers would wait while the kernel
//! gathers timing jitter, for seconds of simulated time. Nor is chance wanted: two runs of one image should do the same. So
//! the generator is seeded with a constant. Nothing in a simulation is secret; never run such a guest as a server.

use std::fs::OpenOptions;

use super::Failure;
use crate::sys;

const SEED: &[u8; 32] = b"vsbuild: runs must be repeatable";

/// Seeds the kernel's generator.
pub fn seed() -> Result<(), Failure> {
    let random = OpenOptions::new().write(true).open("/dev/random");
    random
        .and_then(|random| sys::add_entropy(&random, SEED))
        .map_err(Failure::doing("seeding /dev/random"))
}
