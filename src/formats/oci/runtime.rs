//! The runtime specification of a function's container, fixed by its image.
//!
//! It says what `ctr run` of containerd 1.6 says by default (oci/spec.go, oci/mounts.go, `WithDefaultUnixDevices`), with
//! two things of our own: the cgroup, and `/etc/hosts`, which the guest writes when it knows the container's address.

use serde::Serialize;

use super::Config;

/// The version that containerd 1.6 states and runc 1.1 knows.
const VERSION: &str = "1.0.2-dev";
/// What a process gets that has no environment in its image.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Where the guest keeps the table of hosts for its containers.
const HOSTS: &str = "/run/vsbuild/hosts";
const OPEN_FILES: u64 = 1024;
const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];
const MOUNTS: [Mount; 8] = [
    mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    mount(
        "/dev/pts",
        "devpts",
        "devpts",
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    ),
    mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    mount("/run", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    mount("/etc/hosts", "bind", HOSTS, &["rbind", "ro"]),
];
/// null, random, full, tty, zero, urandom, console, the pseudo terminals, ptmx.
const DEVICES: [(u32, Option<u32>); 9] = [
    (1, Some(3)),
    (1, Some(8)),
    (1, Some(7)),
    (5, Some(0)),
    (1, Some(5)),
    (1, Some(9)),
    (5, Some(1)),
    (136, None),
    (5, Some(2)),
];
const NAMESPACES: [&str; 5] = ["pid", "ipc", "uts", "mount", "network"];
const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
];
const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Who has which number in an image.
#[derive(Debug, Clone, Copy, Default)]
pub struct Accounts<'a> {
    /// Its `/etc/passwd`.
    pub passwd: Option<&'a str>,
    /// Its `/etc/group`.
    pub group: Option<&'a str>,
}

/// Why an image cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It has no command.
    #[error("the image does not say what to run: it has neither an entry point nor a command")]
    NothingToRun,
    /// Its user is malformed.
    #[error("the image runs as `{0}`, which is no user")]
    BadUser(String),
    /// Its user is not in its list of users.
    #[error("the image runs as `{0}`, whom its /etc/passwd does not know")]
    NoSuchUser(String),
    /// Its group is not in its list of groups.
    #[error("the image runs in the group `{0}`, which its /etc/group does not know")]
    NoSuchGroup(String),
    /// Where it runs is not absolute.
    #[error("the image runs in `{0}`, which is no absolute path")]
    BadWorkdir(String),
}

/// The runtime specification of the container `name` from an image with this config: compact JSON.
///
/// Users and groups are found as containerd finds them (oci/spec_opts.go, `WithUser` and `WithAdditionalGIDs`).
pub fn spec(name: &str, config: &Config, accounts: &Accounts<'_>) -> Result<Vec<u8>, Error> {
    let args: Vec<&str> = config.args().collect();
    if args.is_empty() {
        return Err(Error::NothingToRun);
    }
    let cwd = if config.workdir.is_empty() { "/" } else { &config.workdir };
    if !cwd.starts_with('/') {
        return Err(Error::BadWorkdir(cwd.to_owned()));
    }
    let has_path = config.env.iter().any(|variable| variable.starts_with("PATH="));
    let path = (!has_path).then_some(PATH);
    let env = path.into_iter().chain(config.env.iter().map(String::as_str)).collect();
    let mut devices =
        vec![Device { allow: false, r#type: None, major: None, minor: None, access: "rwm" }];
    devices.extend(DEVICES.map(|(major, minor)| Device {
        allow: true,
        r#type: Some("c"),
        major: Some(major),
        minor,
        access: "rwm",
    }));
    Ok(super::json(&Spec {
        oci_version: VERSION,
        process: Process {
            user: user(&config.user, accounts)?,
            args,
            env,
            cwd,
            capabilities: Capabilities {
                bounding: CAPABILITIES,
                effective: CAPABILITIES,
                permitted: CAPABILITIES,
            },
            rlimits: [Rlimit { r#type: "RLIMIT_NOFILE", hard: OPEN_FILES, soft: OPEN_FILES }],
            no_new_privileges: true,
        },
        root: Root { path: "rootfs" },
        mounts: MOUNTS,
        linux: Linux {
            resources: Resources { devices },
            cgroups_path: format!("/vsbuild/{name}"),
            namespaces: NAMESPACES.map(|r#type| Namespace { r#type }),
            masked_paths: MASKED,
            readonly_paths: READ_ONLY,
        },
    }))
}

fn user(text: &str, accounts: &Accounts<'_>) -> Result<User, Error> {
    let bad = || Error::BadUser(text.to_owned());
    let number = |text: &str| text.parse::<u32>().ok().filter(|id| *id != u32::MAX);
    let (name, group) = match text.split(':').collect::<Vec<_>>()[..] {
        [""] => ("0", None),
        [name] => (name, None),
        [name, group] if !name.is_empty() && !group.is_empty() => (name, Some(group)),
        _ => return Err(bad()),
    };
    let found = accounts.users().find(|user| match number(name) {
        Some(uid) => user.uid == uid,
        None => user.name == name,
    });
    let uid = match (number(name), &found) {
        (Some(uid), _) => uid,
        (None, Some(user)) => user.uid,
        (None, None) => return Err(Error::NoSuchUser(name.to_owned())),
    };
    let gid = match (group, &found) {
        // Root without further words is 0:0, whatever its image says.
        (None, _) if text.is_empty() => 0,
        (None, Some(user)) => user.gid,
        (None, None) => 0,
        (Some(group), _) => match number(group) {
            Some(gid) => gid,
            None => {
                let known = accounts.groups().find(|known| known.name == group);
                known.ok_or_else(|| Error::NoSuchGroup(group.to_owned()))?.gid
            }
        },
    };
    let name = found.map(|user| user.name).or(text.is_empty().then_some("root"));
    let mut additional_gids: Vec<u32> = match name {
        Some(name) => {
            let member = |group: &Group<'_>| {
                group.name != name && group.members.split(',').any(|member| member == name)
            };
            accounts.groups().filter(member).map(|group| group.gid).collect()
        }
        None => Vec::new(),
    };
    if !additional_gids.contains(&gid) {
        additional_gids.insert(0, gid);
    }
    Ok(User { uid, gid, additional_gids })
}

/// A line of `/etc/passwd`.
struct Account<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

/// A line of `/etc/group`.
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: &'a str,
}

impl<'a> Accounts<'a> {
    fn users(&self) -> impl Iterator<Item = Account<'a>> {
        self.passwd.unwrap_or_default().lines().filter_map(|line| {
            let mut fields = line.trim().split(':');
            let (name, uid) = (fields.next()?, fields.nth(1)?);
            Some(Account { name, uid: uid.parse().ok()?, gid: fields.next()?.parse().ok()? })
        })
    }

    fn groups(&self) -> impl Iterator<Item = Group<'a>> {
        self.group.unwrap_or_default().lines().filter_map(|line| {
            let mut fields = line.trim().split(':').filter(|_| !line.trim().starts_with('#'));
            let (name, gid) = (fields.next()?, fields.nth(1)?.parse().ok()?);
            Some(Group { name, gid, members: fields.next().unwrap_or_default() })
        })
    }
}

const fn mount(
    destination: &'static str,
    r#type: &'static str,
    source: &'static str,
    options: &'static [&'static str],
) -> Mount {
    Mount { destination, r#type, source, options }
}

/// The parts of a specification that we write, in the order of the specification. oci-spec has the types too, but keeps
/// capabilities in a hash set, which has another order with every run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    oci_version: &'a str,
    process: Process<'a>,
    root: Root,
    mounts: [Mount; MOUNTS.len()],
    linux: Linux,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Process<'a> {
    user: User,
    args: Vec<&'a str>,
    env: Vec<&'a str>,
    cwd: &'a str,
    capabilities: Capabilities,
    rlimits: [Rlimit; 1],
    no_new_privileges: bool,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct User {
    uid: u32,
    gid: u32,
    additional_gids: Vec<u32>,
}

#[derive(Serialize)]
struct Capabilities {
    bounding: [&'static str; CAPABILITIES.len()],
    effective: [&'static str; CAPABILITIES.len()],
    permitted: [&'static str; CAPABILITIES.len()],
}

#[derive(Serialize)]
struct Rlimit {
    r#type: &'static str,
    hard: u64,
    soft: u64,
}

#[derive(Serialize)]
struct Root {
    path: &'static str,
}

#[derive(Serialize)]
struct Mount {
    destination: &'static str,
    r#type: &'static str,
    source: &'static str,
    options: &'static [&'static str],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Linux {
    resources: Resources,
    cgroups_path: String,
    namespaces: [Namespace; NAMESPACES.len()],
    masked_paths: [&'static str; MASKED.len()],
    readonly_paths: [&'static str; READ_ONLY.len()],
}

#[derive(Serialize)]
struct Resources {
    devices: Vec<Device>,
}

#[derive(Serialize)]
struct Device {
    allow: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    major: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minor: Option<u32>,
    access: &'static str,
}

#[derive(Serialize)]
struct Namespace {
    r#type: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    const ACCOUNTS: Accounts<'static> = Accounts {
        passwd: Some("root:x:0:5:root:/root:/bin/sh\n\nbroken\nweb:x:33:34:w:/:/bin/false\n"),
        group: Some(
            "root:x:0:root\n# web:x:1:web\nweb:x:34:web\nlog:x:4:syslog,web\ndisk:x:6:root,web\n",
        ),
    };

    fn config() -> Config {
        Config { entrypoint: vec!["/server".to_owned()], ..Config::default() }
    }

    #[test]
    fn users_are_found_as_containerd_finds_them() {
        for (text, uid, gid, groups) in [
            ("", 0, 0, vec![0, 6]),
            ("root", 0, 5, vec![5, 6]),
            ("0", 0, 5, vec![5, 6]),
            ("web", 33, 34, vec![34, 4, 6]),
            ("33", 33, 34, vec![34, 4, 6]),
            ("33:6", 33, 6, vec![4, 6]),
            ("web:log", 33, 4, vec![4, 6]),
            ("1000", 1000, 0, vec![0]),
            ("65534:65534", 65534, 65534, vec![65534]),
            ("7:log", 7, 4, vec![4]),
        ] {
            let expected = User { uid, gid, additional_gids: groups };
            assert_eq!(user(text, &ACCOUNTS), Ok(expected), "{text}");
        }
        assert_eq!(user("nobody", &ACCOUNTS), Err(Error::NoSuchUser("nobody".to_owned())));
        assert_eq!(user("web:x", &ACCOUNTS), Err(Error::NoSuchGroup("x".to_owned())));
        for bad in [":", "a:", ":a", "a:b:c"] {
            assert_eq!(user(bad, &ACCOUNTS), Err(Error::BadUser(bad.to_owned())));
        }
        let alone = User { uid: 5, gid: 6, additional_gids: vec![6] };
        assert_eq!(user("5:6", &Accounts::default()), Ok(alone));
        assert!(user("web", &Accounts::default()).is_err());
        assert!(user("4294967295", &Accounts::default()).is_err(), "that is nobody's number");
    }

    #[test]
    fn an_image_that_cannot_run_is_refused() {
        let none = Accounts::default();
        assert_eq!(spec("x", &Config::default(), &none), Err(Error::NothingToRun));
        let relative = Config { workdir: "srv".to_owned(), ..config() };
        assert_eq!(spec("x", &relative, &none), Err(Error::BadWorkdir("srv".to_owned())));
    }

    #[test]
    fn the_specification_is_fixed_by_the_image() {
        let bytes = spec("fibonacci-go", &config(), &Accounts::default()).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let start = "{\"ociVersion\":\"1.0.2-dev\",\"process\":{\"user\":{\"uid\":0,\"gid\":0,\
                     \"additionalGids\":[0]},\"args\":[\"/server\"],\"env\":[\"PATH=";
        assert!(text.starts_with(start), "{text}");
        assert!(text.contains("\"cgroupsPath\":\"/vsbuild/fibonacci-go\""));
        let pinned = "d81cf8efec0c736d83a5af395fe54ba210ba965cc1fbcd1696e06e2bc1dca008";
        assert_eq!(Digest::of(&bytes).hex(), pinned);
    }

    #[test]
    fn others_read_what_is_meant() {
        let env = vec!["A=b".to_owned()];
        let whole =
            Config { env, cmd: vec!["x".to_owned()], workdir: "/srv".to_owned(), ..config() };
        let bytes = spec("x", &whole, &Accounts::default()).unwrap();
        let read: oci_spec::runtime::Spec = serde_json::from_slice(&bytes).unwrap();
        let process = read.process().clone().unwrap();
        assert_eq!(process.args().clone().unwrap(), ["/server", "x"]);
        assert_eq!(process.env().clone().unwrap(), [PATH, "A=b"]);
        assert_eq!(process.cwd().to_str(), Some("/srv"));
        let capabilities = process.capabilities().clone().unwrap();
        assert_eq!(capabilities.effective().clone().unwrap().len(), CAPABILITIES.len());
        let linux = read.linux().clone().unwrap();
        assert_eq!(linux.namespaces().clone().unwrap().len(), NAMESPACES.len());
        let devices = linux.resources().clone().unwrap().devices().clone().unwrap();
        assert_eq!(devices.len(), 1 + DEVICES.len());
        assert_eq!(read.mounts().clone().unwrap().len(), MOUNTS.len());
    }
}
