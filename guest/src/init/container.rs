//! Runs the container of `guest.conf` to its end, and tells what it writes while it writes it.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::lines::Lines;
use super::system::System;
use super::{Failure, GO_ENVIRONMENT};
use crate::config::Container;
use crate::console::{tell, Event, Stream};
use crate::containerd::{spec_of_directory, Make, Mounts, Streams};
use crate::sys::{self, Signal};

/// Where the pipes lie that its output comes through.
const DIRECTORY: &str = "/run/vsbuild";

/// Runs it to its end; gives its exit code.
pub fn run(container: &Container, system: &mut System) -> Result<u8, Failure> {
    let name = &*container.name;
    let deadline = sys::uptime() + system.limit;
    fs::create_dir_all(DIRECTORY).map_err(Failure::doing(DIRECTORY))?;
    let mut stdout = Output::new(Stream::Stdout, "stdout")?;
    let mut stderr = Output::new(Stream::Stderr, "stderr")?;

    let (variable, value) = GO_ENVIRONMENT;
    let spec = spec_of_directory(container, &format!("{variable}={value}"));
    let make = Make { name, image: "", snapshot: false, spec: spec.as_bytes() };
    system.client.create_container(&make)?;
    let streams = Streams { stdout: &stdout.path, stderr: &stderr.path };
    let pid = system.client.create_task(name, &Mounts::default(), &streams)?;
    system.client.start_task(name)?;
    tell(&Event::ContainerStarted { name, pid });

    while stdout.is_open() || stderr.is_open() {
        system.daemon.check(system.processes)?;
        let Some(left) = deadline.checked_sub(sys::uptime()) else {
            sys::signal(pid, Signal::Kill);
            let what = "waiting for the container to end".to_owned();
            return Err(Failure::Timeout { what, limit: system.limit });
        };
        let changes = Some(system.processes.changes());
        let [out, err, _] = sys::poll([stdout.pipe(), stderr.pipe(), changes], left)
            .map_err(Failure::doing("waiting for the container"))?;
        if out {
            stdout.read();
        }
        if err {
            stderr.read();
        }
    }
    let code = system.client.wait_task(name)?;
    tell(&Event::ContainerExited { name, code });
    Ok(code)
}

/// One of the two streams of a container.
struct Output {
    stream: Stream,
    path: String,
    pipe: Option<File>,
    lines: Lines,
}

impl Output {
    /// Makes a pipe for it. That is at its end when the shim, which has it open for as long as the container can write, closes it.
    fn new(stream: Stream, name: &str) -> Result<Output, Failure> {
        let path = format!("{DIRECTORY}/{name}");
        let pipe = CString::new(&*path)
            .map_err(Into::into)
            .and_then(|path| sys::make_fifo(&path))
            .and_then(|()| OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&path))
            .map_err(Failure::doing(&path))?;
        Ok(Output { stream, path, pipe: Some(pipe), lines: Lines::default() })
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    fn pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Tells what has come; at the end of the stream, closes it.
    fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        let tell_line = |text: &[u8]| tell(&Event::Output { stream: self.stream, text });
        let mut buffer = [0; 4096];
        match pipe.read(&mut buffer) {
            Err(error)
                if [ErrorKind::Interrupted, ErrorKind::WouldBlock].contains(&error.kind()) => {}
            Ok(0) | Err(_) => {
                self.lines.finish(tell_line);
                self.pipe = None;
            }
            Ok(length) => self.lines.feed(&buffer[..length], tell_line),
        }
    }
}
