//! What a user means by a word that names something to compare.

use std::path::Path;

use super::{
    context::Context,
    problem::{Failure, Problem},
};
use crate::{
    compare::{self, Body, Bytes, Made, Side},
    digest::Digest,
    plan::{Derivation, Plan},
    project::Project,
    realise::{self, Realised},
    recipe::{self, Name, Recipes},
    store::Store,
};

/// Finds what `text` names: see docs/diff.md for the order in which it is looked for.
pub(super) fn side(context: &Context, text: &str, store: &Store) -> Result<Side, Problem> {
    let path = Path::new(text);
    if let Ok(digest) = text.strip_prefix("sha256:").unwrap_or(text).parse::<Digest>() {
        let found = compare::by_digest(text, &digest, store).map_err(|e| problem(context, e))?;
        return found.ok_or_else(|| {
            Problem::new(Failure::Input, format!("the store has no tree, key or blob {digest}"))
                .help("vsbuild show NAME prints the key and the output of a recipe")
        });
    }
    if !path.exists()
        && let Some((before, after)) = text.rsplit_once('#')
    {
        return inside(context, text, Path::new(before), after, store);
    }
    if !text.contains('/')
        && let Ok((project, recipes)) = context.project()
        && let Some(recipe) = text.parse::<Name>().ok().and_then(|name| recipes.get(&name))
    {
        return made(context, text, &project, &recipes, &recipe.name, store);
    }
    if path.exists() {
        return Side::at(text, path, None, store).map_err(|error| problem(context, error));
    }
    Err(Problem::new(Failure::Input, format!("`{text}` is no recipe of this project and no file"))
        .help("vsbuild recipes lists recipes; DIR#NAME is one of the project in DIR"))
}

/// `DIR#NAME`, a recipe of another project, or `DISK#N`, a partition.
fn inside(
    context: &Context,
    text: &str,
    before: &Path,
    after: &str,
    store: &Store,
) -> Result<Side, Problem> {
    if before.is_dir() {
        let project =
            Project::find(before).map_err(|error| Problem::from_error(Failure::Input, &error))?;
        let recipes = recipe::load(&project.texts)
            .map_err(|problems| Problem::in_recipes(problems, project.texts.clone()))?;
        let name = context.name(&recipes, after)?;
        return made(context, text, &project, &recipes, &name, store);
    }
    if !before.exists() {
        let message = format!("there is no {}", before.display());
        return Err(Problem::new(Failure::Input, message)
            .help("DIR#NAME is a recipe of the project in DIR, DISK#N partition N of a disk"));
    }
    let partition = after.parse().map_err(|_| {
        Problem::new(Failure::Input, format!("`{after}` is not the number of a partition"))
    })?;
    Side::at(text, before, Some(partition), store).map_err(|error| problem(context, error))
}

/// A recipe of a project: how it is made, and its trees, if the store has them.
fn made(
    context: &Context,
    text: &str,
    project: &Project,
    recipes: &Recipes,
    name: &Name,
    store: &Store,
) -> Result<Side, Problem> {
    let plan = context.lower(project, recipes, std::slice::from_ref(name), store)?;
    let known = realise::known(&plan, store).map_err(|error| context.explain(error))?;
    let image = plan.images.get(name);
    let kernel = image.map(|image| image.kernel);
    let goals: Vec<_> = std::iter::once(plan.recipes[name]).chain(kernel).collect();
    let how = Made::by_plan(&plan, &goals, &|id| (known.derivation(&plan, id), known.output(id)));
    Ok(Side {
        name: text.to_owned(),
        kind: if image.is_some() { "image" } else { "recipe" },
        cmdline: image.map(|image| image.cmdline.clone()),
        made: Some(how),
        body: body(&plan, name, &known, store),
    })
}

fn body(plan: &Plan, name: &Name, known: &Realised, store: &Store) -> Body {
    let there = |label: &str, id| {
        let tree = known.output(id).filter(|tree| store.has_tree(tree))?;
        Some((label.to_owned(), tree))
    };
    let Some(image) = plan.images.get(name) else {
        let tree = there("", plan.recipes[name]);
        return tree.map_or(Body::Unmade, |tree| Body::Trees { parts: vec![tree], disk: None });
    };
    let parts = [there("rootfs", image.rootfs), there("kernel", image.kernel)];
    let parts: Option<Vec<_>> = parts.into_iter().collect();
    match (parts, known.derivation(plan, image.disk)) {
        (Some(parts), Some(Derivation::Disk(disk))) => {
            Body::Trees { parts, disk: Some(Bytes::Planned(Box::new(disk))) }
        }
        _ => Body::Unmade,
    }
}

/// What an error of a comparison means for a person.
pub(super) fn problem(context: &Context, error: compare::Error) -> Problem {
    use compare::Error;
    match error {
        Error::Store(error) => context.explain(error.into()),
        Error::Several { .. } => {
            Problem::from_error(Failure::Input, &error).help("name one of them: DISK#N")
        }
        Error::Unmade { ref name, .. } => {
            let help = format!("vsbuild image {name}, or vsbuild build {name}");
            Problem::from_error(Failure::Input, &error).help(help)
        }
        Error::Apart { .. } | Error::NoPartition { .. } | Error::Odd { .. } => {
            Problem::from_error(Failure::Input, &error)
        }
        Error::Io { .. } | Error::Named(_) | Error::System { .. } | Error::Layout { .. } => {
            Problem::from_error(Failure::Other, &error)
        }
    }
}
