//! What of a plan is worth sending to others.

use std::collections::{BTreeMap, BTreeSet};

use super::{Error, Realised, is_stated, known, packages};
use crate::{
    digest::Digest,
    plan::{Derivation, Plan, StepId},
    store::Store,
    trust::Claim,
};

/// What others need so that they have to make nothing on the way to some goals, except to lay out disks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    /// Trees of the store: those of the goals, and from there down as long as no script was run. What a script was run in is
    /// needed by nobody who has its output.
    pub trees: BTreeSet<Digest>,
    /// What was made here, of the whole closure: to be signed by who shares it.
    pub stated: Vec<Stated>,
    /// The statements by which the rest was taken from others, as the store has them: to be passed on as they are.
    pub vouched: BTreeSet<Digest>,
    /// All fetched files of the closure with their steps. They need not be in the store.
    pub inputs: BTreeMap<Digest, StepId>,
    /// The disks among the goals that were laid out, by their images' names. They are in no store.
    pub disks: BTreeMap<String, Digest>,
}

/// What one statement is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    /// The name of the step before anything is made: see [`Plan::plan_keys`].
    pub plan_key: Digest,
    /// What a person calls the step.
    pub name: String,
    /// What the step came to, and the packages that it is made of, as far as they were made here.
    pub claims: Vec<Claim>,
}

/// Gathers what is to be shared of `goals`, which must be made; a disk's root file system is enough for it.
pub fn closure(plan: &Plan, goals: &[StepId], store: &Store) -> Result<Shared, Error> {
    let known = known(plan, store)?;
    let mut shared = Shared::default();
    let plan_keys = plan.plan_keys();
    for id in plan.closure(goals.iter().copied()) {
        let step = plan.step(id);
        if let Derivation::Fetch(fetch) = &step.derivation {
            shared.inputs.insert(fetch.sha256, id);
        } else if is_stated(&step.derivation) {
            let mut claims = Vec::new();
            for id in packages(plan, id).chain([id]) {
                claims.extend(claim(plan, &known, id, store, &mut shared.vouched)?);
            }
            if !claims.is_empty() {
                let (plan_key, name) = (plan_keys[id.index()], step.name.clone());
                shared.stated.push(Stated { plan_key, name, claims });
            }
        }
    }
    shared.trees = trees(plan, goals, &known, store)?;
    for id in goals {
        let step = plan.step(*id);
        if matches!(step.derivation, Derivation::Disk(_))
            && let Some(disk) = known.output(*id)
        {
            shared.disks.insert(step.name.clone(), disk);
        }
    }
    Ok(shared)
}

/// What a step came to here. If it was taken from others, it is they who say so.
fn claim(
    plan: &Plan,
    known: &Realised,
    id: StepId,
    store: &Store,
    vouched: &mut BTreeSet<Digest>,
) -> Result<Option<Claim>, Error> {
    let Some(derivation) = known.derivation(plan, id) else { return Ok(None) };
    let key = *derivation.key().digest();
    let Some(made) = store.realisation(&key)? else { return Ok(None) };
    if !made.vouched.is_empty() {
        vouched.extend(made.vouched);
        return Ok(None);
    }
    Ok(Some(Claim { key, output: made.output, name: plan.step(id).name.clone() }))
}

/// The trees from `goals` down, but not through scripts, as far as they are here; those of the goals must be.
fn trees(
    plan: &Plan,
    goals: &[StepId],
    known: &Realised,
    store: &Store,
) -> Result<BTreeSet<Digest>, Error> {
    let mut tops = BTreeSet::new();
    for id in goals {
        match plan.step(*id).derivation {
            Derivation::Disk(_) => tops.extend(plan.step(*id).needs()),
            _ => drop(tops.insert(*id)),
        }
    }
    let mut trees = BTreeSet::new();
    let mut seen = tops.clone();
    let mut open: Vec<StepId> = tops.iter().copied().collect();
    while let Some(id) = open.pop() {
        let step = plan.step(id);
        let below = match &step.derivation {
            Derivation::Fetch(_) => continue,
            Derivation::Run(_) => BTreeSet::new(),
            Derivation::Unpack(_)
            | Derivation::Packages(_)
            | Derivation::Rootfs(_)
            | Derivation::Disk(_)
            | Derivation::OciImage(_)
            | Derivation::Function(_)
            | Derivation::Preload(_) => step.needs(),
        };
        match known.output(id).filter(|tree| store.has_tree(tree)) {
            Some(tree) => drop(trees.insert(tree)),
            None if tops.contains(&id) => {
                return Err(Error::NotMade { name: step.name.clone() });
            }
            None => (),
        }
        open.extend(below.into_iter().filter(|need| seen.insert(*need)));
    }
    Ok(trees)
}
