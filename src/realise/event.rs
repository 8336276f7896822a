use crate::plan::StepId;

/// What happens while a plan is realised, for whoever shows it to a person.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// The work is known: so many steps, and so many bytes to fetch among them.
    Begin {
        /// Steps that are not there yet.
        steps: usize,
        /// Bytes that are not there yet.
        bytes: u64,
    },
    /// A step begins.
    Start {
        /// Which.
        id: StepId,
        /// What is done.
        work: Work,
        /// What a person calls it.
        name: &'a str,
    },
    /// More bytes of a step arrived; so many by now, which may be fewer than before if a mirror began again.
    Bytes {
        /// Which.
        id: StepId,
        /// How many there are.
        now: u64,
    },
    /// A step waits for another vsbuild that does the same.
    Waiting {
        /// Which.
        id: StepId,
        /// The other process, if it is known.
        pid: Option<u32>,
    },
    /// A mirror failed and is asked again, or the next one is.
    Retry {
        /// Which.
        id: StepId,
        /// What went wrong.
        why: String,
    },
    /// Something that a person should know, about others who were asked.
    Note {
        /// It, in a sentence.
        text: String,
    },
    /// A step is done.
    Done {
        /// Which.
        id: StepId,
        /// How.
        how: How,
    },
}

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Gets a file from a mirror.
    Fetch,
    /// Reads a package.
    Unpack,
    /// Lays trees together.
    Merge,
    /// Runs a script.
    Build,
    /// Brings what others have made.
    Substitute,
}

/// How a step came to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// By work.
    Made,
    /// Its inputs came out as before, so its output was there.
    Found,
    /// Others had made it.
    Substituted,
    /// It was looked for at others, who do not have it; it is made later.
    Absent,
}

/// Sees what happens; from several threads.
pub trait Watch: Sync {
    /// Something happened.
    fn see(&self, event: Event<'_>);
}
