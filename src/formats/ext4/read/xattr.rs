//! Extended attributes: in the inode, in a block, or with a value in an inode of its own
//! (Documentation/filesystems/ext4, "Extended Attributes").

use std::{collections::BTreeMap, io::Read};

use super::{
    super::super::source::{le16, le32},
    FileSystem, ReadError, damaged,
    inode::Inode,
};

/// The attribute that is no attribute: the second part of data in an inode.
pub(super) const INLINE: &[u8] = b"system.data";
const MAGIC: u32 = 0xea02_0000;
/// The most bytes of a value, as Linux has it.
const VALUE_MAX: u32 = 65536;

/// Attributes by full name, with values as `getxattr` gives them.
pub(super) type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

impl FileSystem<'_> {
    /// All attributes of an inode, with [`INLINE`] if there is one.
    pub(super) fn xattrs(&self, inode: &Inode) -> Result<Xattrs, ReadError> {
        let mut found = Xattrs::new();
        if le32(&inode.rest, 0) == MAGIC {
            // Values are counted from the first entry here.
            let area = inode.rest.get(4..).unwrap_or_default();
            self.entries(inode, area, area, &mut found)?;
        }
        if inode.xattr_block != 0 {
            let block = self.block(inode.xattr_block)?;
            if le32(&block, 0) != MAGIC {
                return Err(damaged(inode.number, "its block of attributes is none"));
            }
            self.entries(inode, block.get(32..).unwrap_or_default(), &block, &mut found)?;
        }
        Ok(found)
    }

    fn entries(
        &self,
        inode: &Inode,
        mut rest: &[u8],
        area: &[u8],
        found: &mut Xattrs,
    ) -> Result<(), ReadError> {
        let bad = || damaged(inode.number, "it has an attribute that is none");
        while le32(rest, 0) != 0 {
            let length = usize::from(rest[0]);
            let name = rest.get(16..16 + length).ok_or_else(bad)?;
            let (prefix, offset) = (rest[1], usize::from(le16(rest, 2)));
            let (holder, size) = (le32(rest, 4), le32(rest, 8));
            if size > VALUE_MAX {
                return Err(bad());
            }
            let value = if holder != 0 {
                self.value(inode, holder, size)?
            } else if size == 0 {
                Vec::new()
            } else {
                area.get(offset..offset + size as usize).ok_or_else(bad)?.to_vec()
            };
            let (name, value) = (full_name(prefix, name).ok_or_else(bad)?, value);
            let value = if [2, 3].contains(&prefix) { acl(&value).ok_or_else(bad)? } else { value };
            found.insert(name.into(), value.into());
            rest = rest.get((16 + length).next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(())
    }

    /// A value in an inode of its own.
    fn value(&self, inode: &Inode, holder: u32, size: u32) -> Result<Vec<u8>, ReadError> {
        let bad = || damaged(inode.number, "an attribute's value is no inode");
        let holder = self.inode(holder)?;
        if holder.is_inline() || holder.is_directory() || holder.size != u64::from(size) {
            return Err(bad());
        }
        let mut value = Vec::new();
        self.reader(&holder)?.read_to_end(&mut value)?;
        Ok(value)
    }
}

fn full_name(prefix: u8, name: &[u8]) -> Option<Vec<u8>> {
    let prefix: &[u8] = match prefix {
        0 => b"",
        1 => b"user.",
        2 => b"system.posix_acl_access",
        3 => b"system.posix_acl_default",
        4 => b"trusted.",
        6 => b"security.",
        7 => b"system.",
        8 => b"system.richacl",
        _ => return None,
    };
    let name = [prefix, name].concat();
    (!name.is_empty() && !name.contains(&0)).then_some(name)
}

/// A POSIX access control list as the kernel gives it: the writer's `acl` the other way round.
fn acl(stored: &[u8]) -> Option<Vec<u8>> {
    const NO_ID: [u8; 4] = [0xff; 4];
    let mut rest = stored.strip_prefix(&1_u32.to_le_bytes())?;
    let mut value = 2_u32.to_le_bytes().to_vec();
    while !rest.is_empty() {
        let tag = le16(rest, 0);
        let length = if [0x02, 0x08].contains(&tag) { 8 } else { 4 };
        value.extend(rest.get(..length)?);
        if length == 4 {
            value.extend(NO_ID);
        }
        rest = &rest[length..];
    }
    Some(value)
}
