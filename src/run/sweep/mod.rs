//! Runs an image once for each point of a grid, on this machine or on a cluster.
//!
//! A sweep is a TOML file ([`Sweep`]). Its points follow from it alone and are always in the same order ([`points`]); they
//! are written into a directory ([`Directory`]) as machines and command lines, and from then on a point is an ordinary
//! `vsbuild run …` with a directory of its own. So there is nothing to remember between two calls but what lies in the
//! points' directories: doing the rest of a sweep is doing the sweep again. The executors ([`local`], [`slurm`]) start
//! processes and wait; what is done they learn as everybody else, from the files ([`survey`]).

mod directory;
mod file;
mod grid;
pub mod local;
mod nearest;
pub mod slurm;
mod state;

pub use directory::{Directory, Error, Plan, Task};
pub use file::{Calls, Mistake, Mistakes, Resources, Sweep};
pub use grid::{Point, points};
pub use state::{Counts, Seat, Standing, State, survey};

/// What an executor tells while it works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// A point has begun.
    Began(usize),
    /// A point has ended, or is done already.
    Ended(usize, State),
    /// Points were given to Slurm.
    Submitted {
        /// Slurm's number for the array.
        job: u64,
        /// How many points are in it.
        points: usize,
    },
    /// Something that a person may want to know.
    Note(String),
}
