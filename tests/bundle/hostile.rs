//! Bundles that somebody has tampered with, or that arrived damaged: each is refused, and leaves nothing.

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use tempfile::TempDir;
use vsbuild::{
    bundle::{self, Manifest},
    digest::Digest,
    path::GuestPath,
    tree::{Content, Draft, Inode, Kind, Meta, Node, Time},
};

use crate::{common::Ran, site::Author};

/// A member of an archive: its header and its content.
#[derive(Clone)]
struct Member {
    header: tar::Header,
    name: Vec<u8>,
    bytes: Vec<u8>,
}

impl Member {
    fn file(name: &str, bytes: &[u8]) -> Self {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_686_355_200);
        header.set_size(bytes.len() as u64);
        Self { header, name: name.into(), bytes: bytes.to_owned() }
    }

    fn of_type(name: &str, kind: tar::EntryType, link: &str) -> Self {
        let mut member = Self::file(name, b"");
        member.header.set_entry_type(kind);
        member.header.set_link_name_literal(link).unwrap();
        member.header.set_device_major(1).unwrap();
        member.header.set_device_minor(3).unwrap();
        member
    }

    fn is(&self, name: &str) -> bool {
        self.name == name.as_bytes()
    }
}

/// A small bundle with outputs, as its members.
fn good() -> Vec<Member> {
    static BUNDLE: OnceLock<Vec<u8>> = OnceLock::new();
    let bytes = BUNDLE.get_or_init(|| {
        let author = Author::new();
        fs::read(author.export("artifact.tar", &[])).unwrap()
    });
    let mut archive = tar::Archive::new(Cursor::new(bytes));
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
            let name = entry.path_bytes().into_owned();
            Member { header: entry.header().clone(), name, bytes }
        })
        .collect()
}

fn write(members: &[Member]) -> Vec<u8> {
    let mut archive = Vec::new();
    for Member { header, name, bytes } in members {
        let mut header = header.clone();
        let field = &mut header.as_old_mut().name;
        *field = [0; 100];
        if name.len() > 100 {
            let record =
                |length: usize| format!("{length} path={}\n", String::from_utf8_lossy(name));
            let mut length = name.len() + 9;
            while record(length).len() != length {
                length += 1;
            }
            let record = record(length);
            let mut extension = tar::Header::new_ustar();
            extension.set_entry_type(tar::EntryType::XHeader);
            extension.set_size(record.len() as u64);
            extension.set_cksum();
            archive.extend_from_slice(extension.as_bytes());
            archive.extend_from_slice(record.as_bytes());
            archive.resize(archive.len().next_multiple_of(512), 0);
        } else {
            field[..name.len()].copy_from_slice(name);
        }
        header.set_cksum();
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().next_multiple_of(512), 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

/// Where bundles are tried.
struct Trial {
    dir: TempDir,
}

impl Trial {
    fn new() -> Self {
        Self { dir: TempDir::with_prefix("vsbuild-hostile-").unwrap() }
    }

    fn receive(&self, bytes: &[u8]) -> PathBuf {
        let file = self.dir.path().join("artifact.tar");
        fs::write(&file, bytes).unwrap();
        file
    }

    /// The bundle is refused with these words, and nothing is left.
    #[track_caller]
    fn refused(&self, what: &str, bytes: &[u8], words: &str) {
        let file = self.receive(bytes);
        let error = bundle::unpack(&file, &self.dir.path().join("artifact"), &|_, _| ());
        let error = match error {
            Ok(_) => panic!("{what}: it was taken"),
            Err(error) => error,
        };
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        assert!(text.contains(words), "{what}: {text}");
        self.nothing_is_left(what);
    }

    #[track_caller]
    fn nothing_is_left(&self, what: &str) {
        let left = fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["artifact.tar"], "{what}");
    }
}

fn place(members: &[Member], name: &str) -> usize {
    members.iter().position(|member| member.is(name)).unwrap_or_else(|| panic!("no {name}"))
}

/// The same bundle with another manifest: that of the files as `change` leaves them.
fn claiming(members: &[Member], change: impl FnOnce(&mut Draft)) -> Vec<Member> {
    let mut members = members.to_vec();
    let at = place(&members, "artifact/MANIFEST");
    let mut manifest = Manifest::decode(&members[at].bytes).unwrap();
    let mut draft = manifest.files.to_draft();
    change(&mut draft);
    manifest.files = draft.finish().unwrap();
    members[at] = Member::file("artifact/MANIFEST", &manifest.encode());
    members
}

fn node(mode: u16, kind: Kind) -> Node {
    Node::Inode(Inode { meta: Meta::root_owned(mode, Time::from_seconds(1_686_355_200)), kind })
}

fn path(text: &str) -> GuestPath {
    GuestPath::new(text).unwrap()
}

#[test]
fn the_bundle_that_all_others_are_made_of_is_good() {
    let trial = Trial::new();
    let file = trial.receive(&write(&good()));
    let dir = trial.dir.path().join("artifact");
    let manifest = bundle::unpack(&file, &dir, &|_, _| ()).unwrap();
    assert_eq!(
        manifest.files.contents().count() + 1,
        walkdir::WalkDir::new(dir)
            .into_iter()
            .filter(|entry| entry.as_ref().unwrap().file_type().is_file())
            .count()
    );
}

#[test]
fn a_member_that_the_manifest_does_not_name_is_refused_wherever_it_leads() {
    let trial = Trial::new();
    let outside = trial.dir.path().parent().unwrap().join("vsbuild-hostile-outside");
    let outside = outside.to_str().unwrap();
    for (what, member, words) in [
        ("an absolute path", Member::file(outside, b"x"), ""),
        ("a path with ..", Member::file("artifact/../../outside", b"x"), ""),
        ("another directory", Member::file("elsewhere/file", b"x"), "does not name it here"),
        ("a file more", Member::file("artifact/more", b"x"), "does not name it here"),
        (
            "a link out",
            Member::of_type("artifact/link", tar::EntryType::Symlink, "/etc"),
            "does not name it here",
        ),
        (
            "a link up",
            Member::of_type("artifact/link", tar::EntryType::Symlink, "../.."),
            "does not name it here",
        ),
        (
            "a hard link",
            Member::of_type("artifact/link", tar::EntryType::Link, "artifact/README"),
            "does not name it here",
        ),
        (
            "a hard link out",
            Member::of_type("artifact/link", tar::EntryType::Link, "/etc/passwd"),
            "",
        ),
        (
            "a character device",
            Member::of_type("artifact/null", tar::EntryType::Char, ""),
            "does not name it here",
        ),
        (
            "a block device",
            Member::of_type("artifact/disk", tar::EntryType::Block, ""),
            "does not name it here",
        ),
        (
            "a pipe",
            Member::of_type("artifact/pipe", tar::EntryType::Fifo, ""),
            "does not name it here",
        ),
        ("an unknown kind", Member::of_type("artifact/odd", tar::EntryType::new(b'Z'), ""), ""),
        ("a sparse file", Member::of_type("artifact/bomb", tar::EntryType::GNUSparse, ""), ""),
    ] {
        for at in [2, good().len() / 2, good().len()] {
            let mut members = good();
            members.insert(at, member.clone());
            trial.refused(what, &write(&members), words);
        }
        assert!(!Path::new(outside).exists());
    }
}

#[test]
fn a_manifest_that_names_what_leads_out_or_is_no_file_is_refused() {
    let trial = Trial::new();
    for (what, kind, mode, words) in [
        (
            "a link to /etc",
            Kind::Symlink(b"/etc".as_slice().into()),
            0o777,
            "leads out of the bundle",
        ),
        (
            "a link up",
            Kind::Symlink(b"recipes/../../x".as_slice().into()),
            0o777,
            "leads out of the bundle",
        ),
        (
            "a link whose names may be links",
            Kind::Symlink(b"s/s/s/s/../../../../../../home/victim".as_slice().into()),
            0o777,
            "leads out of the bundle",
        ),
        ("a pipe", Kind::Fifo, 0o644, "neither a file"),
        ("a program of root", Kind::File(Content::of(b"x")), 0o4755, "neither a file"),
    ] {
        let changed = claiming(&good(), |draft| draft.insert(path("zz"), node(mode, kind)));
        trial.refused(what, &write(&changed), words);
    }
}

#[test]
fn a_member_twice_or_lacking_or_out_of_order_is_refused() {
    let trial = Trial::new();
    for at in 1..good().len() {
        let mut twice = good();
        twice.insert(at + 1, twice[at].clone());
        trial.refused("twice, one after the other", &write(&twice), "is in the archive twice");
        let mut lacking = good();
        lacking.remove(at);
        trial.refused("lacking", &write(&lacking), "");
        if at > 1 && at + 1 < good().len() {
            let mut turned = good();
            turned.swap(at, at + 1);
            trial.refused("in another order", &write(&turned), "does not name it here");
        }
    }
    let mut last = good();
    last.push(last[1].clone());
    trial.refused("the manifest again at the end", &write(&last), "is in the archive twice");
    let mut other = good();
    let readme = place(&other, "artifact/README");
    other[readme].header.set_mode(0o755);
    trial.refused("another mode", &write(&other), "is not what the manifest says");
}

#[test]
fn a_changed_byte_in_any_file_is_noticed() {
    let trial = Trial::new();
    let members = good();
    for at in 1..members.len() {
        if members[at].bytes.is_empty() {
            continue;
        }
        for byte in [0, members[at].bytes.len() / 2, members[at].bytes.len() - 1] {
            let mut changed = members.clone();
            changed[at].bytes[byte] ^= 0x20;
            trial.refused("a changed byte", &write(&changed), "");
        }
    }
}

#[test]
fn a_bundle_that_ends_early_or_goes_on_too_long_is_refused() {
    let trial = Trial::new();
    let whole = write(&good());
    let mut lengths: Vec<usize> = (0..40).map(|part| whole.len() * part / 40).collect();
    lengths.extend([
        1,
        511,
        512,
        513,
        1024,
        1536,
        whole.len() - 1024,
        whole.len() - 512,
        whole.len() - 1,
    ]);
    for length in lengths {
        trial.refused(
            &format!("cut after {length} of {} bytes", whole.len()),
            &whole[..length],
            "",
        );
    }
    let more = [whole.clone(), b"more".to_vec()].concat();
    trial.refused("more at the end", &more, "something follows the end");
    trial.refused(
        "another bundle at the end",
        &[whole.clone(), whole.clone()].concat(),
        "something follows the end",
    );
}

#[test]
fn what_is_no_bundle_is_refused() {
    let trial = Trial::new();
    let whole = write(&good());
    let packed = zstd::encode_all(&*whole, 1).unwrap();
    for (what, bytes, words) in [
        ("nothing", Vec::new(), "no bundle"),
        ("text", b"hello\n".repeat(1000), "no bundle"),
        ("zeros", vec![0; 10240], "no bundle"),
        ("a compressed bundle", packed, "compressed with zstd"),
        (
            "another archive",
            write(&[Member::file("README", b"x"), Member::file("x", b"y")]),
            "does not begin with artifact/MANIFEST",
        ),
        ("one without a manifest", write(&good()[..1]), "does not begin with artifact/MANIFEST"),
    ] {
        trial.refused(what, &bytes, words);
    }
    let mut other = good();
    let text = String::from_utf8(other[1].bytes.clone()).unwrap();
    other[1] = Member::file(
        "artifact/MANIFEST",
        text.replace("vsbuild-bundle 1", "vsbuild-bundle 9").as_bytes(),
    );
    trial.refused("one of another vsbuild", &write(&other), "damaged manifest: line 1 is wrong");
}

#[test]
fn a_bomb_does_not_go_off() {
    let trial = Trial::new();
    let huge = Content { digest: Digest::of("huge"), size: 1 << 45, holes: Box::new([]) };
    let claimed =
        claiming(&good(), |draft| draft.insert(path("zz"), node(0o644, Kind::File(huge.clone()))));
    trial.refused("a size that cannot be", &write(&claimed), "but the archive has");
    let mut member = Member::file("artifact/zz", b"");
    member.header.set_size(1 << 32);
    let mut members = good();
    members.push(member);
    trial.refused("a header that lies", &write(&members), "");
    let mut long = good();
    long[1].header.set_size(1 << 33);
    trial.refused("a manifest without end", &write(&long), "is longer than");
}

#[test]
fn what_is_in_the_cache_under_a_wrong_name_is_refused() {
    let trial = Trial::new();
    let members = good();
    let (other, hex) = (b"other bytes".as_slice(), Digest::of("expected").hex());
    let forged = |name: &str, bytes: &[u8]| {
        let mut changed = claiming(&members, |draft| {
            draft.ensure_parents(
                &path(name),
                &Meta::root_owned(0o755, Time::from_seconds(1_686_355_200)),
            );
            draft.insert(path(name), node(0o644, Kind::File(Content::of(bytes))));
        });
        changed.push(Member::file(&format!("artifact/{name}"), bytes));
        write(&changed)
    };
    for room in ["inputs", "packs"] {
        let name = format!("vendor/{room}/{}/{hex}", &hex[..2]);
        trial.refused(room, &forged(&name, other), "which is not its name");
    }
    trial.refused(
        "something of no cache",
        &forged("vendor/virus", other),
        "nothing of a cache is called so",
    );
    trial.refused("a mark", &forged("vendor/pushing/1", other), "nothing of a cache is called so");
    let format = claiming(&members, |draft| {
        draft.insert(path("vendor/format"), node(0o644, Kind::File(Content::of(other))))
    });
    trial.refused("another format", &write(&format), "which is not its name");
    let link = Kind::Symlink(b"format".as_slice().into());
    let linked = claiming(&members, |draft| draft.insert(path("vendor/link"), node(0o777, link)));
    trial.refused("a link in the cache", &write(&linked), "there are only files in a cache");
}

#[test]
fn only_the_files_of_images_get_in_where_vsbuild_writes_and_takes_its_own_word() {
    let trial = Trial::new();
    let goal = {
        let members = good();
        let manifest = Manifest::decode(&members[place(&members, "artifact/MANIFEST")].bytes);
        let mut goals = manifest.unwrap().about.goals.into_iter();
        goals.find(|(_, goal)| !goal.files.is_empty()).unwrap()
    };
    assert!(goal.0.as_str() == "tiny" && goal.1.files.contains_key("disk.img"));
    let link = || Kind::Symlink(b"recipes".as_slice().into());
    let file = || Kind::File(Content::of(b"x"));
    for (name, kind, mode, words) in [
        ("out", link(), 0o777, "only files of images"),
        ("out", file(), 0o644, "no image has such a file"),
        ("out/tiny", link(), 0o777, "only files of images"),
        ("out/tiny/.disk.img.partial", link(), 0o777, "only files of images"),
        ("out/tiny/disk.img", link(), 0o777, "only files of images"),
        ("out/tiny/.placed", file(), 0o644, "no image has such a file"),
        ("out/tiny/.disk.img.partial", file(), 0o644, "no image has such a file"),
        ("out/other/disk.img", file(), 0o644, "no image has such a file"),
        ("out/tiny/disk.img", file(), 0o644, "its bytes are"),
    ] {
        let changed = claiming(&good(), |draft| {
            let above = Meta::root_owned(0o755, Time::from_seconds(1_686_355_200));
            draft.ensure_parents(&path(name), &above);
            draft.insert(path(name), node(mode, kind));
        });
        trial.refused(name, &write(&changed), words);
    }
}

#[test]
fn forged_outputs_are_not_taken_even_when_the_key_is_believed() {
    // Whoever makes a bundle anew can write a whole manifest, but not sign for somebody else.
    let author = Author::new();
    let (_, id) = author.key();
    let members = good();
    let statements: Vec<usize> = (0..members.len())
        .filter(|at| String::from_utf8_lossy(&members[*at].name).contains("/statements/"))
        .filter(|at| !members[*at].bytes.is_empty())
        .collect();
    let mut forged = members.clone();
    for at in &statements {
        let text = String::from_utf8(forged[*at].bytes.clone()).unwrap();
        let sig = text.find("\"sig\":\"").unwrap() + 7;
        let other = if text.as_bytes()[sig] == b'A' { "B" } else { "A" };
        forged[*at].bytes = format!("{}{other}{}", &text[..sig], &text[sig + 1..]).into_bytes();
    }
    let contents: Vec<(GuestPath, Content)> = statements
        .iter()
        .map(|at| {
            let name = String::from_utf8(forged[*at].name.clone()).unwrap();
            (path(name.strip_prefix("artifact/").unwrap()), Content::of(&forged[*at].bytes))
        })
        .collect();
    let forged = claiming(&forged, |draft| {
        for (path, content) in contents {
            draft.insert(path, node(0o644, Kind::File(content)));
        }
    });
    let trial = Trial::new();
    trial.receive(&write(&forged));
    let manifest: Manifest = bundle::look(&trial.dir.path().join("artifact.tar")).unwrap();
    let key = manifest.about.keys.keys().next().unwrap().to_string();
    assert_ne!(key, id, "each author has a key");
    let mut command = author.lab.command(&["import", "artifact.tar", "--trust-bundle-key", &key]);
    command.current_dir(trial.dir.path()).env("VSBUILD_STORE", trial.dir.path().join("store"));
    let ran = Ran::of(command.output().unwrap());
    assert!(ran.stderr.contains("the signature of author"), "{}", ran.stderr);
    assert!(ran.stderr.contains("To be built"), "{}", ran.stderr);
    ran.good();
}

#[test]
fn the_program_says_what_is_wrong_and_leaves_nothing() {
    let author = Author::new();
    let trial = Trial::new();
    let mut members = good();
    let readme = place(&members, "artifact/README");
    members[readme].bytes[0] ^= 1;
    trial.receive(&write(&members));
    let mut command = author.lab.command(&["import", "artifact.tar"]);
    command.current_dir(trial.dir.path());
    let said = Ran::of(command.output().unwrap()).bad(4);
    assert!(said.contains("artifact.tar: /README: its bytes are"), "{said}");
    assert!(said.contains("nothing of it was kept"), "{said}");
    trial.nothing_is_left("a damaged bundle");
}
