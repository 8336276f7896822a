//! The second belt: capabilities, limits and system calls that no build needs.
//!
//! The namespaces alone must hold. What is refused here is refused because it has no business in a build, because it
//! is where kernels break, or, for set-user-id bits, because the result would be dangerous on the host.

use std::{collections::BTreeMap, io};

use nix::libc;
use rustix::process::{Resource, Rlimit};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter, sock_filter,
};

use super::{
    fault::{At, Fault, Stage},
    system,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Since Linux 6.6, the same on every architecture; the C library's headers do not have it everywhere.
const SYS_FCHMODAT2: i64 = 452;
/// Since Linux 6.15, the same on every architecture.
const SYS_OPEN_TREE_ATTR: i64 = 467;

/// Refused whatever the arguments are.
const REFUSED: &[i64] = &[
    // Mounts and namespaces
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    SYS_OPEN_TREE_ATTR,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    // The machine
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    // Doors into the kernel that are shared with the host
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_lookup_dcookie,
];

/// Refused as if the kernel were too old for them, so that programs fall back to calls whose arguments are seen here.
const UNKNOWN: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_openat2,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Makes this process and all that it will start powerless.
pub(super) fn lock_down() -> Result<(), Fault> {
    nix::sys::prctl::set_no_new_privs().at(Stage::Other, "forbid new privileges")?;
    system::drop_capabilities().at(Stage::Other, "drop the capabilities")?;
    install().at(Stage::Other, "filter system calls")
}

/// Sets the limits that programs look at to the same values on every host.
pub(super) fn fix_limits() -> Result<(), Fault> {
    const MIB: u64 = 1 << 20;
    for (resource, current, maximum) in [
        (Resource::Core, 0, 0),
        (Resource::Nofile, 1024, 4096),
        (Resource::Stack, 8 * MIB, 64 * MIB),
    ] {
        let limit = Rlimit { current: Some(current), maximum: Some(maximum) };
        rustix::process::setrlimit(resource, limit).at(
            Stage::Other,
            format_args!("set the limit {resource:?} to {current} and {maximum}"),
        )?;
    }
    Ok(())
}

fn install() -> io::Result<()> {
    #[cfg(target_arch = "x86_64")]
    apply_filter(&without_x32()).map_err(io::Error::other)?;
    for (rules, errno) in [
        (refused()?, libc::EPERM),
        (any_arguments(UNKNOWN), libc::ENOSYS),
        (families()?, libc::EAFNOSUPPORT),
    ] {
        let arch = std::env::consts::ARCH.try_into().map_err(io::Error::other)?;
        let action = SeccompAction::Errno(errno.unsigned_abs());
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch)
            .map_err(io::Error::other)?;
        let program: Vec<sock_filter> = filter.try_into().map_err(io::Error::other)?;
        apply_filter(&program).map_err(io::Error::other)?;
    }
    Ok(())
}

fn any_arguments(calls: &[i64]) -> Rules {
    calls.iter().map(|&call| (call, Vec::new())).collect()
}

fn refused() -> io::Result<Rules> {
    let mut rules = any_arguments(REFUSED);
    #[cfg(target_arch = "x86_64")]
    rules.extend(any_arguments(&[libc::SYS_kexec_file_load, libc::SYS_iopl, libc::SYS_ioperm]));
    // A set-user-id file in a scratch directory would lend the user's rights to everybody on the host.
    for bit in [libc::S_ISUID, libc::S_ISGID] {
        for (call, mode) in [
            (libc::SYS_fchmod, 1),
            (libc::SYS_fchmodat, 2),
            (SYS_FCHMODAT2, 2),
            (libc::SYS_mknodat, 2),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_chmod, 1),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_mknod, 1),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_creat, 1),
        ] {
            rules.entry(call).or_default().push(rule(&[has(mode, bit)])?);
        }
        // Without these flags there is no mode, only what the caller left in the register.
        for flag in [libc::O_CREAT, libc::O_TMPFILE & !libc::O_DIRECTORY] {
            let flag = flag.unsigned_abs();
            for (call, flags) in [
                (libc::SYS_openat, 2),
                #[cfg(target_arch = "x86_64")]
                (libc::SYS_open, 1),
            ] {
                let both = rule(&[has(flags, flag), has(flags + 1, bit)])?;
                rules.entry(call).or_default().push(both);
            }
        }
    }
    for flag in [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
    ] {
        let made = rule(&[has(0, flag.unsigned_abs())])?;
        rules.entry(libc::SYS_clone).or_default().push(made);
    }
    // Asking for the personality is fine; it was set once and for all.
    let set = rule(&[Condition { argument: 0, op: SeccompCmpOp::Ne, value: u32::MAX }])?;
    rules.insert(libc::SYS_personality, vec![set]);
    // Typing into the terminal that the sandbox shares with the person's own shell.
    let typing = [libc::TIOCSTI, libc::TIOCLINUX].map(|request| {
        rule(&[Condition { argument: 1, op: SeccompCmpOp::Eq, value: request as u32 }])
    });
    rules.insert(libc::SYS_ioctl, typing.into_iter().collect::<io::Result<_>>()?);
    Ok(rules)
}

/// Only sockets that end in the sandbox; the rest (packet, Bluetooth, vsock to the hypervisor) know no namespace or
/// are seldom-used kernel code.
fn families() -> io::Result<Rules> {
    let known = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].map(|family| {
        Condition { argument: 0, op: SeccompCmpOp::Ne, value: family.unsigned_abs() }
    });
    Ok([(libc::SYS_socket, vec![rule(&known)?])].into())
}

/// A test of the lower half of one argument.
struct Condition {
    argument: u8,
    op: SeccompCmpOp,
    value: u32,
}

fn has(argument: u8, bits: u32) -> Condition {
    Condition { argument, op: SeccompCmpOp::MaskedEq(bits.into()), value: bits }
}

/// Holds if all conditions do.
fn rule(conditions: &[Condition]) -> io::Result<SeccompRule> {
    let conditions = conditions.iter().map(|Condition { argument, op, value }| {
        SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, op.clone(), (*value).into())
    });
    let conditions = conditions.collect::<Result<_, _>>().map_err(io::Error::other)?;
    SeccompRule::new(conditions).map_err(io::Error::other)
}

/// Refuses the calls of the x32 ABI: the same calls under other numbers, which the rules would not see.
#[cfg(target_arch = "x86_64")]
fn without_x32() -> [sock_filter; 4] {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const JUMP_IF_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const X32_BIT: u32 = 0x4000_0000;
    let step = |code, jt, k| sock_filter { code, jt, jf: 0, k };
    [
        step(LOAD, 0, 0), // the number of the call is the first field of seccomp_data
        step(JUMP_IF_AT_LEAST, 1, X32_BIT),
        step(RETURN, 0, libc::SECCOMP_RET_ALLOW),
        step(RETURN, 0, libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_compiles_for_this_machine() {
        let arch = || std::env::consts::ARCH.try_into().expect("a supported machine");
        for rules in [refused().unwrap(), any_arguments(UNKNOWN), families().unwrap()] {
            let action = SeccompAction::Errno(1);
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch()).unwrap();
            let program: Vec<sock_filter> = filter.try_into().unwrap();
            assert!(program.len() < 4096, "longer than the kernel takes");
        }
    }
}
