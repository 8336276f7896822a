use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider,
    HintDependenciesAvailable, Interner, KnownDependencies, NameId, Problem, Requirement,
    SolvableId, Solver, SolverCache, StringId, UnsolvableOrCancelled, VersionSetId,
    VersionSetUnionId,
    utils::{Pool, VersionSet},
};

use super::{
    Universe,
    universe::{Index, Versions, package_id},
    walk::{Stuck, Walk},
};
use crate::{
    formats::deb::relation::Relation,
    lock::{LockedPackage, PackageId},
};

/// Why a set of packages has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unsolvable {
    /// No package is called so.
    #[error("there is no package `{name}`{}", suggestion(.near))]
    Unknown {
        /// The name.
        name: String,
        /// Names that are much like it.
        near: Vec<String>,
    },
    /// Several packages stand for this name, and somebody must say which.
    #[error("`{name}` is a virtual package; choose one of those that provide it: {}", .providers.join(", "))]
    Virtual {
        /// The name.
        name: String,
        /// The packages.
        providers: Vec<String>,
    },
    /// The packages cannot be together.
    #[error("these packages cannot be installed together:\n{0}")]
    Conflict(String),
}

fn suggestion(names: &[String]) -> String {
    match names {
        [] => String::new(),
        names => format!("; did you mean {}?", names.join(", ")),
    }
}

impl Universe {
    /// The packages asked for and all they depend on, recommendations left out: the list of
    /// `apt-get install --no-install-recommends` on an empty system. Packages marked essential are no exception.
    ///
    /// Of several versions the newest is taken, unless one is in `preferred`; an older one only if no newer one will do.
    /// Where apt's first choices fit together they are the answer; where they do not, any that the solver finds.
    ///
    /// One thing is ours: between providers of a virtual package with the same priority apt goes by the order in which
    /// its cache met them, which depends on all of the host's sources; we go by name.
    pub fn solve(
        &self,
        include: &BTreeSet<String>,
        preferred: &BTreeSet<PackageId>,
    ) -> Result<BTreeMap<PackageId, LockedPackage>, Unsolvable> {
        let names =
            include.iter().map(|name| self.real_name(name)).collect::<Result<Vec<_>, _>>()?;
        let chosen = match Walk::new(self, preferred).choose_all(&names) {
            Ok(walked) => self.search(preferred, &names, &walked).or_else(|_| {
                let nothing = BTreeSet::new();
                self.search(preferred, &names, &nothing)
            }),
            Err(Stuck) => self.search(preferred, &names, &BTreeSet::new()),
        };
        Ok(chosen?.into_iter().map(|index| self.locked(index)).collect())
    }

    /// The real package that is meant by a name.
    fn real_name<'a>(&'a self, name: &'a str) -> Result<&'a str, Unsolvable> {
        if !self.versions(name).is_empty() {
            return Ok(name);
        }
        let providers = self.providers(name).map(|index| self.entry(index).package.as_str());
        let providers: BTreeSet<&str> = providers.collect();
        match providers.iter().collect::<Vec<_>>()[..] {
            [] => Err(Unsolvable::Unknown { name: name.to_owned(), near: self.near(name) }),
            [only] => Ok(only),
            _ => Err(Unsolvable::Virtual {
                name: name.to_owned(),
                providers: providers.into_iter().map(str::to_owned).collect(),
            }),
        }
    }

    /// Packages that fit together and satisfy everything: those with these names, exactly these, and what they need.
    fn search(
        &self,
        preferred: &BTreeSet<PackageId>,
        names: &[&str],
        exactly: &BTreeSet<Index>,
    ) -> Result<Vec<Index>, Unsolvable> {
        let provider = Provider::new(self, preferred);
        let names = names.iter().map(|name| provider.any_version(name));
        let exactly = exactly.iter().map(|&index| provider.version(index));
        let requirements = names.chain(exactly).map(ConditionalRequirement::from).collect();
        let mut solver = Solver::new(provider);
        match solver.solve(Problem::new().requirements(requirements)) {
            Ok(solution) => {
                Ok(solution.into_iter().map(|solvable| solver.provider().index(solvable)).collect())
            }
            Err(UnsolvableOrCancelled::Unsolvable(conflict)) => {
                Err(Unsolvable::Conflict(conflict.display_user_friendly(&solver).to_string()))
            }
            Err(UnsolvableOrCancelled::Cancelled(_)) => {
                Err(Unsolvable::Conflict("the search was broken off".to_owned()))
            }
        }
    }
}

/// What the solver asks, answered from a universe as far as it comes to it.
struct Provider<'u> {
    universe: &'u Universe,
    preferred: &'u BTreeSet<PackageId>,
    pool: Pool<Versions, String>,
    solvables: RefCell<BTreeMap<NameId, Vec<SolvableId>>>,
}

/// A package in the solver's pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record(Index);

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl VersionSet for Versions {
    type V = Record;
}

impl<'u> Provider<'u> {
    fn new(universe: &'u Universe, preferred: &'u BTreeSet<PackageId>) -> Self {
        Self { universe, preferred, pool: Pool::new(), solvables: RefCell::default() }
    }

    fn any_version(&self, name: &str) -> VersionSetId {
        let mut admitted = self.universe.versions(name).to_vec();
        admitted.sort_unstable();
        self.intern(Versions { name: name.into(), admitted, text: "".into() })
    }

    fn version(&self, index: Index) -> VersionSetId {
        let name = self.universe.entry(index).package.as_str().into();
        self.intern(Versions { name, admitted: vec![index], text: "".into() })
    }

    fn intern(&self, versions: Versions) -> VersionSetId {
        let name = self.pool.intern_package_name(versions.name.to_string());
        self.pool.intern_version_set(name, versions)
    }

    /// One of these must be there. In the order of apt: alternatives as written, real packages before virtual ones.
    fn requirement(&self, alternatives: &[Relation]) -> Option<Requirement> {
        let mut sets: Vec<VersionSetId> = Vec::new();
        for versions in alternatives.iter().flat_map(|relation| self.universe.targets(relation)) {
            let set = self.intern(versions);
            if !sets.contains(&set) {
                sets.push(set);
            }
        }
        if sets.is_empty() {
            // Nothing will do. The solver must know what was asked, to be able to say so.
            let none = |relation: &Relation| {
                let written = relation.to_string();
                let text =
                    written.strip_prefix(&*relation.package).unwrap_or(&written).trim_start();
                self.intern(Versions {
                    name: relation.package.clone(),
                    admitted: Vec::new(),
                    text: text.into(),
                })
            };
            sets.extend(alternatives.iter().map(none));
        }
        match &sets[..] {
            [] => None,
            [only] => Some((*only).into()),
            [first, rest @ ..] => {
                Some(self.pool.intern_version_set_union(*first, rest.iter().copied()).into())
            }
        }
    }

    /// The versions that may be there beside a package that excludes these, by name.
    fn others(&self, package: Index, excluded: &Relation) -> Vec<VersionSetId> {
        let name = &self.universe.entry(package).package;
        let targets = self.universe.targets(excluded).into_iter();
        // Whoever conflicts with what it provides itself wants to be the only provider.
        let targets = targets.filter(|versions| *versions.name != **name);
        let complement = |versions: Versions| {
            let all = self.universe.versions(&versions.name).iter().copied();
            let mut admitted: Vec<Index> =
                all.filter(|index| versions.admitted.binary_search(index).is_err()).collect();
            admitted.sort_unstable();
            let text = format!("not {}", versions.text).trim_end().into();
            self.intern(Versions { name: versions.name, admitted, text })
        };
        targets.map(complement).collect()
    }

    fn index(&self, solvable: SolvableId) -> Index {
        self.pool.resolve_solvable(solvable).record.0
    }
}

impl Interner for Provider<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl fmt::Display + '_ {
        let entry = self.universe.entry(self.index(solvable));
        format!("{} {}", entry.package, entry.version)
    }

    fn display_merged_solvables(&self, solvables: &[SolvableId]) -> impl fmt::Display + '_ {
        let versions: Vec<String> = solvables
            .iter()
            .map(|&solvable| self.universe.entry(self.index(solvable)).version.to_string())
            .collect();
        let name =
            solvables.first().map(|&solvable| self.display_solvable_name(solvable).to_string());
        format!("{} {}", name.unwrap_or_default(), versions.join(" | "))
    }

    fn display_name(&self, name: NameId) -> impl fmt::Display + '_ {
        self.pool.resolve_package_name(name)
    }

    fn display_version_set(&self, set: VersionSetId) -> impl fmt::Display + '_ {
        &self.pool.resolve_version_set(set).text
    }

    fn display_string(&self, string: StringId) -> impl fmt::Display + '_ {
        self.pool.resolve_string(string)
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        self.pool.resolve_version_set_package_name(set)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.pool.resolve_solvable(solvable).name
    }

    fn version_sets_in_union(
        &self,
        union: VersionSetUnionId,
    ) -> impl Iterator<Item = VersionSetId> {
        self.pool.resolve_version_set_union(union)
    }

    fn resolve_condition(&self, condition: ConditionId) -> Condition {
        self.pool.resolve_condition(condition).clone()
    }
}

impl DependencyProvider for Provider<'_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let admitted = &self.pool.resolve_version_set(set).admitted;
        let fits = |&solvable: &SolvableId| {
            admitted.binary_search(&self.index(solvable)).is_ok() != inverse
        };
        candidates.iter().copied().filter(fits).collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let versions = self.universe.versions(self.pool.resolve_package_name(name));
        if versions.is_empty() {
            return None;
        }
        let mut known = self.solvables.borrow_mut();
        let candidates = known.entry(name).or_insert_with(|| {
            versions.iter().map(|&index| self.pool.intern_solvable(name, Record(index))).collect()
        });
        Some(Candidates {
            candidates: candidates.clone(),
            hint_dependencies_available: HintDependenciesAvailable::None,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        solvables.sort_by_cached_key(|&solvable| {
            let entry = self.universe.entry(self.index(solvable));
            let preferred = self.preferred.contains(&package_id(entry));
            (!preferred, std::cmp::Reverse(entry.version.clone()))
        });
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let index = self.index(solvable);
        let entry = self.universe.entry(index);
        let needed = entry.pre_depends.iter().chain(&entry.depends);
        let excluded = entry.conflicts.iter().chain(&entry.breaks).flatten();
        Dependencies::Known(KnownDependencies {
            requirements: needed
                .filter_map(|alternatives| Some(self.requirement(alternatives)?.into()))
                .collect(),
            constrains: excluded.flat_map(|relation| self.others(index, relation)).collect(),
        })
    }
}
