//! A small lab: a project with packages of its own making, served from a directory, and busybox to run its scripts.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use vsbuild::digest::Digest;

use super::{Ran, TestEnv};

/// What scripts may call.
const APPLETS: [&str; 22] = [
    "cat", "chmod", "cp", "cut", "date", "dd", "echo", "env", "head", "id", "ln", "ls", "mkdir",
    "nc", "rm", "sh", "sleep", "sort", "stat", "touch", "umask", "wc",
];

/// What a project holds at first: a toolchain, and nothing else.
const TOOLS: &str = "kind = \"packages\"\ndescription = \"A shell\"\ninclude = [\"shell\"]\n";

/// A project that can build.
pub struct Lab {
    pub env: TestEnv,
    /// The lines of the lockfile's table of packages, by their ids.
    packages: BTreeMap<String, String>,
    /// The tables of the lockfile's sets.
    sets: BTreeMap<String, String>,
    /// More lines of the control file of packages that are made from now on.
    pub control: String,
    /// Their version.
    pub version: String,
    /// The version that each package was made with.
    versions: BTreeMap<String, String>,
}

impl Lab {
    /// A project with a recipe `tools` whose package has busybox.
    pub fn new() -> Self {
        Self::at(TestEnv::new())
    }

    pub fn at(env: TestEnv) -> Self {
        let mut lab = Self {
            env,
            packages: BTreeMap::new(),
            sets: BTreeMap::new(),
            control: String::new(),
            version: "1.0".to_owned(),
            versions: BTreeMap::new(),
        };
        lab.env.write("vsbuild.toml", "shipped = false\n");
        lab.package("shell", |root| {
            let bin = root.join("usr/bin");
            fs::create_dir_all(&bin).unwrap();
            fs::copy("/usr/bin/busybox", bin.join("busybox")).expect("busybox-static is installed");
            APPLETS.iter().for_each(|name| symlink("busybox", bin.join(name)).unwrap());
        });
        lab.env.write("recipes/tools.toml", TOOLS);
        lab.set("tools", &["shell"], &["shell"]);
        lab
    }

    /// The directory that stands for an archive's server.
    pub fn mirror(&self) -> PathBuf {
        self.env.path().join("mirror")
    }

    /// The path of a package's file on the mirror.
    pub fn package_file(&self, name: &str) -> PathBuf {
        self.mirror().join(package_path(name))
    }

    /// Makes a Debian package with what `fill` puts in its root, and locks it.
    pub fn package(&mut self, name: &str, fill: impl FnOnce(&Path)) {
        let root = self.env.path().join("packages").join(name);
        fs::create_dir_all(root.join("DEBIAN")).unwrap();
        // A test must make the same package under any umask.
        fs::set_permissions(root.join("DEBIAN"), PermissionsExt::from_mode(0o755)).unwrap();
        fill(&root);
        let control = format!(
            "Package: {name}\nVersion: {}\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.invalid>\n\
             Description: A package of a test\n{}",
            self.version, self.control
        );
        fs::write(root.join("DEBIAN/control"), control).unwrap();
        let file = self.package_file(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let made = Command::new("dpkg-deb")
            .args(["--root-owner-group", "-Zgzip", "-z1", "--build"])
            .args([&root, &file])
            .env("SOURCE_DATE_EPOCH", "1700000000")
            .output()
            .expect("dpkg-deb is installed");
        assert!(made.status.success(), "{made:?}");
        let bytes = fs::read(&file).unwrap();
        let line = format!(
            "{{ archive = \"debian\", path = \"{}\", size = {}, sha256 = \"{}\" }}",
            package_path(name),
            bytes.len(),
            Digest::of(&bytes)
        );
        self.versions.insert(name.to_owned(), self.version.clone());
        self.packages.insert(format!("{name}:amd64={}", self.version), line);
        self.write_lock();
    }

    /// A package with these text files.
    pub fn text_package(&mut self, name: &str, files: &[(&str, &str)]) {
        self.package(name, |root| {
            for (path, text) in files {
                let path = root.join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
        });
    }

    /// Locks a set: what its recipe includes, and the packages that this came to.
    pub fn set(&mut self, name: &str, include: &[&str], packages: &[&str]) {
        let include: Vec<String> = include.iter().map(|name| format!("\"{name}\"")).collect();
        let packages: Vec<String> = packages
            .iter()
            .map(|name| format!("\"{name}:amd64={}\"", self.version_of(name)))
            .collect();
        let table = format!(
            "architecture = \"amd64\"\nsuites = [\"debian bookworm main\"]\ninclude = [{}]\npackages = [{}]\n",
            include.join(", "),
            packages.join(", ")
        );
        self.sets.insert(name.to_owned(), table);
        self.write_lock();
    }

    fn version_of(&self, package: &str) -> &str {
        self.versions.get(package).map_or("1.0", String::as_str)
    }

    fn write_lock(&self) {
        let mut text = "version = 1\n".to_owned();
        for (name, table) in &self.sets {
            text += &format!("\n[sets.\"{name}\"]\n{table}");
        }
        text += "\n[packages]\n";
        for (name, line) in &self.packages {
            text += &format!("\"{name}\" = {line}\n");
        }
        self.env.write("lockfile.toml", &text);
    }

    /// A recipe `linux`: a kernel that a script makes of one line of source, in no time.
    pub fn kernel(&self) {
        self.env.write("kernels/x.config", "CONFIG_X=y\n");
        self.env.write("kernels/source.txt", "int main;\n");
        let script = "cat $SCRIPT > $out/bzImage; echo ELF > $out/vmlinux\n";
        self.env.write("kernels/build.sh", script);
        let recipe = "kind = \"kernel\"\nsource = { source = \"source.txt\" }\ntools = \"tools\"\nscript = \"build.sh\"\n\
                      fragments = [\"x.config\"]\n";
        self.env.write("kernels/linux.toml", recipe);
    }

    /// A recipe whose script is `script`, with more lines of TOML.
    pub fn script(&self, name: &str, script: &str, more: &str) {
        self.env.write(&format!("recipes/{name}/build.sh"), script);
        let recipe = format!(
            "kind = \"build\"\ndescription = \"Runs {name}\"\ntools = \"tools\"\nscript = \"{name}/build.sh\"\n{more}"
        );
        self.env.write(&format!("recipes/{name}.toml"), &recipe);
    }

    /// vsbuild with these arguments, with the mirror.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.env.command(args);
        command.env("VSBUILD_MIRROR_DEBIAN", format!("file://{}", self.mirror().display()));
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// Builds a recipe: the digest of its output and how many steps had to be made.
    #[track_caller]
    pub fn build(&self, name: &str) -> (String, u64) {
        let text = self.run(&["build", name, "--json"]).good();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        (value["output"].as_str().unwrap().to_owned(), value["made"].as_u64().unwrap())
    }

    /// The manifest of a recipe's tree, built if need be.
    #[track_caller]
    pub fn tree(&self, name: &str) -> String {
        let path = self.run(&["build", name]).good();
        fs::read_to_string(path.trim()).unwrap()
    }

    /// The text of one file of a recipe's tree, built if need be.
    #[track_caller]
    pub fn output_file(&self, name: &str, path: &str) -> String {
        let tree = self.tree(name);
        let digest = tree
            .lines()
            .find_map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                (words[0] == "f" && words[1] == path).then(|| words[words.len() - 1].to_owned())
            })
            .unwrap_or_else(|| panic!("{name} has no file {path}:\n{tree}"));
        let blob = self.run(&["store", "path", &digest]).good();
        fs::read_to_string(blob.trim()).unwrap()
    }
}

fn package_path(name: &str) -> String {
    format!("pool/main/{name}_1.0_amd64.deb")
}
