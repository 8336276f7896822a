use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::common::{Ran, lab::Lab};

/// An author's lab: an image `tiny` whose kernel is a script's, and `container`, an image of a container from a layout in the
/// project. The lockfile has the hashes of `tiny`.
pub(crate) struct Author {
    pub(crate) lab: Lab,
}

impl Author {
    pub(crate) fn new() -> Self {
        let mut lab = Lab::new();
        lab.text_package("app", &[("usr/bin/app", "#!/bin/sh\n")]);
        lab.text_package(
            "unused",
            &[("usr/share/unused", "in the lockfile, but not in the image\n")],
        );
        lab.set("root.packages", &["app"], &["app"]);
        lab.set("other", &["unused"], &["unused"]);
        lab.env.write("recipes/other.toml", "kind = \"packages\"\ninclude = [\"unused\"]\n");
        lab.env.write("recipes/files/etc/motd", "hello\n");
        fs::create_dir(lab.env.project().join("recipes/files/empty")).unwrap();
        symlink("motd", lab.env.project().join("recipes/files/etc/issue")).unwrap();
        lab.script(
            "overlay",
            "cp -a $FILES/. $out/\n",
            "inputs = { FILES = { source = \"files\" } }\n",
        );
        lab.env.write(
            "recipes/base.toml",
            "kind = \"rootfs\"\npackages = [\"app\"]\nlinks.\"/usr/sbin/init\" = \"/usr/bin/app\"\n",
        );
        lab.env.write(
            "recipes/root.toml",
            "kind = \"rootfs\"\nextends = \"base\"\nlayers = [{ from = \"overlay\", at = \"/opt\" }]\n",
        );
        lab.set("base.packages", &["app"], &["app"]);
        lab.kernel();
        lab.env.write(
            "recipes/tiny.toml",
            "kind = \"image\"\nkernel = \"linux\"\nrootfs = \"root\"\ncmdline = \"console=ttyS0\"\n\
             [disk]\nfree = \"1M\"\n",
        );
        lab.env.write("recipes/app/app", "the program\n");
        lab.script(
            "app",
            "mkdir $out/srv; cp $APP $out/srv/app; chmod 755 $out/srv/app\n",
            "inputs = { APP = { source = \"app/app\" } }\n",
        );
        lab.env.write(
            "recipes/function.toml",
            "kind = \"function\"\nlayers = [\"app\"]\nentrypoint = [\"/srv/app\"]\n",
        );
        let author = Self { lab };
        let saved = author.lab.env.project().join("images/saved");
        fs::create_dir_all(saved.parent().unwrap()).unwrap();
        author.run(&["oci", "save", "function", saved.to_str().unwrap()]).good();
        author.lab.env.write(
            "recipes/container.toml",
            "kind = \"oci-image\"\nlayout = \"../images/saved\"\n",
        );
        author.run(&["lock", "--outputs", "tiny"]).good();
        author.run(&["build", "container"]).good();
        author.run(&["key", "generate", "author"]).good();
        author.configure("");
        author
    }

    /// The configuration with the key, and more.
    pub(crate) fn configure(&self, more: &str) {
        let file = self.lab.env.path().join("home/.config/vsbuild/config.toml");
        fs::write(file, format!("[sign]\nkey = \"key\"\n{more}")).unwrap();
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.lab.run(args)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.lab.env.path().join(name)
    }

    /// The public key, and its id.
    pub(crate) fn key(&self) -> (String, String) {
        let key = self.run(&["key", "public"]).good().trim().to_owned();
        let id = key.parse::<vsbuild::trust::PublicKey>().unwrap().id().to_string();
        (key, id)
    }

    /// Exports `tiny` and `container`.
    pub(crate) fn export(&self, name: &str, more: &[&str]) -> PathBuf {
        let out = self.path(name);
        let args = ["export", "tiny", "container", "-o", out.to_str().unwrap()];
        self.run(&[&args, more].concat()).good();
        out
    }

    /// The files of `tiny` with their hashes, as the lockfile has them.
    pub(crate) fn hashes(&self) -> Vec<String> {
        let image = json(&self.run(&["image", "tiny", "--json"]).good());
        hashes(&image)
    }

    /// The digest of `container`.
    pub(crate) fn container(&self) -> String {
        self.lab.build("container").0
    }
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

pub(crate) fn hashes(image: &Value) -> Vec<String> {
    let files = image["files"].as_array().unwrap().iter();
    files.map(|file| file["sha256"].as_str().unwrap().to_owned()).collect()
}

/// Where an evaluator works: another directory with a new store, with no mirror, no configuration and no network.
pub(crate) struct Evaluator {
    dir: TempDir,
    program: PathBuf,
    nobody: bool,
}

impl Evaluator {
    pub(crate) fn new() -> Self {
        let dir = TempDir::with_prefix("vsbuild-evaluator-").unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_vsbuild"));
        fs::create_dir(dir.path().join("work")).unwrap();
        Self { dir, program, nobody: false }
    }

    /// The same as an ordinary user; none where the test is not root, and so is an ordinary user anyway.
    pub(crate) fn nobody() -> Option<Self> {
        if !is_root() {
            return None;
        }
        let mut other = Self::new();
        other.program = other.dir.path().join("vsbuild");
        fs::copy(env!("CARGO_BIN_EXE_vsbuild"), &other.program).unwrap();
        for dir in [other.dir.path().to_owned(), other.work()] {
            fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).unwrap();
            chown(&dir, Some(65534), Some(65534)).unwrap();
        }
        other.nobody = true;
        Some(other)
    }

    pub(crate) fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// A bundle as it comes to the evaluator.
    pub(crate) fn receive(&self, bundle: &Path) {
        let copy = self.work().join("artifact.tar");
        fs::copy(bundle, &copy).unwrap();
        fs::set_permissions(copy, PermissionsExt::from_mode(0o644)).unwrap();
    }

    /// A command in a namespace of its own whose only interface is a loopback that is down.
    pub(crate) fn alone(&self, dir: &str, program: &Path, args: &[&str]) -> Command {
        let alone = "[ \"$(grep -c : /proc/net/dev)\" = 1 ] || exit 99; exec \"$@\"";
        let mut words = vec!["unshare", "-rn", "sh", "-c", alone, "sh"];
        if self.nobody {
            let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
            words.splice(0..0, user);
        }
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .arg(program)
            .args(args)
            .current_dir(self.work().join(dir))
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("HOME", self.dir.path().join("home"))
            .env("VSBUILD_MIRROR_DEBIAN", "file:///nonexistent")
            .env("VSBUILD_STORE", self.store());
        command
    }

    pub(crate) fn run(&self, dir: &str, args: &[&str]) -> Ran {
        Ran::of(self.alone(dir, &self.program, args).output().unwrap())
    }

    /// The same without a namespace, in which an ordinary user would be a root of its own.
    pub(crate) fn plainly(&self, dir: &str, args: &[&str]) -> Ran {
        let alone = self.alone(dir, &self.program, args);
        let mut command = Command::new("setpriv");
        if self.nobody {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        }
        command.arg(&self.program).args(args).env_clear().current_dir(self.work().join(dir));
        command.envs(alone.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Ran::of(command.output().unwrap())
    }

    /// Whether any script was run.
    pub(crate) fn has_run(&self) -> bool {
        let logs = walkdir::WalkDir::new(self.store().join("logs")).into_iter().flatten();
        logs.filter(|entry| entry.file_type().is_file()).count() > 0
    }

    /// What lies in the directory of work.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.work()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
