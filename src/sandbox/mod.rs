//! Runs one command, shut off from host and network.
//!
//! A sandbox needs no root: it is made of user, mount, process, network, IPC, host name and control group namespaces,
//! an overlay whose lower layer is never written, and a filter of system calls. For root and for an ordinary user it
//! is the same: inside there is one user, `builder`, with number 1000 and no capabilities.
//!
//! A command sees: the root that it is given, its binds, a `/dev` of harmless devices, a `/proc` of its own processes
//! only (no `/proc/sys`, `/proc/cpuinfo`, `/proc/meminfo`), no `/sys`, a loopback interface, `/etc/hosts` and
//! `/etc/resolv.conf` that lead nowhere, and a user database that has the builder. Environment, working directory,
//! host name, umask (022), signal actions, and the limits on files, stack and core dumps are fixed; addresses are not
//! randomised; there is no terminal.
//!
//! What no namespace can hide, and a step must not put into its output: the clock, the kernel's release, the kind and
//! number of processors, the amount of memory (sysinfo(2)), inode numbers and link counts of files in the root, free
//! space, the owner shown for device nodes and `/proc` (the builder if the host's root runs the sandbox, else nobody),
//! how many further groups an ordinary user has, and the paths of binds in `/proc/self/mountinfo`.
//!
//! 32-bit programs of a 64-bit machine are killed: their system calls have other numbers than the filter knows.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, AsRawFd},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
};

use child::{Purpose, Report, Request};
use fault::Fault;

mod child;
mod etc;
mod fault;
mod filter;
mod mounts;
mod namespace;
mod probe;
mod scratch;
mod spec;
mod system;

pub use child::{child_main, is_child};
pub use probe::Unusable;
pub use scratch::clean;
pub use spec::{Access, BUILDER, Bind, HOSTNAME, Limits, Outcome, Spec, Status};

/// Names in the scratch directory: a link to the lower layer, the other two layers, and where the root is mounted.
const LOWER: &str = "lower";
const UPPER: &str = "upper";
const WORK: &str = "work";
const ROOT: &str = "root";
/// More than any report is long.
const REPORT_MAX: u64 = 1 << 20;

/// Why a command was not run. That it ran and failed is an [`Outcome`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host does not allow sandboxes, or not here.
    #[error(transparent)]
    Unusable(#[from] Unusable),
    /// A step of the set-up failed.
    #[error("sandbox: cannot {step}")]
    Setup {
        /// What was being done.
        step: String,
        /// Why it did not work.
        source: io::Error,
    },
    /// The scratch directory is not as it should be.
    #[error("scratch directory `{}`", path.display())]
    Scratch {
        /// The scratch directory.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The program that is to set up the sandbox did not start.
    #[error("cannot start `{}` as the sandbox's helper", helper.display())]
    Helper {
        /// That program.
        helper: PathBuf,
        /// Why it did not start.
        source: io::Error,
    },
    /// The helper was killed from outside, or is not `vsbuild`.
    #[error("the sandbox's helper ended without a report ({status})")]
    Lost {
        /// How it ended.
        status: ExitStatus,
    },
}

/// Runs a command to its end, with both its outputs in `log`.
///
/// The scratch directory must be empty. It is left as the command left it, for [`shell`] or [`clean`].
pub fn run(spec: &Spec, log: File) -> Result<Outcome, Error> {
    scratch::prepare_new(spec)?;
    start(spec, Purpose::Run, log.into())
}

/// Runs a command on the terminal of this process, in a scratch directory that [`run`] has left or in an empty one.
///
/// Nothing else may be started at the same time by this process: it could inherit the terminal's copies.
pub fn shell(spec: &Spec) -> Result<Outcome, Error> {
    scratch::prepare(spec)?;
    let copy = |file: &dyn AsFd| {
        let step = "share the terminal".to_owned();
        // Unlike other copies, this one stays open in the helper.
        rustix::io::dup(file.as_fd()).map_err(|errno| Error::Setup { step, source: errno.into() })
    };
    let (input, output) = (copy(&io::stdin())?, copy(&io::stdout())?);
    let purpose = Purpose::Shell { input: input.as_raw_fd(), output: output.as_raw_fd() };
    start(spec, purpose, Stdio::inherit())
}

/// Sets up a sandbox with nothing in it, to learn whether this host can.
///
/// `scratch` is an empty directory where the scratch directories of builds will be, since that decides too.
pub fn probe(helper: &Path, scratch: &Path) -> Result<(), Error> {
    let nothing = scratch.join("nothing");
    let spec = Spec {
        helper: helper.to_owned(),
        lower: nothing.clone(),
        scratch: scratch.to_owned(),
        binds: Vec::new(),
        program: crate::path::GuestPath::root(),
        args: Vec::new(),
        env: Default::default(),
        cwd: crate::path::GuestPath::root(),
        limits: Limits::default(),
    };
    scratch::prepare_new(&spec)?;
    fs_err::create_dir(&nothing)
        .map_err(|source| Error::Scratch { path: scratch.to_owned(), source })?;
    start(&spec, Purpose::Probe, Stdio::null()).map(drop)
}

fn start(spec: &Spec, purpose: Purpose, log: Stdio) -> Result<Outcome, Error> {
    let request = Request { spec: absolute(spec)?, purpose, parent: std::process::id() };
    let request = serde_json::to_vec(&request).map_err(|error| Error::Setup {
        step: "describe the sandbox".to_owned(),
        source: error.into(),
    })?;
    let failed = |source| Error::Helper { helper: spec.helper.clone(), source };
    let mut helper = Command::new(&spec.helper)
        // The command line can be read inside; the environment and the working directory cannot.
        .arg0("vsbuild")
        .arg(child::ARGUMENT)
        .env_clear()
        .current_dir(&spec.scratch)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = helper.stdin.take() {
        // A helper that does not read to the end has died; how is seen below.
        let _ = input.write_all(&request);
    }
    let mut report = Vec::new();
    if let Some(output) = helper.stdout.take() {
        output.take(REPORT_MAX).read_to_end(&mut report).map_err(failed)?;
    }
    let status = helper.wait().map_err(failed)?;
    let line = report.split(|&byte| byte == b'\n').next().unwrap_or_default();
    match serde_json::from_slice(line) {
        Ok(Report::Done(outcome)) => Ok(outcome),
        Ok(Report::Failed(fault)) => Err(explain(spec, fault)),
        Err(_) => Err(Error::Lost { status }),
    }
}

fn explain(spec: &Spec, fault: Fault) -> Error {
    match probe::diagnose(&fault, &probe::Facts::gather(&spec.scratch)) {
        Some(unusable) => Error::Unusable(unusable),
        None => Error::Setup { step: fault.what.clone(), source: fault.source() },
    }
}

/// The same with host paths that do not depend on the working directory.
fn absolute(spec: &Spec) -> Result<Spec, Error> {
    let mut spec = spec.clone();
    for bind in &mut spec.binds {
        bind.host = std::path::absolute(&bind.host).map_err(|source| Error::Setup {
            step: format!("find `{}`", bind.host.display()),
            source,
        })?;
    }
    Ok(spec)
}
