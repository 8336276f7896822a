//! System calls that no honest build makes, tried inside.

use nix::libc;

/// The last argument to each is what a refusal looks like; the answers name what was not refused.
#[allow(unsafe_code, reason = "system calls that no honest program makes have no safe wrapper")]
pub(crate) fn attempts() -> String {
    let (set_user_id, path) = (0o4755, c"/build/made".as_ptr() as u64);
    let create = (libc::O_CREAT | libc::O_WRONLY) as u64;
    let here = libc::AT_FDCWD as u64;
    let how = [create, set_user_id, 0_u64];
    let (none, eperm) = (0_u64, libc::EPERM);
    let new_user = libc::CLONE_NEWUSER as u64;
    let tries: &[(&str, i64, &[u64], i32)] = &[
        ("open", libc::SYS_openat, &[here, path, create, set_user_id], eperm),
        (
            "temporary file",
            libc::SYS_openat,
            &[here, c"/build".as_ptr() as u64, libc::O_TMPFILE as u64 | 1, 0o2755],
            eperm,
        ),
        ("openat2", libc::SYS_openat2, &[here, path, how.as_ptr() as u64, 24], libc::ENOSYS),
        (
            "mknod",
            libc::SYS_mknodat,
            &[here, path, u64::from(libc::S_IFREG) | set_user_id, 0],
            eperm,
        ),
        ("fchmodat", libc::SYS_fchmodat, &[here, c"/build".as_ptr() as u64, 0o2755], eperm),
        ("fchmodat2", 452, &[here, c"/build".as_ptr() as u64, 0o2755, 0], eperm),
        ("unshare", libc::SYS_unshare, &[new_user], eperm),
        ("clone", libc::SYS_clone, &[new_user | libc::SIGCHLD as u64, 0, 0, 0, 0], eperm),
        ("clone3", libc::SYS_clone3, &[0, 0], libc::ENOSYS),
        ("setns", libc::SYS_setns, &[0, 0], eperm),
        ("mount", libc::SYS_mount, &[none, path, none, libc::MS_BIND, 0], eperm),
        ("open_tree", libc::SYS_open_tree, &[here, path, 1], eperm),
        ("chroot", libc::SYS_chroot, &[c"/build".as_ptr() as u64], eperm),
        ("keyctl", libc::SYS_keyctl, &[0, 0], eperm),
        ("bpf", libc::SYS_bpf, &[0, 0, 0], eperm),
        ("perf", libc::SYS_perf_event_open, &[0, 0, 0, 0, 0], eperm),
        ("io_uring", libc::SYS_io_uring_setup, &[8, 0], libc::ENOSYS),
        ("personality", libc::SYS_personality, &[0], eperm),
        ("packet socket", libc::SYS_socket, &[libc::AF_PACKET as u64, 3, 0], libc::EAFNOSUPPORT),
        ("vsock", libc::SYS_socket, &[libc::AF_VSOCK as u64, 1, 0], libc::EAFNOSUPPORT),
        ("raw socket", libc::SYS_socket, &[libc::AF_INET as u64, 3, 1], eperm),
        ("typing", libc::SYS_ioctl, &[0, libc::TIOCSTI, path], eperm),
        ("setuid", libc::SYS_setuid, &[0], libc::EINVAL),
        ("setgroups", libc::SYS_setgroups, &[0, 0], eperm),
        ("tracing the keeper", libc::SYS_ptrace, &[libc::PTRACE_ATTACH as u64, 1, 0, 0], eperm),
        ("host name", libc::SYS_sethostname, &[path, 4], eperm),
        ("reboot", libc::SYS_reboot, &[0, 0, 0], eperm),
        #[cfg(target_arch = "x86_64")]
        ("x32", 0x4000_0000 | libc::SYS_getpid, &[], libc::ENOSYS),
    ];
    let mut answers = String::new();
    for (name, call, given, refusal) in tries {
        let argument = |at: usize| given.get(at).copied().unwrap_or(0);
        let [a, b, c, d, e] = std::array::from_fn(argument);
        // SAFETY: all are either refused or harmless: pointers are to constants that outlive the call.
        let result = unsafe { libc::syscall(*call, a, b, c, d, e) };
        let errno = std::io::Error::last_os_error().raw_os_error();
        if result >= 0 || errno != Some(*refusal) {
            answers += &format!("{name}: {result} {errno:?}\n");
        }
    }
    // SAFETY: a question, which changes nothing.
    let personality = unsafe { libc::personality(0xffff_ffff) };
    answers += &format!("personality {personality:#x}\n");
    answers
}
