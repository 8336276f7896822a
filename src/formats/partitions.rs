//! Reads what is around the file systems of a disk: a master boot record or a GUID partition table, by whoever made it
//! (UEFI 2.10, sections 5.2 and 5.3).

use std::{io, ops::Range};

use super::{
    mbr::SECTOR,
    source::{Source, le16, le32, le64},
};

/// The most entries of a GUID partition table that are looked at; 128 are usual.
const MOST_ENTRIES: u64 = 1024;
/// The partition type that says: look at the GUID partition table.
const PROTECTIVE: u8 = 0xee;
/// The partition types that hold more partitions.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// The partitions of a disk, and where its tables are. All ranges are in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partitions {
    /// Each with its number, from 1.
    pub partitions: Vec<(u32, Range<u64>)>,
    /// What the tables themselves take, each with what it is.
    pub tables: Vec<(&'static str, Range<u64>)>,
}

/// Reads the tables of a disk; empty if there are none.
pub fn read(disk: &(impl Source + ?Sized)) -> io::Result<Partitions> {
    let mut found = Partitions::default();
    let mut first = [0; SECTOR as usize];
    if disk.size() < SECTOR {
        return Ok(found);
    }
    disk.read_at(0, &mut first)?;
    if le16(&first, 510) != 0xaa55 {
        return Ok(found);
    }
    found.tables.push(("master boot record", 0..SECTOR));
    let entries = (0..4_u32).map(|index| (index + 1, &first[446 + 16 * index as usize..][..16]));
    let mut protective = false;
    for (number, entry) in entries {
        let (start, length) = (u64::from(le32(entry, 8)), u64::from(le32(entry, 12)));
        protective |= entry[4] == PROTECTIVE;
        if entry[4] != 0 && !EXTENDED.contains(&entry[4]) && length > 0 {
            found.add(number, start * SECTOR..(start + length) * SECTOR, disk.size());
        }
    }
    if protective {
        found.partitions.clear();
        found.read_gpt(disk)?;
    }
    Ok(found)
}

impl Partitions {
    fn add(&mut self, number: u32, bytes: Range<u64>, size: u64) {
        let bytes = bytes.start.min(size)..bytes.end.min(size);
        if !bytes.is_empty() {
            self.partitions.push((number, bytes));
        }
    }

    fn read_gpt(&mut self, disk: &(impl Source + ?Sized)) -> io::Result<()> {
        let mut header = [0; SECTOR as usize];
        if disk.size() < 2 * SECTOR {
            return Ok(());
        }
        disk.read_at(SECTOR, &mut header)?;
        if !header.starts_with(b"EFI PART") {
            return Ok(());
        }
        let (count, size) = (u64::from(le32(&header, 80)), u64::from(le32(&header, 84)));
        let table = le64(&header, 72).saturating_mul(SECTOR);
        self.tables.push(("header of the GUID partition table", SECTOR..2 * SECTOR));
        if !(128..=4096).contains(&size) {
            return Ok(());
        }
        let length = count.min(MOST_ENTRIES) * size;
        self.tables
            .push(("entries of the GUID partition table", table..table.saturating_add(length)));
        let backup = le64(&header, 32).saturating_mul(SECTOR);
        let sectors = length.div_ceil(SECTOR) * SECTOR;
        self.tables.push((
            "copy of the GUID partition table",
            backup.saturating_sub(sectors)..backup.saturating_add(SECTOR),
        ));
        let mut entry = vec![0; size as usize];
        for index in 0..count.min(MOST_ENTRIES) {
            let at = table.saturating_add(index * size);
            if at.saturating_add(size) > disk.size() {
                break;
            }
            disk.read_at(at, &mut entry)?;
            let (first, last) = (le64(&entry, 32), le64(&entry, 40));
            if entry[..16].iter().any(|byte| *byte != 0) && first <= last {
                let bytes =
                    first.saturating_mul(SECTOR)..last.saturating_add(1).saturating_mul(SECTOR);
                self.add(index as u32 + 1, bytes, disk.size());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::{gpt, image::Piece, mbr};

    fn disk() -> Vec<u8> {
        let mut disk = vec![0; 1 << 20];
        for placed in gpt::encode(3, 64..1000, 2048, [7; 16], [9; 16]) {
            let Piece::Bytes(bytes) = placed.piece else { continue };
            disk[placed.at as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
        disk
    }

    #[test]
    fn our_own_tables_are_read_back() {
        let found = read(disk().as_slice()).expect("memory does not fail");
        assert_eq!(found.partitions, [(3, 64 * 512..1000 * 512)]);
        assert_eq!(found.tables.len(), 4);
        let mut record = mbr::encode(2, 8..16, 1);
        record.resize(1 << 14, 0);
        let found = read(record.as_slice()).expect("memory does not fail");
        assert_eq!(found.partitions, [(2, 8 * 512..16 * 512)]);
    }

    proptest! {
        #[test]
        fn no_table_makes_a_partition_beyond_the_disk(at in 440..2048usize, with in any::<[u8; 8]>()) {
            let mut disk = disk();
            disk[at..at + 8].copy_from_slice(&with);
            if let Ok(found) = read(disk.as_slice()) {
                let size = disk.len() as u64;
                prop_assert!(found.partitions.iter().all(|(_, bytes)| bytes.start < bytes.end && bytes.end <= size));
            }
        }
    }
}
