use std::io;

use super::{SignatureError, Unsolvable};
use crate::{
    fetch,
    formats::{
        deb::{index, release},
        oci,
    },
    lock::PackageId,
    recipe::Name,
};

/// Why there is no new lock.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something could not be fetched.
    #[error(transparent)]
    Fetch(#[from] fetch::Error),
    /// A suite is not to be believed, or does not have what is asked of it.
    #[error("{suite}: {source}")]
    Suite {
        /// Archive and suite, `debian bookworm`.
        suite: String,
        /// What is wrong.
        source: Box<SuiteFault>,
    },
    /// A set of packages has no answer.
    #[error("{set}: {source}")]
    Set {
        /// The set.
        set: Name,
        /// Why.
        source: Unsolvable,
    },
    /// What a registry has under a name is no image that can be used.
    #[error("{image}: {source}")]
    Image {
        /// The recipe.
        image: Name,
        /// Why not.
        source: oci::Error,
    },
    /// A reference pins an image by another digest than sha256.
    #[error("`{0}` pins an image by a digest that is not sha256")]
    NoSha256(String),
    /// Something is to be updated that is neither a recipe nor a package.
    #[error("`{input}` is neither a recipe nor a package of the lockfile{}", match near {
        Some(near) => format!("; did you mean `{near}`?"),
        None => String::new(),
    })]
    UnknownInput {
        /// The name.
        input: String,
        /// A name that is much like it.
        near: Option<String>,
    },
    /// Two archives have different packages with the same name and version.
    #[error(
        "{id} is one package in the archive `{one}` and another in `{other}`, and the sets want both"
    )]
    Ambiguous {
        /// The package.
        id: PackageId,
        /// An archive.
        one: String,
        /// Another archive.
        other: String,
    },
}

/// What is wrong with a suite.
#[derive(Debug, thiserror::Error)]
pub enum SuiteFault {
    /// Its InRelease file is not signed as it should be.
    #[error("InRelease: {0}")]
    Signature(#[from] SignatureError),
    /// Its InRelease file is malformed.
    #[error("{}", causes(.0))]
    Release(#[from] release::Error),
    /// The InRelease file is that of another suite.
    #[error("the mirror has another suite there: {says}")]
    Other {
        /// What it says of itself.
        says: String,
    },
    /// The InRelease file is no longer to be believed.
    #[error("its InRelease file of {date} expired; the mirror has not been updated since")]
    Expired {
        /// When it was made.
        date: String,
    },
    /// The InRelease file is from the future.
    #[error("its InRelease file is of {date}, which is in the future; is the clock right?")]
    Future {
        /// When it was made.
        date: String,
    },
    /// It has nothing for these machines.
    #[error("it has no packages for {asked}, only for {}", .known.join(", "))]
    Architecture {
        /// The architecture.
        asked: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// It has no such part.
    #[error("it has no component `{asked}`, only {}", .known.join(", "))]
    Component {
        /// The component.
        asked: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// An index is missing or absurdly long.
    #[error("it has no usable index {path}")]
    NoIndex {
        /// Where the index should be.
        path: String,
    },
    /// An index cannot be decompressed.
    #[error("{path} cannot be unpacked: {source}")]
    Unpack {
        /// The index.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// An index is malformed.
    #[error("{path}: {}", causes(.source))]
    Index {
        /// The index.
        path: String,
        /// How.
        source: index::Error,
    },
}

/// An error and its causes in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |&error| error.source());
    all.map(|error| error.to_string()).collect::<Vec<_>>().join(": ")
}

impl Error {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Fetch(error) => error.hint(),
            Self::Suite { source, .. } => source.hint(),
            Self::Set { .. }
            | Self::Image { .. }
            | Self::NoSha256(_)
            | Self::UnknownInput { .. }
            | Self::Ambiguous { .. } => None,
        }
    }
}

impl SuiteFault {
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Expired { .. } => {
                "use another mirror; for a snapshot of the past, say that its age does not matter \
                 (--ignore-valid-until)"
            }
            Self::Signature(SignatureError::Untrusted(_)) => {
                "the keys that come with vsbuild are those of Debian 12 and 13; for other archives name a keyring \
                 (--keyring FILE), and check that the clock is right"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
