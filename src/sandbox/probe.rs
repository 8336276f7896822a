//! Why a host refuses to make a sandbox, and what its owner can do about it.

use std::path::Path;

use super::fault::{Fault, Stage};
use nix::libc::{EACCES, EINVAL, ENODEV, ENOSPC, ENOSYS, EPERM};

/// Why sandboxes cannot be made on this host, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// The kernel was built without user namespaces.
    #[error(
        "this kernel has no user namespaces; vsbuild needs one that was built with CONFIG_USER_NS"
    )]
    NoUserNamespaces,
    /// None may be made.
    #[error(
        "user namespaces are switched off (user.max_user_namespaces is 0); \
         turn them on with `sudo sysctl -w user.max_user_namespaces=15000`"
    )]
    MaximumIsZero,
    /// There are as many as may be, or they are nested too deep.
    #[error(
        "there are too many namespaces, or they are nested too deep (a limit in /proc/sys/user is reached); \
         raise it with `sudo sysctl -w user.max_user_namespaces=15000`, or end other containers"
    )]
    TooMany,
    /// Debian's switch for ordinary users is off.
    #[error(
        "user namespaces are switched off for ordinary users (kernel.unprivileged_userns_clone is 0); \
         turn them on with `sudo sysctl -w kernel.unprivileged_userns_clone=1`"
    )]
    OnlyForRoot,
    /// Ubuntu's AppArmor takes away the rights that a user namespace gives.
    #[error(
        "AppArmor restricts user namespaces for ordinary users \
         (kernel.apparmor_restrict_unprivileged_userns is 1); lift it with \
         `sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, \
         or give the vsbuild program an AppArmor profile with the rule `userns,`"
    )]
    AppArmor,
    /// A container's filter of system calls forbids it.
    #[error(
        "this container forbids to make namespaces and mounts; start it with \
         `docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
         --security-opt systempaths=unconfined`, or with `podman run --security-opt seccomp=unconfined \
         --security-opt unmask=ALL`"
    )]
    Container,
    /// A fresh `/proc` is refused where parts of the present one are covered.
    #[error(
        "parts of /proc are covered here, as containers do, and the kernel then refuses to mount a new one; \
         start the container with `docker run --security-opt systempaths=unconfined` \
         or `podman run --security-opt unmask=ALL`"
    )]
    ProcCovered,
    /// Overlays in user namespaces came with Linux 5.11.
    #[error("Linux {release} is too old: overlays in user namespaces need Linux 5.11 or newer")]
    OldKernel {
        /// The kernel's release.
        release: String,
    },
    /// The kernel's overlay module is not there.
    #[error("overlay file systems are missing; load them with `sudo modprobe overlay`")]
    NoOverlay,
    /// The scratch directory's file system cannot carry an upper layer.
    #[error(
        "the scratch directory lies on {kind}, which cannot carry the upper layer of an overlay; \
         keep the store on ext4, xfs or btrfs (in a container: on a volume), with `--store`"
    )]
    NoUpper {
        /// What is there.
        kind: &'static str,
    },
}

/// What is known about the host when something was refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Facts {
    /// `user.max_user_namespaces` in this user namespace.
    pub(super) maximum: Option<u64>,
    /// `kernel.unprivileged_userns_clone`, a patch of Debian's.
    pub(super) unprivileged_clone: Option<u64>,
    /// `kernel.apparmor_restrict_unprivileged_userns`.
    pub(super) apparmor: Option<u64>,
    /// Whether this process may do everything in its user namespace.
    pub(super) is_root: bool,
    /// Whether the kernel has user namespaces at all.
    pub(super) has_user_namespaces: bool,
    /// Whether system calls are filtered already, or a container says that it is one.
    pub(super) is_confined: bool,
    /// The kernel's release.
    pub(super) release: String,
    /// The magic number of the scratch directory's file system.
    pub(super) file_system: i64,
}

impl Facts {
    /// Looks at this host. What cannot be read is unknown.
    pub(super) fn gather(scratch: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let number = |path: &str| read(&format!("/proc/sys/{path}")).trim().parse().ok();
        let exists = |path: &str| Path::new(path).exists();
        let filtered = read("/proc/self/status").lines().any(|line| line == "Seccomp:\t2");
        Self {
            maximum: number("user/max_user_namespaces"),
            unprivileged_clone: number("kernel/unprivileged_userns_clone"),
            apparmor: number("kernel/apparmor_restrict_unprivileged_userns"),
            is_root: rustix::process::geteuid().is_root(),
            has_user_namespaces: exists("/proc/self/ns/user"),
            is_confined: filtered || exists("/.dockerenv") || exists("/run/.containerenv"),
            release: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: rustix::fs::statfs(scratch).map_or(0, |found| found.f_type),
        }
    }
}

/// Finds the known cause of a failure; none if it is something else.
pub(super) fn diagnose(fault: &Fault, facts: &Facts) -> Option<Unusable> {
    let errno = fault.errno?;
    let denied = matches!(errno, EPERM | EACCES);
    let is_namespace = matches!(fault.stage, Stage::User | Stage::Namespaces);
    if is_namespace && (errno == ENOSYS || errno == EINVAL && !facts.has_user_namespaces) {
        return Some(Unusable::NoUserNamespaces);
    }
    if is_namespace && errno == ENOSPC {
        let none = facts.maximum == Some(0);
        return Some(if none { Unusable::MaximumIsZero } else { Unusable::TooMany });
    }
    if denied && !facts.is_root && facts.unprivileged_clone == Some(0) {
        return Some(Unusable::OnlyForRoot);
    }
    if denied && !facts.is_root && facts.apparmor.is_some_and(|restricted| restricted != 0) {
        return Some(Unusable::AppArmor);
    }
    if denied && is_namespace && facts.is_confined {
        return Some(Unusable::Container);
    }
    match (fault.stage, errno) {
        (Stage::Overlay | Stage::Proc, _)
            if version(&facts.release).is_some_and(|v| v < (5, 11)) =>
        {
            Some(Unusable::OldKernel { release: facts.release.clone() })
        }
        (Stage::Proc, EPERM) => Some(Unusable::ProcCovered),
        (Stage::Overlay, ENODEV) => Some(Unusable::NoOverlay),
        (Stage::Overlay, _) => upperless(facts.file_system).map(|kind| Unusable::NoUpper { kind }),
        _ => None,
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// File systems that the kernel's `fs/overlayfs/super.c` or missing attributes rule out, by statfs(2)'s numbers.
fn upperless(magic: i64) -> Option<&'static str> {
    match magic {
        0x794c_7630 => Some("an overlay itself"),
        0x6969 => Some("NFS"),
        0x6573_5546 => Some("a FUSE file system"),
        0x0102_1994 => Some("a tmpfs without user attributes, which came with Linux 6.6"),
        0x0102_1997 => Some("9p"),
        0x4d44 => Some("FAT"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::sandbox::fault::At;

    fn fault(stage: Stage, errno: i32) -> Fault {
        Err::<(), _>(io::Error::from_raw_os_error(errno)).at(stage, "do it").unwrap_err()
    }

    fn usual() -> Facts {
        Facts {
            maximum: Some(15000),
            has_user_namespaces: true,
            release: "6.1.0-37-amd64".to_owned(),
            ..Facts::default()
        }
    }

    #[test]
    fn every_switch_is_named_with_its_command() {
        let off = Facts { unprivileged_clone: Some(0), ..usual() };
        let ubuntu = Facts { apparmor: Some(1), ..usual() };
        let none = Facts { maximum: Some(0), ..usual() };
        let docker = Facts { is_confined: true, is_root: true, ..usual() };
        let old = Facts { release: "5.10.0-30-amd64".to_owned(), ..usual() };
        let stacked = Facts { file_system: 0x794c_7630, ..usual() };
        for (facts, stage, errno, command) in [
            (&off, Stage::User, EPERM, "sysctl -w kernel.unprivileged_userns_clone=1"),
            (&ubuntu, Stage::User, EACCES, "kernel.apparmor_restrict_unprivileged_userns=0"),
            (&ubuntu, Stage::Namespaces, EPERM, "kernel.apparmor_restrict_unprivileged_userns=0"),
            (&none, Stage::User, ENOSPC, "sysctl -w user.max_user_namespaces=15000"),
            (&usual(), Stage::User, ENOSPC, "end other containers"),
            (&docker, Stage::User, EPERM, "--security-opt seccomp=unconfined"),
            (&docker, Stage::Proc, EPERM, "--security-opt systempaths=unconfined"),
            (&old, Stage::Overlay, EPERM, "5.10.0-30-amd64 is too old"),
            (&stacked, Stage::Overlay, EINVAL, "--store"),
            (&usual(), Stage::Overlay, ENODEV, "modprobe overlay"),
            (&usual(), Stage::User, ENOSYS, "CONFIG_USER_NS"),
        ] {
            let found = diagnose(&fault(stage, errno), facts).expect(command);
            assert!(found.to_string().contains(command), "{found}");
        }
    }

    #[test]
    fn what_is_not_the_hosts_fault_is_not_explained_away() {
        assert_eq!(diagnose(&fault(Stage::Other, 2), &usual()), None);
        assert_eq!(diagnose(&fault(Stage::Overlay, EINVAL), &usual()), None);
        let off = Facts { unprivileged_clone: Some(0), is_root: true, ..usual() };
        assert_eq!(diagnose(&fault(Stage::User, EPERM), &off), None);
    }

    #[test]
    fn releases_are_compared_by_number() {
        assert_eq!(version("6.1.0-37-amd64"), Some((6, 1)));
        assert_eq!(version("5.10"), Some((5, 10)));
        assert_eq!(version("strange"), None);
    }
}
