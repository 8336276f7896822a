use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, Metadata},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rustix::{
    fs::{XattrFlags, fsetxattr, getxattr},
    io::Errno,
};
use walkdir::WalkDir;

use super::{config::Quota, metrics::Kind};
use crate::{
    cache::Item,
    remote::{Name, is_absence},
};

/// The extended attribute that says whose token brought a file.
const OWNER: &str = "user.vsbuild.by";
/// The longest name of a token that is read back.
const LONGEST_OWNER: usize = 255;

/// How much is kept, and how much of it is whose.
#[derive(Debug)]
pub(super) struct Usage {
    quota: Quota,
    books: Mutex<Books>,
    /// Held by who makes a file appear or go, so that what is counted is what is there.
    gate: Mutex<()>,
    /// Held by who counts anew.
    counting: Mutex<()>,
}

#[derive(Debug, Default)]
struct Books {
    kept: Kept,
    /// What is on its way, by the token that brings it.
    coming: BTreeMap<String, u64>,
    /// What is counted anew just now.
    anew: Option<Anew>,
}

/// What is there, counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) bytes: u64,
    pub(super) kinds: BTreeMap<Kind, Count>,
    owners: BTreeMap<String, u64>,
}

/// A count that is not done yet.
#[derive(Debug, Default)]
struct Anew {
    found: Kept,
    /// The shelves that are not in `found` yet.
    ahead: BTreeSet<String>,
    /// Those of them on which a file appeared or went since they were last looked at.
    changed: BTreeSet<String>,
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
        Arc::new(Self {
            quota,
            books: Mutex::default(),
            gate: Mutex::default(),
            counting: Mutex::default(),
        })
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    pub(super) fn kept(&self) -> Kept {
        self.books().kept.clone()
    }

    /// To be held while a file appears or goes.
    pub(super) fn gate(&self) -> MutexGuard<'_, ()> {
        lock(&self.gate)
    }

    /// Counts what is there. Files may appear and go meanwhile: the gate is open while a disk is waited for.
    pub(super) fn count(&self, dir: &Path) {
        self.count_shelves(dir, |_| ());
    }

    /// Counts shelf by shelf. `looked` is told of each that was looked at and is not in the books yet.
    fn count_shelves(&self, dir: &Path, mut looked: impl FnMut(&str)) {
        let _counting = lock(&self.counting);
        let ahead = {
            let _gate = self.gate();
            let ahead = shelves(dir);
            self.books().anew = Some(Anew { ahead: ahead.clone(), ..Anew::default() });
            ahead
        };
        for shelf in ahead {
            self.books().anew.as_mut().map(|anew| anew.changed.remove(&shelf));
            let mut there = on_shelf(dir, &shelf);
            looked(&shelf);
            let _gate = self.gate();
            if self.books().anew.as_ref().is_some_and(|anew| anew.changed.contains(&shelf)) {
                // Rarely so, and quickly done the second time.
                there = on_shelf(dir, &shelf);
            }
            if let Some(anew) = &mut self.books().anew {
                for (kind, bytes, owner) in &there {
                    anew.found.add(*kind, *bytes, owner);
                }
                anew.ahead.remove(&shelf);
            }
        }
        let _gate = self.gate();
        let mut books = self.books();
        if let Some(anew) = books.anew.take() {
            books.kept = anew.found;
        }
    }

    /// Room for something that a token brings.
    pub(super) fn room(self: &Arc<Self>, owner: &str, bytes: u64) -> Result<Room, Full> {
        let mut room = Room { usage: self.clone(), owner: owner.to_owned(), bytes: 0 };
        room.reach(bytes)?;
        Ok(room)
    }

    /// Something is gone. The gate is held.
    pub(super) fn lost(&self, item: &Item, bytes: u64, owner: &str) {
        self.books().change(item, |kept| kept.remove(Kind::of(item), bytes, owner));
    }
}

impl Room {
    /// Makes it at least so large.
    pub(super) fn reach(&mut self, bytes: u64) -> Result<(), Full> {
        let more = bytes.saturating_sub(self.bytes);
        let mut books = self.usage.books();
        let coming: u64 = books.coming.values().sum();
        let over = |used: u64, quota: Option<u64>| {
            quota.is_some_and(|quota| used.saturating_add(more) > quota)
        };
        let used = books.kept.bytes.saturating_add(coming);
        if more > 0 && over(used, self.usage.quota.total.map(|size| size.0)) {
            return Err(Full("the quota of this cache is used up".to_owned()));
        }
        let theirs = |map: &BTreeMap<String, u64>| map.get(&self.owner).copied().unwrap_or(0);
        let used = theirs(&books.kept.owners).saturating_add(theirs(&books.coming));
        if more > 0 && over(used, self.usage.quota.of(&self.owner)) {
            return Err(Full(format!("the quota of the token {} is used up", self.owner)));
        }
        *books.coming.entry(self.owner.clone()).or_default() += more;
        self.bytes += more;
        Ok(())
    }

    /// What the room was for is here, in place of something else perhaps. The gate is held.
    pub(super) fn keep(self, item: &Item, bytes: u64, replaced: Option<(u64, String)>) {
        let kind = Kind::of(item);
        self.usage.books().change(item, |kept| {
            if let Some((bytes, owner)) = &replaced {
                kept.remove(kind, *bytes, owner);
            }
            kept.add(kind, bytes, &self.owner);
        });
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut books = self.usage.books();
        if let Some(coming) = books.coming.get_mut(&self.owner) {
            *coming = coming.saturating_sub(self.bytes);
        }
    }
}

impl Books {
    /// Something appeared or went. What is counted anew and is past its shelf learns of it, too.
    fn change(&mut self, item: &Item, change: impl Fn(&mut Kept)) {
        change(&mut self.kept);
        let Some(anew) = &mut self.anew else { return };
        let shelf = shelf(item.name().as_str());
        if anew.ahead.contains(&shelf) {
            anew.changed.insert(shelf);
        } else {
            change(&mut anew.found);
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

/// What is counted in one go: `packs/ab` with all below, or the files right in `pins`.
fn shelf(name: &str) -> String {
    let deep = name.match_indices('/').nth(1);
    let first = || name.split('/').next().unwrap_or(name);
    deep.map_or_else(first, |(end, _)| &name[..end]).to_owned()
}

/// All shelves that are there.
fn shelves(dir: &Path) -> BTreeSet<String> {
    let entries = WalkDir::new(dir).min_depth(1).max_depth(2).into_iter().filter_map(Result::ok);
    let shelves = entries.filter(|entry| entry.depth() == 1 || entry.file_type().is_dir());
    let relative = shelves.filter_map(|entry| {
        let relative = entry.path().strip_prefix(dir).ok()?.to_str()?;
        relative.parse::<Name>().ok().map(|name| name.to_string())
    });
    relative.collect()
}

/// What is on a shelf, and whose. What cannot be looked at counts for nothing, until the next count.
fn on_shelf(dir: &Path, shelf: &str) -> Vec<(Kind, u64, String)> {
    let deep = shelf.contains('/');
    let walk = WalkDir::new(dir.join(shelf)).max_depth(if deep { usize::MAX } else { 1 });
    let found = found(dir, walk).filter_map(Result::ok);
    found.map(|(item, path, meta)| (Kind::of(&item), meta.len(), owner(&path))).collect()
}

/// All files of a cache below a place in it, in the order of their paths. What cannot be looked at is an error: a list without
/// it would say that it is not there.
pub(super) fn files(
    dir: &Path,
    below: &Path,
) -> impl Iterator<Item = io::Result<(Item, PathBuf, Metadata)>> {
    found(dir, WalkDir::new(below))
}

fn found(dir: &Path, walk: WalkDir) -> impl Iterator<Item = io::Result<(Item, PathBuf, Metadata)>> {
    let relative = |dir: &Path, path: &Path| -> Option<Name> {
        path.strip_prefix(dir).ok()?.to_str()?.parse().ok()
    };
    let (dir, top) = (dir.to_owned(), dir.to_owned());
    // Into what is no part of a cache, such as `lost+found`, nobody looks.
    let ours = move |entry: &walkdir::DirEntry| {
        entry.path() == top || relative(&top, entry.path()).is_some()
    };
    walk.sort_by_file_name().into_iter().filter_entry(ours).filter_map(move |entry| {
        let looked = entry.map_err(io::Error::from).and_then(|entry| {
            let meta = entry.metadata()?;
            Ok((entry.into_path(), meta))
        });
        match looked {
            Ok((path, meta)) => {
                let item = Item::of(&relative(&dir, &path)?)?;
                meta.is_file().then_some(Ok((item, path, meta)))
            }
            // What goes while we look is not there.
            Err(error) if is_absence(&error) => None,
            Err(error) => Some(Err(error)),
        }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::{digest::Digest, serve::Size};

    fn pack(text: &str) -> Item {
        Item::Pack(Digest::of(text))
    }

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
        ci.keep(&pack("one"), 50, None);
        assert_eq!(usage.kept().bytes, 50);
        let other = usage.room("ci", 40).unwrap();
        assert!(usage.room("ci", 1).is_err());
        other.keep(&pack("one"), 20, Some((50, "ci".to_owned())));
        assert_eq!(usage.kept().kinds[&Kind::Packs], Count { files: 1, bytes: 20 });
        usage.lost(&pack("one"), 20, "ci");
        assert!(usage.room("ci", 90).is_ok());
    }

    #[test]
    fn what_comes_and_goes_during_a_count_is_counted_once_and_waits_for_nobody() {
        let dir = TempDir::new().unwrap();
        let usage = Usage::new(Quota::default());
        let put = |item: &Item, length: usize| {
            let place = dir.path().join(item.name().as_str());
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, vec![0; length]).unwrap();
            usage.room("ann", 0).unwrap().keep(item, length as u64, None);
        };
        let drop_one = |item: &Item| {
            let place = dir.path().join(item.name().as_str());
            let length = std::fs::metadata(&place).unwrap().len();
            std::fs::remove_file(place).unwrap();
            usage.lost(item, length, "ann");
        };
        let first: Vec<Item> = (0..60).map(|seed| pack(&format!("first {seed}"))).collect();
        for (at, item) in first.iter().enumerate() {
            put(item, at + 1);
        }
        put(&Item::Format, 16);
        put(&Item::pin("paper").unwrap(), 9);
        let before = usage.kept();
        let mut looked = 0;
        usage.count_shelves(dir.path(), |at| {
            // Who holds the gate waits for no disk.
            let _gate = usage.gate.try_lock().unwrap();
            // On this shelf, on those before and after it, and on new ones.
            put(&pack(&format!("second {looked}")), 100);
            put(&Item::pin(&format!("pin-{looked}")).unwrap(), 7);
            let here = first.iter().find(|item| shelf(item.name().as_str()) == at);
            here.inspect(|item| drop_one(item));
            looked += 1;
        });
        let kept = usage.kept();
        assert!(looked > 40 && kept != before, "{looked} {before:?}");
        usage.count(dir.path());
        let again = usage.kept();
        assert_eq!((kept.bytes, kept.kinds), (again.bytes, again.kinds));
    }

    #[test]
    fn shelves_are_what_names_say() {
        for (name, of) in [
            ("format", "format"),
            ("pins/paper", "pins"),
            ("packs/ab/abc", "packs/ab"),
            ("statements/ab/abc/def", "statements/ab"),
        ] {
            assert_eq!(shelf(name), of);
        }
    }
}
