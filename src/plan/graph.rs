use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::Derivation;
use crate::{digest::Digest, recipe::Name};

/// Which step of a plan: its place in [`Plan::steps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct StepId(pub(super) usize);

impl StepId {
    /// The place in [`Plan::steps`].
    pub fn index(self) -> usize {
        self.0
    }

    #[cfg(test)]
    pub(crate) fn for_test(index: usize) -> Self {
        Self(index)
    }
}

/// An input of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// What another step makes.
    Step(StepId),
    /// A tree that is there: local files of a recipe.
    Source(Digest),
}

/// One derivation of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What a person calls it: a recipe, a package.
    pub name: String,
    /// What to make.
    pub derivation: Derivation<Input>,
}

impl Step {
    /// The steps that must come before, each once.
    pub fn needs(&self) -> BTreeSet<StepId> {
        self.derivation
            .inputs()
            .into_iter()
            .filter_map(|input| match input {
                Input::Step(step) => Some(*step),
                Input::Source(_) => None,
            })
            .collect()
    }
}

/// The graph of all derivations that some goals need. A step stands after all that it needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Every step once.
    pub steps: Vec<Step>,
    /// The step that makes each recipe which is part of the plan; for an image its disk.
    pub recipes: BTreeMap<Name, StepId>,
    /// What each image among the goals is made of.
    pub images: BTreeMap<Name, ImagePlan>,
}

/// The parts of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePlan {
    /// Makes a tree with `vmlinux` and `bzImage`.
    pub kernel: StepId,
    /// Makes the tree of the root file system.
    pub rootfs: StepId,
    /// Makes the disk.
    pub disk: StepId,
    /// The kernel's command line, the root device included.
    pub cmdline: String,
    /// The device that holds the root file system, as this kernel names it.
    pub root_device: String,
}

/// A chain of steps from one to another.
pub type Through = Vec<StepId>;

impl Plan {
    /// The step with this id.
    pub fn step(&self, id: StepId) -> &Step {
        &self.steps[id.0]
    }

    /// All steps with their ids, inputs first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (StepId, &Step)> {
        self.steps.iter().enumerate().map(|(index, step)| (StepId(index), step))
    }

    /// All that `goals` need, themselves included.
    pub fn closure(&self, goals: impl IntoIterator<Item = StepId>) -> BTreeSet<StepId> {
        let mut closure: BTreeSet<StepId> = goals.into_iter().collect();
        for (id, step) in self.iter().rev() {
            if closure.contains(&id) {
                closure.extend(step.needs());
            }
        }
        closure
    }

    /// A shortest way from `from` down to the first step that `is_target`.
    pub fn path(&self, from: StepId, is_target: impl Fn(StepId, &Step) -> bool) -> Option<Through> {
        let mut came_from: BTreeMap<StepId, StepId> = BTreeMap::new();
        let mut level = vec![from];
        while !level.is_empty() {
            if let Some(&found) = level.iter().find(|id| is_target(**id, self.step(**id))) {
                let mut way = vec![found];
                way.extend(std::iter::successors(came_from.get(&found).copied(), |id| {
                    came_from.get(id).copied()
                }));
                way.reverse();
                return Some(way);
            }
            let mut next = Vec::new();
            for id in level {
                for need in self.step(id).needs() {
                    if need != from && !came_from.contains_key(&need) {
                        came_from.insert(need, id);
                        next.push(need);
                    }
                }
            }
            level = next;
        }
        None
    }

    /// Adds a step, or finds the same one.
    pub(super) fn add(&mut self, step: Step) -> StepId {
        if let Some(index) = self.steps.iter().position(|old| old.derivation == step.derivation) {
            return StepId(index);
        }
        self.steps.push(step);
        StepId(self.steps.len() - 1)
    }
}
