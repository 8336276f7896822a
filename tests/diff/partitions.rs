//! Disks with several partitions, of which not all can be read.

use std::{fs, path::PathBuf};

use serde_json::Value;

use super::{Bench, all, poke, run, with};

/// Where the two partitions begin, in bytes.
const FIRST: u64 = 1 << 20;
const SECOND: u64 = 10 << 20;
/// Bytes of each.
const SIZE: u64 = 8 << 20;

/// A disk with two partitions and what is in them.
fn disk(bench: &Bench, name: &str, first: &[u8], second: &[u8]) -> PathBuf {
    let disk = bench.path(name);
    fs::File::create(&disk).unwrap().set_len(20 << 20).unwrap();
    let table = bench.path("table");
    let uuid = "6B1C0E8E-7F0E-4D2C-9B5E-0123456789A";
    let line = |number: u8, at: u64| {
        format!("{number} : start={}, size={}, uuid={uuid}{number}\n", at / 512, SIZE / 512)
    };
    let script = format!("label: gpt\nlabel-id: {uuid}F\n{}{}", line(1, FIRST), line(2, SECOND));
    fs::write(&table, script).unwrap();
    let command = format!("sfdisk -q {} < {}", disk.display(), table.display());
    run("sh", &["-c", &command]);
    poke(&disk, FIRST, first);
    poke(&disk, SECOND, second);
    disk
}

/// A file system of that size.
fn system(bench: &Bench) -> PathBuf {
    let dir = bench.tree("tree", &[("etc/motd", "hello\n")]);
    bench.disk("bare.img", &dir, &[])
}

#[test]
fn partitions_of_other_kinds_are_compared_byte_by_byte() {
    let bench = Bench::new();
    let system = fs::read(system(&bench)).unwrap();
    let one = disk(&bench, "a.img", b"a boot loader", &system);
    let other = disk(&bench, "b.img", b"a boat loader", &system);
    let report = bench.report(&one, &other, &[]);
    let told = format!("1 byte outside of file systems, the first at {}", FIRST + 4);
    assert_eq!(all(&report["around"], "what"), [told]);
    assert_eq!(
        (&report["around"][0]["before"], &report["around"][0]["after"]),
        (&"6f".into(), &"61".into())
    );
}

#[test]
fn every_byte_of_a_partition_table_counts() {
    let bench = Bench::new();
    let system = fs::read(system(&bench)).unwrap();
    let one = disk(&bench, "a.img", b"", &system);
    let other = bench.path("b.img");
    fs::copy(&one, &other).unwrap();
    poke(&other, 512 + 300, b"hidden");
    let report = bench.report(&one, &other, &[]);
    let told = "header of the GUID partition table: reserved bytes at its end";
    assert_eq!(all(&report["around"], "what"), [told]);
    // Two entries that are longer than what is known of them.
    let bytes = fs::read(&one).unwrap();
    for disk in [&one, &other] {
        poke(disk, 512, &bytes[512..1024]);
        poke(disk, 512 + 80, &[2_u32.to_le_bytes(), 130_u32.to_le_bytes()].concat());
        poke(disk, 1024 + 128, &[&[0; 2][..], &bytes[1024 + 128..1024 + 256]].concat());
    }
    assert_eq!(bench.report(&one, &other, &[])["same"], true);
    poke(&other, 1024 + 259, b"x");
    let report = bench.report(&one, &other, &[]);
    let told = "entries of the GUID partition table: bytes from 259 on";
    assert_eq!(all(&report["around"], "what"), [told]);
}

#[test]
fn if_one_partition_cannot_be_read_all_of_them_are_compared_byte_by_byte() {
    let bench = Bench::new();
    let path = system(&bench);
    let good = fs::read(&path).unwrap();
    run("debugfs", &["-w", "-R", "set_inode_field /etc block[0] 0", path.to_str().unwrap()]);
    let bad = fs::read(&path).unwrap();
    let one = disk(&bench, "a.img", &good, &good);
    let other = disk(&bench, "b.img", &good, &bad);
    let report = bench.report(&one, &other, &[]);
    assert!(
        report["notes"][0].as_str().unwrap().contains("in partition 2 cannot be read"),
        "{report:#}"
    );
    assert_eq!(all(&report["parts"], "name"), ["partition 1", "partition 2"]);
    assert_eq!(report["parts"][0]["structures"], Value::Array(Vec::new()));
    let map = with(&report["parts"][1]["structures"], "field", "block map");
    assert_eq!(map[0]["path"], "/etc", "{report:#}");
    // One that cannot even be opened: inodes of no size that can be.
    let closed = disk(&bench, "c.img", &good, &good);
    poke(&closed, SECOND + 1024 + 0x58, &[1]);
    let report = bench.report(&one, &closed, &[]);
    assert!(report["notes"][0].as_str().unwrap().contains("inodes have no size"), "{report:#}");
    assert_eq!(all(&report["parts"], "name"), ["partition 1"]);
    let told = format!("1 byte of partition 2, the first at {}", 1024 + 0x58);
    assert_eq!(all(&report["around"], "what"), [told]);
}

#[test]
fn what_has_one_tree_is_compared_with_one_file_system_only() {
    let bench = Bench::new();
    let path = system(&bench);
    let system = fs::read(&path).unwrap();
    let two = disk(&bench, "a.img", &system, &system);
    for one in [bench.path("tree"), path.clone()] {
        for (a, b) in [(&one, &two), (&two, &one)] {
            let refused = bench.diff(a, b, &[]).bad(2);
            assert!(
                refused.contains("has several file systems, in partition 1, partition 2"),
                "{refused}"
            );
            assert!(refused.contains("DISK#N"), "{refused}");
        }
    }
    let second = format!("{}#2", two.display());
    assert_eq!(bench.report(&second, &path, &[])["same"], true);
    bench.diff(&second, &two, &[]).bad(2);
}
