//! The processes that init started, and those that it inherited.
//!
//! Process 1 is the parent of every orphan and must reap them all. Exit codes are kept of its own children only.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command};
use std::time::Duration;

use super::{Failure, GO_ENVIRONMENT};
use crate::sys;

/// All programs of a guest are looked for here.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The children of init.
pub struct Processes {
    /// Becomes readable when a child ended.
    signals: OwnedFd,
    /// Those that init started itself: by process id, the exit code once there is one.
    own: BTreeMap<i32, Option<u8>>,
}

impl Processes {
    /// Gets hold of the end of processes. Before the first is started.
    pub fn new() -> Result<Processes, Failure> {
        let signals = sys::child_signals().map_err(Failure::doing("signalfd"))?;
        Ok(Processes { signals, own: BTreeMap::new() })
    }

    /// Starts a program, in an environment that depends on nothing but this function.
    pub fn start(&mut self, command: &mut Command) -> Result<Child, Failure> {
        self.start_with(command, [])
    }

    /// Starts a program, with `more` in its environment.
    pub fn start_with<'a>(
        &mut self,
        command: &mut Command,
        more: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Child, Failure> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", "/root")
            .envs([GO_ENVIRONMENT])
            .envs(more)
            .spawn()
            .map_err(Failure::doing(format!("starting {name}")))?;
        self.own.insert(child.id() as i32, None);
        Ok(child)
    }

    /// What to wait for to learn that a process ended.
    pub fn changes(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }

    /// Reaps whatever ended; gives the exit code of `pid` if that did.
    pub fn exit_code(&mut self, pid: i32) -> Option<u8> {
        sys::discard(self.signals.as_fd());
        while let Some((ended, code)) = sys::reap() {
            if let Some(known) = self.own.get_mut(&ended) {
                *known = Some(code);
            }
        }
        self.own.get(&pid).copied().flatten()
    }

    /// Waits until `pid` ends, at most until `deadline` (of [`sys::uptime`]).
    pub fn wait(&mut self, pid: i32, deadline: Duration) -> Option<u8> {
        loop {
            if let Some(code) = self.exit_code(pid) {
                return Some(code);
            }
            let left = deadline.checked_sub(sys::uptime())?;
            // An error of poll would come again and again; then the deadline is all there is.
            sys::poll([Some(self.changes())], left).ok()?;
        }
    }
}
