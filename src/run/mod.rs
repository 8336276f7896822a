//! Boots an image on QEMU or gem5 and keeps the record of the run.
//!
//! What the guest says is read from its console, one JSON object a line ([`console`]); nothing is guessed from timing.
//! The image is never written: the simulators put what the guest changes aside.

mod call;
mod console;
pub mod gem5;
mod leash;
mod qemu;
mod record;
mod running;
pub mod sweep;

pub use call::Call;
pub use console::{Latencies, Latency, Said, Stage, read};
pub use leash::tie;
pub use qemu::{Accelerator, Boot, Error, boot};
pub use record::{FaultPlace, KnownFault, Measured, Outcome, Record, Verdict, Wanted};
