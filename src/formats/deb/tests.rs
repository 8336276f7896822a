use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::{
    formats::compress::Compression,
    path::GuestPath,
    tree::{Blobs, Kind, MemoryBlobs, Node, Time, Tree},
};

const CONTROL: &str = "Package: tool\nVersion: 1:2.0-1\nArchitecture: amd64\nMaintainer: A <a@example.org>\n\
    Depends: libc6 (>= 2)\nDescription: a tool\n  verbatim\n .\n end\nHomepage: none\nSection: misc\n";

/// The parts of a package, each to be spoiled.
#[derive(Clone)]
struct Parts {
    format: &'static str,
    control: Vec<(&'static str, String)>,
    /// Paths with content; a path with a slash at its end is a directory.
    data: Vec<(&'static str, &'static str)>,
    compression: Compression,
}

impl Default for Parts {
    fn default() -> Self {
        let conffiles = "/etc/tool.conf\nremove-on-upgrade /etc/old.conf\n".to_owned();
        let control = vec![
            ("control", CONTROL.to_owned()),
            ("conffiles", conffiles),
            ("md5sums", "0  bin/tool\n".to_owned()),
            ("postinst", "#!/bin/sh\n".to_owned()),
        ];
        let data = vec![
            ("./", ""),
            ("./bin/", ""),
            ("./bin/tool", "binary"),
            ("./etc/", ""),
            ("./etc/tool.conf", "abc"),
        ];
        Self { format: "2.0\n", control, data, compression: Compression::Plain }
    }
}

impl Parts {
    fn with_control(name: &'static str, text: &str) -> Self {
        let mut parts = Self::default();
        parts.control.retain(|(old, _)| *old != name);
        parts.control.push((name, text.to_owned()));
        parts
    }

    fn package(&self) -> Vec<u8> {
        let control: Vec<_> = self.control.iter().map(|(n, t)| (*n, t.as_str(), 2000)).collect();
        let data: Vec<_> = self.data.iter().map(|(name, text)| (*name, *text, 1000)).collect();
        let suffix = match self.compression {
            Compression::Plain => "",
            Compression::Gzip => ".gz",
            Compression::Xz => ".xz",
            Compression::Zstd => ".zst",
        };
        ar(&[
            ("debian-binary".to_owned(), self.format.as_bytes().to_vec()),
            (format!("control.tar{suffix}"), compress(self.compression, &tar(&control))),
            (format!("data.tar{suffix}"), compress(self.compression, &tar(&data))),
        ])
    }
}

fn ar(members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let size = content.len();
        writeln!(bytes, "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`", 0, 0, 0, "100644").unwrap();
        bytes.extend_from_slice(content);
        bytes.extend(vec![b'\n'; size % 2]);
    }
    bytes
}

fn tar(files: &[(&str, &str, u64)]) -> Vec<u8> {
    let mut builder = ::tar::Builder::new(Vec::new());
    for (name, text, mtime) in files {
        let mut header = ::tar::Header::new_gnu();
        let directory = name.ends_with('/');
        header.set_entry_type(::tar::EntryType::new(if directory { b'5' } else { b'0' }));
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(if directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(*mtime);
        header.set_size(text.len() as u64);
        header.set_cksum();
        builder.append(&header, text.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Plain => bytes.to_vec(),
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => {
            let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
            encoder.include_checksum(true).unwrap();
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
    }
}

fn path(text: &str) -> GuestPath {
    GuestPath::new(text).unwrap()
}

fn text(tree: &Tree, blobs: &MemoryBlobs, at: &str) -> String {
    let Kind::File(content) = &tree.inode(&path(at)).unwrap().kind else {
        panic!("{at} is a file")
    };
    String::from_utf8(blobs.read(&content.digest).unwrap()).unwrap()
}

fn refusal(package: &[u8]) -> String {
    let mut error: &dyn std::error::Error = &read(package, &MemoryBlobs::default()).unwrap_err();
    let mut told = error.to_string();
    while let Some(source) = error.source() {
        told += &format!(": {source}");
        error = source;
    }
    told
}

const STANZA: &str = "Package: tool\nStatus: install ok installed\nSection: misc\n\
    Maintainer: A <a@example.org>\nArchitecture: amd64\nVersion: 1:2.0-1\nDepends: libc6 (>= 2)\n\
    Conffiles:\n /etc/tool.conf 900150983cd24fb0d6963f7d28e17f72\n\
    Description: a tool\n  verbatim\n .\n end\nHomepage: none\n";

#[test]
fn a_package_becomes_its_files_and_its_records() {
    let blobs = MemoryBlobs::default();
    let package = read(&*Parts::default().package(), &blobs).unwrap();
    assert_eq!(
        (package.name.as_str(), package.version.to_string()),
        ("tool", "1:2.0-1".to_owned())
    );
    assert_eq!(package.control.get("homepage"), Some("none"));
    let paths: Vec<String> = package.tree.iter().map(|(path, _)| path.to_string()).collect();
    let expected = [
        "/",
        "/bin",
        "/bin/tool",
        "/etc",
        "/etc/tool.conf",
        "/var",
        "/var/lib",
        "/var/lib/dpkg",
        "/var/lib/dpkg/info",
        "/var/lib/dpkg/info/format",
        "/var/lib/dpkg/info/tool.conffiles",
        "/var/lib/dpkg/info/tool.list",
        "/var/lib/dpkg/info/tool.md5sums",
        "/var/lib/dpkg/status.d",
        "/var/lib/dpkg/status.d/tool",
    ];
    assert_eq!(paths, expected);
    let read = |at| text(&package.tree, &blobs, at);
    assert_eq!(read("bin/tool"), "binary");
    let list = "/.\n/bin\n/bin/tool\n/etc\n/etc/tool.conf\n";
    assert_eq!(read("var/lib/dpkg/info/tool.list"), list);
    assert_eq!(read("var/lib/dpkg/status.d/tool"), STANZA);
    let time = |at| package.tree.inode(&path(at)).unwrap().meta.mtime;
    assert_eq!(time("bin"), Time::from_seconds(1000));
    assert_eq!(time("var"), Time::from_seconds(2000), "the control archive is newer");
}

#[test]
fn every_compression_gives_the_same_tree() {
    let trees = [Compression::Plain, Compression::Gzip, Compression::Xz, Compression::Zstd].map(
        |compression| {
            let package = Parts { compression, ..Parts::default() }.package();
            read(&*package, &MemoryBlobs::default()).unwrap().tree.digest()
        },
    );
    assert_eq!(trees, [trees[0]; 4]);
}

#[test]
fn a_package_for_many_architectures_has_its_own_in_the_names_of_its_records() {
    let control = CONTROL.replace("Section: misc", "Multi-Arch: same");
    let package = Parts::with_control("control", &control).package();
    let package = read(&*package, &MemoryBlobs::default()).unwrap();
    assert_eq!(package.multi_arch, MultiArch::Same);
    for record in ["info/tool:amd64.list", "info/tool:amd64.md5sums", "status.d/tool:amd64"] {
        assert!(package.tree.get(&path(&format!("var/lib/dpkg/{record}"))).is_some(), "{record}");
    }
}

#[test]
fn directories_that_a_package_does_not_ship_are_made() {
    let parts =
        Parts { data: vec![("./etc/tool.conf", "abc"), ("./a/b/c", "")], ..Parts::default() };
    let tree = read(&*parts.package(), &MemoryBlobs::default()).unwrap().tree;
    assert_eq!(tree.inode(&path("a/b")), tree.inode(&GuestPath::root()));
    let control = CONTROL.to_owned();
    let empty = Parts { data: Vec::new(), control: vec![("control", control)], ..Parts::default() };
    assert!(read(&*empty.package(), &MemoryBlobs::default()).is_ok());
}

#[test]
fn a_package_cut_anywhere_is_refused() {
    for compression in [Compression::Plain, Compression::Gzip, Compression::Xz, Compression::Zstd] {
        let package = Parts { compression, ..Parts::default() }.package();
        for cut in 0..package.len() {
            let read = read(&package[..cut], &MemoryBlobs::default());
            assert!(read.is_err(), "{compression:?} cut at {cut}");
        }
    }
}

#[test]
fn hostile_packages_are_refused_with_the_member_that_is_wrong() {
    let data = |name, text| {
        let mut parts = Parts::default();
        parts.data.push((name, text));
        refusal(&parts.package())
    };
    assert!(data("../../etc/passwd", "x").contains("`data.tar`: tar member `../../etc/passwd`"));
    assert!(data("/etc/passwd", "x").contains("`/etc/passwd`: its name is absolute"));
    assert!(data("./bin/tool", "other").contains("`bin/tool`: it is there twice"));
    assert!(data("./var/lib/dpkg/info/tool.list", "").contains("/var/lib/dpkg/info/tool.list"));
    assert!(data("./var/lib/dpkg/status.d/tool", "").contains("which is dpkg's own"));
    assert!(data("./var/lib/dpkg/info", "").contains("no tree"));
    assert!(data("./a\nb", "").contains("newline"));
}

#[test]
fn control_files_are_checked() {
    let control = |from: &str, to: &str| {
        refusal(&Parts::with_control("control", &CONTROL.replace(from, to)).package())
    };
    assert!(control("Package: tool", "Package: ../tool").contains("no good field `Package`"));
    assert!(control("Package: tool", "Name: tool").contains("no good field `Package`"));
    assert!(control("amd64", "am/d64").contains("no good field `Architecture`"));
    assert!(control("1:2.0-1", "1_2").contains("no good version"));
    assert!(control("Section: misc", "Multi-Arch: any").contains("no good field `Multi-Arch`"));
    assert!(control("Section: misc", "\nPackage: b").contains("more than one paragraph"));
    assert!(control("Section: misc", "package: b").contains("twice"));
    let file = |name, text| refusal(&Parts::with_control(name, text).package());
    assert!(file("conffiles", "/etc/none\n").contains("/etc/none, which it calls"));
    assert!(file("conffiles", "etc/tool.conf\n").contains("no absolute path"));
    assert!(file("conffiles", "/etc/../x\n").contains("no absolute path"));
    assert!(file("list", "/bin\n").contains("control file `list`"));
    assert!(file("sub/", "").contains("control file `sub`"));
    assert!(file("a b", "").contains("control file `a b`"));
    let without = Parts { control: vec![("./", String::new())], ..Parts::default() };
    assert!(refusal(&without.package()).contains("control file `control`: it is missing"));
}

#[test]
fn a_status_in_the_control_file_is_not_heard() {
    let control = CONTROL.replace(
        "Section: misc",
        "Section: misc\nStatus: purge ok config-files\nConffiles:\n /x 0",
    );
    let blobs = MemoryBlobs::default();
    let package = read(&*Parts::with_control("control", &control).package(), &blobs).unwrap();
    assert_eq!(text(&package.tree, &blobs, "var/lib/dpkg/status.d/tool"), STANZA);
}

#[test]
fn the_members_must_be_those_of_deb5() {
    let parts = Parts::default();
    let control = tar(&[("control", CONTROL, 0)]);
    let data = tar(&[("./", "", 0)]);
    let member = |name: &str, content: &[u8]| (name.to_owned(), content.to_vec());
    let binary = || member("debian-binary", b"2.0\n");
    let read = |members: &[(String, Vec<u8>)]| read(&*ar(members), &MemoryBlobs::default());
    let (control, data) = (member("control.tar", &control), member("data.tar", &data));
    assert!(read(&[binary(), control.clone(), data.clone()]).is_ok());
    let later = [member("debian-binary", b"2.9\nmore\n"), control.clone(), data.clone()];
    assert!(read(&later).is_ok());
    let ignored = || member("_gpgorigin", b"x");
    let more = [binary(), ignored(), control.clone(), ignored(), data.clone(), member("x", b"")];
    assert!(read(&more).is_ok());
    for (members, told) in [
        (
            vec![control.clone(), data.clone()],
            "no member `debian-binary` where one must be, but `control.tar`",
        ),
        (
            vec![binary(), data.clone(), control.clone()],
            "no member `control.tar` where one must be, but `data.tar`",
        ),
        (vec![binary(), control.clone()], "no member `data.tar` where one must be, but its end"),
        (vec![binary(), control.clone(), member("x", b""), data.clone()], "but `x`"),
        (vec![binary(), control.clone(), member("data.tar.bz2", b"")], "but `data.tar.bz2`"),
        (vec![member("debian-binary", b"3.0\n"), control, data], "format version `3.0`"),
    ] {
        let told_so = refusal(&ar(&members));
        assert!(told_so.contains(told), "{told_so}");
    }
    assert!(refusal(&Parts { format: "2.x\n", ..parts }.package()).contains("`2.x`"));
}

#[test]
fn the_database_has_all_packages_in_order() {
    let blobs = MemoryBlobs::default();
    let stanza = |name: &str, arch: &str| format!("Package: {name}\nArchitecture: {arch}\n");
    let stanzas = [stanza("b", "i386"), stanza("b", "amd64"), stanza("a", "all")];
    let text = status(stanzas.iter().map(String::as_bytes)).unwrap();
    let sorted = [&stanzas[2], "\n", &stanzas[1], "\n", &stanzas[0], "\n"].concat();
    assert_eq!(String::from_utf8(text).unwrap(), sorted);
    let twice = [stanza("a", "all"), stanza("a", "all")];
    assert!(status(twice.iter().map(String::as_bytes)).is_err());

    let tree = read(&*Parts::default().package(), &blobs).unwrap().tree;
    let whole = database(&tree, &blobs, &blobs).unwrap().finish().unwrap();
    assert_eq!(self::text(&whole, &blobs, "var/lib/dpkg/status"), STANZA.to_owned() + "\n");
    assert!(whole.get(&path("var/lib/dpkg/status.d")).is_none());
    assert_eq!(database(&whole, &blobs, &blobs).unwrap().finish(), Ok(whole));
}

#[test]
fn merged_usr_moves_the_top_level_directories() {
    let parts = Parts::default().package();
    let tree = read(&*parts, &MemoryBlobs::default()).unwrap().tree;
    let merged = merged_usr(tree, "tool").unwrap();
    let link = |at| match merged.get(&path(at)) {
        Some(Node::Inode(inode)) => inode.kind == Kind::Symlink(b"usr/bin"[..].into()),
        _ => false,
    };
    assert!(link("bin"));
    assert!(merged.get(&path("usr/bin/tool")).is_some());
    assert!(merged.get(&path("lib")).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_damaged_package_never_panics(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), kind in 0..4usize) {
        let kinds = [Compression::Plain, Compression::Gzip, Compression::Xz, Compression::Zstd];
        let mut package = Parts { compression: kinds[kind], ..Parts::default() }.package();
        for (at, with) in places {
            let at = at.index(package.len());
            package[at] = with;
        }
        let _ = read(&*package, &MemoryBlobs::default());
    }
}
