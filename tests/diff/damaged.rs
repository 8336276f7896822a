//! Disks that are damaged, or made to do harm: a clear word for each, never more time or memory than the disk is worth.

use std::{fs, io, io::Read};

use proptest::prelude::*;
use vsbuild::{
    formats::{
        ext4::read::{FileSystem, Owner},
        partitions,
    },
    tree::{BlobSink, Content, ContentHasher},
};

use super::{Bench, run};

/// A small file system with something of everything: many names, holes, attributes, links, a journal.
fn image(more: &[&str]) -> Vec<u8> {
    let bench = Bench::new();
    let many: Vec<(String, String)> =
        (0..300).map(|n| (format!("many/a name that is not short {n}"), format!("{n}"))).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(p, t)| (p.as_str(), t.as_str())).collect();
    let dir = bench.tree("tree", &many);
    std::os::unix::fs::symlink("x".repeat(100), dir.join("link")).unwrap();
    fs::hard_link(dir.join(many[0].0), dir.join("same")).unwrap();
    let sparse = fs::File::create(dir.join("sparse")).unwrap();
    for at in 0..30 {
        std::os::unix::fs::FileExt::write_at(&sparse, b"data", at * 50_000).unwrap();
    }
    let disk = bench.disk("a.img", &dir, more);
    let large = format!("ea_set same user.large {}", "v".repeat(700));
    run("debugfs", &["-w", "-R", &large, disk.to_str().unwrap()]);
    fs::read(disk).unwrap()
}

/// Counts what is read, and holds nothing.
#[derive(Default)]
struct Counting(std::sync::atomic::AtomicU64);

impl BlobSink for Counting {
    fn put(&self, bytes: &mut dyn Read) -> io::Result<Content> {
        let mut hasher = ContentHasher::default();
        let count = io::copy(bytes, &mut hasher)?;
        self.0.fetch_add(count, std::sync::atomic::Ordering::Relaxed);
        Ok(hasher.finish())
    }
}

/// Reads all that can be read; what cannot must be an error with words.
fn read(image: &[u8]) -> Result<(), TestCaseError> {
    let system = match FileSystem::open(&image) {
        Ok(system) => system,
        Err(error) => {
            prop_assert!(!error.to_string().is_empty());
            return Ok(());
        }
    };
    let counting = Counting::default();
    if let Err(error) = system.tree(&counting) {
        prop_assert!(!error.to_string().is_empty());
    }
    // As the reader promises: files may have holes, but not without end.
    prop_assert!(counting.0.into_inner() <= image.len() as u64 * 65);
    let map = system.map();
    let mut at = 0;
    while at < system.size() {
        let place = map.at(at);
        prop_assert!(place.end > at);
        if let Some(field) = place.field {
            let bytes = &image[place.structure as usize..][..place.length as usize];
            prop_assert!(!field.name.is_empty() && field.show(bytes).len() < 1000);
        }
        prop_assert!(place.owner != Owner::InodeTable(0) || place.inode.is_some());
        at = place.end;
    }
    Ok(())
}

/// Where structures are, which are worth to be damaged: the offset of each and its length.
fn structures(image: &[u8]) -> Vec<(u64, u64)> {
    let system = FileSystem::open(&image).unwrap();
    let map = system.map();
    assert_eq!(map.gaps, Vec::<String>::new());
    let (mut at, mut found) = (0, Vec::new());
    while at < system.size() {
        let place = map.at(at);
        let used = match place.owner {
            // Most of a table is empty, and most damage there would do nothing.
            Owner::InodeTable(_) => place.inode.is_some_and(|inode| inode < 330),
            Owner::Content(_) | Owner::Unused | Owner::Journal => false,
            _ => true,
        };
        if used {
            found.push((at, place.end - at));
        }
        at = place.end;
    }
    found
}

#[test]
fn no_damage_makes_the_reader_panic_or_go_on_without_end() {
    for more in [
        &["-b", "1024"][..],
        &["-t", "ext2", "-b", "1024"],
        &["-O", "inline_data,meta_bg,^resize_inode"],
    ] {
        let image = image(more);
        read(&image).unwrap();
        let places = structures(&image);
        let spots = prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<[u8; 4]>()),
            1..6,
        );
        let config =
            ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        let outcome = runner.run(&spots, |spots| {
            let mut image = image.clone();
            for (place, within, with) in spots {
                let (start, length) = places[place.index(places.len())];
                let at = start as usize + within.index(length as usize);
                let length = with.len().min(image.len() - at);
                image[at..at + length].copy_from_slice(&with[..length]);
            }
            read(&image)
        });
        outcome.unwrap_or_else(|error| panic!("{more:?}: {error}"));
    }
}

#[test]
fn a_damaged_disk_is_compared_as_far_as_it_can_be() {
    let bench = Bench::new();
    let bytes = image(&["-b", "1024"]);
    let (good, bad) = (bench.path("good.img"), bench.path("bad.img"));
    fs::write(&good, &bytes).unwrap();
    let places = structures(&bytes);
    for round in 0..40_usize {
        let mut bytes = bytes.clone();
        let (start, length) = places[round * 7919 % places.len()];
        for byte in &mut bytes[start as usize..(start + length.min(64)) as usize] {
            *byte = byte.wrapping_mul(31).wrapping_add(round as u8 | 1);
        }
        fs::write(&bad, &bytes).unwrap();
        let ran = bench.diff(&good, &bad, &[]);
        let (said, code) = (format!("{}{}", ran.stdout, ran.stderr), ran.code);
        assert!([Some(1), Some(2), Some(4)].contains(&code), "round {round}: {code:?} {said}");
        assert!(!said.contains("panicked"), "round {round}: {said}");
    }
}

#[test]
fn a_directory_that_cannot_be_read_is_named_and_the_bytes_are_compared_all_the_same() {
    let bench = Bench::new();
    let dir = bench.tree("tree", &[("etc/motd", "hello\n")]);
    let good = bench.disk("a.img", &dir, &[]);
    let bad = bench.path("b.img");
    fs::copy(&good, &bad).unwrap();
    run("debugfs", &["-w", "-R", "set_inode_field /etc block[0] 0", bad.to_str().unwrap()]);
    let report = bench.report(&good, &bad, &[]);
    let notes = report["notes"].to_string();
    assert!(notes.contains("cannot be read") && notes.contains("is damaged"), "{notes}");
    let inode = report["parts"][0]["structures"].as_array().unwrap();
    assert!(
        inode.iter().any(|it| it["field"] == "block map" && it["path"] == "/etc"),
        "{report:#}"
    );
    // Without a disk on the other side there is nothing left to compare.
    let refused = bench.diff(&dir, &bad, &[]).bad(1);
    assert!(refused.contains("cannot be read") && refused.contains("is damaged"), "{refused}");
}

#[test]
fn a_disk_that_ends_too_early_or_has_a_journal_to_replay_is_told() {
    let bench = Bench::new();
    let dir = bench.tree("tree", &[("etc/motd", "hello\n")]);
    let good = bench.disk("a.img", &dir, &[]);
    let bytes = fs::read(&good).unwrap();
    let short = bench.path("short.img");
    fs::write(&short, &bytes[..bytes.len() / 2]).unwrap();
    let refused = bench.diff(&short, &dir, &[]).bad(1);
    assert!(refused.contains("the file system is larger than the disk"), "{refused}");
    // The other one is a disk, too: then the bytes are compared that both have.
    let report = bench.report(&short, &good, &[]);
    assert!(report["notes"].to_string().contains("larger than the disk"), "{report:#}");
    assert_eq!(super::all(&report["around"], "what"), ["size of the disk"]);
    let (cut, at) = (bench.path("cut.img"), 4000);
    fs::write(&cut, [&bytes[..at], &[!bytes[at]], &bytes[at + 1..bytes.len() / 2]].concat())
        .unwrap();
    let report = bench.report(&short, &cut, &[]);
    let told = format!("1 byte of the disk, the first at {at}");
    assert_eq!(super::all(&report["around"], "what"), [told]);
    let blank = bench.path("blank.img");
    fs::write(&blank, [&[0; 4096], &bytes[4096..]].concat()).unwrap();
    let report = bench.report(&blank, &good, &[]);
    assert!(report["notes"][0].as_str().unwrap().contains("has no file system that can be read"));
    assert!(
        report["parts"][0]["files"][0]["content"]["first"].as_u64().unwrap() < 2048,
        "{report:#}"
    );
    let dirty = bench.path("dirty.img");
    fs::copy(&good, &dirty).unwrap();
    run("debugfs", &["-w", "-R", "feature needs_recovery", dirty.to_str().unwrap()]);
    let report = bench.report(&good, &dirty, &[]);
    assert!(report["notes"].to_string().contains("its journal was not read"), "{report:#}");
}

#[test]
fn no_partition_table_makes_the_reader_go_on_without_end() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let spots = prop::collection::vec((440..2048_usize, any::<[u8; 4]>()), 1..8);
    let outcome = runner.run(&spots, |spots| {
        let mut disk = vec![0; 1 << 16];
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        disk[450] = 0xee;
        disk[512..520].copy_from_slice(b"EFI PART");
        disk[584] = 2;
        disk[592] = 128;
        disk[596] = 128;
        for (at, with) in spots {
            disk[at..at + 4].copy_from_slice(&with);
        }
        let size = disk.len() as u64;
        let found = partitions::read(disk.as_slice()).unwrap_or_default();
        prop_assert!(found.partitions.iter().all(|(_, range)| range.end <= size));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_directory_with_one_name_twice_is_damaged() {
    let bench = Bench::new();
    let dir = bench.tree("tree", &[("etc/motd", "hello\n"), ("etc/zotd", "other\n")]);
    let image = bench.disk("a.img", &dir, &["-O", "^metadata_csum"]);
    let bytes = fs::read(&image).unwrap();
    let at = bytes.windows(4).position(|name| name == b"zotd").unwrap();
    super::poke(&image, at as u64, b"m");
    let judge = std::process::Command::new("/sbin/e2fsck").arg("-fn").arg(&image).output().unwrap();
    let judge = String::from_utf8_lossy(&judge.stdout).into_owned();
    assert!(judge.contains("Duplicate entry 'motd' found"), "{judge}");
    let refused = bench.diff(&image, &dir, &[]).bad(1);
    assert!(refused.contains("two things have its name"), "{refused}");
}
