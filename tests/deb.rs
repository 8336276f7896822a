//! Debian packages as dpkg makes and reads them: what we read must be what its own programs say.
//!
//! All packages are made here with `dpkg-deb`, so nothing is fetched.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;
use tempfile::TempDir;
use vsbuild::{
    formats::deb::{self, Package},
    path::GuestPath,
    tree::{self, Blobs, Kind, Layer, MemoryBlobs, Node, Tree},
};

const COMPRESSIONS: [&str; 4] = ["xz", "zstd", "gzip", "none"];

/// A place to make packages in, gone with the test.
struct Workshop {
    directory: TempDir,
}

impl Workshop {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The folder of a package that is to be made; it holds a bit of everything.
    fn folder(&self, name: &str, control: &str) -> PathBuf {
        let folder = self.path().join(name);
        let write = |at: &str, text: &str, mode| {
            let path = folder.join(at);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        };
        let control = format!("Package: {name}\n{control}");
        write("DEBIAN/control", &control, 0o644);
        write("DEBIAN/conffiles", &format!("/etc/{name}.conf\n"), 0o644);
        write("DEBIAN/triggers", "activate-noawait ldconfig\n", 0o644);
        write("DEBIAN/postinst", "#!/bin/sh\nexit 1\n", 0o755);
        write(&format!("etc/{name}.conf"), "setting = 1\n", 0o640);
        write(&format!("bin/{name}"), &"binary ".repeat(9000), 0o4755);
        write(&format!("usr/lib/{name}/{}/file", "long-".repeat(40)), "", 0o644);
        write(&format!("lib/{name}/ünïcode"), "x", 0o644);
        symlink("../../bin/tool", folder.join(format!("usr/lib/{name}/soft"))).unwrap();
        let tool = folder.join(format!("bin/{name}"));
        fs::hard_link(&tool, folder.join(format!("bin/{name}-hard"))).unwrap();
        fs::create_dir(folder.join(format!("usr/lib/{name}/sticky"))).unwrap();
        let sticky = folder.join(format!("usr/lib/{name}/sticky"));
        fs::set_permissions(sticky, PermissionsExt::from_mode(0o1777)).unwrap();
        folder
    }

    /// A package of the folder made by `dpkg-deb`.
    fn package(&self, folder: &Path, compression: &str) -> PathBuf {
        let package = folder.with_extension(format!("{compression}.deb"));
        run(Command::new("dpkg-deb")
            .args(["--root-owner-group", "--uniform-compression", "-Z", compression, "--build"])
            .args([folder, &package])
            .env("SOURCE_DATE_EPOCH", "1700000000"));
        package
    }
}

const CONTROL: &str = "Version: 1:2.0~rc1-1+b1\nArchitecture: amd64\nMulti-Arch: same\nSection: misc\n\
    Priority: optional\nEssential: no\nMaintainer: A Person <a@example.org>\nInstalled-Size: 12\n\
    Depends: libc6 (>= 2.36), libssl3 | libssl1.1 (<< 2), python3:any\nSource: other (1.0)\n\
    X-Own: kept\nHomepage: none\nBreaks: none (<< 1)\nDescription: short line\n One paragraph.\n .\n\
    \x20 verbatim   text\n";

fn run(command: &mut Command) -> String {
    let output = command.env("LC_ALL", "C").output().expect("dpkg is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

fn read(package: &Path, blobs: &MemoryBlobs) -> Package {
    deb::read(fs::File::open(package).unwrap(), blobs).unwrap()
}

fn is_record(path: &GuestPath) -> bool {
    GuestPath::new("var").is_ok_and(|var| path.is_within(&var))
}

/// The tree as `tar --list --verbose` shows an archive, one line a path, without dpkg's records.
fn listing(tree: &Tree) -> BTreeSet<String> {
    let lines = tree.iter().filter(|(path, _)| !is_record(path)).map(|(path, node)| {
        let inode = tree.inode(path).unwrap();
        let (mut kind, mut size, mut end) = ('-', 0, String::new());
        match &inode.kind {
            Kind::Directory => (kind, end) = ('d', "/".to_owned()),
            Kind::File(content) => size = content.size,
            Kind::Symlink(target) => {
                (kind, end) = ('l', format!(" -> {}", String::from_utf8_lossy(target)));
            }
            other => panic!("{other:?}"),
        }
        if let Node::HardLink(owner) = node {
            (kind, size, end) = ('h', 0, format!(" link to .{owner}"));
        }
        let mut line = format!("{kind}{}", permissions(inode.meta.mode));
        let (uid, gid, seconds) = (inode.meta.uid, inode.meta.gid, inode.meta.mtime.seconds);
        let path = if path.is_root() { String::new() } else { path.to_string() };
        write!(line, " {uid}/{gid} {size} @{seconds} .{path}{end}").unwrap();
        line
    });
    lines.collect()
}

fn permissions(mode: u16) -> String {
    let bits = [
        (0o400, 'r'),
        (0o200, 'w'),
        (0o100, 'x'),
        (0o40, 'r'),
        (0o20, 'w'),
        (0o10, 'x'),
        (4, 'r'),
        (2, 'w'),
        (1, 'x'),
    ];
    let mut letters: Vec<char> =
        bits.iter().map(|(bit, letter)| if mode & bit == 0 { '-' } else { *letter }).collect();
    for (bit, at, letter) in [(0o4000, 2, 's'), (0o2000, 5, 's'), (0o1000, 8, 't')] {
        if mode & bit != 0 {
            letters[at] = if letters[at] == 'x' { letter } else { letter.to_ascii_uppercase() };
        }
    }
    letters.into_iter().collect()
}

/// What GNU tar lists of the data archive, in the same form.
fn listing_by_tar(package: &Path) -> BTreeSet<String> {
    let command = "dpkg-deb --fsys-tarfile \"$0\" | \
        TZ=UTC tar --list --verbose --numeric-owner --full-time --quoting-style=literal --file=-";
    let text = run(Command::new("sh").args(["-c", command]).arg(package));
    let lines = text.lines().map(|line| {
        let mut words = line.split_whitespace();
        let mut word = || words.next().unwrap().to_owned();
        let (mode, owner, size, date, time) = (word(), word(), word(), word(), word());
        let rest = words.collect::<Vec<_>>().join(" ");
        let stamp =
            run(Command::new("date").args(["-u", "+%s", "-d"]).arg(format!("{date} {time}")));
        format!("{mode} {owner} {size} @{} {rest}", stamp.trim())
    });
    lines.collect()
}

#[test]
fn every_package_of_dpkg_deb_has_the_files_that_tar_lists() {
    let workshop = Workshop::new();
    let folder = workshop.folder("tool", CONTROL);
    for compression in COMPRESSIONS {
        let package = workshop.package(&folder, compression);
        let tree = read(&package, &MemoryBlobs::default()).tree;
        assert_eq!(listing(&tree), listing_by_tar(&package), "{compression}");
    }
}

#[test]
fn the_content_of_files_is_theirs() {
    let workshop = Workshop::new();
    let folder = workshop.folder("tool", CONTROL);
    let blobs = MemoryBlobs::default();
    let tree = read(&workshop.package(&folder, "xz"), &blobs).tree;
    for (path, _) in tree.iter().filter(|(path, _)| !is_record(path)) {
        if let Kind::File(content) = &tree.inode(path).unwrap().kind {
            let theirs = fs::read(folder.join(path.to_string().trim_start_matches('/'))).unwrap();
            assert_eq!(blobs.read(&content.digest).unwrap(), theirs, "{path}");
        }
    }
}

/// Writes dpkg's database of a tree where dpkg can read it.
fn write_database(tree: &Tree, blobs: &MemoryBlobs, to: &Path) {
    let whole = deb::database(tree, blobs, blobs).unwrap().finish().unwrap();
    let database = GuestPath::new("var/lib/dpkg").unwrap();
    for (path, node) in whole.iter() {
        let Some(below) = path.below(&database) else { continue };
        let place = to.join(below.to_string().trim_start_matches('/'));
        match node {
            Node::Inode(inode) => match &inode.kind {
                Kind::Directory => fs::create_dir_all(place).unwrap(),
                Kind::File(content) => {
                    fs::write(place, blobs.read(&content.digest).unwrap()).unwrap();
                }
                other => panic!("{other:?}"),
            },
            Node::HardLink(_) => panic!("{path}"),
        }
    }
}

/// Two packages in one tree with merged /usr.
fn system(workshop: &Workshop, blobs: &MemoryBlobs) -> Tree {
    let plain = CONTROL.replace("Multi-Arch: same\n", "").replace("amd64", "all");
    let packages = [("tool", CONTROL), ("apart", plain.as_str())].map(|(name, control)| {
        let folder = workshop.folder(name, control);
        let package = read(&workshop.package(&folder, "none"), blobs);
        (name, deb::merged_usr(package.tree, name).unwrap())
    });
    let layers: Vec<Layer<'_>> = packages.iter().map(|(name, tree)| Layer { name, tree }).collect();
    tree::merge(&layers, &BTreeSet::new()).unwrap().finish().unwrap()
}

#[test]
fn dpkg_reads_the_database() {
    let workshop = Workshop::new();
    let blobs = MemoryBlobs::default();
    let tree = system(&workshop, &blobs);
    let database = workshop.path().join("database");
    write_database(&tree, &blobs, &database);
    let query = |arguments: &[&str]| {
        run(Command::new("dpkg-query").arg("--admindir").arg(&database).args(arguments))
    };
    let format = "${binary:Package} ${Version} ${db:Status-Status} ${Conffiles} ${X-Own}\n";
    let md5 = run(Command::new("md5sum").arg(workshop.path().join("tool/etc/tool.conf")));
    let expected: String = ["apart", "tool:amd64"]
        .map(|name| {
            let conf = name.trim_end_matches(":amd64");
            let md5 = &md5[..32];
            format!("{name} 1:2.0~rc1-1+b1 installed  /etc/{conf}.conf {md5} kept\n")
        })
        .concat();
    assert_eq!(query(&["-W", "-f", format]), expected);
    assert!(query(&["-l"]).contains("\nii  tool:amd64"));
    assert!(query(&["-s", "tool"]).contains("\n  verbatim   text"));
    let listed: BTreeSet<String> = query(&["-L", "tool"]).lines().map(str::to_owned).collect();
    assert!(listed.contains("/.") && listed.contains("/bin/tool-hard"));
    assert!(query(&["-S", "/lib/tool/ünïcode"]).starts_with("tool:amd64: "));
    let control = query(&["--control-list", "tool"]);
    assert_eq!(control, "triggers\n");
    run(Command::new("dpkg").arg("--admindir").arg(&database).arg("--audit"));
}

#[test]
fn dpkg_would_have_written_the_same_records() {
    // Only root may let dpkg unpack; continuous integration does.
    if run(Command::new("id").arg("-u")).trim() != "0" {
        return;
    }
    let workshop = Workshop::new();
    let blobs = MemoryBlobs::default();
    let folder = workshop.folder("tool", CONTROL);
    let package = workshop.package(&folder, "xz");
    let ours = workshop.path().join("ours");
    write_database(&read(&package, &blobs).tree, &blobs, &ours);
    let root = workshop.path().join("root");
    let theirs = root.join("var/lib/dpkg");
    for directory in ["info", "updates", "triggers"] {
        fs::create_dir_all(theirs.join(directory)).unwrap();
    }
    fs::write(theirs.join("status"), "").unwrap();
    run(Command::new("dpkg")
        .arg(format!("--root={}", root.display()))
        .args(["--log=/dev/null", "--force-depends", "--force-architecture", "--unpack"])
        .arg(&package));
    let status = |at: &Path| {
        let text = fs::read_to_string(at.join("status")).unwrap();
        let state = text.replace("install ok unpacked", "install ok installed");
        // dpkg writes the sum of a configuration file only when it configures the package.
        let lines = state.lines().filter(|line| !line.contains("/etc/tool.conf"));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    assert_eq!(status(&ours), status(&theirs));
    let list = |at: &Path| {
        let text = fs::read_to_string(at.join("info/tool:amd64.list")).unwrap();
        text.lines().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(list(&ours), list(&theirs));
    for record in ["format", "tool:amd64.triggers", "tool:amd64.conffiles"] {
        let read = |at: &Path| fs::read(at.join("info").join(record)).unwrap();
        assert_eq!(read(&ours), read(&theirs), "{record}");
    }
}
