//! The fields of superblock, inode and group descriptor by offset, with their names as Documentation/filesystems/ext4 has
//! them, and how a person reads their values.

use super::super::super::source::{le16, le32, le64};

/// A field of a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Where it begins in the structure.
    pub at: usize,
    /// How long it is.
    pub length: usize,
    /// What it is.
    pub name: &'static str,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Number,
    Hex,
    Text,
    Uuid,
    Compat,
    Incompat,
    ReadOnly,
}

const fn field(at: usize, length: usize, name: &'static str, form: Form) -> Field {
    Field { at, length, name, form }
}

const fn number(at: usize, length: usize, name: &'static str) -> Field {
    field(at, length, name, Form::Number)
}

/// Fields of the superblock, in ascending order. What is between them is reserved or of no interest.
pub(super) const SUPERBLOCK: &[Field] = &[
    number(0x00, 4, "number of inodes"),
    number(0x04, 4, "number of blocks"),
    number(0x08, 4, "reserved blocks"),
    number(0x0c, 4, "free blocks"),
    number(0x10, 4, "free inodes"),
    number(0x14, 4, "first block"),
    number(0x18, 4, "block size (as a power of two)"),
    number(0x1c, 4, "cluster size (as a power of two)"),
    number(0x20, 4, "blocks in a group"),
    number(0x24, 4, "clusters in a group"),
    number(0x28, 4, "inodes in a group"),
    number(0x2c, 4, "time of the last mount"),
    number(0x30, 4, "time of the last write"),
    number(0x34, 2, "mounts since the last check"),
    number(0x36, 2, "mounts until the next check"),
    field(0x38, 2, "magic number", Form::Hex),
    number(0x3a, 2, "state"),
    number(0x3c, 2, "what to do on errors"),
    number(0x3e, 2, "minor revision"),
    number(0x40, 4, "time of the last check"),
    number(0x44, 4, "time between checks"),
    number(0x48, 4, "creator's system"),
    number(0x4c, 4, "revision"),
    number(0x50, 2, "user of reserved blocks"),
    number(0x52, 2, "group of reserved blocks"),
    number(0x54, 4, "first inode"),
    number(0x58, 2, "size of an inode"),
    number(0x5a, 2, "group of this superblock"),
    field(0x5c, 4, "compatible features", Form::Compat),
    field(0x60, 4, "incompatible features", Form::Incompat),
    field(0x64, 4, "read-only compatible features", Form::ReadOnly),
    field(0x68, 16, "UUID", Form::Uuid),
    field(0x78, 16, "volume label", Form::Text),
    field(0x88, 64, "directory of the last mount", Form::Text),
    number(0xc8, 4, "compression"),
    number(0xcc, 1, "preallocation"),
    number(0xcd, 1, "preallocation for directories"),
    number(0xce, 2, "reserved group descriptor blocks"),
    field(0xd0, 16, "UUID of the journal", Form::Uuid),
    number(0xe0, 4, "inode of the journal"),
    number(0xe4, 4, "device of the journal"),
    number(0xe8, 4, "first orphaned inode"),
    field(0xec, 16, "hash seed of directories", Form::Uuid),
    number(0xfc, 1, "hash of directories"),
    number(0xfd, 1, "kind of journal backup"),
    number(0xfe, 2, "size of a group descriptor"),
    field(0x100, 4, "default mount options", Form::Hex),
    number(0x104, 4, "first meta block group"),
    number(0x108, 4, "time of making"),
    field(0x10c, 68, "copy of the journal's inode", Form::Hex),
    number(0x150, 4, "number of blocks (high)"),
    number(0x154, 4, "reserved blocks (high)"),
    number(0x158, 4, "free blocks (high)"),
    number(0x15c, 2, "least extra bytes of inodes"),
    number(0x15e, 2, "wanted extra bytes of inodes"),
    field(0x160, 4, "flags", Form::Hex),
    number(0x164, 2, "RAID stride"),
    number(0x166, 2, "time between checks for mounts elsewhere"),
    number(0x168, 8, "block against mounts elsewhere"),
    number(0x170, 4, "RAID stripe width"),
    number(0x174, 1, "size of a flexible group (as a power of two)"),
    number(0x175, 1, "kind of checksum"),
    number(0x178, 8, "bytes written in its life"),
    number(0x194, 4, "number of errors"),
    field(0x200, 64, "mount options", Form::Text),
    number(0x24c, 8, "groups with copies"),
    field(0x258, 4, "encryption", Form::Hex),
    number(0x268, 4, "inode of lost+found"),
    field(0x270, 4, "seed of checksums", Form::Hex),
    number(0x274, 1, "time of the last write (high)"),
    number(0x276, 1, "time of making (high)"),
    number(0x277, 1, "time of the last check (high)"),
    number(0x280, 4, "orphan file"),
    field(0x3fc, 4, "checksum", Form::Hex),
];

/// Fields of an inode.
pub(super) const INODE: &[Field] = &[
    field(0x00, 2, "mode", Form::Hex),
    number(0x02, 2, "owner"),
    number(0x04, 4, "size"),
    number(0x08, 4, "atime"),
    number(0x0c, 4, "ctime"),
    number(0x10, 4, "mtime"),
    number(0x14, 4, "time of removal"),
    number(0x18, 2, "group"),
    number(0x1a, 2, "number of links"),
    number(0x1c, 4, "number of sectors"),
    field(0x20, 4, "flags", Form::Hex),
    number(0x24, 4, "version"),
    field(0x28, 60, "block map", Form::Hex),
    number(0x64, 4, "generation"),
    number(0x68, 4, "attribute block"),
    number(0x6c, 4, "size (high)"),
    number(0x74, 2, "number of sectors (high)"),
    number(0x76, 2, "attribute block (high)"),
    number(0x78, 2, "owner (high)"),
    number(0x7a, 2, "group (high)"),
    field(0x7c, 2, "checksum", Form::Hex),
    number(0x80, 2, "extra bytes"),
    field(0x82, 2, "checksum (high)", Form::Hex),
    field(0x84, 4, "ctime (extra)", Form::Hex),
    field(0x88, 4, "mtime (extra)", Form::Hex),
    field(0x8c, 4, "atime (extra)", Form::Hex),
    number(0x90, 4, "time of making"),
    field(0x94, 4, "time of making (extra)", Form::Hex),
    number(0x98, 4, "version (high)"),
    number(0x9c, 4, "project"),
];

/// Fields of a group descriptor.
pub(super) const DESCRIPTOR: &[Field] = &[
    number(0x00, 4, "block bitmap"),
    number(0x04, 4, "inode bitmap"),
    number(0x08, 4, "inode table"),
    number(0x0c, 2, "free blocks"),
    number(0x0e, 2, "free inodes"),
    number(0x10, 2, "directories"),
    field(0x12, 2, "flags", Form::Hex),
    number(0x14, 4, "snapshot"),
    field(0x18, 2, "checksum of the block bitmap", Form::Hex),
    field(0x1a, 2, "checksum of the inode bitmap", Form::Hex),
    number(0x1c, 2, "unused inodes"),
    field(0x1e, 2, "checksum", Form::Hex),
    number(0x20, 4, "block bitmap (high)"),
    number(0x24, 4, "inode bitmap (high)"),
    number(0x28, 4, "inode table (high)"),
    number(0x2c, 2, "free blocks (high)"),
    number(0x2e, 2, "free inodes (high)"),
    number(0x30, 2, "directories (high)"),
    number(0x32, 2, "unused inodes (high)"),
    number(0x34, 4, "snapshot (high)"),
    field(0x38, 2, "checksum of the block bitmap (high)", Form::Hex),
    field(0x3a, 2, "checksum of the inode bitmap (high)", Form::Hex),
];

/// The field at an offset, or where the next one begins.
pub(super) fn at(
    fields: &'static [Field],
    offset: usize,
    size: usize,
) -> Result<&'static Field, usize> {
    let found = fields.iter().find(|field| field.at + field.length > offset);
    match found {
        Some(field) if field.at <= offset => Ok(field),
        Some(field) => Err(field.at),
        None => Err(size),
    }
}

const COMPAT: &[(u32, &str)] = &[
    (0x1, "dir_prealloc"),
    (0x4, "has_journal"),
    (0x8, "ext_attr"),
    (0x10, "resize_inode"),
    (0x20, "dir_index"),
    (0x200, "sparse_super2"),
    (0x400, "fast_commit"),
    (0x800, "stable_inodes"),
    (0x1000, "orphan_file"),
];
const INCOMPAT: &[(u32, &str)] = &[
    (0x1, "compression"),
    (0x2, "filetype"),
    (0x4, "needs_recovery"),
    (0x8, "journal_dev"),
    (0x10, "meta_bg"),
    (0x40, "extent"),
    (0x80, "64bit"),
    (0x100, "mmp"),
    (0x200, "flex_bg"),
    (0x400, "ea_inode"),
    (0x1000, "dirdata"),
    (0x2000, "metadata_csum_seed"),
    (0x4000, "large_dir"),
    (0x8000, "inline_data"),
    (0x1_0000, "encrypt"),
    (0x2_0000, "casefold"),
];
const READ_ONLY: &[(u32, &str)] = &[
    (0x1, "sparse_super"),
    (0x2, "large_file"),
    (0x8, "huge_file"),
    (0x10, "uninit_bg"),
    (0x20, "dir_nlink"),
    (0x40, "extra_isize"),
    (0x100, "quota"),
    (0x200, "bigalloc"),
    (0x400, "metadata_csum"),
    (0x2000, "project"),
    (0x8000, "verity"),
    (0x1_0000, "orphan_present"),
];

/// The names of incompatible features, for a message.
pub(super) fn incompatible(flags: u32) -> String {
    names(flags, INCOMPAT)
}

fn names(flags: u32, known: &[(u32, &str)]) -> String {
    let mut words: Vec<String> = known
        .iter()
        .filter(|(bit, _)| flags & bit != 0)
        .map(|(_, name)| (*name).to_owned())
        .collect();
    let rest = known.iter().fold(flags, |rest, (bit, _)| rest & !bit);
    if rest != 0 {
        words.push(format!("{rest:#x}"));
    }
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}

impl Field {
    /// The value of the field in a structure, for a person.
    pub fn show(&self, structure: &[u8]) -> String {
        let bytes = structure.get(self.at..self.at + self.length).unwrap_or_default();
        let hex = || bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        match self.form {
            Form::Number => match bytes.len() {
                1 => u64::from(bytes[0]),
                2 => u64::from(le16(bytes, 0)),
                4 => u64::from(le32(bytes, 0)),
                _ => le64(bytes, 0),
            }
            .to_string(),
            Form::Hex if bytes.len() <= 4 => {
                let digits: String = bytes.iter().rev().map(|byte| format!("{byte:02x}")).collect();
                format!("0x{digits}")
            }
            Form::Hex => hex(),
            Form::Text => {
                let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
                format!("\"{}\"", bytes[..end].escape_ascii())
            }
            Form::Uuid => {
                let digits = hex();
                let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
                parts.map(|part| digits.get(part).unwrap_or_default()).join("-")
            }
            Form::Compat => names(le32(bytes, 0), COMPAT),
            Form::Incompat => names(le32(bytes, 0), INCOMPAT),
            Form::ReadOnly => names(le32(bytes, 0), READ_ONLY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_ascend_and_do_not_overlap() {
        for (fields, size) in [(SUPERBLOCK, 1024), (INODE, 160), (DESCRIPTOR, 64)] {
            let mut end = 0;
            for field in fields {
                assert!(field.at >= end, "{}", field.name);
                end = field.at + field.length;
            }
            assert!(end <= size);
        }
    }

    #[test]
    fn values_are_shown_as_people_write_them() {
        let mut bytes = vec![0; 1024];
        bytes[0x78..0x7b].copy_from_slice(b"lab");
        bytes[0x5c] = 0x24;
        let show = |offset| at(SUPERBLOCK, offset, 1024).map(|field| field.show(&bytes));
        assert_eq!(show(0x7f), Ok("\"lab\"".to_owned()));
        assert_eq!(show(0x5d), Ok("has_journal dir_index".to_owned()));
        assert_eq!(show(0x68), Ok("00000000-0000-0000-0000-000000000000".to_owned()));
        assert_eq!(show(0x3f8), Err(0x3fc));
    }
}
