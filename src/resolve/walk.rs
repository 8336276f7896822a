use std::collections::BTreeSet;

use super::{
    Universe,
    universe::{Index, package_id},
};
use crate::{
    formats::deb::relation::{Alternatives, Relation},
    lock::PackageId,
};

/// A walk through the dependencies in the order of apt: depth first, always the first alternative that will do, and of
/// each package only the version that it would install.
///
/// Often the first choices fit together, and then they are apt's answer. Where they do not, the walk has none: nothing
/// that it chose is ever taken back. Either way it proves nothing; that is the solver's part.
pub(super) struct Walk<'u> {
    universe: &'u Universe,
    preferred: &'u BTreeSet<PackageId>,
    chosen: BTreeSet<Index>,
    /// What the chosen packages do not bear beside them.
    excluded: BTreeSet<Index>,
}

/// There is a dependency that no first choice satisfies.
pub(super) struct Stuck;

impl<'u> Walk<'u> {
    pub(super) fn new(universe: &'u Universe, preferred: &'u BTreeSet<PackageId>) -> Self {
        Self { universe, preferred, chosen: BTreeSet::new(), excluded: BTreeSet::new() }
    }

    /// Chooses the packages with these names and all they need. All of these names are taken before the first
    /// dependency, so that they count as alternatives.
    pub(super) fn choose_all(mut self, names: &[&str]) -> Result<BTreeSet<Index>, Stuck> {
        let roots: Vec<Index> =
            names.iter().map(|name| self.candidate(name).ok_or(Stuck)).collect::<Result<_, _>>()?;
        for &root in &roots {
            self.choose(root);
        }
        for root in roots {
            self.satisfy(root)?;
        }
        Ok(self.chosen)
    }

    /// The version that would be installed of the package with this name.
    fn candidate(&self, name: &str) -> Option<Index> {
        let versions = self.universe.versions(name);
        let wanted =
            |index: &&Index| self.preferred.contains(&package_id(self.universe.entry(**index)));
        versions.iter().find(wanted).or(versions.first()).copied()
    }

    fn choose(&mut self, package: Index) {
        let excluded = self.excluded_by(package);
        self.excluded.extend(excluded);
        self.chosen.insert(package);
    }

    fn excluded_by(&self, package: Index) -> Vec<Index> {
        let entry = self.universe.entry(package);
        let relations = entry.conflicts.iter().chain(&entry.breaks).flatten();
        let targets = relations.flat_map(|relation| self.universe.targets(relation));
        let others = targets.filter(|versions| *versions.name != *entry.package);
        others.flat_map(|versions| versions.admitted).collect()
    }

    fn satisfy(&mut self, package: Index) -> Result<(), Stuck> {
        let universe = self.universe;
        let entry = universe.entry(package);
        for alternatives in entry.pre_depends.iter().chain(&entry.depends) {
            if self.is_satisfied(alternatives) {
                continue;
            }
            let next = alternatives
                .iter()
                .flat_map(|relation| self.candidates(relation))
                .find(|&candidate| self.fits(candidate))
                .ok_or(Stuck)?;
            self.choose(next);
            self.satisfy(next)?;
        }
        Ok(())
    }

    fn is_satisfied(&self, alternatives: &Alternatives) -> bool {
        let mut targets = alternatives.iter().flat_map(|relation| self.universe.targets(relation));
        targets.any(|versions| versions.admitted.iter().any(|index| self.chosen.contains(index)))
    }

    /// The packages that satisfy a relation and would be installed, in the order of apt.
    fn candidates(&self, relation: &Relation) -> Vec<Index> {
        let targets = self.universe.targets(relation).into_iter();
        let candidates = targets.filter_map(|versions| {
            self.candidate(&versions.name).filter(|index| versions.admitted.contains(index))
        });
        candidates.collect()
    }

    /// Whether a package bears those that are chosen, they bear it, and each of its dependencies has some candidate.
    fn fits(&self, candidate: Index) -> bool {
        let entry = self.universe.entry(candidate);
        let possible = |alternatives: &Alternatives| {
            alternatives.iter().any(|relation| !self.candidates(relation).is_empty())
        };
        !self.excluded.contains(&candidate)
            && !self.excluded_by(candidate).iter().any(|other| self.chosen.contains(other))
            && entry.pre_depends.iter().chain(&entry.depends).all(possible)
    }
}
