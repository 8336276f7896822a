//! A lab that has made an image, and machines of others that have made nothing.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, Weak},
};

use serde_json::Value;
use tempfile::TempDir;
use vsbuild::{store::Store, trust::SecretKey};
use walkdir::WalkDir;

use crate::common::{Ran, lab::Lab, sharing::key};

/// How long the large file of the lab's image is: three packs.
pub(crate) const LARGE: usize = 40 << 20;
/// How many small files there are.
const SMALL: usize = 300;

/// The lab. It has made the image `tiny`.
pub(crate) struct Origin {
    pub(crate) lab: Lab,
    /// What `vsbuild image tiny --json` said.
    pub(crate) image: Value,
    /// A cache to which `tiny` was pushed with its inputs, signed by `a`. It stays as it is.
    cache: PathBuf,
}

/// One lab for all tests that run at the same time; the last of them takes it away.
static LAB: Mutex<Weak<Origin>> = Mutex::new(Weak::new());

pub(crate) fn origin() -> Arc<Origin> {
    let mut shared = LAB.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(origin) = shared.upgrade() {
        return origin;
    }
    let origin = Arc::new(Origin::new());
    *shared = Arc::downgrade(&origin);
    origin
}

impl Origin {
    fn new() -> Self {
        let mut lab = Lab::new();
        lab.package("app", |root| {
            let share = root.join("usr/share/app");
            fs::create_dir_all(&share).unwrap();
            fs::create_dir_all(root.join("usr/bin")).unwrap();
            fs::write(root.join("usr/bin/app"), "#!/bin/sh\n").unwrap();
            let large = noise(1, LARGE);
            let mut file = fs::File::create(share.join("large")).unwrap();
            file.write_all(&large).unwrap();
            // Zeros, which do not travel.
            file.set_len(LARGE as u64 + (8 << 20)).unwrap();
            for number in 0..SMALL {
                let bytes = noise(number as u64 + 2, 100 + number);
                fs::write(share.join(format!("small-{number}")), bytes).unwrap();
            }
        });
        lab.text_package("more", &[("usr/share/more", "one file more\n")]);
        lab.set("root.packages", &["app"], &["app"]);
        lab.set("other.packages", &["app", "more"], &["app", "more"]);
        let rootfs = |name: &str, packages: &str| {
            let link = "links.\"/usr/sbin/init\" = \"/usr/bin/app\"";
            let text = format!("kind = \"rootfs\"\npackages = [{packages}]\n{link}\n");
            lab.env.write(&format!("recipes/{name}.toml"), &text);
        };
        rootfs("root", "\"app\"");
        rootfs("other", "\"app\", \"more\"");
        lab.kernel();
        for (name, rootfs) in [("tiny", "root"), ("second", "other")] {
            let text = format!(
                "kind = \"image\"\nkernel = \"linux\"\nrootfs = \"{rootfs}\"\ncmdline = \"console=ttyS0\"\n\
                 [disk]\nfree = \"16M\"\n"
            );
            lab.env.write(&format!("recipes/{name}.toml"), &text);
        }
        write_key(&lab.env.path().join("a.key"), &key("a"));
        let image = json(&lab.run(&["image", "tiny", "--json"]).good());
        let cache = lab.env.path().join("cache");
        let origin = Self { lab, image, cache };
        origin.push("tiny", &origin.cache, &["--with-inputs"]);
        origin
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.lab.env.path().join("a.key")
    }

    /// `cache push` of a recipe, signed by `a`.
    pub(crate) fn command(&self, name: &str, to: &str, more: &[&str]) -> Command {
        let key = self.key_file();
        let args = ["cache", "push", name, "--to", to, "--key", key.to_str().unwrap(), "--json"];
        self.lab.command(&[&args[..], more].concat())
    }

    /// The same into a directory: what it said.
    #[track_caller]
    pub(crate) fn push(&self, name: &str, to: &Path, more: &[&str]) -> Value {
        let mut command = self.command(name, to.to_str().unwrap(), more);
        json(&Ran::of(command.output().unwrap()).good())
    }

    /// A copy of the lab's cache that may be damaged.
    pub(crate) fn copy_of_cache(&self, to: &Path) {
        copy(&self.cache, to);
    }
}

/// Copies a directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// A machine of somebody else's with the same project, and a store that is empty at first. Nobody there has a mirror.
pub(crate) struct Machine {
    pub(crate) origin: Arc<Origin>,
    dir: TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self { origin: origin(), dir: TempDir::with_prefix("vsbuild-machine-").unwrap() }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn store_dir(&self) -> PathBuf {
        self.path().join("store")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.origin.lab.command(args);
        command
            .env("VSBUILD_MIRROR_DEBIAN", "file:///nonexistent")
            .env("VSBUILD_STORE", self.store_dir())
            .env("HOME", self.path().join("home"));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    pub(crate) fn configure(&self, text: &str) {
        let file = self.path().join("home/.config/vsbuild/config.toml");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// `cache pull` of `tiny`, with the word of `a`.
    pub(crate) fn pull(&self, from: &str, more: &[&str]) -> Command {
        let public = public("a");
        let args = ["cache", "pull", "tiny", "--from", from, "--trusted-key", &public, "--json"];
        self.command(&[&args[..], more].concat())
    }

    #[track_caller]
    pub(crate) fn pulls(&self, from: &str) -> Value {
        json(&Ran::of(self.pull(from, &[]).output().unwrap()).good())
    }

    /// Makes the image with nothing but what is here and what a cache has, and compares it with the lab's, byte by byte.
    #[track_caller]
    pub(crate) fn makes_the_image(&self, command: &mut Command) {
        let out = self.path().join("out");
        let ran = Ran::of(command.arg("--out").arg(&out).output().unwrap());
        let image = json(&ran.good());
        assert_eq!(image["made"], 0, "{image}");
        assert!(
            !self.store_dir().join("logs").exists() || files(&self.store_dir().join("logs")) == 0
        );
        let files = self.origin.image["files"].as_array().unwrap();
        for (one, two) in files.iter().zip(image["files"].as_array().unwrap()) {
            assert_eq!(one["sha256"], two["sha256"]);
            let read = |file: &Value| fs::read(file["path"].as_str().unwrap()).unwrap();
            assert!(read(one) == read(two), "{one} {two}");
        }
        self.is_sound();
    }

    /// The same with what is in the store already.
    #[track_caller]
    pub(crate) fn has_the_image(&self) {
        self.makes_the_image(&mut self.command(&["image", "tiny", "--json", "--no-substitute"]));
    }

    /// Nothing wrong is in the store.
    #[track_caller]
    pub(crate) fn is_sound(&self) {
        let store = Store::open(&self.store_dir()).unwrap();
        assert_eq!(store.verify(&|_| ()).unwrap().damaged, []);
    }
}

/// Writes a secret key where only its owner can read it.
pub(crate) fn write_key(file: &Path, key: &SecretKey) {
    fs::write(file, key.to_text()).unwrap();
    fs::set_permissions(file, PermissionsExt::from_mode(0o600)).unwrap();
}

pub(crate) fn public(name: &str) -> String {
    key(name).public().to_string()
}

#[track_caller]
pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// All files below a directory, sorted.
pub(crate) fn list(dir: &Path) -> Vec<PathBuf> {
    let entries = WalkDir::new(dir).sort_by_file_name().into_iter().filter_map(Result::ok);
    entries.filter(|entry| entry.file_type().is_file()).map(|entry| entry.into_path()).collect()
}

pub(crate) fn files(dir: &Path) -> usize {
    list(dir).len()
}

/// Bytes that look like chance and are the same each time.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut chance = Chance::new(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&chance.next().to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Numbers that look like chance (splitmix64).
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}
