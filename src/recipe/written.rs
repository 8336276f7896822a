use std::collections::{BTreeMap, BTreeSet};

use super::{Name, Recipes, Source, schema, schema::Extends, walk::Report};

/// The files in which `goals` are written, and all that they need or extend, so that these files alone can be loaded and give
/// the same recipes. `recipes` are those of `texts`.
pub fn written_in(
    texts: &BTreeMap<Source, String>,
    recipes: &Recipes,
    goals: &[Name],
) -> BTreeSet<Source> {
    // What is wrong with the texts was said when they were loaded.
    let typed = schema::read(texts, &Report::default());
    let mut files = BTreeSet::new();
    let mut seen: BTreeSet<&Name> = BTreeSet::new();
    let mut open: Vec<&Name> = goals.iter().collect();
    while let Some(name) = open.pop() {
        let Some(recipe) = recipes.get(name).filter(|recipe| seen.insert(&recipe.name)) else {
            continue;
        };
        open.extend(recipe.needs());
        let extends =
            typed.get(name).and_then(Option::as_ref).and_then(|typed| typed.extends.as_ref());
        open.extend(extends.map(|(Extends::Recipe(base) | Extends::PartOf(base, _))| &base.value));
        if files.insert(recipe.file.clone()) {
            // A file is loaded whole, with the other recipes in it.
            let others = recipes.iter().filter(|other| other.file == recipe.file);
            open.extend(others.map(|other| &other.name));
        }
    }
    files
}
