//! Takes from others what they have made already: asks, judges, records, and brings the trees.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Once,
};

use super::{Error, Event, How, Watch, Work, packages, survey};
use crate::{
    cache::{Answers, Substituters},
    digest::Digest,
    plan::{Derivation, Fetch, Plan, StepId},
    store::{Realisation, Store},
    trust::{Policy, Verdict},
};

/// How many refused statements are told of one by one.
const TOLD: usize = 3;

/// What others say of the steps of a plan.
pub(super) struct Others<'a> {
    plan: &'a Plan,
    from: &'a Substituters,
    store: &'a Store,
    watch: &'a dyn Watch,
    answers: Answers,
    /// By step: the recipes whose rules hold for it.
    rules: Vec<BTreeSet<&'a str>>,
}

/// What became of what others say of one step.
enum Taken {
    /// It is recorded.
    Output(Digest),
    /// So many say it, and so many should.
    TooFew(usize, usize),
    /// Nobody says anything.
    Nothing,
}

impl<'a> Others<'a> {
    /// Asks about all steps on the way to `goals` whose outputs are not known, all at once. A cache that fails is passed
    /// over.
    pub(super) fn ask(
        plan: &'a Plan,
        goals: &[StepId],
        outputs: &[Option<Digest>],
        from: &'a Substituters,
        store: &'a Store,
        watch: &'a dyn Watch,
    ) -> Result<Self, Error> {
        let plan_keys = plan.plan_keys();
        let asked = questions(plan, goals, outputs);
        let keys: Vec<Digest> = asked.iter().map(|id| plan_keys[id.index()]).collect();
        let answers = if keys.is_empty() {
            Answers::default()
        } else {
            let steps = if keys.len() == 1 { "step" } else { "steps" };
            let text = format!("asking caches about {} {steps}", keys.len());
            watch.see(Event::Note { text });
            from.ask(&keys)?
        };
        let others = Self { plan, from, store, watch, answers, rules: rules(plan) };
        others.tell();
        let refused = others.answers.refused();
        for refused in refused.iter().take(TOLD) {
            others.note(format!("{}: {}: {}", refused.cache, refused.name, refused.why));
        }
        if let Some(more) = refused.len().checked_sub(TOLD).filter(|more| *more > 0) {
            others.note(format!("and {more} more statements do not count"));
        }
        Ok(others)
    }

    /// Decides about every step whose inputs are known, from the ground up, and records what is taken; the outputs of disks
    /// are recorded only, since they are laid out here.
    pub(super) fn judge(
        &self,
        goals: &[StepId],
        outputs: &mut [Option<Digest>],
    ) -> Result<(), Error> {
        let mut few: Vec<(&str, usize, usize)> = Vec::new();
        for id in scope(self.plan, goals) {
            let step = self.plan.step(id);
            if outputs[id.index()].is_some() {
                continue;
            }
            let Some(derivation) = survey::resolve(&step.derivation, outputs) else { continue };
            match self.decide(id, &derivation)? {
                Taken::Output(_) if matches!(derivation, Derivation::Disk(_)) => (),
                Taken::Output(output) => outputs[id.index()] = Some(output),
                Taken::TooFew(have, need) => few.push((&step.name, have, need)),
                Taken::Nothing => (),
            }
        }
        if let Some((name, have, need)) = few.first() {
            let more = match few.len() {
                1 => String::new(),
                count => format!(", and so for {} more", count - 1),
            };
            self.note(format!(
                "{name} is made here: {have} of the {need} builders that should agree on it were heard{more}"
            ));
        }
        Ok(())
    }

    /// What others say that one step came to, if it is believed; then it is recorded.
    pub(super) fn take(
        &self,
        id: StepId,
        derivation: &Derivation<Digest>,
    ) -> Result<Option<Digest>, Error> {
        Ok(match self.decide(id, derivation)? {
            Taken::Output(output) => Some(output),
            Taken::TooFew(..) | Taken::Nothing => None,
        })
    }

    fn decide(&self, id: StepId, derivation: &Derivation<Digest>) -> Result<Taken, Error> {
        let name = &self.plan.step(id).name;
        let key = derivation.key();
        let key = key.digest();
        // Another program may have made it meanwhile.
        if let Some(made) = self.store.realisation(key)? {
            return Ok(Taken::Output(made.output));
        }
        let said = self.answers.said(key);
        if said.is_empty() {
            return Ok(Taken::Nothing);
        }
        let rules: Vec<&str> = self.rules[id.index()].iter().copied().collect();
        match self.from.policy().judge(&rules, &said, None) {
            Verdict::Take { output, by } => {
                let heard = self.answers.of(key).iter();
                let heard = heard.filter(|one| one.output == output && by.contains(&one.by));
                let statements: BTreeSet<Digest> = heard.map(|one| one.statement).collect();
                let mut vouched = Vec::new();
                for bytes in statements.iter().filter_map(|one| self.answers.statement(one)) {
                    vouched.push(self.store.put_statement(bytes)?);
                }
                let inputs = derivation.inputs().into_iter().copied().collect();
                let made = Realisation { name: name.clone(), output, inputs, vouched };
                self.store.record(key, &made)?;
                Ok(Taken::Output(output))
            }
            Verdict::TooFew { have, need, .. } => Ok(Taken::TooFew(have, need)),
            Verdict::Alarm { sides } => {
                Err(Error::Disagree { name: name.clone(), key: *key, sides })
            }
        }
    }

    /// Brings trees that are known but not here, from the goals down: below one that is brought, nothing is needed. Gives the
    /// steps whose outputs came.
    pub(super) fn pull(
        &self,
        goals: &[StepId],
        outputs: &[Option<Digest>],
    ) -> Result<BTreeSet<StepId>, Error> {
        let (mut seen, mut pulled) = (BTreeSet::new(), BTreeSet::new());
        let mut frontier: BTreeSet<StepId> = goals.iter().copied().collect();
        while !frontier.is_empty() {
            let mut below = BTreeSet::new();
            let mut wanted: BTreeMap<StepId, Digest> = BTreeMap::new();
            for id in frontier {
                let step = self.plan.step(id);
                if !seen.insert(id) || matches!(step.derivation, Derivation::Fetch(_)) {
                    continue;
                }
                match outputs[id.index()] {
                    None => below.extend(step.needs()),
                    Some(output) if self.store.has_tree(&output) => (),
                    Some(output) => drop(wanted.insert(id, output)),
                }
            }
            let here = self.bring(&wanted)?;
            for id in wanted.into_keys() {
                if here.contains(&id) {
                    pulled.insert(id);
                } else {
                    below.extend(self.plan.step(id).needs());
                }
            }
            frontier = below;
        }
        Ok(pulled)
    }

    /// Brings the tree of one step; says whether somebody had it. Told as bytes of a step that has begun.
    pub(super) fn pull_one(&self, id: StepId, tree: &Digest) -> Result<bool, Error> {
        let reached = |now: u64, _: u64| self.watch.see(Event::Bytes { id, now });
        let pulled = self.from.pull(tree, self.store, &reached)?;
        self.tell();
        Ok(pulled)
    }

    /// Brings a fetched file into `partial`; says whether somebody had it.
    pub(super) fn input(&self, id: StepId, fetch: &Fetch, partial: &Path) -> Result<bool, Error> {
        let reached = |now: u64| self.watch.see(Event::Bytes { id, now });
        let brought = self.from.input(&fetch.sha256, fetch.size, partial, &reached)?;
        self.tell();
        Ok(brought)
    }

    /// Brings trees together, so that what they share comes once; gives the steps whose trees are here now.
    fn bring(&self, wanted: &BTreeMap<StepId, Digest>) -> Result<BTreeSet<StepId>, Error> {
        let Some(first) = wanted.keys().next().copied() else { return Ok(BTreeSet::new()) };
        let trees: BTreeSet<Digest> = wanted.values().copied().collect();
        let trees: Vec<Digest> = trees.into_iter().collect();
        let begun = Once::new();
        let reached = |now: u64, total: u64| {
            begun.call_once(|| {
                self.watch.see(Event::Begin { steps: wanted.len(), bytes: total });
                for id in wanted.keys().copied() {
                    let name = &self.plan.step(id).name;
                    self.watch.see(Event::Start { id, work: Work::Substitute, name });
                }
            });
            // What the trees share belongs to none of them.
            self.watch.see(Event::Bytes { id: first, now });
        };
        let here = self.from.pull_all(&trees, self.store, &reached)?;
        self.tell();
        let here: BTreeSet<StepId> =
            wanted.iter().filter(|(_, tree)| here.contains(tree)).map(|(id, _)| *id).collect();
        for id in wanted.keys().copied() {
            let how = if here.contains(&id) { How::Substituted } else { How::Absent };
            self.watch.see(Event::Done { id, how });
        }
        Ok(here)
    }

    /// Is an error if others say that a step which was made here came to something else.
    pub(super) fn object(&self, name: &str, key: &Digest, output: &Digest) -> Result<(), Error> {
        object(self.from.policy(), &self.answers, name, key, output)
    }

    /// All that was said.
    pub(super) fn into_answers(self) -> Answers {
        self.answers
    }

    /// Tells once what is wrong with caches.
    fn tell(&self) {
        for trouble in self.from.troubles() {
            self.note(trouble.to_string());
        }
    }

    fn note(&self, text: String) {
        self.watch.see(Event::Note { text });
    }
}

/// Is an error if `answers` have it that what was made here came to something else.
pub(super) fn object(
    policy: &Policy,
    answers: &Answers,
    name: &str,
    key: &Digest,
    output: &Digest,
) -> Result<(), Error> {
    let said = answers.said(key);
    match policy.judge(&[name], &said, Some(*output)) {
        Verdict::Alarm { sides } if !said.is_empty() => {
            Err(Error::Disagree { name: name.to_owned(), key: *key, sides })
        }
        Verdict::Alarm { .. } | Verdict::Take { .. } | Verdict::TooFew { .. } => Ok(()),
    }
}

/// All that `goals` need, and the disks that are laid out from it, inputs first.
fn scope(plan: &Plan, goals: &[StepId]) -> BTreeSet<StepId> {
    let mut scope = plan.closure(goals.iter().copied());
    let images = plan.images.values().filter(|image| scope.contains(&image.rootfs));
    let disks: Vec<StepId> = images.map(|image| image.disk).collect();
    scope.extend(disks);
    scope
}

/// The steps to ask about. What is said of a step covers the packages that it is made of, so of these nobody is asked.
fn questions(plan: &Plan, goals: &[StepId], outputs: &[Option<Digest>]) -> Vec<StepId> {
    let unknown = |id: StepId| outputs[id.index()].is_none();
    let closure = plan.closure(goals.iter().copied());
    if !closure.iter().any(|id| unknown(*id)) {
        return Vec::new();
    }
    let asked = scope(plan, goals).into_iter().filter(|id| {
        super::is_stated(&plan.step(*id).derivation)
            && (unknown(*id) || packages(plan, *id).any(unknown))
    });
    asked.collect()
}

/// By step: the recipes whose rules hold for it. These are those that it is made for by name; for what a recipe is made of
/// without being one, as a package and a set of packages, those of all steps that it goes into: else what one builder sent
/// would go into an output on which more should agree.
fn rules(plan: &Plan) -> Vec<BTreeSet<&str>> {
    let mut rules: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); plan.steps.len()];
    for (name, id) in &plan.recipes {
        rules[id.index()].insert(name.as_str());
    }
    let own: Vec<bool> = rules.iter().map(|names| !names.is_empty()).collect();
    // A step comes after all that it needs.
    for (id, step) in plan.iter().rev() {
        let names = rules[id.index()].clone();
        for below in step.needs().into_iter().filter(|below| !own[below.index()]) {
            rules[below.index()].extend(&names);
        }
    }
    rules
}
