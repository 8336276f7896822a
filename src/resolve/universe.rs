use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    formats::deb::{
        MultiArch,
        index::Entry,
        relation::{Constraint, Operator, Relation, Version},
    },
    lock::{LockedPackage, LockedSuite, PackageId, SuiteId},
    recipe::Architecture,
};

/// All packages that may be chosen for one kind of machine: what the indexes of some suites say together.
#[derive(Debug, Clone)]
pub struct Universe {
    architecture: Architecture,
    suites: BTreeMap<SuiteId, LockedSuite>,
    packages: Vec<Package>,
    by_name: BTreeMap<Box<str>, Vec<Index>>,
    providers: BTreeMap<Box<str>, Vec<(Index, Option<Version>)>>,
}

/// A package by its place in [`Universe::packages`].
pub(super) type Index = usize;

#[derive(Debug, Clone)]
struct Package {
    archive: Arc<str>,
    /// Shared with other universes that read the same index.
    index: Arc<[Entry]>,
    at: usize,
}

/// Some versions of the packages with one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Versions {
    pub(super) name: Box<str>,
    /// In ascending order.
    pub(super) admitted: Vec<Index>,
    /// How they were asked for, for people.
    pub(super) text: Box<str>,
}

impl Universe {
    /// What these indexes offer to machines of this architecture: for each, the archive that it is an index of.
    ///
    /// Of equal versions of a package the first counts; packages for other machines do not.
    pub fn new(
        architecture: Architecture,
        suites: BTreeMap<SuiteId, LockedSuite>,
        indexes: impl IntoIterator<Item = (Arc<str>, Arc<[Entry]>)>,
    ) -> Self {
        let mut universe = Self {
            architecture,
            suites,
            packages: Vec::new(),
            by_name: BTreeMap::new(),
            providers: BTreeMap::new(),
        };
        for (archive, index) in indexes {
            for (at, entry) in index.iter().enumerate() {
                if ["all", architecture.word()].contains(&entry.architecture.as_str()) {
                    universe.add(Package { archive: archive.clone(), index: index.clone(), at });
                }
            }
        }
        universe.sort();
        universe
    }

    /// For which machines.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// The suites as they were read.
    pub fn suites(&self) -> &BTreeMap<SuiteId, LockedSuite> {
        &self.suites
    }

    /// The names of all packages, real ones only, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(|name| &**name)
    }

    fn add(&mut self, package: Package) {
        let entry = package.entry();
        let here = self.by_name.entry(entry.package.as_str().into()).or_default();
        if here.iter().any(|&other| self.packages[other].entry().version == entry.version) {
            return;
        }
        let index = self.packages.len();
        here.push(index);
        for provided in entry.provides.iter().flatten() {
            let version = match &provided.constraint {
                Some(Constraint { operator: Operator::Equal, version }) => Some(version.clone()),
                Some(_) => continue,
                None => None,
            };
            self.providers.entry(provided.package.clone()).or_default().push((index, version));
        }
        self.packages.push(package);
    }

    /// Puts the newest version of each package first, and the providers of each virtual package in the order in which
    /// apt tries them: by priority, then by name.
    fn sort(&mut self) {
        let packages = &self.packages;
        let entry = |index: Index| packages[index].entry();
        for versions in self.by_name.values_mut() {
            versions.sort_by(|&one, &other| entry(other).version.cmp(&entry(one).version));
        }
        for providers in self.providers.values_mut() {
            providers.sort_by(|&(one, _), &(other, _)| {
                let (one, other) = (entry(one), entry(other));
                (!one.essential, one.priority, &one.package)
                    .cmp(&(!other.essential, other.priority, &other.package))
                    .then_with(|| other.version.cmp(&one.version))
            });
        }
    }

    pub(super) fn entry(&self, index: Index) -> &Entry {
        self.packages[index].entry()
    }

    /// All versions of the package with this name, the newest first.
    pub(super) fn versions(&self, name: &str) -> &[Index] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// What a chosen package is called in a lockfile, and what is written there.
    pub(super) fn locked(&self, index: Index) -> (PackageId, LockedPackage) {
        let package = &self.packages[index];
        let entry = package.entry();
        let locked = LockedPackage {
            archive: package.archive.to_string(),
            path: entry.filename.clone(),
            size: entry.size,
            sha256: entry.sha256,
        };
        (package_id(entry), locked)
    }

    /// The packages that provide `name`, in the order in which apt tries them.
    pub(super) fn providers(&self, name: &str) -> impl Iterator<Item = Index> {
        self.providers.get(name).into_iter().flatten().map(|&(index, _)| index)
    }

    /// The packages that a relation speaks of, by name: the real package of that name first, then the providers. Empty
    /// if there are none.
    pub(super) fn targets(&self, relation: &Relation) -> Vec<Versions> {
        let mut targets: Vec<Versions> = Vec::new();
        let real = self.versions(&relation.package).iter().copied().filter(|&index| {
            relation.admits(&self.entry(index).version) && self.qualifies(relation, index)
        });
        let text: Box<str> = relation.constraint.as_ref().map_or_else(String::new, text).into();
        for index in real {
            note(&mut targets, &relation.package, index, &text);
        }
        for (index, version) in self.providers.get(&relation.package).into_iter().flatten() {
            let admitted = match version {
                Some(version) => relation.admits(version),
                None => relation.constraint.is_none(),
            };
            if admitted && self.qualifies(relation, *index) {
                let text = format!("that provides {}", relation.package);
                note(&mut targets, &self.entry(*index).package, *index, &text);
            }
        }
        targets
    }

    /// Whether a package is of the architecture that a relation asks for. There is only one here, and packages for all
    /// machines count as of that one.
    fn qualifies(&self, relation: &Relation, index: Index) -> bool {
        match relation.qualifier.as_deref() {
            None | Some("native") => true,
            Some("any") => self.entry(index).multi_arch == MultiArch::Allowed,
            Some(word) => word == self.architecture.word(),
        }
    }

    /// Names that are much like this one, the nearest first.
    pub(super) fn near(&self, name: &str) -> Vec<String> {
        let mut near: Vec<(usize, &str)> = self
            .names()
            .filter(|other| other.len().abs_diff(name.len()) <= 3)
            .map(|other| (strsim::osa_distance(name, other), other))
            .filter(|(distance, _)| *distance <= (name.len() / 3).clamp(1, 3))
            .collect();
        near.sort_unstable();
        let longer = self.names().filter(|other| name.len() >= 3 && other.contains(name));
        let all = near.into_iter().map(|(_, other)| other).chain(longer);
        let mut seen = BTreeSet::new();
        all.filter(|other| seen.insert(*other)).take(4).map(str::to_owned).collect()
    }
}

impl Package {
    fn entry(&self) -> &Entry {
        &self.index[self.at]
    }
}

pub(super) fn package_id(entry: &Entry) -> PackageId {
    PackageId {
        name: entry.package.clone(),
        architecture: entry.architecture.clone(),
        version: entry.version.to_string(),
    }
}

fn text(constraint: &Constraint) -> String {
    format!("{} {}", constraint.operator, constraint.version)
}

/// Adds a package to the versions of its name.
fn note(targets: &mut Vec<Versions>, name: &str, index: Index, text: &str) {
    match targets.iter_mut().find(|known| *known.name == *name) {
        Some(known) => {
            if let Err(place) = known.admitted.binary_search(&index) {
                known.admitted.insert(place, index);
            }
        }
        None => {
            targets.push(Versions { name: name.into(), admitted: vec![index], text: text.into() });
        }
    }
}
