//! The GUID partition table (UEFI 2.10, section 5.3): one at each end of a disk.

use std::ops::Range;

use super::{
    image::Placed,
    mbr::{self, SECTOR},
};

/// Entries in a table, their size, and the sectors that all take together.
const ENTRIES: u32 = 128;
const ENTRY: u32 = 128;
const TABLE_SECTORS: u64 = ENTRIES as u64 * ENTRY as u64 / SECTOR;
/// Sectors at the front of the disk: protective record, header, entries.
pub const FRONT: u64 = 2 + TABLE_SECTORS;
/// Sectors at its end: entries, header.
pub const BACK: u64 = 1 + TABLE_SECTORS;
/// Linux file system data, 0FC63DAF-8483-4772-8E79-3D69D8477DE4, as it lies on the disk.
const LINUX: [u8; 16] = [
    0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
];

/// Both tables of a disk of `total` sectors with one Linux partition, in entry `partition` (1 to 128) over these sectors.
pub fn encode(
    partition: u32,
    sectors: Range<u64>,
    total: u64,
    disk_guid: [u8; 16],
    partition_guid: [u8; 16],
) -> [Placed; 2] {
    let mut entries = vec![0; (ENTRIES * ENTRY) as usize];
    let entry = ((partition - 1) * ENTRY) as usize;
    let last = sectors.end - 1;
    for (at, bytes) in [
        (0, &LINUX[..]),
        (16, &partition_guid),
        (32, &sectors.start.to_le_bytes()),
        (40, &last.to_le_bytes()),
    ] {
        entries[entry + at..entry + at + bytes.len()].copy_from_slice(bytes);
    }
    for (index, unit) in "root".encode_utf16().enumerate() {
        let at = entry + 56 + 2 * index;
        entries[at..at + 2].copy_from_slice(&unit.to_le_bytes());
    }
    let header = |own: u64, other: u64, table: u64| {
        header(own, other, table, total, disk_guid, crc32(&entries))
    };
    let front = [mbr::protective(total), header(1, total - 1, 2), entries.clone()].concat();
    let back = [entries.clone(), header(total - 1, 1, total - BACK)].concat();
    [Placed::bytes(0, front), Placed::bytes((total - BACK) * SECTOR, back)]
}

fn header(own: u64, other: u64, table: u64, total: u64, guid: [u8; 16], entries: u32) -> Vec<u8> {
    const REVISION: u32 = 0x0001_0000;
    const LENGTH: u32 = 92;
    let mut bytes = b"EFI PART".to_vec();
    bytes.extend(REVISION.to_le_bytes());
    bytes.extend(LENGTH.to_le_bytes());
    // The header's own checksum, zero while it is computed, and a reserved word.
    bytes.extend([0; 8]);
    for sector in [own, other, FRONT, total - BACK - 1] {
        bytes.extend(sector.to_le_bytes());
    }
    bytes.extend(guid);
    bytes.extend(table.to_le_bytes());
    for word in [ENTRIES, ENTRY, entries] {
        bytes.extend(word.to_le_bytes());
    }
    let sum = crc32(&bytes);
    bytes[16..20].copy_from_slice(&sum.to_le_bytes());
    bytes.resize(SECTOR as usize, 0);
    bytes
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
