//! Disks, directories and files of others.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink, path::Path, process::Command};

use serde_json::Value;

use super::{Bench, all, poke, run, with};

fn debugfs(image: &Path, request: &str) -> String {
    run("debugfs", &["-w", "-R", request, image.to_str().unwrap()])
}

fn files(report: &Value) -> &Value {
    &report["parts"][0]["files"]
}

/// The fields of one file that differ, as `what: before -> after`.
#[track_caller]
fn fields(report: &Value, path: &str) -> Vec<String> {
    let file = with(files(report), "path", path);
    assert_eq!(file.len(), 1, "{path} in {report:#}");
    let word = |value: &Value| value.as_str().unwrap_or("none").to_owned();
    let fields = file[0]["fields"].as_array().unwrap().iter();
    let field = |it: &Value| {
        format!("{}: {} -> {}", word(&it["what"]), word(&it["before"]), word(&it["after"]))
    };
    fields.map(field).collect()
}

/// A structure outside of files that differs, with a field.
#[track_caller]
fn structure<'v>(report: &'v Value, name: &str, field: &str) -> &'v Value {
    let found = with(&report["parts"][0]["structures"], "structure", name);
    let found = found.into_iter().find(|it| it["field"] == field || field.is_empty());
    found.unwrap_or_else(|| panic!("no {name} {field} in {report:#}"))
}

#[test]
fn the_same_disk_is_the_same_and_said_to_be() {
    let bench = Bench::new();
    let dir = bench.tree("tree", &[("etc/motd", "hello\n")]);
    let image = bench.disk("a.img", &dir, &[]);
    let copy = bench.path("b.img");
    fs::copy(&image, &copy).unwrap();
    let said = bench.diff(&image, &copy, &[]).good();
    assert_eq!(said, format!("{} and {} are the same\n", image.display(), copy.display()));
    let report = bench.report(&image, &image, &[]);
    assert_eq!((&report["same"], &report["vsbuild-diff"]), (&true.into(), &1.into()));
}

#[test]
fn a_directory_is_the_disk_that_was_made_of_it_and_differs_as_diff_says() {
    let bench = Bench::new();
    let files: Vec<(String, String)> =
        (0..60).map(|n| (format!("d{}/f{n}", n % 7), format!("{n}\n").repeat(n * n))).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    let dir = bench.tree("tree", &files);
    symlink("f1", dir.join("d1/link")).unwrap();
    let image = bench.disk("a.img", &dir, &[]);
    // mke2fs drops the nanoseconds.
    let report = bench.report(&dir, &image, &["--ignore", "time"]);
    assert_eq!(report["same"], true, "{report:#}");
    let other = bench.tree("other", &files);
    symlink("f2", other.join("d1/link")).unwrap();
    for n in [3, 17, 44] {
        fs::write(other.join(format!("d{}/f{n}", n % 7)), "changed").unwrap();
    }
    fs::remove_file(other.join("d2/f9")).unwrap();
    fs::create_dir(other.join("new")).unwrap();
    let report = bench.report(&image, &other, &["--ignore", "time"]);
    let found: BTreeSet<String> =
        all(self::files(&report), "path").into_iter().map(str::to_owned).collect();
    let judge = Command::new("diff")
        .args(["-rq", "--no-dereference", dir.to_str().unwrap(), other.to_str().unwrap()])
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let judge = String::from_utf8(judge.stdout).unwrap();
    let below = |path: &str| {
        let path = Path::new(path);
        let path = path.strip_prefix(&dir).or_else(|_| path.strip_prefix(&other)).unwrap();
        format!("/{}", path.display())
    };
    let judged: BTreeSet<String> = judge
        .lines()
        .map(|line| match line.strip_prefix("Only in ") {
            Some(only) => below(&only.replacen(": ", "/", 1)),
            None => below(
                line.split(' ').nth(if line.starts_with("Symbolic") { 2 } else { 1 }).unwrap(),
            ),
        })
        .collect();
    assert_eq!(found, judged, "{judge}");
    assert_eq!(judged.len(), 6, "three texts, a link, one gone, one new: {judge}");
}

#[test]
fn a_text_is_told_line_by_line_as_diff_tells_it() {
    let bench = Bench::new();
    let text: Vec<String> = (0..400).map(|n| format!("line {}\n", n * n % 97)).collect();
    let mut other = text.clone();
    other[20] = "another\n".to_owned();
    other.remove(200);
    other.insert(300, "more\nand more\n".to_owned());
    other.push("no newline".to_owned());
    let a = bench.tree("a", &[("etc/conf", &text.concat())]);
    let b = bench.tree("b", &[("etc/conf", &other.concat())]);
    let images = [bench.disk("a.img", &a, &[]), bench.disk("b.img", &b, &[])];
    let report = bench.report(&images[0], &images[1], &[]);
    let content = &with(files(&report), "path", "/etc/conf")[0]["content"];
    let judge = Command::new("diff")
        .args(["-u", a.join("etc/conf").to_str().unwrap(), b.join("etc/conf").to_str().unwrap()])
        .output()
        .unwrap();
    let judge = String::from_utf8(judge.stdout).unwrap();
    let hunks: Vec<&str> = judge.lines().skip(2).collect();
    assert_eq!(content["unified"].as_str().unwrap().lines().collect::<Vec<_>>(), hunks);
    assert_eq!(
        (&content["form"], &content["added"], &content["removed"]),
        (&"text".into(), &4.into(), &2.into())
    );
    let said = bench.diff(&images[0], &images[1], &["--lines", "2"]);
    assert!(said.stdout.contains("more lines, which --lines or --all shows"), "{}", said.stdout);
    let said = bench.diff(&images[0], &images[1], &["--all"]).stdout;
    assert!(hunks.iter().all(|line| said.contains(line)), "{said}");
}

#[test]
fn modes_owners_attributes_and_links_are_told_one_by_one() {
    let bench = Bench::new();
    let dir = bench.tree("tree", &[("a", "same\n"), ("b", "b\n"), ("c", "c\n"), ("d", "d\n")]);
    symlink("a", dir.join("link")).unwrap();
    fs::hard_link(dir.join("d"), dir.join("e")).unwrap();
    let image = bench.disk("a.img", &dir, &[]);
    let other = bench.path("b.img");
    fs::copy(&image, &other).unwrap();
    for request in [
        "set_inode_field a mode 0104711",
        "set_inode_field b uid 70000",
        "set_inode_field b mtime @86400",
        "ea_set c user.note here",
        "rm e",
        "rm link",
        "symlink link b",
        "mknod null c 1 3",
    ] {
        debugfs(&other, request);
    }
    let report = bench.report(&image, &other, &[]);
    assert_eq!(fields(&report, "/a"), ["mode: 0644 -> 4711"]);
    let owned = fields(&report, "/b");
    let group = owned[0].rsplit(':').next().unwrap();
    assert!(owned[0].ends_with(&format!("-> 70000:{group}")), "{owned:?}");
    assert!(owned[1].starts_with("time: ") && owned[1].ends_with("-> @86400"), "{owned:?}");
    assert_eq!(fields(&report, "/c"), ["xattr user.note: none -> \"here\""]);
    let link = fields(&report, "/link");
    assert!(link.contains(&"target: a -> b".to_owned()), "{link:?}");
    assert_eq!(with(files(&report), "path", "/null")[0]["kind"], "character device");
    assert_eq!(fields(&report, "/null")[2], "device: none -> 1:3");
    let gone = with(files(&report), "path", "/e")[0];
    assert_eq!((&gone["change"], &gone["kind"]), (&"removed".into(), &"hard link".into()));
    let report = bench.report(&image, &other, &["--ignore", "mode,owner,time,xattrs,links"]);
    let left: BTreeSet<&str> = all(files(&report), "path").into_iter().collect();
    assert_eq!(left, BTreeSet::from(["/e", "/link", "/null"]));
}

#[test]
fn two_files_that_became_one_are_told() {
    let bench = Bench::new();
    let a = bench.tree("a", &[("one", "x\n"), ("two", "x\n")]);
    let b = bench.tree("b", &[("one", "x\n")]);
    fs::hard_link(b.join("one"), b.join("two")).unwrap();
    let images = [bench.disk("a.img", &a, &[]), bench.disk("b.img", &b, &[])];
    let report = bench.report(&images[0], &images[1], &["--ignore", "time"]);
    assert_eq!(fields(&report, "/two"), ["hard link to: none -> /one"]);
    assert_eq!(files(&report).as_array().unwrap().len(), 1);
}

#[test]
fn of_a_program_the_sections_are_told_that_readelf_shows_otherwise() {
    let bench = Bench::new();
    let programs = [("a", 1), ("b", 2)].map(|(name, value)| {
        let source =
            format!("int f(void) {{ return {value}; }}\nint main(void) {{ return f(); }}\n");
        let dir = bench.tree(name, &[("main.c", &source)]);
        let (source, program) = (dir.join("main.c"), dir.join("program"));
        run("gcc", &["-O1", "-o", program.to_str().unwrap(), source.to_str().unwrap()]);
        fs::remove_file(source).unwrap();
        program
    });
    let images = ["a", "b"].map(|name| bench.disk(&format!("{name}.img"), &bench.path(name), &[]));
    let report = bench.report(&images[0], &images[1], &["--ignore", "time"]);
    let content = &with(files(&report), "path", "/program")[0]["content"];
    let shown = programs.each_ref().map(|program| {
        let program = program.to_str().unwrap();
        let table = run("readelf", &["-SW", program]);
        let names: Vec<String> = table
            .lines()
            .filter_map(|line| line.trim().strip_prefix('[')?.split_once(']'))
            .filter_map(|(_, rest)| rest.split_whitespace().next().map(str::to_owned))
            .filter(|name| name.starts_with('.'))
            .collect();
        let dump = |name: &String| (name.clone(), run("readelf", &["-x", name, program]));
        names.iter().map(dump).collect::<Vec<_>>()
    });
    let pairs = shown[0].iter().zip(&shown[1]);
    let judged: Vec<&str> =
        pairs.filter(|(one, other)| one != other).map(|(one, _)| one.0.as_str()).collect();
    assert_eq!(all(&content["sections"], "name"), judged);
    assert!(judged.contains(&".text"), "{judged:?}");
    let notes = programs.each_ref().map(|it| run("readelf", &["-n", it.to_str().unwrap()]));
    for (side, note) in ["before", "after"].iter().zip(notes) {
        let id = content["build-id"][side].as_str().unwrap();
        assert!(note.contains(&format!("Build ID: {id}")), "{id}: {note}");
    }
}

#[test]
fn of_other_bytes_the_first_that_differs_is_told_with_those_around_it() {
    let bench = Bench::new();
    let bytes: Vec<u8> =
        (0..200_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let mut other = bytes.clone();
    other[123_456] ^= 0xff;
    other[700_000] ^= 0xff;
    for (name, bytes) in [("a", &bytes), ("b", &other)] {
        bench.tree(name, &[("x/y", "")]);
        fs::write(bench.path(name).join("x/y"), bytes).unwrap();
    }
    let report = bench.report(bench.path("a"), bench.path("b"), &["--ignore", "time"]);
    let content = &with(files(&report), "path", "/x/y")[0]["content"];
    assert_eq!((&content["first"], &content["count"]), (&123_456.into(), &2.into()));
    let judge = Command::new("cmp")
        .arg(bench.path("a").join("x/y"))
        .arg(bench.path("b").join("x/y"))
        .output()
        .unwrap();
    // cmp counts from 1.
    assert!(String::from_utf8(judge.stdout).unwrap().contains("byte 123457"));
    assert_eq!(content["around"], 123_456 / 16 * 16);
    let compressed = run("gzip", &["-k", bench.path("a").join("x/y").to_str().unwrap()]);
    assert_eq!(compressed, "");
    fs::write(bench.path("b").join("x/y.gz"), b"\x1f\x8b\x08\0\xff").unwrap();
    let report = bench.report(bench.path("a"), bench.path("b"), &["--ignore", "time"]);
    assert_eq!(with(files(&report), "path", "/x/y.gz")[0]["content"]["format"], "gzip");
}

#[test]
fn what_is_outside_of_files_is_named_by_its_structure_and_field() {
    let bench = Bench::new();
    let dir = bench.tree("tree", &[("etc/motd", "hello\n")]);
    let image = bench.disk("a.img", &dir, &[]);
    let other = bench.path("b.img");
    fs::copy(&image, &other).unwrap();
    debugfs(&other, "set_inode_field /etc/motd atime @86400");
    debugfs(&other, "set_super_value volume_name lab");
    debugfs(&other, "set_bg 0 free_blocks_count 5");
    debugfs(&other, "setb 1900");
    let last = fs::metadata(&other).unwrap().len() - 3;
    poke(&other, last, b"x");
    let report = bench.report(&image, &other, &[]);
    assert_eq!(files(&report).as_array().unwrap().len(), 0, "{report:#}");
    let label = structure(&report, "superblock", "volume label");
    assert_eq!((&label["before"], &label["after"]), (&"\"\"".into(), &"\"lab\"".into()));
    let atime = structure(&report, "inode", "atime");
    assert_eq!((&atime["path"], &atime["after"]), (&"/etc/motd".into(), &"86400".into()));
    let stat = run("debugfs", &["-R", "stat /etc/motd", image.to_str().unwrap()]);
    assert!(stat.contains(&format!("Inode: {} ", atime["number"])), "{stat}");
    assert_eq!(structure(&report, "group descriptor", "free blocks")["after"], "5");
    let bit = structure(&report, "block bitmap", "block 1900");
    assert_eq!((&bit["before"], &bit["after"]), (&"free".into(), &"used".into()));
    assert_eq!(structure(&report, "unused space", "")["first"], last);
    let said = bench.diff(&image, &other, &[]).stdout;
    assert!(said.contains("superblock, volume label: \"\" -> \"lab\""), "{said}");
    assert!(said.contains("block bitmap 0, block 1900: free -> used"), "{said}");
}

#[test]
fn directories_journals_and_attributes_have_their_blocks_named() {
    let bench = Bench::new();
    let dir = bench.tree("tree", &[("etc/motd", "hello\n")]);
    let image = bench.disk("a.img", &dir, &["-O", "^metadata_csum", "-b", "4096"]);
    let large = "v".repeat(1000);
    debugfs(&image, &format!("ea_set /etc/motd user.large {large}"));
    let other = bench.path("b.img");
    fs::copy(&image, &other).unwrap();
    let block = |request: &str| -> u64 {
        let text = run("debugfs", &["-R", request, image.to_str().unwrap()]);
        text.split_whitespace().next().unwrap().trim_matches(',').parse().unwrap()
    };
    let directory = block("blocks /etc");
    let journal = block("blocks <8>");
    let stat = run("debugfs", &["-R", "stat /etc/motd", image.to_str().unwrap()]);
    let xattrs = stat.split("File ACL: ").nth(1).unwrap().split_whitespace().next().unwrap();
    let xattrs: u64 = xattrs.parse().unwrap();
    // The length of an unused end, padding behind the names, and bytes of the journal that say nothing.
    poke(&other, directory * 4096 + 4090, b"x");
    poke(&other, journal * 4096 + 4000, b"x");
    poke(&other, xattrs * 4096 + 2000, b"x");
    let report = bench.report(&image, &other, &[]);
    assert_eq!(structure(&report, "directory block", "")["path"], "/etc");
    assert_eq!(structure(&report, "journal", "")["first"], journal * 4096 + 4000);
    assert_eq!(structure(&report, "attribute block", "")["path"], "/etc/motd");
}

#[test]
fn file_systems_of_other_kinds_have_the_same_files_and_other_structures() {
    let bench = Bench::new();
    let dir = bench.tree("tree", &[("etc/motd", "hello\n"), ("large", &"x\n".repeat(300_000))]);
    let image = bench.disk("a.img", &dir, &[]);
    for (name, more) in [
        ("ext2.img", &["-t", "ext2"][..]),
        ("ext3.img", &["-t", "ext3", "-b", "1024"]),
        ("inline.img", &["-O", "inline_data,meta_bg,^resize_inode"]),
    ] {
        let other = bench.disk(name, &dir, more);
        // The root has the time of the making.
        let report = bench.report(&image, &other, &["--ignore", "time"]);
        assert_eq!(files(&report).as_array().unwrap().len(), 0, "{name}: {report:#}");
        let superblock = with(&report["parts"][0]["structures"], "structure", "superblock");
        assert!(superblock.iter().any(|it| it["field"].as_str().unwrap().contains("features")));
    }
}

#[test]
fn partitions_are_looked_into_and_their_tables_compared() {
    let bench = Bench::new();
    let dir = bench.tree("tree", &[("etc/motd", "hello\n")]);
    let image = bench.disk("bare.img", &dir, &[]);
    let place = |name: &str, script: &str, at: u64| {
        let disk = bench.path(name);
        fs::File::create(&disk).unwrap().set_len(24 << 20).unwrap();
        let table = bench.path("table");
        fs::write(&table, script).unwrap();
        let command = format!("sfdisk -q {} < {}", disk.display(), table.display());
        run("sh", &["-c", &command]);
        poke(&disk, at, &fs::read(&image).unwrap());
        disk
    };
    let mbr = "label: dos\nlabel-id: 0x1234\n2 : start=2048, size=16384, type=83\n";
    let gpt = "label: gpt\nlabel-id: 6B1C0E8E-7F0E-4D2C-9B5E-0123456789AB\n\
               1 : start=4096, size=16384, uuid=6B1C0E8E-7F0E-4D2C-9B5E-0123456789AC, name=\"root\"\n";
    let (dos, guid) = (place("dos.img", mbr, 2048 * 512), place("gpt.img", gpt, 4096 * 512));
    let report = bench.report(&dos, &guid, &[]);
    assert_eq!(files(&report).as_array().unwrap().len(), 0, "{report:#}");
    assert_eq!(report["parts"][0]["structures"], Value::Array(Vec::new()));
    let table = with(&report["around"], "what", "partition table")[0];
    assert_eq!(table["before"], "master boot record");
    assert_eq!(table["after"], "GUID partition table");
    // A partition alone is the file system that was put there.
    let inside = format!("{}#2", dos.display());
    assert_eq!(bench.report(&inside, &image, &[])["same"], true);
    let none = bench.diff(format!("{}#7", dos.display()), &image, &[]).bad(2);
    assert!(none.contains("there is one in partition 2"), "{none}");
    let other = bench.path("other.img");
    fs::copy(&guid, &other).unwrap();
    run("sfdisk", &["-q", "--part-label", other.to_str().unwrap(), "1", "boot"]);
    poke(&other, 15 << 20, b"stray");
    let report = bench.report(&guid, &other, &[]);
    let around = all(&report["around"], "what");
    assert!(around.contains(&"partition 1: name"), "{around:?}");
    assert!(
        around.contains(
            &format!("5 bytes outside of file systems, the first at {}", 15 << 20).as_str()
        )
    );
    let other = bench.path("signed.img");
    fs::copy(&dos, &other).unwrap();
    run("sfdisk", &["-q", "--disk-id", other.to_str().unwrap(), "0x5678"]);
    let report = bench.report(&dos, &other, &[]);
    assert_eq!(all(&report["around"], "what"), ["master boot record: disk signature"]);
    let two =
        place("two.img", "label: dos\n1 : size=8192, type=83\n2 : size=20000, type=83\n", 1 << 20);
    poke(&two, (2048 + 8192) * 512, &fs::read(&image).unwrap());
    let said = bench.diff(&two, &dir, &[]);
    assert_ne!(said.code, Some(101), "{}", said.stderr);
}

#[test]
fn packages_are_told_by_their_versions_before_files_are() {
    let bench = Bench::new();
    let status = |version: &str| {
        format!(
            "Package: libfoo\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n\
             Package: old\nStatus: deinstall ok config-files\nArchitecture: all\nVersion: 1\n"
        )
    };
    let a = bench.tree("a", &[("var/lib/dpkg/status", &status("1:1.0-1"))]);
    let b = bench.tree("b", &[("var/lib/dpkg/status", &status("1:1.1-1"))]);
    let images = [bench.disk("a.img", &a, &[]), bench.disk("b.img", &b, &[])];
    let report = bench.report(&images[0], &images[1], &[]);
    let packages = report["parts"][0]["packages"].as_array().unwrap();
    assert_eq!(packages.len(), 1);
    assert_eq!(packages[0]["what"], "libfoo:amd64");
    assert_eq!(
        (&packages[0]["before"], &packages[0]["after"]),
        (&"1:1.0-1".into(), &"1:1.1-1".into())
    );
    let said = bench.diff(&images[0], &images[1], &[]).stdout;
    assert!(
        said.find("~ libfoo:amd64").unwrap() < said.find("/var/lib/dpkg/status").unwrap(),
        "{said}"
    );
}

#[test]
fn plain_files_are_compared_and_what_has_nothing_in_common_is_refused() {
    let bench = Bench::new();
    let dir = bench.tree("tree", &[("a", "1\n"), ("b", "2\n")]);
    let image = bench.disk("a.img", &dir, &[]);
    let report = bench.report(dir.join("a"), dir.join("b"), &[]);
    assert_eq!(files(&report)[0]["content"]["unified"], "@@ -1 +1 @@\n-1\n+2\n");
    assert_eq!(bench.report(dir.join("a"), dir.join("a"), &[])["same"], true);
    let refused = bench.diff(dir.join("a"), &dir, &[]).bad(2);
    assert!(refused.contains("(a file) cannot be compared with"), "{refused}");
    assert!(refused.contains("(a directory)"), "{refused}");
    let refused = bench.diff("nothing", &image, &[]).bad(2);
    assert!(refused.contains("`nothing` is no recipe of this project and no file"), "{refused}");
    let refused = bench.diff(format!("sha256:{}", "0".repeat(64)), &image, &[]).bad(2);
    assert!(refused.contains("the store has no tree, key or blob"), "{refused}");
    bench.diff(&dir, &image, &["--lines", "0"]).bad(2);
}

#[test]
fn a_directory_may_be_named_by_a_link() {
    let bench = Bench::new();
    let dir = bench.tree("tree", &[("etc/motd", "hello\n")]);
    let other = bench.tree("other", &[("etc/motd", "other\n")]);
    let link = bench.path("link");
    symlink(&dir, &link).unwrap();
    assert_eq!(bench.report(&dir, &link, &[])["same"], true);
    let report = bench.report(&link, &other, &["--ignore", "time"]);
    assert_eq!(all(files(&report), "path"), ["/etc/motd"]);
}

#[test]
fn a_program_whose_sections_are_not_in_it_is_compared_by_its_bytes() {
    let bench = Bench::new();
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(64 + 3 * 64, 0);
    // A table of three sections at 64; the names are in the last, which takes the first bytes of the file.
    (program[0x28], program[0x3a], program[0x3c], program[0x3e]) = (64, 64, 3, 2);
    (program[64 + 64 + 4], program[64 + 128 + 4]) = (1, 3);
    program[64 + 64 + 24..64 + 64 + 32].copy_from_slice(&(1_u64 << 63).to_le_bytes());
    (program[64 + 64 + 32], program[64 + 128 + 32]) = (1, 16);
    for (name, flags) in [("a", 1), ("b", 2)] {
        let dir = bench.tree(name, &[("program", "")]);
        program[64 + 64 + 8] = flags;
        fs::write(dir.join("program"), &program).unwrap();
    }
    let report = bench.report(bench.path("a"), bench.path("b"), &["--ignore", "time"]);
    let content = &with(files(&report), "path", "/program")[0]["content"];
    assert_eq!((&content["form"], &content["first"]), (&"bytes".into(), &136.into()), "{report:#}");
    assert_eq!(report["notes"], Value::Array(Vec::new()));
}
