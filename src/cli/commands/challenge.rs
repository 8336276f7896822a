//! `challenge`: what others say of what was built here.

use std::{collections::BTreeSet, process::ExitCode};

use serde_json::{Value, json};

use super::rebuild::{self, Second};
use crate::{
    cache::{Answers, Cache, Refused, Source, Substituters},
    cli::{
        args::Challenge,
        context::{Context, Planned},
        print, print_json, printer,
        problem::{Failure, Problem},
    },
    digest::Digest,
    plan::{Derivation, Plan, StepId},
    realise::{self, Comparison, Disagreement, Here, Realised},
    recipe::Name,
    store::Store,
    trust::{self, Keys, Policy},
};

/// How many names of steps are shown of a list.
const READABLE: usize = 12;

/// What was found out about one recipe.
struct Found {
    name: Name,
    plan: Plan,
    comparison: Comparison,
    refused: Vec<Refused>,
}

pub(in crate::cli) fn run(context: &Context, args: &Challenge) -> Result<ExitCode, Problem> {
    let (project, recipes) = context.project()?;
    let names: Vec<Name> = if args.names.is_empty() {
        project.lock.outputs.keys().cloned().collect()
    } else {
        args.names.iter().map(|name| context.name(&recipes, name)).collect::<Result<_, _>>()?
    };
    if names.is_empty() {
        let message = "the lockfile has no hashes of images, so nothing says what to compare";
        return Err(Problem::new(Failure::Input, message)
            .help("name images or other recipes after the cache"));
    }
    let other = Other::new(context, args)?;
    let mut all = Vec::new();
    for name in names {
        let found = other.challenge(context, args, name)?;
        if !context.global.json {
            found.tell(&other.address);
        }
        all.push(found);
    }
    let same = all.iter().all(Found::is_same);
    if context.global.json {
        let recipes: Vec<Value> = all.iter().map(Found::to_json).collect();
        print_json(&json!({ "cache": other.address, "same": same, "recipes": recipes }));
    }
    if same {
        return Ok(ExitCode::SUCCESS);
    }
    if all.iter().all(|found| found.comparison.differences.is_empty()) {
        return Ok(ExitCode::from(Failure::Mismatch as u8));
    }
    context.note(
        "One of them is wrong, or the recipe lets something of a machine or moment into its output: \
         --rebuild builds it here once more.",
    );
    Ok(ExitCode::from(Failure::Mismatch as u8))
}

/// Whom is asked.
struct Other {
    address: String,
    keys: Keys,
    policy: Policy,
    substituters: Substituters,
}

impl Other {
    fn new(context: &Context, args: &Challenge) -> Result<Self, Problem> {
        let failed = |error: &dyn std::error::Error| Problem::from_error(Failure::Fetch, error);
        let cache = Cache::new(context.remote(&args.cache)?);
        let address = cache.address().to_owned();
        if !cache.check().map_err(|error| failed(&error))? {
            return Err(Problem::new(Failure::Fetch, format!("there is no cache at {address}")));
        }
        let mut policy = context.policy();
        policy.at.insert(address.clone(), context.keys_of(&args.cache));
        // Here everybody's word is to be heard, however few they are.
        policy.need_at.clear();
        let keys = policy.keys_at(&address);
        if keys.is_empty() {
            let message = "no key is trusted, so that nobody's statements would count";
            return Err(Problem::new(Failure::Input, message)
                .help("--trusted-key KEY, or `keys` of [trust] in the configuration file"));
        }
        let source = Source { remote: context.remote(&args.cache)?, inputs: false };
        let substituters = Substituters::new(vec![source], policy.clone());
        Ok(Self { address, keys, policy, substituters })
    }

    /// Compares what one recipe is made of.
    fn challenge(&self, context: &Context, args: &Challenge, name: Name) -> Result<Found, Problem> {
        if args.rebuild {
            let second = rebuild::second(context, &name, args.scratch.as_deref())?;
            let Second { plan, goals, realised, .. } = &second;
            let own = plan.iter().map(|(id, _)| id).collect();
            let found = self.compare(name, plan, goals, Here { realised, own: &own })?;
            if found.comparison.differences.is_empty() {
                second.whole(&found.name)?;
            }
            return Ok(found);
        }
        let store = context.store()?;
        let planned = context.plan(name.as_str(), &store)?;
        let goals = planned.goals();
        let Planned { plan, .. } = planned;
        let realised = realise::known(&plan, &store).map_err(|error| context.explain(error))?;
        let own = own(&plan, &realised, &store).map_err(|error| context.explain(error.into()))?;
        self.compare(name, &plan, &goals, Here { realised: &realised, own: &own })
    }

    fn compare(
        &self,
        name: Name,
        plan: &Plan,
        goals: &[StepId],
        here: Here<'_>,
    ) -> Result<Found, Problem> {
        let plan_keys = plan.plan_keys();
        let stated = plan.closure(goals.iter().copied()).into_iter().filter(|id| {
            !matches!(plan.step(*id).derivation, Derivation::Fetch(_) | Derivation::Unpack(_))
        });
        let asked: BTreeSet<Digest> = stated.map(|id| plan_keys[id.index()]).collect();
        let asked: Vec<Digest> = asked.into_iter().collect();
        let answers = self.ask(&asked)?;
        let opened: Vec<trust::Opened> = answers
            .statements()
            .filter_map(|statement| trust::open(statement, &self.keys).ok())
            .collect();
        let who = |id| self.policy.who(id);
        let comparison = realise::challenge(plan, &plan_keys, goals, here, &opened, who);
        let refused = answers.refused().to_vec();
        Ok(Found { name, plan: plan.clone(), comparison, refused })
    }

    /// Half an answer would pass for a whole one, so that any trouble is a failure.
    fn ask(&self, plan_keys: &[Digest]) -> Result<Answers, Problem> {
        let failed = |error| Problem::from_error(Failure::Fetch, &error);
        let answers = self.substituters.ask(plan_keys).map_err(failed)?;
        self.substituters.troubles().into_iter().next().map_or(Ok(answers), |e| Err(failed(e)))
    }
}

/// The steps that were made on this machine, and not taken from others.
fn own(
    plan: &Plan,
    realised: &Realised,
    store: &Store,
) -> Result<BTreeSet<StepId>, crate::store::Error> {
    let mut own = BTreeSet::new();
    for (id, _) in plan.iter() {
        let Some(derivation) = realised.derivation(plan, id) else { continue };
        let made = store.realisation(derivation.key().digest())?;
        if made.is_some_and(|made| made.vouched.is_empty()) {
            own.insert(id);
        }
    }
    Ok(own)
}

impl Found {
    fn is_same(&self) -> bool {
        self.comparison.differences.is_empty() && self.refused.is_empty()
    }

    fn step(&self, id: StepId) -> &str {
        &self.plan.step(id).name
    }

    /// Says it to a person.
    fn tell(&self, address: &str) {
        let Comparison { differences, same, apart, only_here, only_there } = &self.comparison;
        let name = &self.name;
        if let Some(first) = differences.first() {
            print(&format!(
                "{name}: it begins with {}, which did not come out the same of the same inputs",
                self.step(first.step)
            ));
            print(&format!("  derivation {}", first.key));
            for (output, who) in &first.sides {
                let who: Vec<String> = who.iter().map(ToString::to_string).collect();
                print(&format!("  {output}  {}", who.join(", ")));
            }
            if let [_, more @ ..] = differences.as_slice()
                && !more.is_empty()
            {
                self.list("also", more.iter().map(|difference| difference.step));
            }
        } else if same.len() + apart.len() + only_there.len() == 0 {
            print(&format!("{name}: nobody who is trusted says anything of it at {address}"));
        } else if self.refused.is_empty() {
            print(&format!("{name}: nothing differs"));
        } else {
            let count = printer::count(self.refused.len(), "statement");
            print(&format!(
                "{name}: nothing differs of what counts, but {count} there must not be trusted"
            ));
        }
        if !same.is_empty() {
            print(&format!("  the same: {}", printer::count(same.len(), "step")));
        }
        self.list("made of other inputs", apart.iter().copied());
        self.list("made only here", only_here.iter().copied());
        self.list("made only there", only_there.iter().copied());
        for Refused { name, why, .. } in &self.refused {
            print(&format!("  {name} does not count: {why}"));
        }
    }

    /// A list of steps, if there are any.
    fn list(&self, what: &str, steps: impl ExactSizeIterator<Item = StepId>) {
        let names = printer::first(steps.map(|id| self.step(id)), READABLE);
        if !names.is_empty() {
            print(&format!("  {what}: {}", names.join(", ")));
        }
    }

    /// Says it to a program.
    fn to_json(&self) -> Value {
        let names =
            |steps: &[StepId]| -> Vec<&str> { steps.iter().map(|id| self.step(*id)).collect() };
        let difference = |Disagreement { step, key, sides }: &Disagreement| {
            let sides = sides.iter().map(|(output, who)| {
                let who: Vec<String> = who.iter().map(ToString::to_string).collect();
                json!({ "output": output, "who": who })
            });
            json!({ "step": self.step(*step), "key": key, "sides": sides.collect::<Vec<_>>() })
        };
        let Comparison { differences, same, apart, only_here, only_there } = &self.comparison;
        let refused = self
            .refused
            .iter()
            .map(|refused| json!({ "statement": refused.name, "why": refused.why.to_string() }));
        json!({
            "name": self.name,
            "differences": differences.iter().map(difference).collect::<Vec<_>>(),
            "same": names(same),
            "other-inputs": names(apart),
            "only-here": names(only_here),
            "only-there": names(only_there),
            "refused": refused.collect::<Vec<_>>(),
        })
    }
}
