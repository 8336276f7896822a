use std::collections::BTreeMap;
use std::io::Write as _;

use ::tar::{EntryType, Header};
use proptest::prelude::*;

use super::*;
use crate::tree::{BlobSink, Device, MemoryBlobs, Meta, Time, Tree};

/// A header that GNU tar would write, to be spoiled by `change`; what it should be is read from a few letters.
fn member(
    kind: u8,
    name: &[u8],
    link: &[u8],
    content: &[u8],
    change: impl FnOnce(&mut Header),
) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::new(kind));
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
    header.set_mode(if kind == b'5' { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1000);
    header.set_size(content.len() as u64);
    change(&mut header);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(name: &str, content: &str) -> Vec<u8> {
    member(b'0', name.as_bytes(), b"", content.as_bytes(), |_| ())
}

fn directory(name: &str) -> Vec<u8> {
    member(b'5', name.as_bytes(), b"", b"", |_| ())
}

fn link(kind: u8, name: &str, target: &str) -> Vec<u8> {
    member(kind, name.as_bytes(), target.as_bytes(), b"", |_| ())
}

fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        let length =
            (1..).find(|n: &usize| n.to_string().len() + key.len() + value.len() + 3 == *n);
        write!(text, "{} {key}=", length.unwrap()).unwrap();
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    member(b'x', b"pax", b"", &text, |_| ())
}

fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 1024]].concat()
}

fn read_with(bytes: &[u8], options: &Options) -> Result<Tree, Error> {
    let blobs = MemoryBlobs::default();
    let mut draft = read(bytes, options, &mut |_, content| blobs.put(content))?;
    let meta = Meta::root_owned(0o755, Time::default());
    let paths: Vec<GuestPath> = draft.iter().map(|(path, _)| path.clone()).collect();
    paths.iter().for_each(|path| draft.ensure_parents(path, &meta));
    Ok(draft.finish().expect("what the reader takes is a tree"))
}

fn read_members(members: &[Vec<u8>]) -> Result<Tree, Error> {
    read_with(&archive(members), &Options::default())
}

fn inode<'a>(tree: &'a Tree, path: &str) -> &'a Inode {
    tree.inode(&GuestPath::new(path).unwrap()).unwrap()
}

/// The error that `members` must give, with the reasons it has.
fn refusal(members: &[Vec<u8>]) -> String {
    let error = read_members(members).expect_err("refused");
    let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
    error.to_string() + &source.unwrap_or_default()
}

#[test]
fn an_ordinary_archive_becomes_a_tree() {
    let tree = read_members(&[
        directory("./"),
        directory("./usr/"),
        member(b'0', b"./usr/tool", b"", b"content", |header| {
            header.set_mode(0o4755);
            header.set_uid(3_000_000_000);
            header.set_gid(7);
        }),
        link(b'2', "./usr/soft", "../any/where"),
        link(b'1', "./usr/hard", "./usr/tool"),
        link(b'1', "usr/again", "usr/hard"),
    ])
    .unwrap();
    assert_eq!(tree.len(), 6);
    let tool = inode(&tree, "usr/hard");
    assert_eq!(tool.kind, Kind::File(Content::of(b"content")));
    let mtime = Time::from_seconds(1000);
    let meta = Meta { mode: 0o4755, uid: 3_000_000_000, gid: 7, mtime, xattrs: BTreeMap::new() };
    assert_eq!(tool.meta, meta);
    assert_eq!(inode(&tree, "usr/soft").kind, Kind::Symlink(b"../any/where"[..].into()));
    assert_eq!(inode(&tree, "usr/again"), tool);
}

#[test]
fn extended_headers_are_heard() {
    let long = "d/".repeat(60) + "name";
    let tree = read_members(&[
        pax(&[
            ("path", long.as_bytes()),
            ("mtime", b"-1.5"),
            ("uid", b"4000000000"),
            ("gid", b"5"),
            ("size", b"1"),
            ("SCHILY.xattr.user.x", b"\n\0="),
            ("uname", b"root"),
            ("atime", b"1.1"),
        ]),
        file("short", "x"),
        pax(&[("linkpath", long.as_bytes())]),
        link(b'2', "link", "short"),
        file("after", ""),
    ])
    .unwrap();
    let meta = &inode(&tree, &long).meta;
    assert_eq!((meta.uid, meta.gid), (4_000_000_000, 5));
    assert_eq!(meta.mtime, Time { seconds: -2, nanos: 500_000_000 });
    assert_eq!(*meta.xattrs[&b"user.x"[..]], *b"\n\0=");
    assert_eq!(inode(&tree, "link").kind, Kind::Symlink(long.as_bytes().into()));
    assert!(inode(&tree, "after").meta.xattrs.is_empty());
}

#[test]
fn long_names_of_gnu_are_heard() {
    let long = "d/".repeat(60) + "name";
    let text = [long.as_bytes(), b"\0"].concat();
    let tree = read_members(&[
        member(b'L', b"././@LongLink", b"", &text, |_| ()),
        file("short", "x"),
        member(b'K', b"././@LongLink", b"", &text, |_| ()),
        link(b'1', "hard", "short"),
    ])
    .unwrap();
    assert_eq!(inode(&tree, "hard"), inode(&tree, &long));
    let name = |text: &[u8]| refusal(&[member(b'L', b"l", b"", text, |_| ()), file("x", "")]);
    assert!(name(b"no end").contains("does not end with NUL"));
    assert!(name(b"nul\0inside\0").contains("NUL"));
    assert!(name(b"../x\0").contains("`../x`: its name leads out of the tree"));
}

#[test]
fn times_before_1970_are_heard_in_gnu_headers() {
    let negative = |header: &mut Header| {
        header.as_old_mut().mtime = [0xff; 12];
    };
    let tree = read_members(&[member(b'0', b"x", b"", b"", negative)]).unwrap();
    assert_eq!(inode(&tree, "x").meta.mtime, Time::from_seconds(-1));
}

#[test]
fn names_that_leave_the_tree_or_have_two_spellings_are_refused() {
    for (name, what) in [
        ("/etc/passwd", "its name is absolute"),
        ("../x", "leads out"),
        ("a/../../x", "leads out"),
        ("./..", "leads out"),
        ("a//b", "a component is empty"),
        ("a/./b", "a component is `.`"),
        ("././a", "a component is `.`"),
        ("a/", "a component is empty"),
        ("", "it has no name"),
        ("./", "the root can only be a directory"),
    ] {
        let told = refusal(&[file(name, "x")]);
        assert!(told.contains(&format!("`{name}`")) && told.contains(what), "{name}: {told}");
    }
    assert!(refusal(&[directory("a//")]).contains("a component is empty"));
    assert!(refusal(&[pax(&[("path", b"a\0b")]), file("x", "")]).contains("NUL"));
}

#[test]
fn nothing_is_written_through_a_link() {
    let below = "`a/b`: it lies below a link or file";
    assert!(refusal(&[link(b'2', "a", "/etc"), file("a/b", "x")]).contains(below));
    assert!(refusal(&[link(b'2', "a", "/etc"), directory("a/b")]).contains(below));
    assert!(refusal(&[file("a", "x"), file("a/b", "x")]).contains(below));
    assert!(refusal(&[file("c", "x"), link(b'1', "a", "c"), file("a/b", "x")]).contains(below));
    let deep = refusal(&[link(b'2', "a", "/etc"), file("a/b/c/d", "x")]);
    assert!(deep.contains("`a/b/c/d`"), "{deep}");
    let late = refusal(&[file("a/b/c", "x"), link(b'2', "a", "/etc")]);
    assert!(late.contains("`a`: it is no directory, but other members lie below it"), "{late}");
}

#[test]
fn a_path_may_come_once() {
    let told = "`a`: it is there twice";
    assert!(refusal(&[file("a", "x"), file("a", "x")]).contains(told));
    assert!(refusal(&[file("a", "x"), file("./a", "y")]).contains(told));
    assert!(refusal(&[file("a", "x"), link(b'2', "a", "b")]).contains(told));
    assert!(refusal(&[link(b'2', "a", "b"), link(b'2', "a", "b")]).contains(told));
    assert!(refusal(&[file("b", ""), file("a", ""), link(b'1', "a", "b")]).contains(told));
    assert!(refusal(&[directory("a"), file("a", "x")]).contains(told));
    let other = member(b'5', b"a", b"", b"", |header| header.set_mode(0o700));
    assert!(refusal(&[directory("a"), other]).contains(told));
    assert!(read_members(&[directory("a"), file("a/b", "x"), directory("./a/")]).is_ok());
}

#[test]
fn a_hard_link_names_an_earlier_file() {
    for target in ["nowhere", "later", "directory", "link"] {
        let members = [directory("directory"), link(b'1', "link", target), file("later", "")];
        assert!(refusal(&members).contains("`link`: it is a hard link to what is no file"));
    }
    for target in ["/etc/shadow", "../x", ""] {
        let told = refusal(&[link(b'1', "link", target)]);
        assert!(told.contains("`link`: it is a hard link to what is no path"), "{told}");
    }
}

#[test]
fn sizes_that_lie_are_refused() {
    let content = |kind| refusal(&[member(kind, b"a", b"b", b"content", |_| ())]);
    for kind in *b"1256" {
        assert!(content(kind).contains("`a`: it has content, but is no regular file"));
    }
    let two = refusal(&[pax(&[("size", b"2")]), file("a", "x")]);
    assert!(two.contains("`a`: its two headers give different sizes"), "{two}");
    let huge = refusal(&[pax(&[("size", b"9999999999999")]), file("a", "")]);
    assert!(huge.contains("larger than allowed"), "{huge}");
    for size in [*b"00000000-10\0", *b"000000000x0\0", *b"            ", [0xff; 12], [0x8f; 12]] {
        let told =
            refusal(&[member(b'0', b"a", b"", b"", |header| header.as_old_mut().size = size)]);
        assert!(told.contains("header at byte 0: its size"), "{told}");
    }
    let beyond = member(b'0', b"a", b"", b"x", |header| header.set_size(1 << 20));
    assert!(refusal(&[beyond]).contains("ends inside a member"));
}

#[test]
fn limits_hold() {
    let few = Options { max_bytes: 3, max_members: 2, max_depth: 2, ..Options::default() };
    let told = |members: &[Vec<u8>]| {
        read_with(&archive(members), &few).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(told(&[file("a", "12"), file("b", "3")]), Ok(()));
    let error = told(&[file("a", "12"), file("b", "34")]).unwrap_err();
    assert!(error.contains("`b`: the files of the archive are larger"), "{error}");
    let error = told(&[file("a", ""), file("b", ""), file("c", "")]).unwrap_err();
    assert!(error.contains("`c`: there are more members"), "{error}");
    let error = told(&[file("a/b/c", "")]).unwrap_err();
    assert!(error.contains("`a/b/c`: it lies deeper"), "{error}");
    let short = Options { max_text: 12, ..Options::default() };
    let told = |members: &[Vec<u8>]| read_with(&archive(members), &short).is_ok();
    assert!(told(&[file("123456789012", "long content")]));
    assert!(!told(&[file("1234567", ""), file("123456", "")]));
    assert!(!told(&[link(b'2', "123456", "1234567")]));
    assert!(!told(&[pax(&[("SCHILY.xattr.123456", b"123456")]), file("a", "")]));
    assert!(told(&[directory("1234"), file("1234/678", "")]));
    assert!(!told(&[file("1234/6789", "")]), "the directory counts");
}

#[test]
fn special_files_must_be_wanted() {
    let devices = [
        member(b'3', b"null", b"", b"", |header| {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }),
        link(b'6', "pipe", ""),
    ];
    assert!(refusal(&devices).contains("`null`: devices and pipes are not allowed"));
    assert!(refusal(&devices[1..]).contains("`pipe`: devices and pipes are not allowed"));
    let options = Options { special_files: true, ..Options::default() };
    let tree = read_with(&archive(&devices), &options).unwrap();
    assert_eq!(inode(&tree, "null").kind, Kind::CharDevice(Device { major: 1, minor: 3 }));
    assert_eq!(inode(&tree, "pipe").kind, Kind::Fifo);
    let absurd = member(b'4', b"disk", b"", b"", |header| {
        header.set_device_major(4096).unwrap();
        header.set_device_minor(0).unwrap();
    });
    assert!(refusal(&[absurd]).contains("`disk`: Linux has no such device number"));
}

#[test]
fn odd_headers_are_refused() {
    let odd = |change: fn(&mut Header)| refusal(&[member(b'0', b"a", b"", b"", change)]);
    assert!(
        odd(|header| header.set_mode(0o10_0000 | 0o4_0000)).contains("more than permission bits")
    );
    assert!(odd(|header| header.set_mode(0o4_0755)).contains("more than permission bits"));
    assert!(odd(|header| header.set_uid(1 << 32)).contains("a number that Linux does not know"));
    assert!(
        odd(|header| header.set_gid((1 << 32) - 1)).contains("a number that Linux does not know")
    );
    assert!(odd(|header| header.as_old_mut().mode = *b"rwxr-xr-").contains("no number"));
    assert!(odd(|header| header.as_old_mut().uid = [0xff; 8]).contains("its owner is negative"));
    for kind in *b"SDMVNIA89" {
        let told = refusal(&[member(kind, b"a", b"", b"", |_| ())]);
        assert!(told.contains("`a`: ") && told.contains("not"), "{told}");
    }
    assert!(refusal(&[link(b'2', "a", "")]).contains("without a target"));
    let sparse = refusal(&[pax(&[("GNU.sparse.major", b"1")]), file("a", "")]);
    assert!(sparse.contains("unknown extended header `GNU.sparse.major`"), "{sparse}");
    let long = vec![b'x'; 65537];
    let xattr = refusal(&[pax(&[("SCHILY.xattr.user.x", &long)]), file("a", "")]);
    assert!(xattr.contains("longer than 64 KiB"), "{xattr}");
    assert!(read_members(&[member(b'0', b"a", b"", b"", |h| h.set_mode(0o10_0644))]).is_ok());
}

#[test]
fn extended_headers_in_wrong_numbers_are_refused() {
    let path = pax(&[("path", b"b")]);
    let name = member(b'L', b"l", b"", b"c\0", |_| ());
    let twice = "two extended headers of one kind";
    assert!(refusal(&[path.clone(), path.clone(), file("a", "")]).contains(twice));
    assert!(refusal(&[name.clone(), name.clone(), file("a", "")]).contains(twice));
    assert!(refusal(&[name.clone(), path.clone(), file("a", "")]).contains("both give a name"));
    assert!(refusal(&[path]).contains("describes no member"));
    let global = |text: &[u8]| member(b'g', b"g", b"", text, |_| ());
    assert!(refusal(&[global(b"9 path=b\n"), file("a", "")]).contains("`path`"));
    assert!(refusal(&[global(b"14 comment=x\n"), file("a", "")]).contains("malformed"));
    assert!(read_members(&[global(b"12 comment=\n"), file("a", "")]).is_ok());
    let long = member(b'x', b"p", b"", b"", |header| header.set_size(2 << 20));
    assert!(refusal(&[long]).contains("longer than 1 MiB"));
}

#[test]
fn an_archive_must_end_and_end_in_zeros() {
    let bytes =
        archive(&[directory("./"), file("a", "content"), pax(&[("path", b"c")]), file("b", "")]);
    let end = bytes.len() - 1024;
    for cut in 0..bytes.len() {
        let read = read_with(&bytes[..cut], &Options::default());
        // One block of zeros is an end for every reader of tar; what is less is none.
        assert_eq!(read.is_ok(), cut >= end + 512, "cut at {cut}");
    }
    let hidden = [archive(&[file("a", "")]), archive(&[file("b", "")])].concat();
    let error = read_with(&hidden, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("something follows the end"), "{error}");
    let mut wrong = archive(&[file("a", "")]);
    wrong[0] = b'b';
    let error = read_with(&wrong, &Options::default()).unwrap_err().to_string();
    assert!(error.contains("checksum is wrong"), "{error}");
}

#[test]
fn a_sink_that_takes_too_little_is_noticed() {
    let bytes = archive(&[file("a", "content")]);
    let error = read(&*bytes, &Options::default(), &mut |_, _| Ok(Content::of(b""))).unwrap_err();
    assert!(error.to_string().contains("`a`: not all of its content was taken in"));
}

fn layer_members(members: &[Vec<u8>], end: &[u8]) -> Result<Vec<Member>, Error> {
    let bytes = [&members.concat(), end].concat();
    let mut members = Members::new(&*bytes, Dialect::Layer);
    std::iter::from_fn(|| members.next_member().transpose()).collect()
}

#[test]
fn layers_may_be_spelled_freely() {
    let members = [
        directory("/"),
        directory("//usr/./bin//"),
        pax(&[("VENDOR.note", b"x"), ("LIBARCHIVE.xattr.user.x", b"x"), ("SCHILY.xattr.", b"")]),
        member(b'0', b"/usr/tool", b"", b"x", |header| header.set_mode(0o4_4755)),
        member(b'1', b"usr/hard", b"/./usr/tool", b"", |header| {
            header.as_old_mut().uid = [0; 8];
            header.as_old_mut().mtime = [b' '; 12];
        }),
    ];
    let read = layer_members(&members, &END).unwrap();
    let names: Vec<_> = read.iter().map(|member| member.path.to_string()).collect();
    assert_eq!(names, ["/", "/usr/bin", "/usr/tool", "/usr/hard"]);
    assert_eq!(read[2].meta.mode, 0o4755);
    assert!(read[2].meta.xattrs.is_empty());
    assert_eq!(read[3].body, Body::HardLink(GuestPath::new("usr/tool").unwrap()));
    assert_eq!((read[3].meta.uid, read[3].meta.mtime), (0, Time::default()));
    assert_eq!(layer_members(&members, &[]).unwrap(), read, "no end marker");
    assert_eq!(layer_members(&[], &[]).unwrap(), [], "nothing at all");
}

#[test]
fn layers_may_not_leave_the_tree_or_be_read_two_ways() {
    for bad in [
        file("../a", ""),
        file("/a/../../b", ""),
        file("a/", ""),
        link(b'1', "a", "../b"),
        [pax(&[("GNU.sparse.major", b"1")]), file("a", "")].concat(),
        member(b'5', b"a", b"", b"content", |_| ()),
        member(b'0', b"a", b"", b"", |header| header.as_old_mut().uid = *b"nobody\0\0"),
    ] {
        assert!(layer_members(std::slice::from_ref(&bad), &END).is_err(), "{}", bad.escape_ascii());
    }
    let mut members = Members::new(&b"cut"[..], Dialect::Layer);
    assert!(members.next_member().is_err());
}

prop_compose! {
    fn any_member()(
        names in prop::collection::vec("[a-z]{1,80}", 1..4),
        (mode, uid, gid) in (0..0o10000u16, 0..u32::MAX, 0..u32::MAX),
        seconds in prop_oneof![-5..5i64, Just(1 << 40), Just(-(1 << 40)), 0..2_000_000_000i64],
        nanos in prop_oneof![Just(0), 0..1_000_000_000u32, Just(500_000_000)],
        xattrs in prop::collection::btree_map("user\\.[a-z]{1,9}", prop::collection::vec(any::<u8>(), 0..99), 0..3),
        body in prop_oneof![
            Just(Body::Directory),
            Just(Body::Fifo),
            prop_oneof![0..10u64, Just(1 << 33), Just((1 << 33) - 1)].prop_map(|size| Body::File { size }),
            "[a-z/]{1,200}".prop_map(|target| Body::Symlink(target.into_bytes().into())),
            "[a-z]{1,200}".prop_map(|target| Body::HardLink(GuestPath::new(target).unwrap())),
            (0..4096u32, 0..1u32 << 20).prop_map(|(major, minor)| Body::CharDevice(Device { major, minor })),
        ],
    ) -> Member {
        let bytes = |text: String| text.into_bytes().into_boxed_slice();
        let xattrs = xattrs.into_iter().map(|(name, value)| (bytes(name), value.into())).collect();
        let meta = Meta { mode, uid, gid, mtime: Time { seconds, nanos }, xattrs };
        Member { path: GuestPath::new(names.join("/")).unwrap(), meta, body }
    }
}

proptest! {
    #[test]
    fn headers_say_what_is_read_from_them(member in any_member()) {
        let bytes = headers(&member);
        for dialect in [Dialect::Strict, Dialect::Layer] {
            let mut members = Members::new(&*bytes, dialect);
            prop_assert_eq!(members.next_member().unwrap(), Some(member.clone()));
            prop_assert_eq!(members.place().offset, bytes.len() as u64);
            let Body::File { size } = member.body else { continue };
            prop_assert_eq!(members.place().next, bytes.len() as u64 + size + padding(size) as u64);
        }
    }

    #[test]
    fn reading_never_panics(
        places in prop::collection::vec((0..1536usize, any::<u8>()), 1..8),
        kind in any::<u8>(),
        name in "[./a]{0,8}",
        text in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut bytes = archive(&[
            member(b'x', b"x", b"", &text, |_| ()),
            member(kind, name.as_bytes(), b"a", &text, |_| ()),
        ]);
        let _ = read_with(&bytes, &Options::default());
        for (at, with) in places {
            bytes[at] = with;
        }
        let _ = read_with(&bytes, &Options { special_files: true, ..Options::default() });
        let _ = layer_members(&[bytes], &END);
    }
}
