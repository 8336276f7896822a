//! What a step is called before anything is made.

use super::{Derivation, Input, Plan};
use crate::digest::Digest;

/// The first line of what a plan key is the digest of. Another number, and nothing that others said of any step is found.
pub const PLAN_KEY_FORMAT: &str = "vsbuild-plan-key 1";

impl Plan {
    /// A name for each step, by its place in [`Plan::steps`], that follows from recipes and lockfile alone: sha256 of
    /// [`PLAN_KEY_FORMAT`], a line feed, and the derivation as in its [canonical form](Derivation::canonical) with its inputs
    /// named by *their* plan keys. A fetched file's is its sha256, and a source counts by its digest.
    ///
    /// A [`Key`](super::Key) names inputs by content, so it is known only once these are made. A plan key is known at once:
    /// others can be asked about all steps together. It is good for looking something up and for nothing else, since what
    /// it stands for may change with a step below it that no longer gives the same bytes.
    pub fn plan_keys(&self) -> Vec<Digest> {
        let mut keys: Vec<Digest> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let key = if let Derivation::Fetch(fetch) = &step.derivation {
                fetch.sha256
            } else {
                let named = step.derivation.try_map(|input| match input {
                    Input::Step(step) => keys.get(step.index()).copied(),
                    Input::Source(digest) => Some(*digest),
                });
                let named = named.expect("a step stands after all that it needs");
                Digest::of(format!("{PLAN_KEY_FORMAT}\n{}", named.json(false)))
            };
            keys.push(key);
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        path::GuestPath,
        plan::{Fetch, FetchFrom, Layer, Packages, Run, RunInput, Step, StepId, Unpack},
    };

    /// A package, a set of it, and a script that runs in there.
    fn plan(mirror: &str, package: &str, script: &str) -> Plan {
        let step = |index| Input::Step(StepId::for_test(index));
        let path = |text: &str| GuestPath::lenient(text).expect("a path");
        let from = FetchFrom::Archive { archive: mirror.to_owned(), path: "a.deb".to_owned() };
        let fetch = Fetch { from, size: 7, sha256: Digest::of(package) };
        let layer =
            Layer { name: package.to_owned(), tree: step(1), from: path("/"), at: path("/") };
        let set = Packages { format: 1, packages: vec![layer], links: BTreeMap::new() };
        let tree = Input::Source(Digest::of(script));
        let script = RunInput::Tree { tree, path: path("/build.sh") };
        let inputs = BTreeMap::from([(Run::<Input>::SCRIPT.to_owned(), script)]);
        let run = Run { format: 1, root: step(2), inputs, env: BTreeMap::new(), epoch: 1 };
        let steps = [
            ("a", Derivation::Fetch(fetch)),
            ("a", Derivation::Unpack(Unpack { reader: 1, package: step(0) })),
            ("tools", Derivation::Packages(set)),
            ("hello", Derivation::Run(run)),
        ];
        let step = |(name, derivation)| Step { name: String::from(name), derivation };
        Plan { steps: steps.map(step).into(), ..Plan::default() }
    }

    #[test]
    fn plan_keys_are_fixed() {
        let plan = plan("debian", "deb", "script");
        let keys = plan.plan_keys();
        let lines = plan.iter().map(|(id, step)| format!("{} {}", step.name, keys[id.index()]));
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn a_change_is_in_every_plan_key_above_it_and_in_no_other() {
        let keys = plan("debian", "deb", "script").plan_keys();
        let changed = |other: Plan| -> Vec<bool> {
            other.plan_keys().iter().zip(&keys).map(|(one, other)| one != other).collect()
        };
        assert_eq!(changed(plan("debian", "deb", "script")), [false; 4]);
        assert_eq!(changed(plan("debian", "other deb", "script")), [true; 4]);
        assert_eq!(changed(plan("debian", "deb", "other")), [false, false, false, true]);
    }

    #[test]
    fn where_a_file_is_fetched_from_is_in_no_plan_key() {
        let keys = |mirror| plan(mirror, "deb", "script").plan_keys();
        assert_eq!(keys("debian"), keys("elsewhere"));
        assert_eq!(keys("debian")[0], Digest::of("deb"));
    }

    #[test]
    fn a_plan_key_is_no_key() {
        // The inputs of the second step are named by content in either.
        let plan = plan("debian", "deb", "script");
        let unpack = Unpack { reader: 1, package: Digest::of("deb") };
        assert_ne!(plan.plan_keys()[1], *Derivation::Unpack(unpack).key().digest());
    }
}
