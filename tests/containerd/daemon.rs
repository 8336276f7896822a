//! A containerd of its own, on a root of its own.

use std::{
    ffi::OsString,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::versions::Version;

/// A containerd that runs; it is stopped when it is dropped.
pub struct Daemon {
    child: Child,
    dir: PathBuf,
    path: OsString,
}

impl Daemon {
    /// Starts it on `root`, with all that clients may ask for but no CRI; `dir` is for its socket and its log.
    pub fn start(version: &Version, root: &Path, dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/containerd/config.toml");
        let child = Command::new("containerd")
            .env("PATH", &version.path)
            .args(["--config", config, "--root"])
            .arg(root)
            .arg("--state")
            .arg(dir.join("state"))
            .arg("--address")
            .arg(dir.join("socket"))
            .stderr(fs::File::create(dir.join("log")).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut daemon = Self { child, dir: dir.to_owned(), path: version.path.clone() };
        let start = Instant::now();
        while !daemon.command(&["namespaces", "ls"]).output().unwrap().status.success() {
            assert!(daemon.child.try_wait().unwrap().is_none(), "{}", daemon.log());
            assert!(start.elapsed() < Duration::from_secs(60), "{}", daemon.log());
            thread::sleep(Duration::from_millis(50));
        }
        daemon
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("ctr");
        command.env("PATH", &self.path);
        command.arg("--address").arg(self.dir.join("socket")).args(arguments).stdin(Stdio::null());
        command
    }

    pub fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What `ctr` prints, if it does well.
    #[track_caller]
    pub fn ctr(&self, arguments: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.output(arguments);
        let error = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "ctr {arguments:?}: {error}\n{}", self.log());
        String::from_utf8(stdout).unwrap()
    }

    /// What a container of this image prints.
    #[track_caller]
    pub fn runs(&self, image: &str, command: &[&str]) -> String {
        self.ctr(&[&["run", "--rm", image, "vsbuild-test"], command].concat())
    }

    pub fn log(&self) -> String {
        let mut text = String::new();
        fs::File::open(self.dir.join("log")).unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}
