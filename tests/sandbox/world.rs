//! A small root file system to run in, and a look at the host's processes and files.

use std::{
    collections::BTreeMap,
    env,
    fs::{self, File},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use vsbuild::{
    path::GuestPath,
    sandbox::{self, Access, Bind, Error, Limits, Outcome, Spec},
};

pub(crate) const NOBODY: u32 = 65534;

pub(crate) fn guest(path: &str) -> GuestPath {
    path.parse().unwrap()
}

/// A root file system, a scratch directory and a helper, in a directory that every user can enter.
pub(crate) struct World {
    pub(crate) home: PathBuf,
    pub(crate) spec: Spec,
}

impl World {
    pub(crate) fn new(home: &Path) -> Self {
        let (lower, scratch) = (home.join("lower"), home.join("scratch"));
        fs::create_dir_all(lower.join("bin")).unwrap();
        fs::create_dir(&scratch).unwrap();
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from);
        let busybox = busybox.iter().find(|path| path.exists()).expect("busybox-static");
        copy_program(busybox, &lower.join("bin/busybox"));
        let list = Command::new(busybox).arg("--list").output().unwrap().stdout;
        for applet in String::from_utf8(list).unwrap().lines().filter(|name| *name != "busybox") {
            symlink("busybox", lower.join("bin").join(applet)).unwrap();
        }
        let helper = home.join("vsbuild");
        copy_program(Path::new(env!("CARGO_BIN_EXE_vsbuild")), &helper);
        let env = [("PATH", "/bin"), ("TZ", "UTC"), ("LC_ALL", "C")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let (program, args, cwd) = (guest("bin/sh"), Vec::new(), guest("build"));
        let (binds, limits) = (Vec::new(), Limits::default());
        let spec = Spec { helper, lower, scratch, binds, program, args, env, cwd, limits };
        Self { home: home.to_owned(), spec }
    }

    pub(crate) fn bind(&mut self, host: &Path, place: &str, access: Access) {
        self.spec.binds.push(Bind { host: host.to_owned(), guest: guest(place), access });
    }

    /// Runs a script in a fresh scratch directory.
    pub(crate) fn run(&self, script: &str) -> (Outcome, String) {
        let mut spec = self.spec.clone();
        spec.args = vec!["-c".to_owned(), script.to_owned()];
        self.run_spec(&spec).unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    pub(crate) fn run_spec(&self, spec: &Spec) -> Result<(Outcome, String), Error> {
        sandbox::clean(&spec.scratch).unwrap();
        fs::create_dir(&spec.scratch).unwrap();
        let log = self.home.join("log");
        let outcome = sandbox::run(spec, File::create(&log).unwrap())?;
        Ok((outcome, fs::read_to_string(&log).unwrap()))
    }

    /// Runs a script that must exit with 0, and gives what it printed.
    pub(crate) fn print(&self, script: &str) -> String {
        let (outcome, log) = self.run(script);
        assert!(outcome.is_success(), "{}: {log}", outcome.status);
        log
    }
}

pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

pub(crate) fn open_home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), PermissionsExt::from_mode(0o777)).unwrap();
    home
}

pub(crate) fn world() -> (TempDir, World) {
    let home = open_home();
    let world = World::new(home.path());
    (home, world)
}

/// Starts this program again as [`actor`], in a directory of its own below `home`.
pub(crate) fn act(home: &Path, part: &str, script: &str) -> Command {
    let stage = home.join("actor");
    copy_program(&env::current_exe().unwrap(), &stage);
    let mut command = Command::new(stage);
    command.args(["--exact", "actor", "--ignored", "--nocapture"]).env_clear();
    command.env("PART", part).env("SCRIPT", script).env("HOME", home.join("acted"));
    command.stdout(Stdio::null()).current_dir(home);
    command
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// The numbers, on the host, of processes with this argument.
pub(crate) fn processes(argument: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if line.split(|&byte| byte == 0).any(|part| part == argument.as_bytes()) {
            found.push(entry.file_name().into_string().unwrap());
        }
    }
    found
}

pub(crate) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

pub(crate) fn is_running(program: &Path) -> bool {
    let mut processes = fs::read_dir("/proc").unwrap().flatten();
    processes.any(|entry| fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == program))
}

/// Everything about a directory that a build must not change.
pub(crate) fn fingerprint(directory: &Path) -> BTreeMap<PathBuf, (u32, u64, i64, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(path) = waiting.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        if meta.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let facts = (meta.mode(), meta.nlink(), meta.mtime(), meta.mtime_nsec(), content);
        found.insert(path, facts);
    }
    found
}

/// Copies a program that is to be started. Another process does it: while a test that runs beside this one forks, a file
/// that is open for writing here is open there too, and a program that anyone may write to cannot be started.
fn copy_program(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg(from).arg(to).status().unwrap();
    assert!(copied.success(), "{}", to.display());
}
