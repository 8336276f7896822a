//! A raw disk: a file system alone, or in a partition.

use super::{
    ext4::Layout,
    gpt,
    image::Placed,
    mbr::{self, SECTOR},
};
use crate::digest::Digest;

/// Where the first partition begins, and what all sizes are rounded up to, in bytes.
const ALIGNMENT: u64 = 1 << 20;

/// What is around the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Nothing: it is the whole disk.
    None,
    /// A master boot record.
    Mbr {
        /// Which partition it is, from 1 to 4; the others are empty.
        partition: u32,
    },
    /// A GUID partition table.
    Gpt {
        /// Which partition it is, from 1 to 128; the others are empty.
        partition: u32,
    },
}

/// Why there is no such disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The table has no such partition.
    #[error("there is no partition {partition}: such a table has {most}")]
    Partition {
        /// The partition that was asked for.
        partition: u32,
        /// How many there are.
        most: u32,
    },
    /// The table cannot tell so large a size.
    #[error("a master boot record cannot hold {size} bytes; a GUID partition table can")]
    TooLarge {
        /// The size.
        size: u64,
    },
}

/// A disk of which everything is decided.
#[derive(Debug)]
pub struct Disk<'l> {
    layout: &'l Layout<'l>,
    size: u64,
    /// Where the file system begins, in bytes.
    start: u64,
    front: Option<Placed>,
    back: Option<Placed>,
}

/// Puts a file system on a disk. What names the disk and the partition follows from the file system's UUID.
pub fn place<'l>(layout: &'l Layout<'l>, table: Table) -> Result<Disk<'l>, Error> {
    let end = ALIGNMENT + layout.size().next_multiple_of(ALIGNMENT);
    let sectors = ALIGNMENT / SECTOR..(ALIGNMENT + layout.size()).div_ceil(SECTOR);
    let uuid = layout.uuid();
    match table {
        Table::None => Ok(Disk { layout, size: layout.size(), start: 0, front: None, back: None }),
        Table::Mbr { partition } => {
            check(partition, 4)?;
            if sectors.end > u64::from(u32::MAX) {
                return Err(Error::TooLarge { size: layout.size() });
            }
            let signature = u32::from_le_bytes([uuid[0], uuid[1], uuid[2], uuid[3]]);
            let front = Placed::bytes(0, mbr::encode(partition, sectors, signature));
            Ok(Disk { layout, size: end, start: ALIGNMENT, front: Some(front), back: None })
        }
        Table::Gpt { partition } => {
            check(partition, 128)?;
            let size = end + ALIGNMENT;
            let guid = |what: &str| {
                let digest = Digest::of([what.as_bytes(), &uuid].concat());
                let mut guid = [0; 16];
                guid.copy_from_slice(&digest.as_bytes()[..16]);
                // RFC 9562, version 8; the first three fields of a GUID are little-endian on a disk.
                guid[7] = guid[7] & 0x0f | 0x80;
                guid[8] = guid[8] & 0x3f | 0x80;
                guid
            };
            let (disk_guid, partition_guid) = (guid("disk"), guid("partition"));
            let [front, back] =
                gpt::encode(partition, sectors, size / SECTOR, disk_guid, partition_guid);
            Ok(Disk { layout, size, start: ALIGNMENT, front: Some(front), back: Some(back) })
        }
    }
}

fn check(partition: u32, most: u32) -> Result<(), Error> {
    if (1..=most).contains(&partition) { Ok(()) } else { Err(Error::Partition { partition, most }) }
}

impl Disk<'_> {
    /// Bytes of the whole disk.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What is where, in ascending order and without overlap; what is not named is zero.
    pub fn pieces(&self) -> impl Iterator<Item = Placed> + '_ {
        let inside = self.layout.pieces().map(|placed| placed.shifted(self.start));
        self.front.iter().cloned().chain(inside).chain(self.back.iter().cloned())
    }
}
