use std::{io, os::unix::process::CommandExt, process::Command};

use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

/// Ties the life of a process to the thread that starts it: however that ends, by Ctrl-C or by SIGKILL, the kernel ends the
/// process too, and nothing simulates for nobody. The thread must wait for it.
pub fn tie(command: &mut Command) -> &mut Command {
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

#[cfg(test)]
mod tests {
    use std::{os::unix::process::ExitStatusExt, thread};

    use super::*;

    #[test]
    fn what_is_tied_ends_with_the_thread_that_started_it() {
        let start = || tie(Command::new("sleep").arg("60")).spawn().unwrap();
        let mut child = thread::spawn(start).join().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }
}
