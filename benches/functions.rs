//! containerd's state with the nine functions, beside `ctr images import` of the same images, in one run.
//!
//! Both begin with nine archives, as `vsbuild oci save` and tar make them, and end with all of them unpacked: vsbuild in an
//! empty store, containerd on an empty root. containerd must be installed and run as root.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench is a program for a person")]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const LANGUAGES: [&str; 3] = ["go", "nodejs", "python"];
const FUNCTIONS: [&str; 3] = ["aes", "auth", "fibonacci"];
const ROUNDS: usize = 3;

fn main() {
    let made = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let dir = tempfile::Builder::new().prefix("vsbuild-bench-").tempdir_in(made).unwrap();
    let names: Vec<String> = FUNCTIONS
        .iter()
        .flat_map(|function| LANGUAGES.map(|language| format!("{function}-{language}")))
        .collect();
    let project = dir.path().join("project");
    fs::create_dir_all(project.join("recipes")).unwrap();
    fs::write(project.join("vsbuild.toml"), "shipped = false\n").unwrap();
    for name in &names {
        archive(made, dir.path(), name);
        let recipe = format!("kind = \"oci-image\"\narchive = \"../{name}.tar\"\n");
        fs::write(project.join(format!("recipes/{name}.toml")), recipe).unwrap();
    }
    let list: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let preload = format!("kind = \"preload\"\nfunctions = [{}]\n", list.join(", "));
    fs::write(project.join("recipes/all.toml"), preload).unwrap();

    let own = (0..ROUNDS).map(|_| own(&project, &dir.path().join("store"))).min().unwrap();
    let peer = (0..ROUNDS).map(|_| peer(&project, &names, &dir.path().join("peer"))).min().unwrap();
    let row = |what: &str, time: Duration| println!("{what:58} {:>8.3} s", time.as_secs_f64());
    row("vsbuild: nine archives to containerd's state", own);
    row("ctr images import of the same", peer);
    println!("{:58} {:>8.1}", "times as fast", peer.as_secs_f64() / own.as_secs_f64());
}

/// A shipped function as an archive in the project.
fn archive(made: &Path, dir: &Path, name: &str) {
    let saved = dir.join(name);
    let mut save = Command::new(env!("CARGO_BIN_EXE_vsbuild"));
    save.args(["oci", "save", name]).arg(&saved).current_dir(env!("CARGO_MANIFEST_DIR"));
    timed(save.env("VSBUILD_STORE", made.join("shipped/store")));
    let to = dir.join(format!("project/{name}.tar"));
    timed(Command::new("tar").arg("-C").arg(&saved).arg("-cf").arg(to).arg("."));
    fs::remove_dir_all(saved).unwrap();
}

fn own(project: &Path, store: &Path) -> Duration {
    let _ = fs::remove_dir_all(store);
    let mut build = Command::new(env!("CARGO_BIN_EXE_vsbuild"));
    build.args(["build", "all", "--quiet"]).current_dir(project).env("VSBUILD_STORE", store);
    timed(&mut build)
}

fn peer(project: &Path, names: &[String], dir: &Path) -> Duration {
    let _ = fs::remove_dir_all(dir);
    fs::create_dir_all(dir).unwrap();
    let daemon = Daemon::start(dir);
    let begin = Instant::now();
    for name in names {
        let mut import = daemon.ctr();
        import.args(["images", "import", "--base-name"]).arg(format!("localhost/{name}"));
        timed(import.arg(project.join(format!("{name}.tar"))));
    }
    begin.elapsed()
}

/// A containerd that ends with the bench.
struct Daemon(Child, std::path::PathBuf);

impl Daemon {
    fn start(dir: &Path) -> Self {
        let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/containerd/config.toml");
        let socket = dir.join("socket");
        let child = Command::new("containerd")
            .args(["--config", config, "--root"])
            .arg(dir.join("root"))
            .arg("--state")
            .arg(dir.join("state"))
            .arg("--address")
            .arg(&socket)
            .stderr(Stdio::null())
            .spawn()
            .expect("containerd is installed");
        let daemon = Self(child, socket);
        while !daemon.ctr().args(["namespaces", "ls"]).output().unwrap().status.success() {
            thread::sleep(Duration::from_millis(50));
        }
        daemon
    }

    fn ctr(&self) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(&self.1);
        command
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn timed(command: &mut Command) -> Duration {
    let begin = Instant::now();
    let status = command.stdout(Stdio::null()).stderr(Stdio::inherit()).status().unwrap();
    assert!(status.success(), "{command:?}");
    begin.elapsed()
}
