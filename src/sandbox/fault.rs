//! A step of the set-up that failed inside, on its way to the outside.

use std::{fmt::Display, io};

use serde::{Deserialize, Serialize};

/// A step that failed: what was being done, and why it did not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fault {
    pub(super) stage: Stage,
    pub(super) what: String,
    pub(super) errno: Option<i32>,
    pub(super) reason: String,
}

/// The stages at which hosts are known to refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    User,
    Namespaces,
    Overlay,
    Proc,
    Other,
}

/// Says at which step a call failed.
pub(super) trait At<T> {
    fn at(self, stage: Stage, what: impl Display) -> Result<T, Fault>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, stage: Stage, what: impl Display) -> Result<T, Fault> {
        self.map_err(|error| {
            let error = error.into();
            let (errno, reason) = (error.raw_os_error(), error.to_string());
            Fault { stage, what: what.to_string(), errno, reason }
        })
    }
}

impl Fault {
    pub(super) fn source(&self) -> io::Error {
        match self.errno {
            Some(errno) => io::Error::from_raw_os_error(errno),
            None => io::Error::other(self.reason.clone()),
        }
    }
}
