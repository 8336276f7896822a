use std::collections::BTreeSet;

use super::{Lock, LockedSet};
use crate::recipe::{Name, OciImage, Packages, Recipes, Reference};

/// A set of packages, or an image of a container, for which the lockfile has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// It was never locked.
    #[error("`{0}` is not in the lockfile")]
    Missing(Name),
    /// It was never locked, and is not unless someone asks for it.
    #[error("`{0}` is only locked on request: vsbuild lock --update {0}")]
    OnRequest(Name),
    /// The recipe asks for something else than what was locked.
    #[error("`{set}` was locked for another recipe: {}", changes.join(", "))]
    Changed {
        /// The set, or the image.
        set: Name,
        /// What is different, one short clause each.
        changes: Vec<String>,
    },
}

/// The lockfile does not answer what the recipes ask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}; run `vsbuild lock`", .0.iter().map(Stale::to_string).collect::<Vec<_>>().join("; "))]
pub struct NotCovered(pub Vec<Stale>);

/// Whether `lock` answers for every set of packages and every image of a container that `goals` need, asked exactly as
/// it was.
pub fn cover<'a>(
    lock: &Lock,
    recipes: &'a Recipes,
    goals: impl IntoIterator<Item = &'a Name>,
) -> Result<(), NotCovered> {
    let closure = recipes.closure(goals);
    let sets = closure.iter().filter_map(|name| recipes.get(name)?.package_set());
    let sets = sets.filter_map(|(name, packages)| stale(lock, name, packages));
    let images = recipes.registry_images().into_iter().filter(|(name, _)| closure.contains(name));
    let images = images.filter_map(|(name, (image, asked))| stale_image(lock, name, image, asked));
    let stale: Vec<Stale> = sets.chain(images).collect();
    if stale.is_empty() { Ok(()) } else { Err(NotCovered(stale)) }
}

/// Why `lock` has no answer for this set; none if it has.
pub fn stale(lock: &Lock, set: Name, asked: &Packages) -> Option<Stale> {
    let Some(locked) = lock.sets.get(&set) else { return Some(Stale::Missing(set)) };
    let changes = changes(locked, asked);
    if changes.is_empty() { None } else { Some(Stale::Changed { set, changes }) }
}

/// Why `lock` has no answer for this image; none if it has.
pub fn stale_image(lock: &Lock, name: &Name, image: &OciImage, asked: &Reference) -> Option<Stale> {
    let Some(locked) = lock.images.get(name) else {
        let name = name.clone();
        return Some(if image.on_request { Stale::OnRequest(name) } else { Stale::Missing(name) });
    };
    let mut changes = Vec::new();
    if locked.architecture != image.architecture {
        changes.push(format!("for {} instead of {}", image.architecture, locked.architecture));
    }
    if locked.reference != asked.to_string() {
        changes.push(format!("{asked} instead of {}", locked.reference));
    }
    (!changes.is_empty()).then(|| Stale::Changed { set: name.clone(), changes })
}

fn changes(locked: &LockedSet, asked: &Packages) -> Vec<String> {
    let mut changes = Vec::new();
    if locked.architecture != asked.architecture {
        changes.push(format!("for {} instead of {}", asked.architecture, locked.architecture));
    }
    if locked.suites != asked.suites {
        changes.push("from other archives".to_owned());
    }
    let mut names = |word: &str, more: &BTreeSet<String>, fewer: &BTreeSet<String>| {
        let names: Vec<&str> = more.difference(fewer).map(String::as_str).collect();
        if !names.is_empty() {
            changes.push(format!("{word} {}", names.join(" ")));
        }
    };
    names("with", &asked.include, &locked.include);
    names("without", &locked.include, &asked.include);
    changes
}
