//! Partition tables as other programs read them.

use std::{
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use vsbuild::formats::{
    disk::{Error, Table, place},
    ext4::{Size, layout},
};

use crate::{
    MIB,
    grow::Grower,
    small,
    workbench::{Mounted, Workbench, is_clean, run, same, shape},
};

/// What `sfdisk` says of a disk.
fn table(image: &Path) -> serde_json::Value {
    let json = run("sfdisk", &["--json".as_ref(), image.as_ref()]);
    serde_json::from_str::<serde_json::Value>(&json).unwrap()["partitiontable"].clone()
}

/// The partition that `sfdisk` found, as a file of its own.
fn partition(bench: &Workbench, image: &Path, entry: &serde_json::Value) -> PathBuf {
    let [start, size] = ["start", "size"].map(|field| entry[field].as_u64().unwrap() * 512);
    let mut bytes = vec![0; size as usize];
    fs::File::open(image).unwrap().read_exact_at(&mut bytes, start).unwrap();
    let alone = bench.path("partition");
    fs::write(&alone, bytes).unwrap();
    alone
}

#[test]
fn partitions_are_found_and_hold_the_file_system() {
    let bench = Workbench::new();
    let tree = small(&bench);
    // The last size is no whole number of sectors.
    for size in [Size::Free(0), Size::Exact(33 * MIB), Size::Exact(33 * MIB + 777)] {
        let tables = [1, 2, 4].map(|partition| Table::Mbr { partition });
        for kind in tables.into_iter().chain([1, 5, 128].map(|partition| Table::Gpt { partition }))
        {
            let layout = layout(&tree, &shape(size)).unwrap();
            let (image, _) = bench.write("image", &place(&layout, kind).unwrap());
            let table = table(&image);
            let (label, number, linux) = match kind {
                Table::Mbr { partition } => ("dos", partition, "83"),
                Table::Gpt { partition } => {
                    ("gpt", partition, "0FC63DAF-8483-4772-8E79-3D69D8477DE4")
                }
                Table::None => unreachable!(),
            };
            assert_eq!(table["label"], label);
            assert_eq!(table["partitions"].as_array().unwrap().len(), 1);
            let entry = &table["partitions"][0];
            let node = entry["node"].as_str().unwrap();
            assert_eq!(node, format!("{}{number}", image.display()));
            assert_eq!(entry["type"], linux);
            assert_eq!(entry["start"], 2048);
            assert_eq!(entry["size"], layout.size().div_ceil(512));
            let whole = fs::metadata(&image).unwrap().len();
            assert_eq!(whole % MIB, 0);
            if label == "gpt" {
                let said = run("sgdisk", &["-v".as_ref(), image.as_ref()]);
                assert!(said.contains("No problems found"), "{said}");
            }
            let alone = partition(&bench, &image, entry);
            is_clean(&alone);
            if let Some(mounted) =
                Mounted::at(&image, &bench.path("mount"), &format!("ro,offset={MIB}"))
            {
                same(&mounted.dir, &tree);
            }
            fs::remove_file(image).unwrap();
        }
    }
}

#[test]
fn a_table_has_only_so_many_partitions() {
    let bench = Workbench::new();
    let tree = Grower::new(&bench.store).finish();
    let layout = layout(&tree, &shape(Size::Free(0))).unwrap();
    for (table, partition, most) in [
        (Table::Mbr { partition: 0 }, 0, 4),
        (Table::Mbr { partition: 5 }, 5, 4),
        (Table::Gpt { partition: 0 }, 0, 128),
        (Table::Gpt { partition: 129 }, 129, 128),
    ] {
        assert_eq!(place(&layout, table).unwrap_err(), Error::Partition { partition, most });
    }
}

#[test]
fn two_tebibytes_are_too_large_for_a_master_boot_record() {
    let bench = Workbench::new();
    let tree = Grower::new(&bench.store).finish();
    let size = 2 << 40;
    let layout = layout(&tree, &shape(Size::Exact(size))).unwrap();
    assert_eq!(place(&layout, Table::Mbr { partition: 1 }).unwrap_err(), Error::TooLarge { size });
    assert!(place(&layout, Table::Gpt { partition: 1 }).is_ok());
}
