use std::{fmt, io, path::PathBuf};

use super::{BadImage, ImageName, Piece, variable_of_archive};

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
    /// What is wanted from a registry has a name that cannot be one.
    #[error(transparent)]
    BadImage(#[from] BadImage),
    /// It would have to come from a registry, and servers are not to be asked.
    #[error("{piece} is not here, and vsbuild is offline")]
    AwayFromRegistry {
        /// What was wanted.
        piece: Piece,
    },
    /// Every server of a registry answered, and none has it.
    #[error("{piece} is not there: no server of the registry has it{tried}")]
    NotInRegistry {
        /// What was wanted.
        piece: Piece,
        /// What each server said.
        tried: Tried,
    },
    /// The registry wants to know who we are, or knows it and does not like us.
    #[error("access to {piece} was denied{tried}")]
    Denied {
        /// What was wanted, or was to be pushed.
        piece: Piece,
        /// What each server said.
        tried: Tried,
    },
    /// A server has other bytes there, and no other one has the right ones.
    #[error("{piece} is damaged in its registry{tried}")]
    Damaged {
        /// What was wanted.
        piece: Piece,
        /// What each server said.
        tried: Tried,
    },
    /// No server of a registry delivered it.
    #[error("{piece} could not be pulled{tried}")]
    NotPulled {
        /// What was wanted.
        piece: Piece,
        /// What each server said.
        tried: Tried,
    },
    /// The registry did not take it.
    #[error("{piece} could not be pushed{tried}")]
    NotPushed {
        /// What was to be pushed.
        piece: Piece,
        /// What the registry said.
        tried: Tried,
    },
    /// The registry does not let things be deleted.
    #[error("{piece} cannot be deleted{tried}")]
    Undeletable {
        /// What was to be deleted.
        piece: Piece,
        /// What the registry said.
        tried: Tried,
    },
    /// The registry did not delete it.
    #[error("{piece} could not be deleted{tried}")]
    NotDeleted {
        /// What was to be deleted.
        piece: Piece,
        /// What the registry said.
        tried: Tried,
    },
    /// What was to be pushed could not be read.
    #[error("{piece} could not be pushed, as it cannot be read here")]
    Unreadable {
        /// What was to be pushed.
        piece: Piece,
        /// Why.
        source: io::Error,
    },
    /// The manifest does not say clearly what it is.
    #[error("the manifest of {image}: {why}")]
    BadManifest {
        /// The image.
        image: ImageName,
        /// What is wrong.
        why: String,
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
            Self::AwayFromRegistry { .. } => Some("run again without --offline".to_owned()),
            Self::NotInRegistry { piece, .. } => Some(format!(
                "registries drop what no tag points to: push the image again; or move on to what the registry has now \
                 with `vsbuild lock --update`; {}",
                elsewhere(piece)
            )),
            Self::Denied { piece: Piece { image, .. }, .. } => Some(format!(
                "log in with `docker login {0}` or `podman login {0}`, with an account that may do this; many \
                 registries say the same of images that do not exist",
                image.registry
            )),
            Self::Damaged { piece, .. } => {
                Some(format!("nothing of it was kept; push the image again; {}", elsewhere(piece)))
            }
            Self::NotPulled { piece, .. } => {
                Some(format!("run it again: what has arrived is kept; {}", elsewhere(piece)))
            }
            Self::NotPushed { piece, .. } => Some(format!(
                "run it again: what has arrived there is not sent twice; if the registry is at another host than \
                 `{0}`, write `server = \"https://HOST\"` under `[registries.\"{0}\"]` in the configuration file",
                piece.image.registry
            )),
            Self::BadImage(_)
            | Self::Undeletable { .. }
            | Self::NotDeleted { .. }
            | Self::Unreadable { .. }
            | Self::BadManifest { .. }
            | Self::BadPath { .. }
            | Self::Partial { .. }
            | Self::Client { .. } => None,
        }
    }
}

/// How to say where else a registry's images are. The hosts that images name need not be those that serve them.
fn elsewhere(piece: &Piece) -> String {
    format!(
        "or name a server that has it: `mirrors = [\"https://HOST\"]` (or `server = \"https://HOST\"`, if the registry \
         itself is there) under `[registries.\"{}\"]` in the configuration file",
        piece.image.registry
    )
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
