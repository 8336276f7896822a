use proptest::prelude::*;

use super::*;
use crate::{
    digest::Digest,
    tree::{Content, Draft, Inode, Kind, Node, Tree},
    trust::SecretKey,
};

fn path(text: &str) -> GuestPath {
    GuestPath::new(text).unwrap()
}

fn inode(mode: u16, kind: Kind) -> Node {
    Node::Inode(Inode { meta: meta(mode), kind })
}

fn tree(nodes: &[(&str, Node)]) -> Tree {
    let mut draft = Draft::with_root(meta(0o755));
    for (name, node) in nodes {
        draft.ensure_parents(&path(name), &meta(0o755));
        draft.insert(path(name), node.clone());
    }
    draft.finish().unwrap()
}

fn file(bytes: &str) -> Node {
    inode(0o644, Kind::File(Content::of(bytes.as_bytes())))
}

fn link(target: &str) -> Node {
    inode(0o777, Kind::Symlink(target.as_bytes().into()))
}

fn about() -> About {
    let key = SecretKey::from_seed("lab", &[7; 32]).unwrap().public();
    let files = [("disk.img".to_owned(), Digest::of("disk"))].into();
    let goal = |files| Goal { plan_key: Digest::of("plan"), files };
    About {
        program: "1.2.3".to_owned(),
        goals: [
            ("hello".parse().unwrap(), goal(files)),
            ("tools".parse().unwrap(), goal(Default::default())),
        ]
        .into(),
        keys: [(key.id(), key)].into(),
    }
}

fn manifest(nodes: &[(&str, Node)]) -> Manifest {
    Manifest { about: about(), files: tree(nodes) }
}

#[test]
fn a_manifest_has_this_text() {
    let nodes = [("a b/x", file("x")), ("a b/y", link("x")), ("z", file(""))];
    let manifest = manifest(&nodes);
    let text = String::from_utf8(manifest.encode()).unwrap();
    let plan = Digest::of("plan");
    let key = SecretKey::from_seed("lab", &[7; 32]).unwrap().public();
    let expected = format!(
        "vsbuild-bundle 1\nprogram 1.2.3\nrecipe hello {plan}\nfile hello disk.img {}\nrecipe tools {plan}\nkey {key}\n\
         vsbuild-tree 1\nd / 0755 0 0 1686355200\nd /a%20b 0755 0 0 1686355200\n\
         f /a%20b/x 0644 0 0 1686355200 1 {}\nl /a%20b/y 0777 0 0 1686355200 x\nf /z 0644 0 0 1686355200 0 {}\n",
        Digest::of("disk"),
        Digest::of("x"),
        Digest::of("")
    );
    assert_eq!(text, expected);
    assert_eq!(Manifest::decode(text.as_bytes()), Ok(manifest));
}

#[test]
fn another_spelling_of_a_manifest_is_refused() {
    let text = String::from_utf8(manifest(&[("x", file("x"))]).encode()).unwrap();
    let recipe = text.lines().nth(2).unwrap();
    let expected = text.lines().nth(3).unwrap();
    let key = text.lines().nth(5).unwrap();
    for wrong in [
        String::new(),
        text.replace("vsbuild-bundle 1", "vsbuild-bundle 2"),
        text.replace("vsbuild-tree 1", "vsbuild-tree 2"),
        text.replace("program 1.2.3\n", ""),
        text.replace("program 1.2.3", "program  1.2.3"),
        text.replace(&format!("{recipe}\n"), ""),
        text.replace(recipe, &format!("{recipe}\n{recipe}")),
        text.replace(expected, &expected.replace("disk.img", "../disk.img")),
        text.replace(expected, &expected.replace("file hello", "file tools")),
        text.replace(key, &format!("{key}\n{key}")),
        text.replace(key, "key nobody"),
        text.replace("key ", "unknown line\nkey "),
        format!("{text}\n"),
        text.trim_end().to_owned(),
        format!("\n{text}"),
    ] {
        assert!(Manifest::decode(wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn a_manifest_that_names_what_no_bundle_holds_is_refused() {
    let device = crate::tree::Device { major: 1, minor: 3 };
    for odd in [
        inode(0o644, Kind::CharDevice(device)),
        inode(0o644, Kind::BlockDevice(device)),
        inode(0o644, Kind::Fifo),
        inode(0o644, Kind::Socket),
        inode(0o4755, Kind::File(Content::of(b"x"))),
        inode(0o777, Kind::Directory),
        Node::HardLink(path("a")),
    ] {
        let text = manifest(&[("a", file("x")), ("x", odd.clone())]).encode();
        let error = Manifest::decode(&text).unwrap_err();
        assert!(matches!(error, BadManifest::Odd(_)), "{odd:?}: {error}");
    }
    let mut other = meta(0o644);
    other.uid = 1;
    let of_somebody = Node::Inode(Inode { meta: other, kind: Kind::File(Content::of(b"x")) });
    assert!(Manifest::decode(&manifest(&[("x", of_somebody)]).encode()).is_err());
    let text = manifest(&[("a/x", link("../../etc/passwd"))]).encode();
    assert!(matches!(Manifest::decode(&text), Err(BadManifest::LeadsOut(_))));
}

#[test]
fn a_link_leads_out_or_stays_inside() {
    for (target, out) in [
        ("x", false),
        ("../x", false),
        ("./../b/./c", false),
        // What is called `b` may be a link: `..` goes up from where it leads.
        ("./../b/./c/..", true),
        ("../..", true),
        ("b/../../../x", true),
        ("/etc/passwd", true),
        ("/", true),
        ("b/../../a", true),
        ("b/../a", true),
        ("../s/s/s/s/s/s/../../../../../../home/victim", true),
    ] {
        assert_eq!(leads_out(&path("a/link"), target.as_bytes()), out, "{target}");
    }
    assert!(leads_out(&path("link"), b".."));
    assert!(!leads_out(&path("link"), b"."));
}

#[test]
fn the_readme_is_short_and_has_the_hashes() {
    let mut about = about();
    let image = about.goals.values_mut().next().unwrap();
    for name in ["bzImage", "manifest.json", "vmlinux"] {
        image.files.insert(name.to_owned(), Digest::of(name));
    }
    let text = readme::readme(&about, true);
    assert_eq!(text.lines().count(), 10, "{text}");
    assert!(text.contains(&format!("{}  hello/disk.img", Digest::of("disk"))), "{text}");
    assert!(text.contains("--trusted-key lab:"), "{text}");
    let source_only = readme::readme(&About { keys: Default::default(), ..about }, false);
    assert!(!source_only.contains("--trusted-key"), "{source_only}");
}

proptest! {
    #[test]
    fn a_manifest_reads_as_it_was_written(names in prop::collection::btree_set("[a-z %=@]{1,8}", 0..20)) {
        let nodes: Vec<(&str, Node)> = names.iter().map(|name| (name.as_str(), file(name))).collect();
        let manifest = manifest(&nodes);
        prop_assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
    }

    #[test]
    fn reading_any_bytes_ends_well(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Manifest::decode(&bytes).is_err());
    }

    #[test]
    fn a_changed_byte_is_an_error_or_another_manifest(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let manifest = manifest(&[("a/x", file("x")), ("a/y", link("x"))]);
        let mut text = manifest.encode();
        let at = at.index(text.len());
        prop_assume!(text[at] != byte);
        text[at] = byte;
        if let Ok(other) = Manifest::decode(&text) {
            prop_assert_ne!(&other, &manifest);
            prop_assert_eq!(other.encode(), text);
        }
    }
}
