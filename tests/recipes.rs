//! The recipes in this repository, and the projects that labs make from them.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::{collections::BTreeSet, path::Path};

use vsbuild::{
    lock::{self, Lock, NotCovered, Stale},
    project::{self, Project},
    recipe::{self, Library, Name, Recipes, Source},
    tree::MemoryBlobs,
};

fn repository() -> (Project, Recipes) {
    let project = Project::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let recipes = recipe::load(&project.texts).unwrap_or_else(|problems| panic!("{problems}"));
    (project, recipes)
}

#[test]
fn the_repository_uses_its_own_files() {
    let (_, recipes) = repository();
    assert!(recipes.iter().all(|recipe| recipe.file.library == Library::Project));
}

#[test]
fn every_shipped_recipe_is_described() {
    let (_, recipes) = repository();
    for recipe in recipes.iter() {
        assert!(!recipe.description.is_empty(), "{}", recipe.name);
    }
}

#[test]
fn every_file_that_a_shipped_recipe_names_is_there() {
    let (project, recipes) = repository();
    let needed: BTreeSet<Source> =
        recipes.iter().flat_map(|recipe| recipe.sources().into_iter().cloned()).collect();
    let trees = project::sources(&project, &needed, &MemoryBlobs::default()).unwrap();
    assert_eq!(trees.len(), needed.len());
}

/// All is locked but for what is only locked when someone asks.
fn covered<'a>(lock: &Lock, recipes: &'a Recipes, goals: impl IntoIterator<Item = &'a Name>) {
    let Err(NotCovered(stale)) = lock::cover(lock, recipes, goals) else { return };
    assert!(stale.iter().all(|stale| matches!(stale, Stale::OnRequest(_))), "{stale:?}");
}

#[test]
fn the_lockfile_covers_every_shipped_recipe() {
    let (project, recipes) = repository();
    if project.root.join(project::LOCKFILE).exists() {
        let names: Vec<&Name> = recipes.iter().map(|recipe| &recipe.name).collect();
        covered(&project.lock, &recipes, names);
        assert_eq!(
            std::fs::read_to_string(project.root.join(project::LOCKFILE)).unwrap(),
            project.lock.to_text(),
            "the lockfile is as `vsbuild lock` writes it"
        );
    }
}

#[test]
fn every_shipped_image_can_be_extended_by_a_project_of_its_own() {
    let shipped = recipe::load(&project::shipped_texts()).unwrap();
    let images = shipped.iter().filter(|recipe| matches!(recipe.kind, recipe::Kind::Image(_)));
    for image in images {
        let dir = tempfile::tempdir().unwrap();
        let lab = dir.path().join("lab");
        let made = project::init(&lab, image.name.as_str()).unwrap();
        assert!(made.iter().all(|path| path.is_file()), "{made:?}");
        let project = Project::find(&lab.join("recipes")).unwrap();
        let recipes = recipe::load(&project.texts).unwrap_or_else(|problems| panic!("{problems}"));
        let own: Name = format!("my-{}", image.name).parse().unwrap();
        if !project::shipped_lock().unwrap().sets.is_empty() {
            covered(&project.lock, &recipes, [&own]);
        }
        let again = project::init(&lab, image.name.as_str());
        assert!(matches!(again, Err(project::Error::Exists { .. })), "{again:?}");
    }
}
