//! containerd: starting, waiting for its socket, stopping.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::processes::Processes;
use super::Failure;
use crate::console::{tell, Event};
use crate::containerd;
use crate::sys::{self, Signal};

const PROGRAM: &str = "/usr/bin/containerd";
const STATE: &std::ffi::CStr = c"/run/containerd";
/// In memory: a log is of no use on a disk that forgets everything.
const LOG: &str = "/run/containerd.log";

/// How many lines of the log are worth telling.
const LOG_LINES: usize = 20;
/// How long an orderly end may take.
const GRACE: Duration = Duration::from_secs(10);

/// A running containerd.
pub struct Daemon {
    pid: i32,
    /// Tells of names that appear beside the socket.
    neighbours: std::os::fd::OwnedFd,
}

impl Daemon {
    /// Starts containerd. Its configuration is the one that the image has at containerd's usual place.
    pub fn start(processes: &mut Processes) -> Result<Daemon, Failure> {
        let state = STATE.to_string_lossy();
        fs::create_dir_all(&*state).map_err(Failure::doing(&state))?;
        // Before it starts, so that nothing is missed.
        let neighbours = sys::watch_directory(STATE).map_err(Failure::doing(&state))?;

        let log = File::create(LOG).map_err(Failure::doing(LOG))?;
        let errors = log.try_clone().map_err(Failure::doing(LOG))?;
        let child = processes
            .start(Command::new(PROGRAM).stdin(Stdio::null()).stdout(log).stderr(errors))?;
        let pid = child.id() as i32;
        tell(&Event::DaemonStarted { pid });
        Ok(Daemon { pid, neighbours })
    }

    /// Waits until containerd accepts connections.
    ///
    /// It creates its socket, listens, then sets the socket's owner. Connecting is tried at each of these events, so the last
    /// try finds it listening, and none is made in between.
    pub fn wait_until_ready(
        &self,
        processes: &mut Processes,
        limit: Duration,
    ) -> Result<(), Failure> {
        let deadline = sys::uptime() + limit;
        while UnixStream::connect(containerd::SOCKET).is_err() {
            self.check(processes)?;
            let Some(left) = deadline.checked_sub(sys::uptime()) else {
                return Err(Failure::Timeout { what: "waiting for containerd".to_owned(), limit });
            };
            sys::poll([Some(self.neighbours.as_fd()), Some(processes.changes())], left)
                .map_err(Failure::doing("waiting for containerd"))?;
            sys::discard(self.neighbours.as_fd());
        }
        tell(&Event::DaemonReady);
        Ok(())
    }

    /// An error if containerd has ended.
    pub fn check(&self, processes: &mut Processes) -> Result<(), Failure> {
        match processes.exit_code(self.pid) {
            None => Ok(()),
            Some(code) => Err(Failure::Guest(format!("containerd ended with code {code}"))),
        }
    }

    /// Tells the last lines of its log.
    pub fn tell_log(&self) {
        let log = fs::read(LOG).unwrap_or_default();
        for text in last_lines(&log, LOG_LINES) {
            tell(&Event::Log { text });
        }
    }

    /// Asks it to end, and sees that it does.
    pub fn stop(self, processes: &mut Processes) {
        if processes.exit_code(self.pid).is_some() {
            return;
        }
        sys::signal(self.pid, Signal::Terminate);
        if processes.wait(self.pid, sys::uptime() + GRACE).is_none() {
            sys::signal(self.pid, Signal::Kill);
        }
        tell(&Event::DaemonStopped);
    }
}

/// The last `count` lines of a text.
pub fn last_lines(text: &[u8], count: usize) -> Vec<&[u8]> {
    if text.is_empty() {
        return Vec::new();
    }
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut lines: Vec<_> = text.rsplit(|&byte| byte == b'\n').take(count).collect();
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log() {
        assert_eq!(last_lines(b"a\nb\nc\n", 2), [b"b", b"c"]);
        assert_eq!(last_lines(b"a\nb", 9), [b"a", b"b"]);
        assert_eq!(last_lines(b"\n", 9), [b""]);
        assert!(last_lines(b"", 9).is_empty());
    }
}
