//! How two things were made: which step differs first, and why.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::report::{Cause, Change, MadeDiff, StepDiff};
use crate::{
    digest::Digest,
    plan::{Derivation, Disk, Input, Plan, StepId},
};

/// The most values of one definition that are told.
const FIELDS_MAX: usize = 100;

/// All steps that something was made by, each after those that it needs.
#[derive(Debug, Clone, Default)]
pub struct Made {
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
struct Step {
    name: String,
    kind: String,
    key: Option<Digest>,
    output: Option<Digest>,
    /// The steps it needs, by their places; none if nobody knows.
    needs: Option<Vec<usize>>,
    /// What it does, its inputs named as people name them; none if nobody knows.
    definition: Option<Value>,
}

impl Step {
    /// What it is, whatever version it has: packages have theirs in the name.
    fn label(&self) -> String {
        label(&self.kind, &self.name)
    }
}

fn label(kind: &str, name: &str) -> String {
    let word = name.split(' ').next().unwrap_or_default();
    let word = word.split('=').next().unwrap_or_default();
    format!("{kind} {word}")
}

impl Made {
    /// The steps of a plan that `goals` need; `known` gives a step with its inputs named by content, and its output, as far as
    /// they are known.
    pub fn by_plan(
        plan: &Plan,
        goals: &[StepId],
        known: &dyn Fn(StepId) -> (Option<Derivation<Digest>>, Option<Digest>),
    ) -> Self {
        let closure: Vec<StepId> = plan.closure(goals.iter().copied()).into_iter().collect();
        let place: BTreeMap<StepId, usize> =
            closure.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let named = |id: &StepId| {
            let step = plan.step(*id);
            label(step.derivation.kind(), &step.name)
        };
        let steps = closure.iter().map(|id| {
            let step = plan.step(*id);
            let definition = step.derivation.try_map(|input| {
                Some(match input {
                    Input::Step(step) => named(step),
                    Input::Source(digest) => format!("local files {digest}"),
                })
            });
            let definition = definition.and_then(|it| serde_json::to_value(it).ok());
            let (derivation, output) = known(*id);
            // What is fetched is pinned, whether it is here or not.
            let pinned = match &step.derivation {
                Derivation::Fetch(fetch) => Some(fetch.sha256),
                _ => None,
            };
            let output = output.or(pinned);
            let key = derivation
                .filter(|it| !matches!(it, Derivation::Fetch(_)))
                .map(|it| *it.key().digest());
            Step {
                name: step.name.clone(),
                kind: step.derivation.kind().to_owned(),
                key,
                output,
                needs: Some(step.needs().iter().filter_map(|id| place.get(id).copied()).collect()),
                definition,
            }
        });
        Self { steps: steps.collect() }
    }

    /// What the manifest of an image says: fetched files, keys and outputs.
    pub fn by_manifest(manifest: &Manifest) -> Self {
        let inputs = manifest.inputs.iter().map(|input| Step {
            name: input.name.clone(),
            kind: "fetch".to_owned(),
            key: None,
            output: Some(input.sha256),
            needs: Some(Vec::new()),
            definition: None,
        });
        let steps = manifest.steps.iter().map(|step| Step {
            name: step.name.clone(),
            kind: step.kind.clone(),
            key: Some(step.key),
            output: step.output,
            needs: None,
            definition: None,
        });
        Self { steps: inputs.chain(steps).collect() }
    }
}

/// `manifest.json` of an image, as far as it is of use here.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    /// Version of its form.
    #[serde(rename = "vsbuild-manifest")]
    pub format: u32,
    /// The image.
    pub image: String,
    /// The kernel's command line.
    pub cmdline: String,
    /// Its files by name.
    pub files: BTreeMap<String, ManifestFile>,
    /// What was fetched.
    pub inputs: Vec<ManifestInput>,
    /// What was made, each after what it needs.
    pub steps: Vec<ManifestStep>,
}

/// A file of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct ManifestFile {
    /// Length in bytes.
    pub size: u64,
    /// Digest of all bytes.
    pub sha256: Digest,
}

/// A fetched file.
#[derive(Debug, Clone, Deserialize)]
pub struct ManifestInput {
    /// What a person calls it.
    pub name: String,
    /// Digest of all bytes.
    pub sha256: Digest,
}

/// A step.
#[derive(Debug, Clone, Deserialize)]
pub struct ManifestStep {
    /// What a person calls it.
    pub name: String,
    /// `run`, `rootfs`, `disk` and so on.
    pub kind: String,
    /// Its key.
    pub key: Digest,
    /// What it came to.
    pub output: Option<Digest>,
}

/// The steps that are not the same.
pub(super) fn compare(before: &Made, after: &Made) -> MadeDiff {
    let pairs = pairs(before, after);
    let partner: BTreeMap<usize, usize> = pairs.iter().copied().collect();
    let taken: BTreeSet<usize> = partner.values().copied().collect();
    let mut different = BTreeSet::new();
    let mut found = Vec::new();
    for (place, old) in before.steps.iter().enumerate() {
        let Some(&other) = partner.get(&place) else {
            found.push((place, alone(old, Cause::Removed)));
            continue;
        };
        let new = &after.steps[other];
        if let Some(diff) = step(old, new, before, &different) {
            different.insert(place);
            found.push((place, diff));
        }
    }
    let mut steps: Vec<StepDiff> = found.into_iter().map(|(_, diff)| diff).collect();
    let added = after.steps.iter().enumerate().filter(|(place, _)| !taken.contains(place));
    steps.extend(added.map(|(_, new)| alone(new, Cause::Added)));
    let root = steps.iter().find(|step| step.cause != Cause::Follows);
    // What has the same inputs and came out otherwise is worse than any change that somebody made.
    let unfaithful = steps.iter().find(|step| step.cause == Cause::Unfaithful);
    let first = unfaithful.or(root).map(|step| format!("{} {}", step.kind, step.name));
    MadeDiff { first, steps }
}

/// How many steps cannot be compared: those of which neither both keys nor both definitions are known.
pub(super) fn unknown(before: &Made, after: &Made) -> usize {
    let pairs = pairs(before, after).into_iter();
    let steps = pairs.map(|(old, new)| (&before.steps[old], &after.steps[new]));
    let keys = |(old, new): &(&Step, &Step)| old.key.is_some() && new.key.is_some();
    let definitions =
        |(old, new): &(&Step, &Step)| old.definition.is_some() && new.definition.is_some();
    steps.filter(|pair| pair.0.kind != "fetch" && !keys(pair) && !definitions(pair)).count()
}

/// Which step is which: by kind and name, then whatever version is in the name.
fn pairs(before: &Made, after: &Made) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    let mut old: Vec<usize> = (0..before.steps.len()).collect();
    let mut new: Vec<usize> = (0..after.steps.len()).collect();
    let exact = |step: &Step| format!("{} {}", step.kind, step.name);
    for name in [exact, Step::label] {
        let mut waiting: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for place in new.iter().rev() {
            waiting.entry(name(&after.steps[*place])).or_default().push(*place);
        }
        old.retain(|place| {
            let other = waiting.get_mut(&name(&before.steps[*place])).and_then(Vec::pop);
            pairs.extend(other.map(|other| (*place, other)));
            other.is_none()
        });
        new = waiting.into_values().flatten().collect();
        new.sort_unstable();
    }
    pairs
}

fn alone(step: &Step, cause: Cause) -> StepDiff {
    let text = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
    let pair = |value| if cause == Cause::Added { [None, value] } else { [value, None] };
    StepDiff {
        name: step.name.clone(),
        kind: step.kind.clone(),
        cause,
        fields: Vec::new(),
        follows: Vec::new(),
        key: pair(text(step.key)),
        output: pair(text(step.output)),
    }
}

/// How a step differs, if it does; `different` are those before it that do.
fn step(old: &Step, new: &Step, before: &Made, different: &BTreeSet<usize>) -> Option<StepDiff> {
    let mut fields = Vec::new();
    if let (Some(old), Some(new)) = (&old.definition, &new.definition) {
        values("", old, new, &mut fields);
        fields.truncate(FIELDS_MAX);
    }
    let needs = old.needs.iter().flatten().filter(|place| different.contains(place));
    let follows: Vec<String> = needs.map(|place| before.steps[*place].label()).collect();
    let other_key = matches!((old.key, new.key), (Some(old), Some(new)) if old != new);
    let same_key = old.key.is_some() && old.key == new.key;
    let other_output = matches!((old.output, new.output), (Some(old), Some(new)) if old != new);
    let cause = if old.kind == "fetch" {
        let defined = |step: &Step| step.definition.as_ref()?.get("fetch")?.get("sha256").cloned();
        // A manifest knows no definitions.
        let redefined =
            matches!((defined(old), defined(new)), (Some(old), Some(new)) if old != new);
        if !redefined && !other_output {
            return None;
        }
        Cause::Input
    } else if same_key {
        if !other_output {
            return None;
        }
        Cause::Unfaithful
    } else if old.definition.is_some() && new.definition.is_some() {
        match (fields.is_empty(), follows.is_empty()) {
            (false, _) => Cause::Definition,
            (true, false) => Cause::Follows,
            // Only one side was made yet.
            (true, true) if !other_key => return None,
            (true, true) => Cause::Unknown,
        }
    } else if other_key && !follows.is_empty() {
        Cause::Follows
    } else if other_key {
        Cause::Unknown
    } else {
        return None;
    };
    // A package has its version in its name; that makes it no other recipe.
    if old.name != new.name {
        fields.insert(0, Change::new("name", &old.name, &new.name));
    }
    let text = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
    Some(StepDiff {
        name: new.name.clone(),
        kind: new.kind.clone(),
        cause,
        fields,
        follows,
        key: [text(old.key), text(new.key)],
        output: [text(old.output), text(new.output)],
    })
}

/// What two disks have otherwise but their trees.
pub(super) fn disks(old: &Disk<Digest>, new: &Disk<Digest>) -> Vec<Change> {
    let mut found = Vec::new();
    if let (Ok(old), Ok(new)) = (serde_json::to_value(old), serde_json::to_value(new)) {
        values("disk", &old, &new, &mut found);
    }
    found.retain(|change| change.what != "disk.rootfs");
    found
}

/// All values that differ in two definitions, each by its place: `run.env.CC`.
fn values(place: &str, old: &Value, new: &Value, found: &mut Vec<Change>) {
    if old == new || found.len() > FIELDS_MAX {
        return;
    }
    let below =
        |name: &str| if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            for name in names {
                match (old.get(name), new.get(name)) {
                    (Some(old), Some(new)) => values(&below(name), old, new, found),
                    (old, new) => found.push(Change {
                        what: below(name),
                        before: old.map(shown),
                        after: new.map(shown),
                    }),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            let pairs = old.iter().zip(new).enumerate();
            pairs.for_each(|(index, (old, new))| {
                values(&below(&index.to_string()), old, new, found)
            });
        }
        (Value::Array(old), Value::Array(new)) => {
            let gone = old.iter().filter(|it| !new.contains(it));
            let come = new.iter().filter(|it| !old.contains(it));
            let gone = gone.map(|it| (Some(shown(it)), None));
            for (before, after) in gone.chain(come.map(|it| (None, Some(shown(it))))) {
                found.push(Change { what: place.to_owned(), before, after });
            }
        }
        (old, new) => found.push(Change::new(place, shown(old), shown(new))),
    }
}

/// A value of JSON as a person writes it.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
