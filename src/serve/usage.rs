use std::{
    collections::BTreeMap,
    fs::{File, Metadata},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::{
    fs::{XattrFlags, fsetxattr, getxattr},
    io::Errno,
};
use walkdir::WalkDir;

use super::{config::Quota, metrics::Kind};
use crate::{cache::Item, remote::Name};

/// The extended attribute that says whose token brought a file.
const OWNER: &str = "user.vsbuild.by";
/// The longest name of a token that is read back.
const LONGEST_OWNER: usize = 255;

/// How much is kept, and how much of it is whose.
#[derive(Debug)]
pub(super) struct Usage {
    quota: Quota,
    kept: Mutex<Kept>,
    /// Held by who makes a file appear or go, so that what is counted is what is there.
    gate: Mutex<()>,
}

/// What is there, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) bytes: u64,
    pub(super) kinds: BTreeMap<Kind, Count>,
    owners: BTreeMap<String, u64>,
    /// What is on its way, by the token that brings it.
    coming: BTreeMap<String, u64>,
}

/// Files of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

/// Room for something that is on its way. Dropped, it is given back.
#[derive(Debug)]
pub(super) struct Room {
    usage: Arc<Usage>,
    owner: String,
    bytes: u64,
}

/// There is not so much room. It says whose quota it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full(pub(super) String);

impl Usage {
    pub(super) fn new(quota: Quota) -> Arc<Self> {
        Arc::new(Self { quota, kept: Mutex::default(), gate: Mutex::default() })
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be held while a file appears or goes.
    pub(super) fn gate(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what is there. Nothing appears or goes meanwhile.
    pub(super) fn count(&self, dir: &Path) {
        let _gate = self.gate();
        let mut found = Kept::default();
        for (item, path, meta) in files(dir, dir) {
            found.add(Kind::of(&item), meta.len(), &owner(&path));
        }
        let mut kept = self.kept();
        found.coming = std::mem::take(&mut kept.coming);
        *kept = found;
    }

    /// Room for something that a token brings.
    pub(super) fn room(self: &Arc<Self>, owner: &str, bytes: u64) -> Result<Room, Full> {
        let mut room = Room { usage: self.clone(), owner: owner.to_owned(), bytes: 0 };
        room.reach(bytes)?;
        Ok(room)
    }

    /// Something is gone. The gate is held.
    pub(super) fn lost(&self, kind: Kind, bytes: u64, owner: &str) {
        self.kept().remove(kind, bytes, owner);
    }
}

impl Room {
    /// Makes it at least so large.
    pub(super) fn reach(&mut self, bytes: u64) -> Result<(), Full> {
        let more = bytes.saturating_sub(self.bytes);
        let mut kept = self.usage.kept();
        let coming: u64 = kept.coming.values().sum();
        let over = |used: u64, quota: Option<u64>| {
            quota.is_some_and(|quota| used.saturating_add(more) > quota)
        };
        if more > 0 && over(kept.bytes.saturating_add(coming), self.usage.quota.total.map(|s| s.0))
        {
            return Err(Full("the quota of this cache is used up".to_owned()));
        }
        let theirs = |map: &BTreeMap<String, u64>| map.get(&self.owner).copied().unwrap_or(0);
        let used = theirs(&kept.owners).saturating_add(theirs(&kept.coming));
        if more > 0 && over(used, self.usage.quota.of(&self.owner)) {
            return Err(Full(format!("the quota of the token {} is used up", self.owner)));
        }
        *kept.coming.entry(self.owner.clone()).or_default() += more;
        self.bytes += more;
        Ok(())
    }

    /// What the room was for is here, in place of something else perhaps. The gate is held.
    pub(super) fn keep(self, kind: Kind, bytes: u64, replaced: Option<(u64, String)>) {
        let mut kept = self.usage.kept();
        if let Some((bytes, owner)) = replaced {
            kept.remove(kind, bytes, &owner);
        }
        kept.add(kind, bytes, &self.owner);
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut kept = self.usage.kept();
        if let Some(coming) = kept.coming.get_mut(&self.owner) {
            *coming = coming.saturating_sub(self.bytes);
        }
    }
}

impl Kept {
    fn add(&mut self, kind: Kind, bytes: u64, owner: &str) {
        self.bytes += bytes;
        let count = self.kinds.entry(kind).or_default();
        count.files += 1;
        count.bytes += bytes;
        *self.owners.entry(owner.to_owned()).or_default() += bytes;
    }

    fn remove(&mut self, kind: Kind, bytes: u64, owner: &str) {
        self.bytes = self.bytes.saturating_sub(bytes);
        let count = self.kinds.entry(kind).or_default();
        count.files = count.files.saturating_sub(1);
        count.bytes = count.bytes.saturating_sub(bytes);
        if let Some(used) = self.owners.get_mut(owner) {
            *used = used.saturating_sub(bytes);
        }
    }
}

/// Writes down whose token brings a file.
pub(super) fn own(file: &File, owner: &str) -> Result<(), Errno> {
    fsetxattr(file, OWNER, owner.as_bytes(), XattrFlags::empty())
}

/// Whose token brought a file; `-` if nobody's.
pub(super) fn owner(path: &Path) -> String {
    let mut name = [0; LONGEST_OWNER];
    let length = getxattr(path, OWNER, &mut name[..]).unwrap_or(0);
    String::from_utf8(name[..length].to_vec())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or("-".to_owned())
}

/// All files of a cache below a place in it, in the order of their paths.
pub(super) fn files(
    dir: &Path,
    below: &Path,
) -> impl Iterator<Item = (Item, std::path::PathBuf, Metadata)> {
    let dir = dir.to_owned();
    // What goes while we look is not there.
    let entries = WalkDir::new(below).sort_by_file_name().into_iter().filter_map(Result::ok);
    entries.filter_map(move |entry| {
        let relative = entry.path().strip_prefix(&dir).ok()?.to_str()?;
        let item = Item::of(&relative.parse::<Name>().ok()?)?;
        let meta = entry.metadata().ok().filter(Metadata::is_file)?;
        Some((item, entry.into_path(), meta))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::Size;

    #[test]
    fn room_is_given_up_to_the_quota_and_comes_back() {
        let quota = Quota {
            total: Some(Size(100)),
            token: Some(Size(60)),
            tokens: [("ci".to_owned(), Size(90))].into(),
        };
        let usage = Usage::new(quota);
        let ann = usage.room("ann", 60).unwrap();
        assert!(usage.room("ann", 1).unwrap_err().0.contains("ann"));
        assert!(usage.room("ann", 0).is_ok());
        let mut ci = usage.room("ci", 10).unwrap();
        assert!(ci.reach(41).unwrap_err().0.contains("this cache"));
        drop(ann);
        ci.reach(90).unwrap();
        assert!(ci.reach(91).unwrap_err().0.contains("ci"));
        ci.keep(Kind::Packs, 50, None);
        assert_eq!(usage.kept().bytes, 50);
        let other = usage.room("ci", 40).unwrap();
        assert!(usage.room("ci", 1).is_err());
        other.keep(Kind::Packs, 20, Some((50, "ci".to_owned())));
        assert_eq!(usage.kept().kinds[&Kind::Packs], Count { files: 1, bytes: 20 });
        usage.lost(Kind::Packs, 20, "ci");
        assert!(usage.room("ci", 90).is_ok());
    }
}
