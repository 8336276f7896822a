//! The virtual file systems, and control groups.

use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::Failure;
use crate::sys;

const PLAIN: libc::c_ulong = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;

/// What is mounted, in order: kind, where, flags, options.
const MOUNTS: [(&CStr, &CStr, libc::c_ulong, &CStr); 8] = [
    (c"proc", c"/proc", PLAIN, c""),
    (c"sysfs", c"/sys", PLAIN, c""),
    (c"devtmpfs", c"/dev", libc::MS_NOSUID, c"mode=755"),
    (c"devpts", c"/dev/pts", libc::MS_NOSUID | libc::MS_NOEXEC, c"mode=620,gid=5,ptmxmode=666"),
    (c"tmpfs", c"/dev/shm", libc::MS_NOSUID | libc::MS_NODEV, c"mode=1777"),
    (c"tmpfs", c"/run", libc::MS_NOSUID | libc::MS_NODEV, c"mode=755"),
    (c"tmpfs", c"/tmp", libc::MS_NOSUID | libc::MS_NODEV, c"mode=1777"),
    (c"cgroup2", c"/sys/fs/cgroup", PLAIN, c""),
];

/// File systems that hold nothing which must reach the disk.
const VIRTUAL: [&str; 8] =
    ["proc", "sysfs", "devtmpfs", "devpts", "tmpfs", "cgroup2", "mqueue", "nsfs"];

/// Mounts everything, and lets child groups use every controller that this kernel has.
pub fn mount_all() -> Result<(), Failure> {
    for (kind, target, flags, options) in MOUNTS {
        let path = target.to_string_lossy();
        // Of /dev/pts and /dev/shm there is no trace in a fresh /dev.
        fs::create_dir_all(&*path).map_err(Failure::doing(&path))?;
        match sys::mount(kind, target, flags, options) {
            // The kernel mounts /dev itself if configured so.
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {}
            other => other.map_err(Failure::doing(format!("mounting {path}")))?,
        }
    }
    for (name, target) in [("fd", "fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")]
    {
        symlink(format!("/proc/self/{target}"), format!("/dev/{name}"))
            .map_err(Failure::doing(format!("/dev/{name}")))?;
    }

    let controllers = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")
        .map_err(Failure::doing("cgroup.controllers"))?;
    fs::write("/sys/fs/cgroup/cgroup.subtree_control", enabling(&controllers))
        .map_err(Failure::doing("cgroup.subtree_control"))
}

/// `a b` as `+a +b`.
fn enabling(controllers: &str) -> String {
    let enabled: Vec<_> = controllers.split_whitespace().map(|name| format!("+{name}")).collect();
    enabled.join(" ")
}

/// Unmounts what holds on to the disk, innermost first, and makes the root read-only.
pub fn release_disk() -> std::io::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for target in on_disk(&mounts) {
        // What stays mounted shows below, where it matters.
        let _ = sys::unmount(&target);
    }
    sys::sync();
    sys::remount_root_read_only()
}

/// Where file systems are mounted that could have something to write, other than the root: last mounted first.
fn on_disk(mounts: &str) -> Vec<PathBuf> {
    let mut targets = Vec::new();
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        let (Some(target), Some(kind)) = (fields.next(), fields.next()) else { continue };
        if target != "/" && !VIRTUAL.contains(&kind) {
            targets.push(Path::new(&unescaped(target)).to_owned());
        }
    }
    targets.reverse();
    targets
}

/// A field of /proc/mounts, where space, tab, newline and backslash are written as three octal digits.
fn unescaped(field: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(field.to_owned(), |text, (escape, character)| text.replace(escape, character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_controllers_are_enabled() {
        assert_eq!(enabling("cpuset cpu io memory pids\n"), "+cpuset +cpu +io +memory +pids");
        assert_eq!(enabling("\n"), "");
    }

    #[test]
    fn only_what_holds_on_to_the_disk_is_unmounted() {
        let mounts = "/dev/root / ext4 rw 0 0\nproc /proc proc rw 0 0\n\
                      overlay /run/a\\040b/rootfs overlay rw 0 0\n/dev/root /mnt ext4 rw 0 0\n\
                      tmpfs /run tmpfs rw 0 0\n";
        let expected = [PathBuf::from("/mnt"), PathBuf::from("/run/a b/rootfs")];
        assert_eq!(on_disk(mounts), expected);
    }
}
