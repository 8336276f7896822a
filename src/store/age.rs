//! When each object was last of use.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    os::unix::fs::MetadataExt,
    time::{Duration, SystemTime},
};

use fs_err as fs;

use super::{Error, Kind, Object, Store};
use crate::digest::Digest;

/// A use is noted only if the last one that was is longer ago: whoever collects asks for days.
const NOTED_EVERY: Duration = Duration::from_secs(3600);

/// When objects were last of use, by kind and digest. Those that are gone since are not in it.
pub(super) type Ages = BTreeMap<(Kind, Digest), SystemTime>;

/// When something about a file last changed: it was made, linked into a sandbox, or its use was noted. Nobody sets that
/// time, while the time of last modification is the same for every object.
pub(super) fn changed(meta: &std::fs::Metadata) -> SystemTime {
    let since = Duration::new(
        u64::try_from(meta.ctime()).unwrap_or_default(),
        u32::try_from(meta.ctime_nsec()).unwrap_or_default(),
    );
    SystemTime::UNIX_EPOCH + since
}

impl Store {
    /// Notes that the output of `key` was of use, for a collection that spares what is young. Costs a look at the record.
    pub fn note_use(&self, key: &Digest) -> Result<(), Error> {
        let place = self.place("realisations", key);
        let note = || -> io::Result<()> {
            let now = SystemTime::now();
            let last = changed(&fs::metadata(&place)?);
            if now.duration_since(last).is_ok_and(|ago| ago > NOTED_EVERY) {
                fs::File::open(&place)?.file().set_modified(now)?;
            }
            Ok(())
        };
        match note() {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// When each of `objects` was last of use.
    ///
    /// Nothing is older than what cannot be without it: what a record came to is as young as the record, a blob as young as
    /// the trees that have it, and a record as young as the records of what was made from its output, since the keys of
    /// these follow from it. So whoever removes the oldest first leaves a store that is whole at every moment.
    pub(super) fn ages(&self, objects: &[Object]) -> Result<Ages, Error> {
        let mut ages = Ages::new();
        for Object { kind, digest, .. } in objects {
            // It may go while we look.
            if let Ok(meta) = fs::symlink_metadata(self.place(kind.room(), digest)) {
                ages.insert((*kind, *digest), changed(&meta));
            }
        }
        self.age_records(&mut ages)?;
        let trees: Vec<(Digest, SystemTime)> = of_kind(&ages, Kind::Tree).collect();
        for (tree, used) in trees {
            let Some(manifest) = self.whole_tree(&tree)? else { continue };
            for content in manifest.contents() {
                rejuvenate(&mut ages, Kind::Blob, content.digest, used);
                rejuvenate(&mut ages, Kind::Program, content.digest, used);
            }
        }
        Ok(ages)
    }

    fn age_records(&self, ages: &mut Ages) -> Result<(), Error> {
        let mut records = BTreeMap::new();
        let mut makers: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
        for (key, used) in of_kind(ages, Kind::Realisation).collect::<Vec<_>>() {
            if let Some(record) = self.realisation(&key)? {
                rejuvenate(ages, Kind::Tree, record.output, used);
                makers.entry(record.output).or_default().insert(key);
                records.insert(key, record);
            }
        }
        // From the youngest down: each record is passed on once, at the age that it keeps.
        let mut open: BTreeSet<(SystemTime, Digest)> =
            of_kind(ages, Kind::Realisation).map(|(key, used)| (used, key)).collect();
        let mut done = BTreeSet::new();
        while let Some((used, key)) = open.pop_last() {
            if !done.insert(key) {
                continue;
            }
            rejuvenate(ages, Kind::Log, key, used);
            let Some(record) = records.get(&key) else { continue };
            for statement in &record.vouched {
                rejuvenate(ages, Kind::Statement, *statement, used);
            }
            for below in record.inputs.iter().filter_map(|input| makers.get(input)).flatten() {
                rejuvenate(ages, Kind::Realisation, *below, used);
                open.insert((used, *below));
            }
        }
        Ok(())
    }
}

fn of_kind(ages: &Ages, kind: Kind) -> impl Iterator<Item = (Digest, SystemTime)> {
    ages.iter().filter(move |((of, _), _)| *of == kind).map(|((_, digest), used)| (*digest, *used))
}

fn rejuvenate(ages: &mut Ages, kind: Kind, digest: Digest, used: SystemTime) {
    if let Some(age) = ages.get_mut(&(kind, digest)) {
        *age = used.max(*age);
    }
}
