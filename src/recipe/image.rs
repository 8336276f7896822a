use super::Name;

/// A bootable disk and how it is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The kernel: a recipe of that kind.
    pub kernel: Name,
    /// What is on the disk: a recipe of kind rootfs.
    pub rootfs: Name,
    /// How the disk is laid out.
    pub disk: Disk,
    /// The kernel's command line.
    pub cmdline: String,
    /// The time of everything that has no time of its own: seconds since 1970-01-01 UTC.
    pub epoch: i64,
    /// Text that the container must print for a run to count as good.
    pub expect: Option<String>,
    /// How a check boots it.
    pub run: Run,
}

/// How a disk is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// What stands before the file system.
    pub table: Table,
    /// Number of the partition that holds the file system, from 1; of no meaning without a table.
    pub partition: u32,
    /// How large the file system is.
    pub size: Size,
    /// Inodes beyond those in use.
    pub spare_inodes: u64,
    /// Label of the file system: at most 16 bytes, may be empty.
    pub label: String,
    /// Size of the journal in bytes; none without.
    pub journal: Option<u64>,
    /// Version of the writer's format.
    pub format: u32,
}

/// A way to lay a disk out that others expect, in place of the recipe's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// As vSwarm-u's scripts for gem5 expect it: the root file system is the second partition of a master boot record.
    VswarmU,
}

impl Layout {
    /// What it is called, where people type it and in names of directories.
    pub fn word(self) -> &'static str {
        match self {
            Self::VswarmU => "vswarm-u",
        }
    }

    /// Lays a disk out so; what the file system itself is like stays the recipe's.
    pub(super) fn apply(self, disk: &mut Disk) {
        match self {
            Self::VswarmU => (disk.table, disk.partition) = (Table::Mbr, 2),
        }
    }
}

/// The partition table of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The file system is the whole disk.
    None,
    /// A master boot record.
    Mbr,
    /// A GUID partition table.
    Gpt,
}

/// The size of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// All of it, in bytes.
    Exact(u64),
    /// As large as its content needs and this many free bytes.
    Free(u64),
}

/// How an image is booted for a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Memory of the guest in bytes.
    pub memory: u64,
    /// Processors of the guest.
    pub cores: u32,
    /// Seconds until it counts as stuck.
    pub timeout: u64,
}
