//! Three labs and one cache: two that build, each for itself, and one that takes only what both agree on.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use common::{
    Ran,
    lab::Lab,
    sharing::{key, shared},
};
use serde_json::Value;
use tempfile::TempDir;
use vsbuild::{
    digest::Digest,
    path::GuestPath,
    store::{Realisation, Store},
    tree::{BlobSink, Draft, Inode, Kind, Meta, Node, Time},
};

const IMAGE: &str = "kind = \"image\"\nkernel = \"linux\"\nrootfs = \"root\"\ncmdline = \"\"\n[disk]\nfree = \"1M\"\n";

/// Somebody's machine: a project that all labs have alike, and a store, a home and a user that only this one has.
struct Site {
    lab: Lab,
    /// Before the program: another user, another umask.
    wrapper: Vec<&'static str>,
    program: PathBuf,
    /// Variables of the environment.
    variables: Vec<(&'static str, &'static str)>,
}

impl Site {
    fn new() -> Self {
        let mut lab = Lab::new();
        lab.text_package("app", &[("usr/bin/app", "#!/bin/sh\n")]);
        lab.set("root.packages", &["app"], &["app"]);
        let init = "links.\"/usr/sbin/init\" = \"/usr/bin/app\"\n";
        let root = format!("kind = \"rootfs\"\npackages = [\"app\"]\n{init}");
        lab.env.write("recipes/root.toml", &root);
        lab.kernel();
        lab.env.write("recipes/tiny.toml", IMAGE);
        let program = env!("CARGO_BIN_EXE_vsbuild").into();
        Self { lab, wrapper: Vec::new(), program, variables: Vec::new() }
    }

    /// One whose user, umask, locale and time zone are others.
    fn elsewhere() -> Self {
        let mut site = Self::new();
        site.variables = vec![("LC_ALL", "C.UTF-8"), ("TZ", "Pacific/Apia")];
        site.wrapper = vec!["sh", "-c", "umask 077; exec \"$@\"", "sh"];
        if rustix::process::geteuid().is_root() {
            site.wrapper.extend(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
            site.program = site.lab.env.path().join("vsbuild");
            // By another program, so that nobody has it open for writing when it is started.
            let mut copy = Command::new("cp");
            copy.arg(env!("CARGO_BIN_EXE_vsbuild")).arg(&site.program);
            assert!(copy.status().unwrap().success());
            site.give();
        }
        site
    }

    /// Whatever the test wrote belongs to the lab's user.
    fn give(&self) {
        if self.wrapper.contains(&"setpriv") {
            let all = ["-R", "65534:65534"];
            let given = Command::new("chown").args(all).arg(self.lab.env.path()).status().unwrap();
            assert!(given.success());
        }
    }

    /// A key, and the token by which the cache knows the lab.
    fn configure(&self, name: &str, url: &str) {
        let dir = self.lab.env.path().join("home/.config/vsbuild");
        fs::create_dir_all(&dir).unwrap();
        for (file, text) in [
            ("key", key(name).to_text()),
            ("token", format!("the-token-of-lab-{name}")),
            (
                "config.toml",
                format!(
                    "[sign]\nkey = \"key\"\n[[caches]]\nurl = \"{url}\"\ntoken-file = \"token\"\n"
                ),
            ),
        ] {
            fs::write(dir.join(file), text).unwrap();
            fs::set_permissions(dir.join(file), PermissionsExt::from_mode(0o600)).unwrap();
        }
        self.give();
    }

    fn trust(&self, text: &str) {
        let dir = self.lab.env.path().join("home/.config/vsbuild");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("config.toml"), text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let here = self.lab.command(args);
        let mut words = self.wrapper.iter().map(Path::new).chain([self.program.as_path()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(args).current_dir(here.get_current_dir().unwrap()).env_clear();
        for (name, value) in here.get_envs() {
            value.map(|value| command.env(name, value));
        }
        command.envs(self.variables.iter().copied());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Without a mirror: all that is not in the store must come from caches.
    fn take(&self, more: &[&str]) -> Ran {
        let mut command = self.command(&[&["image", "tiny", "--json"], more].concat());
        Ran::of(command.env("VSBUILD_MIRROR_DEBIAN", "file:///nonexistent").output().unwrap())
    }

    #[track_caller]
    fn image(&self) -> String {
        disk(&self.run(&["image", "tiny", "--json"]).good())
    }

    #[track_caller]
    fn push(&self, url: &str) {
        self.run(&["cache", "push", "tiny", "--to", url]).good();
    }

    /// A new kernel in the project.
    fn move_on(&self, config: &str) {
        self.lab.env.write("kernels/x.config", config);
        self.give();
    }

    /// Somebody puts another kernel in the place of the one that was built.
    fn tamper(&self) {
        let (env, store) = (&self.lab.env, Store::open(&self.lab.env.store()).unwrap());
        let stated = shared(&env.project(), &store, "tiny").stated;
        let mut claims = stated.iter().flat_map(|stated| &stated.claims);
        let claim = claims.find(|claim| claim.name == "linux").unwrap();
        let mut draft = Draft::with_root(Meta::root_owned(0o755, Time::from_seconds(5)));
        for file in ["bzImage", "vmlinux"] {
            let kind = Kind::File(store.put(&mut &b"with a back door"[..]).unwrap());
            let inode = Inode { meta: Meta::root_owned(0o644, Time::from_seconds(5)), kind };
            draft.insert(GuestPath::new(file).unwrap(), Node::Inode(inode));
        }
        let output = store.put_tree(&draft.finish().unwrap()).unwrap();
        let before = store.realisation(&claim.key).unwrap().unwrap();
        store.record(&claim.key, &Realisation { output, ..before }).unwrap();
        self.give();
    }
}

/// The digest of the disk.
fn disk(said: &str) -> String {
    let image: Value = serde_json::from_str(said).unwrap();
    let file = &image["files"][0];
    assert!(file["path"].as_str().unwrap().ends_with("disk.img"), "{image}");
    file["sha256"].as_str().unwrap().to_owned()
}

/// The cache of all labs.
struct Served {
    child: Child,
    url: String,
    _dir: TempDir,
}

impl Served {
    fn new() -> Self {
        let dir = TempDir::with_prefix("vsbuild-served-").unwrap();
        let tokens = dir.path().join("tokens");
        let lines = ["a", "b"].map(|name| {
            let hash = Digest::of(format!("the-token-of-lab-{name}"));
            format!("{name} sha256:{hash} write\n")
        });
        fs::write(&tokens, lines.concat()).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vsbuild"));
        command.args(["cache", "serve", "--json", "--listen", "127.0.0.1:0", "--tokens"]);
        command.arg(tokens).arg(dir.path().join("cache"));
        for name in ["a", "b"] {
            command.args(["--key", &key(name).public().to_string()]);
        }
        let log = fs::File::create(dir.path().join("log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut said = serde_json::Deserializer::from_reader(stdout).into_iter::<Value>();
        let url = said.next().unwrap().unwrap()["listening"].as_str().unwrap().to_owned();
        Self { child, url, _dir: dir }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_third_lab_takes_what_two_agree_on_and_hears_when_one_was_tampered_with() {
    let cache = Served::new();
    let (a, b, c) = (Site::new(), Site::elsewhere(), Site::new());
    a.configure("a", &cache.url);
    b.configure("b", &cache.url);
    let keys = ["a", "b"].map(|name| key(name).public().to_string());
    let trust =
        format!("[trust]\nkeys = {keys:?}\nneed = 2\n[[caches]]\nurl = \"{}\"\n", cache.url);
    c.trust(&trust);

    // What one lab says is not enough.
    let expected = a.image();
    a.push(&cache.url);
    let alone = c.take(&[]).bad(5);
    assert!(alone.contains("/nonexistent"), "it wanted to build: {alone}");

    // What both say is. Nothing is run, and nothing is fetched from elsewhere.
    assert_eq!(b.image(), expected);
    b.push(&cache.url);
    let taken = c.take(&[]).good();
    let image: Value = serde_json::from_str(&taken).unwrap();
    assert_eq!((&image["made"], disk(&taken)), (&Value::from(0), expected));
    assert!(image["substituted"].as_u64().unwrap() > 0, "{image}");
    a.run(&["challenge", &cache.url, "tiny", "--trusted-key", &keys[1]]).good();

    // All move on to a new kernel. On the way out of b somebody puts another one in its place.
    for site in [&a, &b, &c] {
        site.move_on("CONFIG_X=n\n");
    }
    let expected = a.image();
    a.push(&cache.url);
    b.image();
    b.tamper();
    b.push(&cache.url);
    let alarm = c.take(&[]);
    assert_eq!(alarm.code, Some(4), "{alarm:?}");
    let said: Value = serde_json::from_str(&alarm.stdout).unwrap();
    let said = said["error"].as_str().unwrap();
    assert!(said.contains("linux came out differently"), "{said}");
    for name in ["a", "b"] {
        assert!(said.contains(&format!("{name} ({})", key(name).public().id())), "{said}");
    }

    // a finds out where it begins.
    let challenged = a.run(&["challenge", &cache.url, "tiny", "--trusted-key", &keys[1]]);
    assert_eq!(challenged.code, Some(4), "{challenged:?}");
    assert!(challenged.stdout.contains("it begins with linux"), "{challenged:?}");

    // Once people have decided whom to believe, the other one is not heard any more.
    let id = key("b").public().id();
    let revoked = format!("need = 1\nrevoked = [\"{id}\"]");
    c.trust(&trust.replace("need = 2", &revoked));
    assert_eq!(disk(&c.take(&[]).good()), expected);
}
