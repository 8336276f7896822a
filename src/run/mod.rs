//! Boots an image in QEMU and keeps the record of the run.
//!
//! What the guest says is read from its console, one JSON object a line ([`console`]); nothing is guessed from timing.
//! The image is never written: QEMU puts what the guest changes aside and drops it.

mod call;
mod console;
mod qemu;
mod record;
pub mod sweep;

pub use call::Call;
pub use console::{Latencies, Latency, Said, Stage, read};
pub use qemu::{Accelerator, Boot, Error, boot};
pub use record::{Outcome, Record, Verdict, Wanted};
