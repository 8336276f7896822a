use std::{io, os::unix::process::CommandExt, process::Command};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// Ties the life of a process to the thread that starts it: however that ends, by Ctrl-C or by SIGKILL, the kernel ends the
/// process too. The thread must wait for it.
pub(super) fn tie(command: &mut Command) -> &mut Command {
    let parent = getpid();
    // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
    #[allow(unsafe_code, reason = "the standard library has no other way to say it")]
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // It may have ended before it was asked for.
            if getppid() != Some(parent) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Ok(())
        })
    }
}
