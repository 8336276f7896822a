use std::{
    io::{self, BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use fs_err::File;

use super::{Outcome, Said, Stage, console, running::Running, tie};

/// A machine to boot.
#[derive(Debug, Clone)]
pub struct Boot {
    /// QEMU's program for the architecture.
    pub qemu: PathBuf,
    /// The raw disk; it is not written.
    pub disk: PathBuf,
    /// The compressed kernel.
    pub kernel: PathBuf,
    /// The kernel's command line.
    pub cmdline: String,
    /// Memory in bytes.
    pub memory: u64,
    /// Cores.
    pub cores: u32,
    /// Whether the host's processor may run the guest.
    pub accelerator: Accelerator,
    /// How long the run may take, in time of the host.
    pub timeout: Duration,
    /// Where everything on the console goes.
    pub console_log: PathBuf,
}

/// Who executes the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accelerator {
    /// KVM, or QEMU itself where there is none.
    Kvm,
    /// QEMU itself: the same on every host.
    Tcg,
}

/// Why there was no run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// QEMU is not there or does not start.
    #[error("cannot start `{}`", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// QEMU ended with an error of its own.
    #[error("QEMU failed: {message}")]
    Qemu {
        /// What it said.
        message: String,
    },
    /// The console log or the pipe broke.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Boots a machine, hands everything that the guest says to `watch` at once, and waits for its end.
pub fn boot(boot: &Boot, watch: &mut dyn FnMut(&Said)) -> Result<Outcome, Error> {
    let mut log = File::create(&boot.console_log)?;
    let begin = Instant::now();
    let mut guard = Running(start(boot)?);
    let console = guard.0.stdout.take().map(BufReader::new);
    let (send, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in console.into_iter().flat_map(|console| console.split(b'\n')) {
            let Ok(line) = line else { break };
            if send.send(line).is_err() {
                break;
            }
        }
    });
    let mut outcome = Outcome::default();
    let ended = loop {
        let left = boot.timeout.saturating_sub(begin.elapsed());
        match lines.recv_timeout(left) {
            Ok(line) => {
                log.write_all(&line)?;
                log.write_all(b"\n")?;
                if console::is_panic(&line) {
                    outcome.panic = Some(String::from_utf8_lossy(&line).trim().to_owned());
                }
                if let Some(said) = console::read(&line) {
                    watch(&said);
                    outcome.said.push(said);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break true,
            Err(RecvTimeoutError::Timeout) => break false,
        }
    };
    outcome.timed_out = !ended;
    if !ended {
        guard.stop();
    }
    let status = guard.0.wait()?;
    // The pipe is closed by now, so the reader is at its end.
    let _ = reader.join();
    outcome.host_seconds = begin.elapsed().as_secs_f64();
    let heard = outcome.said.iter().any(|said| said.stage == Stage::Init);
    if ended && !status.success() && !heard {
        return Err(Error::Qemu { message: complaint(&mut guard.0) });
    }
    Ok(outcome)
}

fn start(boot: &Boot) -> Result<Child, Error> {
    // With time counted by instructions the guest's clock does not depend on how busy the host is.
    let accelerator: &[&str] = match boot.accelerator {
        Accelerator::Kvm => &["-accel", "kvm", "-accel", "tcg"],
        Accelerator::Tcg => &["-accel", "tcg", "-icount", "shift=auto"],
    };
    // `snapshot=on` keeps the guest's writes in a file of QEMU's that nobody else sees.
    let disk =
        format!("file={},if=ide,format=raw,snapshot=on", comma(&boot.disk.to_string_lossy()));
    let mut qemu = Command::new(&boot.qemu);
    qemu.args(["-machine", "pc", "-nodefaults", "-no-user-config", "-display", "none"])
        .args(accelerator)
        .args(["-cpu", "max"])
        .args(["-m", &format!("{}M", boot.memory >> 20), "-smp", &sockets(boot.cores)])
        .args(["-serial", "stdio", "-monitor", "none", "-no-reboot"])
        .arg("-kernel")
        .arg(&boot.kernel)
        .args(["-append", &boot.cmdline, "-drive", &disk])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    tie(&mut qemu).spawn().map_err(|source| Error::Start { program: boot.qemu.clone(), source })
}

/// One processor a socket: a kernel without ACPI knows processors from the firmware's MP table, which has no cores.
fn sockets(cores: u32) -> String {
    format!("{cores},sockets={cores}")
}

/// In QEMU's options a comma in a value is written twice.
fn comma(value: &str) -> String {
    value.replace(',', ",,")
}

/// What QEMU said on its standard error.
fn complaint(qemu: &mut Child) -> String {
    let stderr = qemu.stderr.take().map(io::read_to_string);
    stderr.and_then(Result::ok).unwrap_or_default().trim().to_owned()
}
