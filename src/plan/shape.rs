//! What a derivation of a disk means to the writers of disks.

use super::{Disk, Size};
use crate::{
    formats::{disk::Table, ext4},
    tree::Time,
};

impl<I> Disk<I> {
    /// All of the file system that is not its tree.
    pub fn shape(&self) -> ext4::Shape {
        ext4::Shape {
            version: self.writer,
            size: match self.size {
                Size::Exact(bytes) => ext4::Size::Exact(bytes),
                Size::Free(bytes) => ext4::Size::Free(bytes),
            },
            spare_inodes: self.spare_inodes,
            label: self.label.clone(),
            journal: (self.journal > 0).then_some(self.journal),
            epoch: Time::from_seconds(self.epoch),
        }
    }

    /// What is around the file system.
    pub fn around(&self) -> Table {
        match self.table {
            "mbr" => Table::Mbr { partition: self.partition },
            "gpt" => Table::Gpt { partition: self.partition },
            _ => Table::None,
        }
    }
}
