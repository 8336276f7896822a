//! The master boot record: a partition table of four entries in the first 512 bytes (UEFI 2.10, section 5.2).

use std::ops::Range;

/// Bytes of a sector.
pub const SECTOR: u64 = 512;
/// The partition type of Linux file systems.
const LINUX: u8 = 0x83;
/// The partition type of a disk that has a GUID partition table.
const PROTECTIVE: u8 = 0xee;

/// A record with one Linux partition in entry `partition` (1 to 4) over these sectors, and `signature` as the disk's name.
pub fn encode(partition: u32, sectors: Range<u64>, signature: u32) -> Vec<u8> {
    record(partition, sectors, signature, LINUX)
}

/// The record that keeps programs which know no GUID partition tables from using a disk of so many sectors.
pub fn protective(sectors: u64) -> Vec<u8> {
    // A disk that is too large for the record is covered as far as it goes.
    record(1, 1..sectors.min(1 << 32), 0, PROTECTIVE)
}

fn record(partition: u32, sectors: Range<u64>, signature: u32, kind: u8) -> Vec<u8> {
    // Addresses by cylinder, head and sector are long out of use; these mean "too large for that".
    const TOO_LARGE: [u8; 3] = [0xfe, 0xff, 0xff];
    let mut bytes = vec![0; SECTOR as usize];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    let entry = 446 + 16 * (partition as usize - 1);
    put(440, &signature.to_le_bytes());
    put(entry + 1, &TOO_LARGE);
    put(entry + 4, &[kind]);
    put(entry + 5, &TOO_LARGE);
    put(entry + 8, &(sectors.start as u32).to_le_bytes());
    put(entry + 12, &((sectors.end - sectors.start) as u32).to_le_bytes());
    put(510, &[0x55, 0xaa]);
    bytes
}
