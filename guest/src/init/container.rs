//! Runs one container, through containerd's own client `ctr`, and tells what it writes.

use std::io::{ErrorKind, Read};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::daemon::Daemon;
use super::lines::Lines;
use super::processes::Processes;
use super::{Failure, GO_ENVIRONMENT};
use crate::config::Container;
use crate::console::{tell, Event, Stream};
use crate::sys::{self, Signal};

const CLIENT: &str = "/usr/bin/ctr";

/// Runs it to its end; gives its exit code.
pub fn run(
    container: &Container,
    limit: Duration,
    daemon: &Daemon,
    processes: &mut Processes,
) -> Result<u8, Failure> {
    let deadline = sys::uptime() + limit;
    let mut ctr = Command::new(CLIENT);
    ctr.args(arguments(container));
    let mut child =
        processes.start(ctr.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let pid = child.id() as i32;
    tell(&Event::ContainerStarted { name: &container.name, pid });

    let mut stdout = Output::new(Stream::Stdout, child.stdout.take());
    let mut stderr = Output::new(Stream::Stderr, child.stderr.take());
    while stdout.is_open() || stderr.is_open() {
        daemon.check(processes)?;
        let Some(left) = deadline.checked_sub(sys::uptime()) else {
            sys::signal(pid, Signal::Terminate);
            return Err(Failure::Timeout { what: "waiting for the container to end", limit });
        };
        let [out, err, _] =
            sys::poll([stdout.pipe(), stderr.pipe(), Some(processes.changes())], left)
                .map_err(Failure::doing("waiting for the container"))?;
        if out {
            stdout.read();
        }
        if err {
            stderr.read();
        }
    }
    let code = processes
        .wait(pid, deadline)
        .ok_or(Failure::Timeout { what: "waiting for ctr to end", limit })?;
    tell(&Event::ContainerExited { name: &container.name, code });
    Ok(code)
}

/// The words after `ctr`.
fn arguments(container: &Container) -> Vec<String> {
    let (variable, value) = GO_ENVIRONMENT;
    let mut words: Vec<String> = vec!["run".into(), "--rm".into()];
    // The container's own settings come later and win.
    for setting in std::iter::once(&format!("{variable}={value}")).chain(&container.env) {
        words.extend(["--env".into(), setting.clone()]);
    }
    words.extend(["--rootfs".into(), container.rootfs.clone(), container.name.clone()]);
    words.extend_from_slice(&container.args);
    words
}

/// One of the two streams of a container.
struct Output<P> {
    stream: Stream,
    pipe: Option<P>,
    lines: Lines,
}

impl<P: Read + AsFd> Output<P> {
    fn new(stream: Stream, pipe: Option<P>) -> Output<P> {
        Output { stream, pipe, lines: Lines::default() }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    fn pipe(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Tells what has come; at the end of the stream, closes it.
    fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        let tell_line = |text: &[u8]| tell(&Event::Output { stream: self.stream, text });
        let mut buffer = [0; 4096];
        match pipe.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Ok(0) | Err(_) => {
                self.lines.finish(tell_line);
                self.pipe = None;
            }
            Ok(length) => self.lines.feed(&buffer[..length], tell_line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ctr_is_told() {
        let container = Container {
            name: "hello".into(),
            rootfs: "/srv/rootfs".into(),
            args: vec!["/bin/echo".into(), "a b".into()],
            env: vec!["A=b".into()],
        };
        assert_eq!(
            arguments(&container),
            [
                "run",
                "--rm",
                "--env",
                "GODEBUG=gcstoptheworld=1",
                "--env",
                "A=b",
                "--rootfs",
                "/srv/rootfs",
                "hello",
                "/bin/echo",
                "a b",
            ]
        );
    }
}
