//! Process 1 of the guest: makes the machine ready, runs a function or a container through containerd, turns the machine off.
//!
//! A simulated second costs minutes, so every wait is for an event of the kernel, with a deadline; only a port that doesn't
//! accept connections yet is tried again and again. Programs are started only where nothing else will do: what `ctr` and
//! `crun` would be called for, init asks containerd or the kernel for itself.
//! Whatever goes wrong, process 1 doesn't die (the kernel would panic): it tells the host and turns the machine off.

mod bridge;
mod container;
mod cores;
mod daemon;
mod entropy;
mod functions;
mod lines;
mod mounts;
mod network;
mod power;
mod processes;
mod system;
mod task;

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use crate::config;
use crate::console::{tell, Event};
use crate::containerd::{self, Client};
use crate::m5::Simulator;
use daemon::Daemon;
use network::Network;
use processes::Processes;
use system::System;
use task::Task;

/// What every Go program of the guest gets in its environment: containerd, the shim, CNI plugins, and the container.
///
/// gem5 24 executes `xchg r8, rax` as a nop, which breaks the write barrier that Go's collector needs while it runs beside
/// the program: containerd dies in its first collection. A collector that stops the world needs no barrier. It is set on
/// every simulator, so that a guest doesn't behave differently where it is checked and where it is measured.
const GO_ENVIRONMENT: (&str, &str) = ("GODEBUG", "gcstoptheworld=1");

/// What the simulator is told when containerd is ready: a code of vSwarm-u's `m5 fail`.
const BOOT_DONE: u64 = 1;

/// The exit code for a guest that didn't work.
const GUEST_FAILED: u8 = 125;

/// Why there is no exit code of a container.
#[derive(Debug)]
pub enum Failure {
    /// Something of the guest didn't work.
    Guest(String),
    /// Something took longer than the configuration allows.
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        limit: Duration,
    },
}

impl Failure {
    /// The exit code that stands for it: those that `timeout` and container programs use.
    pub fn code(&self) -> u8 {
        match self {
            Failure::Timeout { .. } => 124,
            Failure::Guest(_) => GUEST_FAILED,
        }
    }

    /// For `map_err`: says what was being done when `error` came.
    fn doing<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Failure {
        move |error| Failure::Guest(format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Guest(what) => f.write_str(what),
            Failure::Timeout { what, limit } => {
                write!(f, "{what}: not within {} s of guest time", limit.as_secs())
            }
        }
    }
}

impl From<config::Mistake> for Failure {
    fn from(mistake: config::Mistake) -> Failure {
        Failure::Guest(mistake.to_string())
    }
}

impl From<containerd::Failed> for Failure {
    fn from(failed: containerd::Failed) -> Failure {
        Failure::Guest(format!("containerd, {}: {}", failed.method, failed.error))
    }
}

/// Runs the guest from beginning to end. Never returns.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|bug| {
        report(&Failure::Guest(format!("init: {bug}")));
        power::off(GUEST_FAILED);
    }));
    tell(&Event::Init);
    let code = run().unwrap_or_else(|failure| {
        report(&failure);
        failure.code()
    });
    power::off(code)
}

fn report(failure: &Failure) {
    tell(&Event::Error { text: &failure.to_string() });
}

/// Gives the result of the run: the container's exit code, or 0 if a function replied rightly.
fn run() -> Result<u8, Failure> {
    mounts::mount_all()?;
    tell(&Event::Mounted);
    entropy::seed()?;
    tell(&Event::Entropy);

    let config = task::configuration()?;
    let task = task::decide(config.container)?;
    network::up(&config.hostname)?;
    tell(&Event::Network);

    let mut processes = Processes::new()?;
    let daemon = Daemon::start(&mut processes)?;
    let result = daemon.wait_until_ready(&mut processes, config.timeout).and_then(|()| {
        let client = Client::connect(&config.namespace, config.timeout)?;
        let (daemon, processes) = (&daemon, &mut processes);
        let (simulator, limit) = (Simulator::find(), config.timeout);
        let network = Network::of_guest()?;
        let mut system = System { client, daemon, processes, network, simulator, limit };
        simulator.tell(BOOT_DONE);
        match &task.answered(&simulator)? {
            Task::Container(container) => container::run(container, &mut system),
            Task::Function(functions, parameters, cores) => {
                functions::run(functions, parameters, cores, &mut system)
            }
            Task::Ask(..) => Err(Failure::Guest("gem5 was asked, and named no function".into())),
        }
    });
    if result.is_err() {
        daemon.tell_log();
    }
    daemon.stop(&mut processes);
    result
}
