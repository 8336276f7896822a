//! What two or more who made the same plan disagree on, and where it begins.

use std::collections::{BTreeMap, BTreeSet};

use super::Realised;
use crate::{
    digest::Digest,
    plan::{Derivation, Plan, StepId},
    trust::{KeyId, Opened, Who},
};

/// One derivation of which several outputs are claimed: its inputs are the same for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// Which step it is.
    pub step: StepId,
    /// The derivation's key.
    pub key: Digest,
    /// Who says what came of it.
    pub sides: BTreeMap<Digest, Vec<Who>>,
}

/// How what was made here compares with what others say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Where they disagree, inputs before what is made of them: the first one is where it begins.
    pub differences: Vec<Disagreement>,
    /// Steps that came out the same here and elsewhere.
    pub same: Vec<StepId>,
    /// Steps that were made here and elsewhere, but of other inputs.
    pub apart: Vec<StepId>,
    /// Steps that only this machine made.
    pub only_here: Vec<StepId>,
    /// Steps that only others say something of.
    pub only_there: Vec<StepId>,
}

/// What was made here.
#[derive(Debug, Clone, Copy)]
pub struct Here<'a> {
    /// All outputs that are known, so that keys are.
    pub realised: &'a Realised,
    /// The steps that were made on this machine. What was only taken from others proves nothing about them.
    pub own: &'a BTreeSet<StepId>,
}

/// Whether a step has statements of its own.
fn is_stated(plan: &Plan, id: StepId) -> bool {
    super::is_stated(&plan.step(id).derivation)
}

type Voices = BTreeMap<Digest, BTreeMap<Digest, BTreeSet<Who>>>;

/// Compares the outputs of all that `goals` need with what others say; `who` gives keys their names.
///
/// Steps are told apart by plan key, outputs by derivation. Whoever made a step of other inputs, since something below it came
/// out otherwise, claims something of another derivation: so a difference is found where it begins and nowhere above.
pub fn challenge(
    plan: &Plan,
    plan_keys: &[Digest],
    goals: &[StepId],
    here: Here<'_>,
    others: &[Opened],
    who: impl Fn(KeyId) -> Who,
) -> Comparison {
    let closure = plan.closure(goals.iter().copied());
    let key = |id: StepId| here.realised.derivation(plan, id).map(|made| *made.key().digest());
    let mut voices = Voices::new();
    let mut claimed: BTreeMap<Digest, BTreeSet<Digest>> = BTreeMap::new();
    for Opened { by, statement } in others {
        for claim in &statement.claims {
            let outputs = voices.entry(claim.key).or_default();
            outputs.entry(claim.output).or_default().insert(who(*by));
            claimed.entry(statement.plan_key).or_default().insert(claim.key);
        }
    }
    for &id in closure.intersection(here.own) {
        if let (Some(key), Some(output)) = (key(id), here.realised.output(id)) {
            voices.entry(key).or_default().entry(output).or_default().insert(Who::Here);
        }
    }
    // A statement covers the packages of its step: these have places of their own in the plan.
    let packages: BTreeSet<Digest> =
        closure.iter().filter(|id| !is_stated(plan, **id)).filter_map(|id| key(*id)).collect();
    let mut comparison = Comparison::default();
    for &id in &closure {
        if matches!(plan.step(id).derivation, Derivation::Fetch(_)) {
            continue;
        }
        let key = key(id);
        let claimed = claimed.get(&plan_keys[id.index()]).filter(|_| is_stated(plan, id));
        let claimed = claimed.into_iter().flatten().filter(|key| !packages.contains(key));
        let claimed: BTreeSet<Digest> = claimed.copied().collect();
        for key in claimed.iter().chain(&key).collect::<BTreeSet<_>>() {
            if let Some(outputs) = voices.get(key).filter(|outputs| outputs.len() > 1) {
                let sides = outputs.iter();
                let sides = sides.map(|(output, who)| (*output, who.iter().cloned().collect()));
                let (step, key) = (id, *key);
                comparison.differences.push(Disagreement { step, key, sides: sides.collect() });
            }
        }
        comparison.sort(id, is_stated(plan, id), key.and_then(|key| voices.get(&key)), &claimed);
    }
    comparison
}

impl Comparison {
    /// Puts a step on the list where it belongs, from all that is said of its derivation and from the derivations that others
    /// made of it.
    fn sort(
        &mut self,
        id: StepId,
        is_stated: bool,
        outputs: Option<&BTreeMap<Digest, BTreeSet<Who>>>,
        claimed: &BTreeSet<Digest>,
    ) {
        let voices: BTreeSet<&Who> =
            outputs.into_iter().flatten().flat_map(|(_, who)| who).collect();
        let own = voices.contains(&Who::Here);
        let list = match (own, voices.len()) {
            (true, 2..) if outputs.is_some_and(|outputs| outputs.len() == 1) => &mut self.same,
            // A difference is told of by itself.
            (true, 2..) => return,
            // A package that nobody speaks of may be one of a step that nobody speaks of: that one is told of.
            _ if !is_stated => return,
            (true, _) if claimed.is_empty() => &mut self.only_here,
            (true, _) => &mut self.apart,
            (false, 0) if claimed.is_empty() => return,
            (false, _) => &mut self.only_there,
        };
        list.push(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        path::GuestPath,
        plan::{Fetch, FetchFrom, Input, Layer, Packages, Step, Unpack},
        trust::{Act, Claim, PublicKey, SecretKey, Statement},
    };

    const UNPACK: usize = 1;
    const BELOW: usize = 2;
    const TOP: usize = 3;

    fn id(index: usize) -> StepId {
        StepId::for_test(index)
    }

    /// A file, the package in it, a set of that, and a set of the set.
    fn plan() -> Plan {
        let step = |index| Input::Step(id(index));
        let from = FetchFrom::Archive { archive: "debian".to_owned(), path: "a.deb".to_owned() };
        let fetch = Fetch { from, size: 7, sha256: Digest::of("deb") };
        let set = |index| {
            let at = GuestPath::root();
            let layer = Layer { name: "a".to_owned(), tree: step(index), from: at.clone(), at };
            Packages { format: 1, packages: vec![layer], links: BTreeMap::new() }
        };
        let steps = [
            ("file", Derivation::Fetch(fetch)),
            ("package", Derivation::Unpack(Unpack { reader: 1, package: step(0) })),
            ("below", Derivation::Packages(set(UNPACK))),
            ("top", Derivation::Packages(set(BELOW))),
        ];
        let step = |(name, derivation)| Step { name: String::from(name), derivation };
        Plan { steps: steps.map(step).into(), ..Plan::default() }
    }

    fn plan_keys() -> Vec<Digest> {
        ["deb", "plan 1", "plan 2", "plan 3"].map(Digest::of).into()
    }

    /// Outputs of the package, of what is below and of what is on top.
    fn made(outputs: [Option<&str>; 3]) -> Realised {
        let file = std::iter::once(Some(Digest::of("deb")));
        let outputs = file.chain(outputs.map(|output| output.map(Digest::of))).collect();
        Realised { outputs, ..Realised::default() }
    }

    fn key(name: &str) -> PublicKey {
        SecretKey::from_seed(name, Digest::of(name).as_bytes()).expect("a name").public()
    }

    fn who(by: KeyId) -> Who {
        let name = ["a", "b"].into_iter().find(|name| key(name).id() == by);
        Who::Key(by, name.map(str::to_owned))
    }

    fn claim(index: usize, realised: &Realised) -> Option<Claim> {
        let output = realised.output(id(index))?;
        let key = *realised.derivation(&plan(), id(index))?.key().digest();
        Some(Claim { key, output, name: plan().steps[index].name.clone() })
    }

    /// What a lab says that made these: a statement of each set, the lower one with its package.
    fn lab(name: &str, outputs: [Option<&str>; 3]) -> Vec<Opened> {
        let realised = made(outputs);
        let said = [[Some(UNPACK), Some(BELOW)], [None, Some(TOP)]].into_iter().zip([BELOW, TOP]);
        let said = said.map(|(steps, about)| {
            let claims = steps.into_iter().flatten().filter_map(|step| claim(step, &realised));
            let (plan_key, claims) = (plan_keys()[about], claims.collect());
            let statement = Statement { plan_key, act: Act::Built, claims };
            Opened { by: key(name).id(), statement }
        });
        said.filter(|opened| !opened.statement.claims.is_empty()).collect()
    }

    fn compare(here: [Option<&str>; 3], others: &[Opened]) -> Comparison {
        let realised = made(here);
        let own = (UNPACK..=TOP).map(id).filter(|id| realised.output(*id).is_some()).collect();
        let here = Here { realised: &realised, own: &own };
        challenge(&plan(), &plan_keys(), &[id(TOP)], here, others, who)
    }

    const ALL: [Option<&str>; 3] = [Some("p"), Some("b"), Some("t")];

    #[test]
    fn what_came_out_the_same_is_the_same() {
        let comparison = compare(ALL, &lab("a", ALL));
        let same = vec![id(UNPACK), id(BELOW), id(TOP)];
        assert_eq!(comparison, Comparison { same, ..Comparison::default() });
    }

    #[test]
    fn a_difference_is_found_where_it_begins() {
        let comparison = compare(ALL, &lab("a", [Some("p"), Some("other"), Some("other top")]));
        let [difference] = comparison.differences.as_slice() else { panic!("{comparison:?}") };
        assert_eq!(difference.step, id(BELOW));
        let a = who(key("a").id());
        let sides = [(Digest::of("b"), vec![Who::Here]), (Digest::of("other"), vec![a])];
        assert_eq!(difference.sides, BTreeMap::from(sides));
        assert_eq!(comparison.same, [id(UNPACK)]);
        assert_eq!(comparison.apart, [id(TOP)], "what is above has other inputs");
    }

    #[test]
    fn a_package_that_differs_is_named_itself() {
        let comparison = compare(ALL, &lab("a", [Some("q"), Some("c"), Some("d")]));
        let [difference] = comparison.differences.as_slice() else { panic!("{comparison:?}") };
        assert_eq!(difference.step, id(UNPACK));
        assert_eq!(comparison.apart, [id(BELOW), id(TOP)]);
    }

    #[test]
    fn others_are_compared_with_each_other_too() {
        let mut others = lab("a", ALL);
        others.extend(lab("b", [Some("p"), Some("b"), Some("other")]));
        for here in [[None; 3], [Some("p"), Some("b"), None]] {
            let comparison = compare(here, &others);
            let [difference] = comparison.differences.as_slice() else { panic!("{comparison:?}") };
            assert_eq!((difference.step, difference.sides.len()), (id(TOP), 2));
        }
    }

    #[test]
    fn what_only_one_side_knows_is_told() {
        let comparison = compare(ALL, &[]);
        assert_eq!(comparison.only_here, [id(BELOW), id(TOP)]);
        let comparison = compare([None; 3], &lab("a", ALL));
        assert_eq!(comparison.only_there, [id(BELOW), id(TOP)]);
        let comparison = compare([Some("p"), Some("b"), None], &lab("a", ALL));
        assert_eq!(comparison.same, [id(UNPACK), id(BELOW)]);
        assert_eq!(comparison.only_there, [id(TOP)]);
    }

    #[test]
    fn what_was_only_taken_from_others_proves_nothing() {
        let realised = made(ALL);
        let here = Here { realised: &realised, own: &BTreeSet::new() };
        let others = lab("a", ALL);
        let comparison = challenge(&plan(), &plan_keys(), &[id(TOP)], here, &others, who);
        assert_eq!(comparison.same, []);
        assert_eq!(comparison.only_there, [id(BELOW), id(TOP)]);
    }
}
