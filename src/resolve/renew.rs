use std::collections::{BTreeMap, BTreeSet};

use super::{Archives, Error, images::images};
use crate::{
    lock::{self, Lock, LockedPackage, LockedSet, LockedSuite, PackageId, SuiteId},
    recipe::{Name, Packages, Recipes, Suite},
};

/// What may become newer: sets of packages, and images of containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// Nothing: only what the lock has no answer for is resolved, with the versions of the lock where they will do.
    Missing,
    /// Everything.
    All,
    /// What these name: the sets that a recipe needs, a package in every set that has it, or a recipe that is an image of a
    /// registry.
    Only(BTreeSet<String>),
}

/// The lock that answers what all recipes ask.
///
/// Sets that `old` answers and that are not to become newer keep their packages exactly; if that is all of them, nobody
/// is asked. Expected outputs stay only where no set behind them changed.
pub fn lock(
    recipes: &Recipes,
    old: &Lock,
    update: &Update,
    archives: &mut Archives<'_>,
) -> Result<Lock, Error> {
    let named = Named::find(recipes, old, update)?;
    let mut new = Lock::default();
    let mut fresh: BTreeMap<SuiteId, LockedSuite> = BTreeMap::new();
    for (name, asked) in recipes.package_sets() {
        let preferred = match old.sets.get(&name) {
            Some(locked) if lock::stale(old, name.clone(), asked).is_none() => {
                let Some(preferred) = named.preferred(update, &name, locked) else {
                    keep(&mut new, old, name, locked)?;
                    continue;
                };
                preferred
            }
            _ if *update == Update::All || named.sets.contains(&name) => BTreeSet::new(),
            _ => without(old.packages.keys(), &named.packages),
        };
        let universe = archives.universe(&asked.suites, asked.architecture)?;
        let chosen = universe
            .solve(&asked.include, &preferred)
            .map_err(|source| Error::Set { set: name.clone(), source })?;
        fresh.extend(universe.suites().iter().map(|(id, suite)| (id.clone(), suite.clone())));
        let locked = answer(asked, chosen.keys().cloned().collect());
        add(&mut new, name, locked, chosen)?;
    }
    let kept = old.only(&new.sets.keys().cloned().collect()).suites;
    new.suites = kept.into_iter().filter(|(id, _)| is_asked(id, &new.sets)).chain(fresh).collect();
    new.images = images(recipes, old, update, archives.fetcher())?;
    new.outputs = unchanged_outputs(recipes, old, &new);
    Ok(new)
}

/// What [`Update::Only`] names.
#[derive(Default)]
struct Named {
    sets: BTreeSet<Name>,
    packages: BTreeSet<String>,
}

impl Named {
    fn find(recipes: &Recipes, old: &Lock, update: &Update) -> Result<Self, Error> {
        let mut named = Self::default();
        let Update::Only(inputs) = update else { return Ok(named) };
        let (sets, images) = (recipes.package_sets(), recipes.registry_images());
        for input in inputs {
            let set = sets.keys().filter(|name| name.as_str() == input).cloned();
            let recipe = input.parse::<Name>().ok().filter(|name| recipes.get(name).is_some());
            let closure = recipes.closure(&recipe);
            let behind =
                closure.iter().filter_map(|name| Some(recipes.get(name)?.package_set()?.0));
            let sets: BTreeSet<Name> = set.chain(behind).collect();
            let package = old.packages.keys().any(|id| id.name == *input);
            let image = closure.iter().any(|name| images.contains_key(*name));
            if sets.is_empty() && !package && !image {
                return Err(Error::UnknownInput {
                    input: input.clone(),
                    near: near(input, recipes, old),
                });
            }
            named.sets.extend(sets);
            if package {
                named.packages.insert(input.clone());
            }
        }
        Ok(named)
    }

    /// The packages that a set is to keep if it can, although it is resolved anew; none if it is to stay as it is.
    fn preferred(
        &self,
        update: &Update,
        set: &Name,
        locked: &LockedSet,
    ) -> Option<BTreeSet<PackageId>> {
        if *update == Update::All || self.sets.contains(set) {
            return Some(BTreeSet::new());
        }
        let concerned = locked.packages.iter().any(|id| self.packages.contains(&id.name));
        concerned.then(|| without(&locked.packages, &self.packages))
    }
}

fn without<'a>(
    ids: impl IntoIterator<Item = &'a PackageId>,
    names: &BTreeSet<String>,
) -> BTreeSet<PackageId> {
    ids.into_iter().filter(|id| !names.contains(&id.name)).cloned().collect()
}

/// The recipe or package whose name is most like this one.
fn near(input: &str, recipes: &Recipes, old: &Lock) -> Option<String> {
    let recipes = recipes.iter().map(|recipe| recipe.name.as_str());
    let names = recipes.chain(old.packages.keys().map(|id| id.name.as_str()));
    let nearest = names.min_by_key(|name| (strsim::osa_distance(input, name), *name))?;
    (strsim::osa_distance(input, nearest) <= 1 + input.len() / 4).then(|| nearest.to_owned())
}

fn answer(asked: &Packages, packages: BTreeSet<PackageId>) -> LockedSet {
    LockedSet {
        architecture: asked.architecture,
        suites: asked.suites.clone(),
        include: asked.include.clone(),
        packages,
    }
}

fn keep(new: &mut Lock, old: &Lock, name: Name, locked: &LockedSet) -> Result<(), Error> {
    let packages = locked.packages.iter();
    let packages = packages.filter_map(|id| Some((id.clone(), old.packages.get(id)?.clone())));
    add(new, name, locked.clone(), packages.collect())
}

fn add(
    lock: &mut Lock,
    name: Name,
    set: LockedSet,
    packages: BTreeMap<PackageId, LockedPackage>,
) -> Result<(), Error> {
    for (id, package) in packages {
        match lock.packages.get(&id) {
            Some(other) if (other.sha256, other.size) != (package.sha256, package.size) => {
                let (one, other) = (other.archive.clone(), package.archive);
                return Err(Error::Ambiguous { id, one, other });
            }
            _ => lock.packages.insert(id, package),
        };
    }
    lock.sets.insert(name, set);
    Ok(())
}

fn is_asked(id: &SuiteId, sets: &BTreeMap<Name, LockedSet>) -> bool {
    let named = |suite: &Suite| suite.archive == id.archive && suite.suite == id.suite;
    sets.values().any(|set| set.architecture == id.architecture && set.suites.iter().any(named))
}

fn unchanged_outputs(
    recipes: &Recipes,
    old: &Lock,
    new: &Lock,
) -> BTreeMap<Name, BTreeMap<String, crate::digest::Digest>> {
    let unchanged = |name: &Name| {
        let closure = recipes.closure([name]);
        let mut sets = closure.iter().filter_map(|name| Some(recipes.get(name)?.package_set()?.0));
        recipes.get(name).is_some()
            && sets.all(|set| old.sets.get(&set) == new.sets.get(&set))
            && closure.iter().all(|name| old.images.get(*name) == new.images.get(*name))
    };
    let outputs = old.outputs.iter().filter(|(name, _)| unchanged(name));
    outputs.map(|(name, files)| (name.clone(), files.clone())).collect()
}
