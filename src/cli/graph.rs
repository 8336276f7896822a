//! The graph of a plan as text.

use std::{collections::BTreeSet, fmt::Write};

use super::printer::count;
use crate::plan::{Derivation, Plan, Step, StepId};

/// Whether a step is shown when packages are not.
fn is_recipe(step: &Step) -> bool {
    match step.derivation {
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

/// Indented lines from `goals` down; what stood before is named again but not unfolded.
pub(super) fn tree(plan: &Plan, goals: &[StepId], all: bool) -> String {
    let mut text = String::new();
    let mut seen = BTreeSet::new();
    for goal in goals {
        branch(plan, *goal, all, 0, &mut seen, &mut text);
    }
    text.truncate(text.trim_end().len());
    text
}

fn branch(
    plan: &Plan,
    id: StepId,
    all: bool,
    depth: usize,
    seen: &mut BTreeSet<StepId>,
    text: &mut String,
) {
    let step = plan.step(id);
    let needs = step.needs();
    let hidden = needs.iter().filter(|need| !all && !is_recipe(plan.step(**need))).count();
    let first = seen.insert(id);
    let note = match (first, hidden) {
        (false, _) if !needs.is_empty() => " (see above)".to_owned(),
        (_, 0) => String::new(),
        _ => format!(", {}", count(hidden, "package")),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{:indent$}{} ({}){note}",
        "",
        step.name,
        step.derivation.kind(),
        indent = depth * 2
    );
    if first {
        for need in needs.into_iter().filter(|need| all || is_recipe(plan.step(*need))) {
            branch(plan, need, all, depth + 1, seen, text);
        }
    }
}

/// For Graphviz: an arrow from each step to what it needs.
pub(super) fn dot(plan: &Plan, goals: &[StepId], all: bool) -> String {
    let mut text = "digraph vsbuild {\n  rankdir = LR;\n  node [shape = box];\n".to_owned();
    let shown = |id: &StepId| all || is_recipe(plan.step(*id));
    for id in plan.closure(goals.iter().copied()).into_iter().filter(shown) {
        let step = plan.step(id);
        let label = format!("{}\\n{}", step.name.replace('"', "\\\""), step.derivation.kind());
        let _ = writeln!(text, "  s{} [label = \"{label}\"];", id.index());
        for need in step.needs().into_iter().filter(shown) {
            let _ = writeln!(text, "  s{} -> s{};", id.index(), need.index());
        }
    }
    text + "}"
}
