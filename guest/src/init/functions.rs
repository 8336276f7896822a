//! Runs one function of the image: starts it and what it needs, calls it, stops everything.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::Duration;

use super::cores::Cores;
use super::daemon::last_lines;
use super::system::System;
use super::Failure;
use crate::cni::Attachment;
use crate::config::{Function, Parameters};
use crate::console::{tell, Event, Stream};
use crate::containerd::{Make, Streams};
use crate::invoke::invoke;
use crate::sys::{self, Signal};

/// For what containers share and leave behind. In memory.
const DIRECTORY: &str = "/run/vsbuild";
/// What containers see as /etc/hosts. Their specifications have it bound to there.
const HOSTS: &str = "/run/vsbuild/hosts";
/// How many of the last lines that a container wrote are worth telling.
const OUTPUT_LINES: usize = 20;
/// How often a port is tried that doesn't accept connections yet.
const RETRY: Duration = Duration::from_millis(10);
/// How long a container may take to end when asked to.
const GRACE: Duration = Duration::from_secs(5);

/// What the simulator is told on the way: codes of vSwarm-u's `m5 fail`.
const CONTAINER_STARTED: u64 = 2;
const PINNED: u64 = 3;

/// A container that runs.
struct Running<'a> {
    name: &'a str,
    /// Its first process.
    pid: i32,
    /// Where it is called.
    address: SocketAddr,
}

/// Starts `functions` in order, calls the last one as `parameters` say, and stops them; gives the result of the run: 0 if
/// every reply was right, else 1.
pub fn run(
    functions: &[Function],
    parameters: &Parameters,
    cores: &Cores,
    system: &mut System,
) -> Result<u8, Failure> {
    let mut running = Vec::new();
    let result = system
        .start_all(functions, cores, &mut running)
        .and_then(|()| call(functions, &running, parameters, system));
    match result {
        Ok(code) => {
            while let Some(container) = running.pop() {
                system.stop(&container)?;
            }
            Ok(code)
        }
        Err(failure) => {
            for function in functions {
                tell_last_lines(&function.name, |text| Event::Log { text });
            }
            Err(failure)
        }
    }
}

/// Calls the function, which is the last one, if it can be called.
fn call(
    functions: &[Function],
    running: &[Running],
    parameters: &Parameters,
    system: &System,
) -> Result<u8, Failure> {
    let (Some(function), Some(running)) = (functions.last(), running.last()) else { return Ok(0) };
    let Some(call) = &function.call else { return Ok(0) };
    let (simulator, limit) = (system.simulator, system.limit);
    let wrong = invoke(&function.name, running.address, call, parameters, simulator, limit);
    let wrong = wrong.map_err(Failure::Guest)?;
    Ok(u8::from(wrong > 0))
}

impl System<'_> {
    fn start_all<'a>(
        &mut self,
        functions: &'a [Function],
        cores: &Cores,
        running: &mut Vec<Running<'a>>,
    ) -> Result<(), Failure> {
        fs::create_dir_all(DIRECTORY).map_err(Failure::doing(DIRECTORY))?;
        fs::write(HOSTS, "127.0.0.1 localhost\n").map_err(Failure::doing(HOSTS))?;
        let Some((function, needed)) = functions.split_last() else { return Ok(()) };
        for container in needed {
            let (pid, address) = self.create(container)?;
            cores.pin_other(&container.name)?;
            running.push(self.start(container, pid, address)?);
            self.wait_until_ready(container, pid, address)?;
        }

        // Pinned before it runs, so that its runtime counts no cores that it won't have.
        let (pid, address) = self.create(function)?;
        cores.pin_function(&function.name)?;
        running.push(self.start(function, pid, address)?);
        self.simulator.tell(CONTAINER_STARTED);
        let name = &function.name;
        tell(&Event::FunctionPinned { name, cores: &cores.function, rest: &cores.rest });
        self.simulator.tell(PINNED);
        self.wait_until_ready(function, pid, address)
    }

    /// Makes a container and its network; gives its process, which waits to be started, and where it will be called.
    fn create(&mut self, function: &Function) -> Result<(i32, SocketAddr), Failure> {
        let name = &*function.name;
        let spec = fs::read(&function.spec).map_err(Failure::doing(&function.spec))?;
        let rootfs = self.client.prepare_snapshot(name, &function.snapshot)?;
        let make = Make { name, image: &function.image, snapshot: true, spec: &spec };
        self.client.create_container(&make)?;
        let log = format!("file://{}", log(name));
        let pid =
            self.client.create_task(name, &rootfs, &Streams { stdout: &log, stderr: &log })?;
        tell(&Event::FunctionStarting { name });

        let attachment = Attachment { container: name, pid, port: function.port };
        let (address, called) = self.network.attach(&attachment, self.limit, self.processes)?;
        // Appended to: containers that run already have this very file bound into their own trees.
        OpenOptions::new()
            .append(true)
            .open(HOSTS)
            .and_then(|mut hosts| writeln!(hosts, "{address} {name}"))
            .map_err(Failure::doing(HOSTS))?;
        tell(&Event::FunctionNetwork { name, address: &address.to_string() });
        Ok((pid, SocketAddr::from((called, function.port))))
    }

    fn start<'a>(
        &mut self,
        function: &'a Function,
        pid: i32,
        address: SocketAddr,
    ) -> Result<Running<'a>, Failure> {
        let name = &*function.name;
        self.client.start_task(name)?;
        tell(&Event::FunctionStarted { name, pid });
        Ok(Running { name, pid, address })
    }

    /// Waits until the container accepts connections. Nothing tells when that is so: it's tried.
    fn wait_until_ready(
        &mut self,
        function: &Function,
        pid: i32,
        address: SocketAddr,
    ) -> Result<(), Failure> {
        let name = &*function.name;
        let deadline = sys::uptime() + self.limit;
        while TcpStream::connect_timeout(&address, self.limit).is_err() {
            self.daemon.check(self.processes)?;
            if !sys::is_alive(pid) {
                let code = self.client.wait_task(name)?;
                let port = function.port;
                let what =
                    format!("{name} ended with code {code} and never listened at port {port}");
                return Err(Failure::Guest(what));
            }
            if sys::uptime() >= deadline {
                let what = format!("waiting for {name} to listen at port {}", function.port);
                return Err(Failure::Timeout { what, limit: self.limit });
            }
            sleep(RETRY);
        }
        tell(&Event::FunctionReady { name });
        Ok(())
    }

    /// Ends a container, and tells the last of what it wrote.
    ///
    /// The signal is sent from here: by way of containerd, crun would be started for it. Nor is the container deleted:
    /// all that is left of it is in memory, and the machine is about to go.
    fn stop(&mut self, container: &Running) -> Result<(), Failure> {
        let &Running { name, pid, .. } = container;
        let end = sys::watch_process(pid).ok();
        let ended = |signal, limit| {
            sys::signal(pid, signal);
            let Some(end) = &end else { return Ok(true) };
            sys::poll([Some(end.as_fd())], limit).map(|[ended]| ended)
        };
        // The kernel drops a signal that the first process of a container has no handler for.
        let is_gone = handles_terminate(pid) && ended(Signal::Terminate, GRACE).unwrap_or(false);
        if !is_gone && !ended(Signal::Kill, self.limit).unwrap_or(false) {
            let what = format!("waiting for {name} to end");
            return Err(Failure::Timeout { what, limit: self.limit });
        }
        let code = self.client.wait_task(name)?;
        tell_last_lines(name, |text| Event::Output { stream: Stream::Stdout, text });
        tell(&Event::FunctionStopped { name, code });
        Ok(())
    }
}

/// Where a container's output is kept.
fn log(name: &str) -> String {
    format!("{DIRECTORY}/{name}.log")
}

/// Tells the last lines that a container wrote.
fn tell_last_lines(name: &str, event: impl for<'a> Fn(&'a [u8]) -> Event<'a>) {
    let text = fs::read(log(name)).unwrap_or_default();
    for line in last_lines(&text, OUTPUT_LINES) {
        tell(&event(line));
    }
}

/// Whether a process would notice that it's asked to end.
fn handles_terminate(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    catches(&status, Signal::Terminate.number())
}

/// Whether a process with this `/proc/PID/status` has a handler for a signal.
fn catches(status: &str, signal: i32) -> bool {
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = caught.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_without_a_handler_is_known() {
        let status = "Name:\thttpd\nSigIgn:\t0000000000004000\nSigCgt:\t0000000180004002\n";
        assert!(catches(status, libc::SIGTERM) && catches(status, libc::SIGINT));
        assert!(!catches(status, libc::SIGHUP) && !catches("", libc::SIGTERM));
    }
}
