use std::{io, path::PathBuf};

use crate::{
    lock::BadLock,
    path::{BadPath, GuestPath},
    recipe::{Problems, Source},
    tree::Fault,
};

/// What can be wrong with a user's folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No project at or above a directory.
    #[error("there is no project here: neither {start} nor a directory above it has a lockfile.toml, a vsbuild.toml or recipes/", start = start.display())]
    NoProject {
        /// Where the search began.
        start: PathBuf,
    },
    /// A file could not be read or written; the message names it.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A text that is not UTF-8.
    #[error("{}: this is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// A text that is larger than any sensible one.
    #[error("{}: a text of more than {limit} bytes is refused", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The lockfile does not make sense.
    #[error("{}:{line}", path.display())]
    BadLock {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        source: BadLock,
    },
    /// The settings do not make sense.
    #[error("{}: {message}", path.display())]
    BadSettings {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// A recipe names a file or directory that is not there.
    #[error("recipes name `{0}`, but there is no such file or directory")]
    NoSource(Source),
    /// A file that a recipe names leads out of the project through a symbolic link.
    #[error("`{0}` leads out of the project through a symbolic link")]
    Outside(Source),
    /// Something that cannot be a source, such as a socket.
    #[error("{}: only files, directories and symbolic links can be sources", path.display())]
    OddFile {
        /// The file.
        path: PathBuf,
    },
    /// A name that a guest could not hold.
    #[error("a name in `{source_path}` cannot be used")]
    BadName {
        /// The source it is part of.
        source_path: Source,
        /// What is wrong.
        source: BadPath,
    },
    /// The files of a source make no tree.
    #[error("the files of `{source_path}` make no tree")]
    NoTree {
        /// The source.
        source_path: Source,
        /// What is wrong.
        source: Fault,
    },
    /// What is to be one project has two different things at one path.
    #[error("the project has something else at {path} than vsbuild itself, and recipes need both")]
    Clash {
        /// The path in the project.
        path: GuestPath,
    },
    /// A new project would replace what is there.
    #[error("{} is there already", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A new project can only extend an image that ships.
    #[error("`{name}` is no image that comes with vsbuild; there are: {}", known.join(", "))]
    NoImage {
        /// What was asked for.
        name: String,
        /// The images that ship.
        known: Vec<String>,
    },
    /// What ships has mistakes.
    #[error("the recipes that come with vsbuild have mistakes")]
    Shipped(#[from] Problems),
}

impl Error {
    pub(super) fn lock(path: PathBuf, text: &str, source: BadLock) -> Self {
        let before = source.span.as_ref().and_then(|span| text.get(..span.start));
        let line = 1 + before.map_or(0, |before| before.matches('\n').count());
        Self::BadLock { path, line, source }
    }
}
