use std::{fmt, io, path::PathBuf};

use super::variable_of_archive;

/// Why something was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody said which server holds the archive.
    #[error("no mirror is known for the archive `{archive}`, which has {path}")]
    NoMirror {
        /// The archive.
        archive: String,
        /// What was wanted from it.
        path: String,
    },
    /// It would have to come from a server, and servers are not to be asked.
    #[error("{path} of the archive `{archive}` is not here, and vsbuild is offline")]
    Offline {
        /// The archive.
        archive: String,
        /// What was wanted from it.
        path: String,
    },
    /// Every mirror answered, and none has it.
    #[error("{name} is gone: no mirror of `{archive}` has {path}{tried}")]
    Gone {
        /// The file's name.
        name: String,
        /// The archive.
        archive: String,
        /// Where it was in the archive.
        path: String,
        /// What each mirror said.
        tried: Tried,
    },
    /// No mirror delivered it.
    #[error("{path} of the archive `{archive}` could not be fetched{tried}")]
    Failed {
        /// The archive.
        archive: String,
        /// What was wanted from it.
        path: String,
        /// What each mirror said.
        tried: Tried,
    },
    /// The path could lead out of the archive.
    #[error("`{}` is not a path in the archive `{archive}`", .path.escape_debug())]
    BadPath {
        /// The archive.
        archive: String,
        /// The path.
        path: String,
    },
    /// What arrived could not be written, or what was there not be read.
    #[error("{}: what arrived cannot be kept", .path.display())]
    Partial {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The client could not be set up.
    #[error("no connection can be made: {why}")]
    Client {
        /// Why.
        why: String,
    },
}

impl Error {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoMirror { archive, .. } => Some(format!(
                "say which server holds it: a line `{archive} = [\"https://HOST/{archive}\"]` under `[mirrors]` in the \
                 configuration file, or {}=https://HOST/{archive} in the environment, or a source of the host's apt",
                variable_of_archive(archive)
            )),
            Self::Offline { .. } => Some(
                "run again without --offline, or add a mirror that is a directory (file:///PATH)"
                    .to_owned(),
            ),
            Self::Gone { archive, .. } => Some(format!(
                "mirrors drop what was superseded; add another mirror of `{archive}`, or a snapshot service, which keeps \
                 everything, under `[mirrors]` in the configuration or in {}; or a cache of your lab that still has it; \
                 or move on to what the mirrors have now with `vsbuild lock --update`",
                variable_of_archive(archive)
            )),
            Self::Failed { .. } => {
                Some("run it again: what has arrived is kept; or add another mirror".to_owned())
            }
            Self::BadPath { .. } | Self::Partial { .. } | Self::Client { .. } => None,
        }
    }
}

/// What each mirror said last, in the order in which they are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried(pub Vec<Try>);

/// What a mirror said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Try {
    /// The address that was asked, without user and password.
    pub url: String,
    /// What came of it.
    pub why: String,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|Try { url, why }| write!(f, "\n  {url}: {why}"))
    }
}
