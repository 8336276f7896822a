use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{Lock, PackageId, SuiteId};
use crate::{digest::Digest, recipe::Name};

/// What changed from one lock to another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LockDiff {
    /// Suites that are new or have moved on.
    pub suites: Vec<SuiteChange>,
    /// Sets with other packages, in the order of their names.
    pub sets: Vec<SetChange>,
    /// Images of containers that are other ones.
    pub images: Vec<ImageChange>,
    /// Expected files of images that are other ones.
    pub outputs: Vec<OutputChange>,
}

/// A suite that is new or has moved on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteChange {
    /// Which suite.
    pub suite: SuiteId,
    /// Its date before; none if it is new.
    pub before: Option<String>,
    /// Its date now.
    pub after: String,
}

/// A set that does not have the packages it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetChange {
    /// Which set.
    pub set: Name,
    /// Packages that were not there.
    pub added: Vec<PackageId>,
    /// Packages that are no longer there.
    pub removed: Vec<PackageId>,
    /// Packages of the same name in another version, before and now.
    pub changed: Vec<(PackageId, PackageId)>,
    /// Packages of the same version whose file is another one.
    pub rebuilt: Vec<PackageId>,
}

/// An image of a container that is new, gone, or another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageChange {
    /// The recipe.
    pub image: Name,
    /// The manifest before.
    pub before: Option<Digest>,
    /// The manifest now.
    pub after: Option<Digest>,
}

/// An expected file of an image that is new, gone, or another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputChange {
    /// Which image.
    pub image: Name,
    /// The name of the file.
    pub file: String,
    /// What it was.
    pub before: Option<Digest>,
    /// What it is now.
    pub after: Option<Digest>,
}

/// What changed from `old` to `new`.
pub fn diff(old: &Lock, new: &Lock) -> LockDiff {
    let suites = new.suites.iter().filter_map(|(id, suite)| {
        let before = old.suites.get(id);
        let moved = before.is_none_or(|before| before.inrelease != suite.inrelease);
        let before = before.map(|before| before.date.clone());
        let change = SuiteChange { suite: id.clone(), before, after: suite.date.clone() };
        moved.then_some(change)
    });
    let names: BTreeSet<&Name> = old.sets.keys().chain(new.sets.keys()).collect();
    let sets = names.into_iter().filter_map(|name| set(name, old, new));
    LockDiff {
        suites: suites.collect(),
        sets: sets.collect(),
        images: images(old, new),
        outputs: outputs(old, new),
    }
}

fn images(old: &Lock, new: &Lock) -> Vec<ImageChange> {
    let names: BTreeSet<&Name> = old.images.keys().chain(new.images.keys()).collect();
    let manifest = |lock: &Lock, name| lock.images.get(name).map(|image| image.manifest.sha256);
    let changes = names.into_iter().filter_map(|name| {
        let (before, after) = (manifest(old, name), manifest(new, name));
        (before != after).then(|| ImageChange { image: name.clone(), before, after })
    });
    changes.collect()
}

fn outputs(old: &Lock, new: &Lock) -> Vec<OutputChange> {
    let files = |lock: &Lock| -> BTreeMap<(Name, String), Digest> {
        let images = lock.outputs.iter();
        let files = images.flat_map(|(image, files)| {
            files.iter().map(|(file, digest)| ((image.clone(), file.clone()), *digest))
        });
        files.collect()
    };
    let (before, after) = (files(old), files(new));
    let names: BTreeSet<&(Name, String)> = before.keys().chain(after.keys()).collect();
    let changes = names.into_iter().filter_map(|name| {
        let (before, after) = (before.get(name).copied(), after.get(name).copied());
        let (image, file) = name.clone();
        let change = OutputChange { image, file, before, after };
        (before != after).then_some(change)
    });
    changes.collect()
}

fn set(name: &Name, old: &Lock, new: &Lock) -> Option<SetChange> {
    let packages =
        |lock: &Lock| lock.sets.get(name).map(|set| set.packages.clone()).unwrap_or_default();
    let (before, after) = (packages(old), packages(new));
    let gone: BTreeSet<&PackageId> = before.difference(&after).collect();
    let mut replaced: BTreeMap<&str, &PackageId> =
        gone.iter().map(|id| (id.name.as_str(), *id)).collect();
    let (mut added, mut changed) = (Vec::new(), Vec::new());
    for id in after.difference(&before) {
        match replaced.remove(id.name.as_str()) {
            Some(old) => changed.push((old.clone(), id.clone())),
            None => added.push(id.clone()),
        }
    }
    let other = |id: &&PackageId| {
        let digest = |lock: &Lock| lock.packages.get(*id).map(|package| package.sha256);
        digest(old) != digest(new)
    };
    let rebuilt: Vec<PackageId> = before.intersection(&after).filter(other).cloned().collect();
    let kept: BTreeSet<&PackageId> = changed.iter().map(|(old, _)| old).collect();
    let removed: Vec<PackageId> = gone.difference(&kept).map(|id| (*id).clone()).collect();
    let same = added.is_empty() && removed.is_empty() && changed.is_empty() && rebuilt.is_empty();
    (!same).then(|| SetChange { set: name.clone(), added, removed, changed, rebuilt })
}

impl LockDiff {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.suites.is_empty()
            && self.sets.is_empty()
            && self.images.is_empty()
            && self.outputs.is_empty()
    }
}

impl fmt::Display for LockDiff {
    /// Lines for a person, as a package manager would say it; empty if nothing changed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.suites.iter().try_for_each(|suite| writeln!(f, "{suite}"))?;
        self.sets.iter().try_for_each(|set| writeln!(f, "{set}"))?;
        self.images.iter().try_for_each(|image| writeln!(f, "{image}"))?;
        self.outputs.iter().try_for_each(|output| writeln!(f, "{output}"))
    }
}

impl fmt::Display for SuiteChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SuiteId { archive, suite, architecture } = &self.suite;
        let before = self.before.as_deref().unwrap_or("new");
        write!(f, "{archive} {suite} ({architecture}): {before} -> {}", self.after)
    }
}

impl fmt::Display for ImageChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} -> {}", self.image, word(self.before, "new"), word(self.after, "gone"))
    }
}

impl fmt::Display for OutputChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (word(self.before, "new"), word(self.after, "gone"));
        write!(f, "{} {}: {before} -> {after}", self.image, self.file)
    }
}

fn word(digest: Option<Digest>, other: &str) -> String {
    digest.map_or_else(|| other.to_owned(), |digest| digest.short())
}

impl fmt::Display for SetChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { set, added, removed, changed, rebuilt } = self;
        let counts = [
            (added.len(), "added"),
            (removed.len(), "removed"),
            (changed.len(), "changed"),
            (rebuilt.len(), "rebuilt"),
        ];
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
        write!(f, "{set}: {}", counts.join(", "))?;
        for PackageId { name, version, .. } in added {
            write!(f, "\n  + {name} {version}")?;
        }
        for PackageId { name, version, .. } in removed {
            write!(f, "\n  - {name} {version}")?;
        }
        for (old, new) in changed {
            write!(f, "\n  ~ {} {} -> {}", old.name, old.version, new.version)?;
        }
        rebuilt
            .iter()
            .try_for_each(|id| write!(f, "\n  ! {} {} is another file", id.name, id.version))
    }
}
