//! The few system calls that the crates below do not wrap safely. All `unsafe` of the house is here.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
};

use nix::{
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::ForkResult,
};

/// Splits the process; the caller must have one thread only.
#[allow(unsafe_code, reason = "the helper has a single thread, so its copy is whole")]
pub(super) fn fork() -> nix::Result<ForkResult> {
    // SAFETY: no other thread exists that could hold a lock at this moment.
    unsafe { nix::unistd::fork() }
}

/// Puts the stack, the heap and libraries at the same addresses in every run of a program.
#[allow(unsafe_code, reason = "no crate in use wraps personality(2)")]
pub(super) fn fix_addresses() -> io::Result<()> {
    // SAFETY: the call takes and gives numbers only.
    check(unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) }.into())
}

/// Marks every file but standard input, output and error to be closed when a program is started.
#[allow(unsafe_code, reason = "no crate in use wraps close_range(2)")]
pub(super) fn close_on_exec() -> io::Result<()> {
    let (first, last): (libc::c_uint, libc::c_uint) = (3, libc::c_uint::MAX);
    // SAFETY: only a flag of open files is set; who owns them does not change.
    check(unsafe {
        libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC as libc::c_uint)
    })
}

/// A copy of a file that was inherited under a known number.
#[allow(unsafe_code, reason = "an inherited file has a number and no owner yet")]
pub(super) fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: the number is only read from; if nothing is open there, the copy fails with EBADF.
    let file = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(rustix::io::fcntl_dupfd_cloexec(file.as_fd(), 3)?)
}

/// Gives up all capabilities, for this process and all that it starts.
#[allow(unsafe_code, reason = "no crate in use wraps capset(2)")]
pub(super) fn drop_capabilities() -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    for capability in 0..64 as libc::c_ulong {
        // SAFETY: the call takes numbers only.
        match check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }.into()) {
            // The kernel knows no capability of this number, nor any above it.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            other => other?,
        }
    }
    let header: [u32; 2] = [VERSION_3, 0];
    let sets = [0_u32; 6];
    // SAFETY: version 3 reads a header of two and data of six 32-bit words, which live until the call is over.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) })
}

/// Sets every signal to its default action, whatever the host's shell had ignored.
#[allow(
    unsafe_code,
    reason = "the C library hides signals 32 and 33, which its own posix_spawn ignores"
)]
pub(super) fn reset_signals() {
    // All architectures' `struct sigaction` of the kernel fit; zeros are SIG_DFL, no flags and an empty mask.
    let default = [0_u64; 4];
    let (none, mask_size) = (std::ptr::null::<u64>(), 8_usize);
    for signal in 1..=64_i32 {
        // SAFETY: the action outlives the call and runs no code of ours. KILL and STOP refuse, which is no harm.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), none, mask_size);
        }
    }
}

/// Lets signals from the terminal pass by, so that only the shell behind answers them.
#[allow(unsafe_code, reason = "nix cannot know what a handler does")]
pub(super) fn ignore_terminal() -> nix::Result<()> {
    let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    for signal in
        [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTSTP, Signal::SIGTTIN, Signal::SIGTTOU]
    {
        // SAFETY: ignoring runs no code.
        unsafe { sigaction(signal, &ignore) }?;
    }
    Ok(())
}

/// When the alarm rings, kills every process that this one may signal: in a process id namespace, all of it.
#[allow(unsafe_code, reason = "nix cannot know what a handler does")]
pub(super) fn kill_all_on_alarm() -> nix::Result<()> {
    extern "C" fn kill_all(_: libc::c_int) {
        // SAFETY: kill(2) may be called in a signal handler, and takes numbers only.
        unsafe { libc::kill(-1, libc::SIGKILL) };
    }
    let action =
        SigAction::new(SigHandler::Handler(kill_all), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler touches no memory.
    unsafe { sigaction(Signal::SIGALRM, &action) }.map(drop)
}

fn check(result: libc::c_long) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
