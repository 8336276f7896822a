//! What is there already, and what must be made.

use std::collections::BTreeSet;

use super::Error;
use crate::{
    digest::Digest,
    plan::{Derivation, Input, Plan, StepId},
    store::Store,
};

/// The state of a plan: which outputs are known, and which steps are to be made so that the goals are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Survey {
    /// By step: the digest of its output, as far as it is known.
    pub(super) outputs: Vec<Option<Digest>>,
    /// The steps to be made.
    pub(super) missing: BTreeSet<StepId>,
    /// The keys of what is there and is used.
    pub(super) used: BTreeSet<Digest>,
}

/// Looks at everything that `goals` need, without changing anything.
pub(super) fn survey(plan: &Plan, goals: &[StepId], store: &Store) -> Result<Survey, Error> {
    let closure = plan.closure(goals.iter().copied());
    let mut outputs: Vec<Option<Digest>> = vec![None; plan.steps.len()];
    let mut keys: Vec<Option<Digest>> = outputs.clone();
    for &id in &closure {
        (keys[id.index()], outputs[id.index()]) = known(plan, id, &outputs, store)?;
    }
    let Way { missing, there } = way(plan, goals, &outputs, store);
    let used = there.into_iter().filter_map(|id| keys[id.index()]).collect();
    Ok(Survey { outputs, missing, used })
}

/// The steps on the way from some goals down to what is there.
pub(super) struct Way {
    /// Those that are to be made.
    pub(super) missing: BTreeSet<StepId>,
    /// Those where the way ends.
    pub(super) there: BTreeSet<StepId>,
}

/// Walks from `goals` down, as far as outputs are not there.
pub(super) fn way(plan: &Plan, goals: &[StepId], outputs: &[Option<Digest>], store: &Store) -> Way {
    let mut way = Way { missing: BTreeSet::new(), there: BTreeSet::new() };
    let mut wanted: Vec<StepId> = goals.to_vec();
    while let Some(id) = wanted.pop() {
        let output = outputs[id.index()];
        if output.is_some_and(|digest| present(plan, id, &digest, store)) {
            way.there.insert(id);
        } else if way.missing.insert(id) {
            wanted.extend(plan.step(id).needs());
        }
    }
    way
}

/// The key of a step whose inputs' outputs are known, if it has one, and its own output, if it was made before.
fn known(
    plan: &Plan,
    id: StepId,
    outputs: &[Option<Digest>],
    store: &Store,
) -> Result<(Option<Digest>, Option<Digest>), Error> {
    let step = plan.step(id);
    if let Derivation::Fetch(fetch) = &step.derivation {
        return Ok((None, Some(fetch.sha256)));
    }
    let Some(derivation) = resolve(&step.derivation, outputs) else { return Ok((None, None)) };
    let key = *derivation.key().digest();
    let made = store.realisation(&key)?;
    Ok((Some(key), made.map(|made| made.output)))
}

fn present(plan: &Plan, id: StepId, output: &Digest, store: &Store) -> bool {
    match plan.step(id).derivation {
        Derivation::Fetch(_) => store.has_blob(output),
        Derivation::Unpack(_)
        | Derivation::Packages(_)
        | Derivation::Run(_)
        | Derivation::Rootfs(_)
        | Derivation::Disk(_)
        | Derivation::OciImage(_)
        | Derivation::Function(_)
        | Derivation::Preload(_) => store.has_tree(output),
    }
}

/// A derivation with its inputs named by content, once these are known.
pub(super) fn resolve(
    derivation: &Derivation<Input>,
    outputs: &[Option<Digest>],
) -> Option<Derivation<Digest>> {
    derivation.try_map(|input| match input {
        Input::Step(step) => outputs[step.index()],
        Input::Source(digest) => Some(*digest),
    })
}
