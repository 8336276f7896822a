//! What the world was: lockfile.toml, every outside input by digest.
//!
//! A [`Lock`] holds no host's name: an archive and a path in it, a size and a digest say what a package is, and the
//! user's configuration says which server has it.

mod cover;
mod diff;
mod file;
mod id;
mod image;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use cover::{NotCovered, Stale, cover, stale, stale_image};
pub use diff::{ImageChange, LockDiff, OutputChange, SetChange, SuiteChange, diff};
pub use file::{BadLock, VERSION};
pub use id::{NotAPackage, PackageId};
pub use image::{LockedBlob, LockedImage};

use crate::{
    digest::Digest,
    recipe::{Architecture, Name, Suite},
};

/// All that a lockfile says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lock {
    /// The suites as they were when the packages were chosen. For people and scanners; builds do not need them.
    pub suites: BTreeMap<SuiteId, LockedSuite>,
    /// What each set of packages became.
    pub sets: BTreeMap<Name, LockedSet>,
    /// Every package of the sets.
    pub packages: BTreeMap<PackageId, LockedPackage>,
    /// What each image of a container became that a registry holds.
    pub images: BTreeMap<Name, LockedImage>,
    /// The files that an image is expected to have, with their digests.
    pub outputs: BTreeMap<Name, BTreeMap<String, Digest>>,
}

impl Lock {
    /// What this lock says about `names` alone: sets with their packages and the suites they were asked from, and images
    /// of containers.
    pub fn only(&self, names: &BTreeSet<Name>) -> Self {
        let kept = self.sets.iter().filter(|(name, _)| names.contains(*name));
        let sets: BTreeMap<Name, LockedSet> =
            kept.map(|(name, set)| (name.clone(), set.clone())).collect();
        let used: BTreeSet<&PackageId> = sets.values().flat_map(|set| &set.packages).collect();
        let asked = |id: &SuiteId| {
            sets.values().any(|set| {
                let named = |suite: &Suite| suite.archive == id.archive && suite.suite == id.suite;
                set.architecture == id.architecture && set.suites.iter().any(named)
            })
        };
        let suites = self.suites.iter().filter(|(id, _)| asked(id));
        let suites = suites.map(|(id, suite)| (id.clone(), suite.clone())).collect();
        let packages = self.packages.iter().filter(|(id, _)| used.contains(id));
        let packages = packages.map(|(id, package)| (id.clone(), package.clone())).collect();
        let images = self.images.iter().filter(|(name, _)| names.contains(*name));
        let images = images.map(|(name, image)| (name.clone(), image.clone())).collect();
        Self { suites, sets, packages, images, outputs: BTreeMap::new() }
    }
}

/// Which suite, for which machines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SuiteId {
    /// The archive's name, `debian`.
    pub archive: String,
    /// `bookworm`.
    pub suite: String,
    /// For which machines.
    pub architecture: Architecture,
}

/// A suite at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedSuite {
    /// The components that were read.
    pub components: BTreeSet<String>,
    /// The `Date` field of the InRelease file, as it stands there.
    pub date: String,
    /// The digest of the InRelease file.
    pub inrelease: Digest,
}

/// A set of packages: the question and the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedSet {
    /// For which machines it was asked.
    pub architecture: Architecture,
    /// From which suites, in the order of preference.
    pub suites: Vec<Suite>,
    /// What was asked for.
    pub include: BTreeSet<String>,
    /// What that came to, dependencies included. All of them are in [`Lock::packages`].
    pub packages: BTreeSet<PackageId>,
}

/// One package file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedPackage {
    /// The archive that holds it.
    pub archive: String,
    /// Where in the archive: relative, without `.` and `..`.
    pub path: String,
    /// Length in bytes.
    pub size: u64,
    /// Digest of all bytes.
    pub sha256: Digest,
}
