//! What to run and how it ended, as plain data.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::path::GuestPath;

/// The one user id and group id that exist in the sandbox; its name is `builder`.
pub const BUILDER: u32 = 1000;
/// The host name of every sandbox.
pub const HOSTNAME: &str = "vsbuild";

/// One command and the whole world that it may see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The program that is started again inside: `vsbuild` itself, by its absolute path.
    pub helper: PathBuf,
    /// A directory on the host that holds the root file system. It is only ever read, so it may be made of hard
    /// links to blobs.
    pub lower: PathBuf,
    /// A private, empty directory on a file system that can carry an overlay's upper layer (ext4, xfs, btrfs, or
    /// tmpfs from Linux 6.6). What the command changes in its root ends up here, see [`Spec::changed`].
    pub scratch: PathBuf,
    /// Host files and directories to show inside. Of two binds, one may lie in the other if it has a place there.
    pub binds: Vec<Bind>,
    /// The program to run.
    pub program: GuestPath,
    /// Its arguments, without its name.
    pub args: Vec<String>,
    /// Its complete environment.
    pub env: BTreeMap<String, String>,
    /// Its working directory, made if the root has none.
    pub cwd: GuestPath,
    /// What it may use.
    pub limits: Limits,
}

/// A host file or directory shown inside.
///
/// The path that it has in its file system on the host can be read in `/proc/self/mountinfo`. A step whose output is
/// to be taken from [`Spec::changed`] instead of a writable bind shows nothing of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Where it is.
    pub host: PathBuf,
    /// Where it appears; made in the overlay if the root has no such place.
    pub guest: GuestPath,
    /// What may be done with it.
    pub access: Access,
}

/// What a command may do with a [`Bind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Writing fails with `EROFS`.
    ReadOnly,
    /// What is written is written on the host.
    ReadWrite,
}

/// Bounds whose crossing ends the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// Seconds by the host's clock after which the command is killed; at least one.
    pub seconds: Option<u32>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The end of the main process. Whatever it left running has been killed.
    pub status: Status,
    /// How often something in the sandbox tried to send beyond it: lookups of names, connections, datagrams.
    pub network_attempts: u64,
}

/// How a main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It exited with this code.
    Exited(i32),
    /// A signal with this number killed it.
    Killed(i32),
    /// It ran longer than [`Limits::seconds`] and was killed.
    TimedOut,
}

impl Spec {
    /// Where on the host a path lies that the command made in its own root, outside of all binds.
    ///
    /// Directories that the root had before may hold marks of the overlay (whiteouts, `user.overlay.*`); a
    /// directory that the command made itself, and all below it, is plain.
    pub fn changed(&self, path: &GuestPath) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        let below = Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()));
        self.scratch.join(super::UPPER).join(below)
    }
}

impl Outcome {
    /// Whether the command exited with 0.
    pub fn is_success(&self) -> bool {
        self.status == Status::Exited(0)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Killed(signal) => write!(f, "killed by signal {signal}"),
            Self::TimedOut => f.write_str("stopped after its time was up"),
        }
    }
}
