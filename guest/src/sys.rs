//! The system calls that the standard library doesn't offer, each behind a safe face. What they do: their man pages.

#![allow(unsafe_code)] // system calls: every block below passes pointers to live values of the right type, nothing else

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// Time since the kernel started its clock.
pub fn uptime() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel fills `now`; it can't fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// Mounts a file system.
pub fn mount(kind: &CStr, target: &CStr, flags: libc::c_ulong, options: &CStr) -> io::Result<()> {
    // SAFETY: all are NUL-terminated strings. A virtual file system has no source; its kind stands in /proc/mounts.
    check(unsafe {
        libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast())
    })
}

/// Makes the root file system read-only, which writes all that isn't on disk yet.
pub fn remount_root_read_only() -> io::Result<()> {
    let flags = libc::MS_REMOUNT | libc::MS_RDONLY;
    // SAFETY: strings, or null where a remount takes nothing.
    check(unsafe {
        libc::mount(std::ptr::null(), c"/".as_ptr(), std::ptr::null(), flags, std::ptr::null())
    })
}

/// Unmounts the file system at `target`.
pub fn unmount(target: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let target = CString::new(target.as_os_str().as_bytes())?;
    // SAFETY: a NUL-terminated string.
    check(unsafe { libc::umount2(target.as_ptr(), 0) })
}

/// Writes what the file systems hold back.
pub fn sync() {
    // SAFETY: takes and gives nothing.
    unsafe { libc::sync() }
}

/// Turns the machine off. Returns only if it can't.
pub fn power_off() -> io::Error {
    // SAFETY: takes a number.
    unsafe { libc::reboot(libc::RB_POWER_OFF) };
    io::Error::last_os_error()
}

/// Sets the host name.
pub fn set_hostname(name: &str) -> io::Result<()> {
    // SAFETY: a pointer and the length of what it points to.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) })
}

/// Opens a socket to rtnetlink.
pub fn route_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: takes numbers, and makes a descriptor.
    unsafe { descriptor(libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE)) }
}

/// Sends a request, and waits for its answer; gives how long that is.
pub fn exchange(socket: &OwnedFd, request: &[u8], answer: &mut [u8]) -> io::Result<usize> {
    let socket = socket.as_raw_fd();
    // SAFETY: a pointer and the length of what it points to.
    let sent = unsafe { libc::send(socket, request.as_ptr().cast(), request.len(), 0) };
    if sent < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a pointer and the length of what it points to.
    let got = unsafe { libc::recv(socket, answer.as_mut_ptr().cast(), answer.len(), 0) };
    usize::try_from(got).map_err(|_| io::Error::last_os_error())
}

/// The number of a network device in the calling thread's network namespace.
pub fn interface_index(name: &str) -> io::Result<u32> {
    let name = CString::new(name)?;
    // SAFETY: a NUL-terminated string.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}

/// Puts the calling thread into the network namespace of a process.
pub fn enter_network_of(pid: i32) -> io::Result<()> {
    let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
    // SAFETY: takes a descriptor that is open, and a number.
    check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) })
}

/// Mixes `seed` into the kernel's random numbers and counts all its bits as entropy. `random` is `/dev/random`.
pub fn add_entropy(random: &File, seed: &[u8; 32]) -> io::Result<()> {
    /// `struct rand_pool_info` of linux/random.h with a buffer of 32 bytes.
    #[repr(C)]
    struct Pool {
        bits: libc::c_int,
        bytes: libc::c_int,
        buffer: [u8; 32],
    }
    /// `_IOW('R', 3, int[2])`
    const RNDADDENTROPY: u32 = 0x4008_5203;
    let pool = Pool { bits: 256, bytes: 32, buffer: *seed };
    // SAFETY: the request reads a `Pool`.
    check(unsafe { libc::ioctl(random.as_raw_fd(), RNDADDENTROPY as _, &pool) })
}

/// Waits until the terminal has sent what was written to it.
pub fn flush_terminal(terminal: BorrowedFd) {
    // SAFETY: a file descriptor that is open. On what is no terminal there is nothing to wait for.
    unsafe { libc::tcdrain(terminal.as_raw_fd()) };
}

/// From now on SIGCHLD is not delivered but can be read from the descriptor.
pub fn child_signals() -> io::Result<OwnedFd> {
    // SAFETY: a signal set is initialised before use; the calls only read it.
    unsafe {
        let mut set = zeroed();
        libc::sigemptyset(&mut set);
        libc::sigaddset(&mut set, libc::SIGCHLD);
        check(libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()))?;
        descriptor(libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))
    }
}

/// A descriptor that becomes readable when a name in `directory` appears or changes its attributes.
pub fn watch_directory(directory: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: takes flags, and a NUL-terminated string.
    unsafe {
        let watch = descriptor(libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK))?;
        let what = libc::IN_CREATE | libc::IN_MOVED_TO | libc::IN_ATTRIB;
        check(libc::inotify_add_watch(watch.as_raw_fd(), directory.as_ptr(), what).min(0))?;
        Ok(watch)
    }
}

/// Reads away whatever a non-blocking descriptor has to give.
pub fn discard(descriptor: BorrowedFd) {
    let mut buffer = [0u8; 1024];
    // SAFETY: a buffer and its length.
    while unsafe {
        libc::read(descriptor.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len()) > 0
    } {}
}

/// A child that ended: its process id, and the exit code (128 + signal if a signal ended it).
pub fn reap() -> Option<(i32, u8)> {
    let mut status = 0;
    // SAFETY: the kernel fills `status`.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) };
    (pid > 0).then(|| (pid, exit_code(status)))
}

fn exit_code(status: libc::c_int) -> u8 {
    if libc::WIFEXITED(status) {
        libc::WEXITSTATUS(status) as u8
    } else {
        128 + libc::WTERMSIG(status) as u8
    }
}

/// A signal for a process.
#[derive(Clone, Copy)]
pub enum Signal {
    /// Please end.
    Terminate,
    /// End.
    Kill,
}

/// Signals a process, if it's still there.
pub fn signal(pid: i32, signal: Signal) {
    // SAFETY: takes numbers.
    unsafe { libc::kill(pid, signal.number()) };
}

/// Whether there is such a process: a zombie counts until its parent has learned of its end.
pub fn is_alive(pid: i32) -> bool {
    // SAFETY: takes numbers.
    unsafe { libc::kill(pid, 0) == 0 }
}

/// A descriptor that becomes readable when a process ends, whoever's child it is.
pub fn watch_process(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers and gives a descriptor, which has close-on-exec set by itself.
    unsafe { descriptor(libc::syscall(libc::SYS_pidfd_open, pid, 0) as libc::c_int) }
}

/// Makes a named pipe.
pub fn make_fifo(path: &CStr) -> io::Result<()> {
    // SAFETY: a NUL-terminated string.
    check(unsafe { libc::mkfifo(path.as_ptr(), 0o600) })
}

/// Ends every process but this one, and waits until they are gone.
pub fn kill_all() {
    signal(-1, Signal::Kill);
    // SAFETY: takes numbers; nobody asks for the status.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) > 0 } {}
}

impl Signal {
    /// Its number.
    pub fn number(self) -> libc::c_int {
        match self {
            Signal::Terminate => libc::SIGTERM,
            Signal::Kill => libc::SIGKILL,
        }
    }
}

/// Waits until one of `descriptors` is readable or at its end, at most for `limit`. Says which are; none after `limit`.
pub fn poll<const N: usize>(
    descriptors: [Option<BorrowedFd>; N],
    limit: Duration,
) -> io::Result<[bool; N]> {
    // The kernel skips negative descriptors.
    let mut set = descriptors.map(|descriptor| libc::pollfd {
        fd: descriptor.map_or(-1, |open| open.as_raw_fd()),
        events: libc::POLLIN,
        revents: 0,
    });
    // Rounded up, so that a caller with a deadline doesn't spin through the last millisecond.
    let limit = limit.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(libc::c_int::MAX);
    // SAFETY: an array and its length.
    let ready = unsafe { libc::poll(set.as_mut_ptr(), N as libc::nfds_t, limit) };
    match check(ready.min(0)) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok([false; N]),
        Err(error) => Err(error),
        Ok(()) => Ok(set.map(|entry| entry.revents != 0)),
    }
}

/// A window of physical memory. Unmapped when dropped.
pub struct PhysicalWindow(*mut libc::c_void);

/// Its length: 64 KiB, that of the window of gem5's m5 operations.
const WINDOW: usize = 0x1_0000;

impl PhysicalWindow {
    /// Maps the window of `memory` (`/dev/mem`) that begins at `address`.
    pub fn map(memory: &File, address: u64) -> io::Result<PhysicalWindow> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let (descriptor, offset) = (memory.as_raw_fd(), address as libc::off_t);
        let nowhere = std::ptr::null_mut();
        // SAFETY: a new mapping at an address of the kernel's choice overlaps nothing of ours.
        let at = unsafe {
            libc::mmap(nowhere, WINDOW, protection, libc::MAP_SHARED, descriptor, offset)
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(PhysicalWindow(at))
    }

    /// Where the window lies in this process.
    pub fn base(&self) -> *mut u8 {
        self.0.cast()
    }
}

impl Drop for PhysicalWindow {
    fn drop(&mut self) {
        // SAFETY: mapped with this length, and nobody else has the address.
        unsafe { libc::munmap(self.0, WINDOW) };
    }
}

/// Has `handler` called, with the machine's registers, when this process executes an instruction that doesn't exist.
pub fn on_illegal_instruction(
    handler: extern "C" fn(i32, *mut libc::siginfo_t, *mut libc::ucontext_t),
) {
    // SAFETY: a zeroed `sigaction` with handler and flags is complete; SA_SIGINFO handlers get these three arguments.
    unsafe {
        let mut action: libc::sigaction = zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGILL, &action, std::ptr::null_mut());
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// # Safety
/// `result` is what a system call gave that makes a descriptor: a new one, or -1.
unsafe fn descriptor(result: libc::c_int) -> io::Result<OwnedFd> {
    check(result.min(0))?;
    // SAFETY: new, so nobody else closes it.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        assert_eq!(exit_code(3 << 8), 3);
        assert_eq!(exit_code(libc::SIGKILL), 137);
    }

    #[test]
    fn the_end_of_a_process_can_be_waited_for() {
        use std::os::fd::AsFd;
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let pid = child.id() as i32;
        let end = watch_process(pid).expect("a pidfd");
        let ended = |limit| poll([Some(end.as_fd())], Duration::from_millis(limit)).expect("poll");
        assert!(is_alive(pid));
        assert_eq!(ended(1), [false]);
        signal(pid, Signal::Kill);
        assert_eq!(ended(5000), [true]);
        child.wait().expect("it is our child");
        assert!(!is_alive(pid));
        assert!(watch_process(pid).is_err());
    }

    #[test]
    fn the_clock_moves_on() {
        let before = uptime();
        assert!(before > Duration::ZERO && uptime() >= before);
    }

    #[test]
    fn poll_tells_which_descriptor_is_ready() {
        use std::io::Write;
        use std::os::fd::AsFd;
        use std::os::unix::net::UnixStream;
        let (quiet, _other) = UnixStream::pair().expect("a socket pair");
        let (loud, mut writer) = UnixStream::pair().expect("a socket pair");
        writer.write_all(b"x").expect("room in the socket");
        let ready = poll([Some(quiet.as_fd()), None, Some(loud.as_fd())], Duration::from_secs(5));
        assert_eq!(ready.expect("poll"), [false, false, true]);
        let ready = poll([Some(quiet.as_fd())], Duration::from_millis(1));
        assert_eq!(ready.expect("poll"), [false]);
    }
}
