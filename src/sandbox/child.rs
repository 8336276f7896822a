//! What happens between the host and the command: three processes, one inside the other.
//!
//! 1. The helper is `vsbuild` again, with one thread only. It reads the request from its standard input, leaves the
//!    host's namespaces and waits.
//! 2. The keeper is process 1 of the sandbox. It builds the root and enters it, starts the step, buries orphans,
//!    and when the step is over kills the rest, counts and reports. When it dies, the kernel kills all of the sandbox.
//! 3. The step gives up its last rights and becomes the command.
//!
//! Each dies with the one before it, so nothing survives `vsbuild` itself.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    os::unix::{ffi::OsStringExt, process::CommandExt},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use nix::{
    libc,
    sys::{prctl::set_pdeathsig, signal::Signal},
    unistd::ForkResult,
};
use rustix::{
    fs::OFlags,
    process::{Pid, WaitOptions},
};
use serde::{Deserialize, Serialize};

use super::{
    fault::{At, Fault, Stage},
    filter, mounts, namespace,
    spec::{Outcome, Spec, Status},
    system,
};
use crate::path::GuestPath;

/// The argument by which the program knows that it is the helper.
pub(super) const ARGUMENT: &str = "__sandbox";

/// What the helper is asked to do; its working directory is the scratch directory.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) spec: Spec,
    pub(super) purpose: Purpose,
    /// The process that must be alive for the sandbox to be wanted.
    pub(super) parent: u32,
}

/// What becomes of the sandbox once it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// The command runs without a terminal; both its outputs go to the helper's standard error.
    Run,
    /// The command talks to a person over files that the helper inherits under these numbers.
    Shell { input: i32, output: i32 },
    /// Nothing: it was only a trial.
    Probe,
}

/// What the helper says on its standard output. The first line counts.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    Failed(Fault),
    Done(Outcome),
}

/// Whether this process was started as the helper of a sandbox.
pub fn is_child() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == ARGUMENT)
}

/// All of the helper's life. `main` calls this before anything else, while there is one thread.
pub fn child_main() -> ExitCode {
    let Ok(report) = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3) else {
        return ExitCode::FAILURE;
    };
    let report = Reporter(report.into());
    match helper(&report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => report.send(&Report::Failed(fault)),
    }
}

struct Reporter(File);

impl Reporter {
    fn send(&self, report: &Report) -> ExitCode {
        let line = serde_json::to_string(report).unwrap_or_default() + "\n";
        // If nobody listens any more, nobody misses it.
        match (&self.0).write_all(line.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        }
    }
}

fn helper(report: &Reporter) -> Result<(), Fault> {
    let request = read_request().at(Stage::Other, "read the request")?;
    system::close_on_exec().at(Stage::Other, "guard inherited files")?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    match request.purpose {
        // Away from the terminal: Ctrl-C is for vsbuild to answer, and with it all of this ends.
        Purpose::Run | Purpose::Probe => {
            nix::unistd::setsid().map(drop).at(Stage::Other, "start a session")?;
        }
        Purpose::Shell { .. } => system::ignore_terminal().at(Stage::Other, "ignore signals")?,
    }
    namespace::leave_host()?;
    die_with_parent(|| {
        let parent = rustix::process::getppid().map(Pid::as_raw_nonzero);
        parent.is_some_and(|pid| pid.get().unsigned_abs() == request.parent)
    })?;
    let (watch, alive) = io::pipe().at(Stage::Other, "make a pipe")?;
    match system::fork().at(Stage::Namespaces, "start the keeper")? {
        ForkResult::Child => {
            drop(alive);
            std::process::exit(i32::from(keeper(&request, watch.into(), report).is_err()));
        }
        ForkResult::Parent { .. } => {
            rustix::process::wait(WaitOptions::empty()).at(Stage::Other, "wait for the keeper")?;
            Ok(())
        }
    }
}

fn read_request() -> io::Result<Request> {
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Asks the kernel to kill this process when its parent dies, unless the parent was faster.
fn die_with_parent(is_alive: impl Fn() -> bool) -> Result<(), Fault> {
    set_pdeathsig(Signal::SIGKILL).at(Stage::Other, "tie its life to its parent's")?;
    if is_alive() { Ok(()) } else { std::process::exit(1) }
}

/// Reports by itself, since the report must be out before the helper learns that the keeper has ended.
fn keeper(request: &Request, watch: OwnedFd, report: &Reporter) -> Result<(), ()> {
    let answer = match keep(request, &watch, report) {
        Ok(outcome) => Report::Done(outcome),
        Err(fault) => Report::Failed(fault),
    };
    if report.send(&answer) == ExitCode::SUCCESS { Ok(()) } else { Err(()) }
}

fn keep(request: &Request, watch: &OwnedFd, report: &Reporter) -> Result<Outcome, Fault> {
    rustix::fs::fcntl_setfl(watch, OFlags::NONBLOCK).at(Stage::Other, "watch the helper")?;
    // The other end is open in the helper only: to read nothing at all means that it is gone.
    die_with_parent(|| rustix::io::read(watch, &mut [0]) == Err(rustix::io::Errno::AGAIN))?;
    let spec = &request.spec;
    mounts::enter_root(spec)?;
    let started = Instant::now();
    let limit = spec.limits.seconds.map(|seconds| seconds.max(1));
    if let Some(seconds) = limit {
        system::kill_all_on_alarm().at(Stage::Other, "set the alarm")?;
        nix::unistd::alarm::set(seconds);
    }
    let step = match system::fork().at(Stage::Other, "start the step")? {
        ForkResult::Child => {
            let Err(fault) = become_step(request);
            let _ = report.send(&Report::Failed(fault));
            std::process::exit(1);
        }
        ForkResult::Parent { child } => child.as_raw(),
    };
    let status = wait_for(step).at(Stage::Other, "wait for the step")?;
    bury_the_rest();
    let out_of_time = limit.is_some_and(|limit| {
        started.elapsed() >= Duration::from_secs(limit.into())
            && status == Status::Killed(libc::SIGKILL)
    });
    let status = if out_of_time { Status::TimedOut } else { status };
    Ok(Outcome { status, network_attempts: namespace::packets_without_route() })
}

/// Waits until this child ends. Orphans of the sandbox become children too, and are let go as they end.
fn wait_for(child: i32) -> io::Result<Status> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == child => {
                match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => return Ok(Status::Exited(code)),
                    (None, Some(signal)) => return Ok(Status::Killed(signal)),
                    (None, None) => (),
                }
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => (),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Kills everything else in the sandbox and waits for its end.
fn bury_the_rest() {
    let everyone = nix::unistd::Pid::from_raw(-1);
    // There is nobody, or everybody dies: process 1 of a namespace may signal all of it.
    let _ = nix::sys::signal::kill(everyone, Signal::SIGKILL);
    while !matches!(rustix::process::wait(WaitOptions::empty()), Err(rustix::io::Errno::CHILD)) {}
}

fn become_step(request: &Request) -> Result<std::convert::Infallible, Fault> {
    let spec = &request.spec;
    if !matches!(request.purpose, Purpose::Shell { .. }) {
        nix::unistd::setsid().map(drop).at(Stage::Other, "start a session")?;
    }
    namespace::leave_ownership()?;
    filter::fix_limits()?;
    system::fix_addresses().at(Stage::Other, "fix the address space")?;
    system::reset_signals();
    let host_path =
        |path: &GuestPath| PathBuf::from(OsString::from_vec([b"/", path.as_bytes()].concat()));
    nix::unistd::chdir(&host_path(&spec.cwd))
        .at(Stage::Other, format_args!("enter {}", spec.cwd))?;
    let program = host_path(&spec.program);
    let mut command = Command::new(&program);
    command.args(&spec.args).env_clear().envs(&spec.env);
    match request.purpose {
        Purpose::Run => {
            let output = rustix::io::fcntl_dupfd_cloexec(io::stderr(), 3);
            let output = output.at(Stage::Other, "open the log")?;
            command.stdin(Stdio::null()).stdout(output);
        }
        Purpose::Shell { input, output } => {
            command.stdin(system::inherited(input).at(Stage::Other, "open the input")?);
            command.stdout(system::inherited(output).at(Stage::Other, "open the output")?);
        }
        Purpose::Probe => (),
    }
    filter::lock_down()?;
    if request.purpose == Purpose::Probe {
        std::process::exit(0);
    }
    Err(command.exec()).at(Stage::Other, format_args!("start {}", spec.program))
}
