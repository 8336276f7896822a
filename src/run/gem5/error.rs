use std::{io, path::PathBuf};

use crate::{digest::Digest, path::BadPath, store};

/// Why there was no run, or no result of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// gem5 is not there or does not start.
    #[error("cannot start `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The program is no gem5 that could be used.
    #[error("`{}` is no gem5 for this: {complaint}", program.display())]
    NotGem5 {
        /// The program.
        program: PathBuf,
        /// What is wrong with it.
        complaint: String,
    },
    /// gem5 itself failed.
    #[error("gem5 failed in stage {stage}: {complaint}")]
    Failed {
        /// In which stage.
        stage: &'static str,
        /// The last thing that it said.
        complaint: String,
        /// Where all that it said was kept.
        log: Option<PathBuf>,
    },
    /// A file is not what its digest says.
    #[error("{what} is not what it was: its bytes have the digest {now}, not {expected}")]
    Damaged {
        /// Which file: the disk, the kernel, or a part of a checkpoint.
        what: String,
        /// What it should have.
        expected: Digest,
        /// What it has.
        now: Digest,
    },
    /// The same simulation came to something else.
    #[error("the same simulation came to something else: {statistic} was {before}, and is {now}")]
    Differs {
        /// The first statistic that differs.
        statistic: String,
        /// What it was.
        before: String,
        /// What it is.
        now: String,
    },
    /// What a stage left cannot be read.
    #[error("what stage {stage} left in the store cannot be read: {what}")]
    Unreadable {
        /// The stage.
        stage: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A file of the harness's has a name that no tree can hold.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}
