//! What can be said of outputs that are known: statements to be signed.

use super::Realised;
use crate::{
    digest::Digest,
    plan::{Derivation, Plan, StepId},
    trust::{Act, Claim, Statement},
};

/// One statement for each step that `goals` need and whose output is known, but for files that are fetched and packages: each
/// step's statement covers the packages that go into it. `plan_keys` are those of the plan.
pub fn statements(
    plan: &Plan,
    plan_keys: &[Digest],
    goals: &[StepId],
    realised: &Realised,
    act: Act,
) -> Vec<Statement> {
    let closure = plan.closure(goals.iter().copied());
    let stated = closure.into_iter().filter(|id| is_stated(plan, *id));
    stated
        .filter_map(|id| {
            let own = claim(plan, id, realised)?;
            let needs = plan.step(id).needs();
            let packages = needs.into_iter().filter(|need| is_package(plan, *need));
            let packages = packages.filter_map(|need| claim(plan, need, realised));
            let claims = std::iter::once(own).chain(packages).collect();
            Some(Statement { plan_key: plan_keys[id.index()], act, claims })
        })
        .collect()
}

/// Whether a step has statements of its own.
pub(super) fn is_stated(plan: &Plan, id: StepId) -> bool {
    match plan.step(id).derivation {
        Derivation::Fetch(_) | Derivation::Unpack(_) => false,
        Derivation::Packages(_)
        | Derivation::Run(_)
        | Derivation::Rootfs(_)
        | Derivation::Disk(_)
        | Derivation::OciImage(_)
        | Derivation::Function(_)
        | Derivation::Preload(_) => true,
    }
}

fn is_package(plan: &Plan, id: StepId) -> bool {
    matches!(plan.step(id).derivation, Derivation::Unpack(_))
}

fn claim(plan: &Plan, id: StepId, realised: &Realised) -> Option<Claim> {
    let output = realised.output(id)?;
    let key = *realised.derivation(plan, id)?.key().digest();
    Some(Claim { key, output, name: plan.step(id).name.clone() })
}
