//! The versions of containerd that states are tried with.

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// An installed containerd.
#[derive(Debug)]
pub struct Version {
    /// As `1.6`.
    pub name: &'static str,
    /// The search path for its programs.
    pub path: OsString,
}

/// Does `test` with every version that can be had here, and says aloud which cannot.
pub fn each(test: impl Fn(&Version)) {
    static VERSIONS: OnceLock<Vec<Version>> = OnceLock::new();
    for version in VERSIONS.get_or_init(|| [installed(), built()].into_iter().flatten().collect()) {
        eprintln!("containerd {}", version.name);
        test(version);
    }
}

/// The one that Debian bookworm has.
fn installed() -> Option<Version> {
    let path = env::var_os("PATH").unwrap_or_default();
    let missing = ["containerd", "ctr", "runc"]
        .into_iter()
        .find(|name| !env::split_paths(&path).any(|dir| dir.join(name).exists()));
    if let Some(name) = missing {
        eprintln!("SKIPPED: starting containerd takes {name}");
        return None;
    }
    Some(Version { name: "1.6", path })
}

const RECIPE: &str = "kind = \"packages\"\ndescription = \"containerd 1.7\"\ninclude = [\"containerd\"]\n\
                      archives = [\"debian trixie main\"]\n";

/// The one that Debian trixie has, as vsbuild brings it. Its programs do with bookworm's libc; runc, which would not, is
/// the installed one.
fn built() -> Option<Version> {
    let installed = installed()?;
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("containerd-1.7");
    let project = dir.join("project");
    for old in ["project", "tree", "bin"] {
        let _ = fs::remove_dir_all(dir.join(old));
    }
    fs::create_dir_all(project.join("recipes")).unwrap();
    fs::write(project.join("vsbuild.toml"), "shipped = false\n").unwrap();
    fs::write(project.join("recipes/containerd.toml"), RECIPE).unwrap();
    let tree = dir.join("tree");
    for arguments in [vec!["lock"], vec!["build", "containerd", "--out", tree.to_str().unwrap()]] {
        let vsbuild = Command::new(env!("CARGO_BIN_EXE_vsbuild"))
            .args(arguments)
            .current_dir(&project)
            .env("VSBUILD_STORE", dir.join("store"))
            .output()
            .unwrap();
        if !vsbuild.status.success() {
            let error = String::from_utf8_lossy(&vsbuild.stderr);
            eprintln!("SKIPPED: containerd 1.7 takes a mirror of Debian trixie: {error}");
            return None;
        }
    }
    Some(Version { name: "1.7", path: before(&dir.join("bin"), &tree, &installed.path) })
}

/// The search path with `bin` in front, which gets containerd's own programs.
fn before(bin: &Path, tree: &Path, path: &OsString) -> OsString {
    fs::create_dir(bin).unwrap();
    for name in ["containerd", "containerd-shim-runc-v2", "ctr"] {
        symlink(tree.join("usr/bin").join(name), bin.join(name)).unwrap();
    }
    let dirs: Vec<PathBuf> = env::split_paths(path).collect();
    env::join_paths([vec![bin.to_owned()], dirs].concat()).unwrap()
}
