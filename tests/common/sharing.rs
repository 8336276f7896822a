//! What a lab has made, sent to a cache with keys and statements of the test's own choice.

use std::{collections::BTreeMap, path::Path};

use vsbuild::{
    cache::{Cache, Parcel, Said},
    digest::Digest,
    lock, plan,
    plan::{Plan, SourceTree},
    project::{self, Project},
    realise::{self, Shared, Stated},
    recipe,
    remote::Directory,
    store::Store,
    trust::{self, Act, SecretKey, Statement},
};

use super::lab::Lab;

/// A lab's key, the same every time.
pub fn key(name: &str) -> SecretKey {
    SecretKey::from_seed(name, Digest::of(name).as_bytes()).unwrap()
}

/// The plan of one recipe of a project.
pub fn plan(project: &Path, store: &Store, name: &str) -> Plan {
    let project = Project::find(project).unwrap();
    let recipes = recipe::load(&project.texts).unwrap();
    let goals = [name.parse().unwrap()];
    lock::cover(&project.lock, &recipes, &goals).unwrap();
    let needed = plan::needed_sources(&recipes, &goals);
    let mut trees = BTreeMap::new();
    for (source, tree) in project::sources(&project, &needed, store).unwrap() {
        let digest = store.put_tree(&tree).unwrap();
        trees.insert(source, SourceTree { digest, tree });
    }
    plan::lower(&recipes, &project.lock, &trees, &goals).unwrap()
}

/// What is to be shared of a recipe that is made.
pub fn shared(project: &Path, store: &Store, name: &str) -> Shared {
    let plan = plan(project, store, name);
    let name = name.parse().unwrap();
    let kernel = plan.images.get(&name).map(|image| image.kernel);
    let goals: Vec<_> = [plan.recipes[&name]].into_iter().chain(kernel).collect();
    realise::closure(&plan, &goals, store).unwrap()
}

/// What somebody says of one step.
pub fn said(stated: &Stated, key: &SecretKey) -> Said {
    let Stated { plan_key, claims, .. } = stated.clone();
    let bytes = trust::sign(&Statement { plan_key, act: Act::Built, claims }, key);
    Said { plan_key, by: key.public().id(), bytes }
}

/// Sends what was made to a cache in `dir`, with the fetched files that are there, and with what `say` makes of each step.
pub fn send(
    project: &Path,
    store: &Store,
    name: &str,
    dir: &Path,
    say: impl Fn(&Stated) -> Vec<Said>,
) {
    let Shared { trees, stated, inputs, .. } = shared(project, store, name);
    let inputs = inputs.into_keys().filter(|input| store.has_blob(input)).collect();
    let statements = stated.iter().flat_map(say).collect();
    let parcel = Parcel { trees, inputs, statements, ..Parcel::default() };
    let cache = Cache::new(Box::new(Directory::new(dir)));
    cache.push(&parcel, store, &|_, _| ()).unwrap();
}

/// The same for a lab.
pub fn push_saying(lab: &Lab, name: &str, dir: &Path, say: impl Fn(&Stated) -> Vec<Said>) {
    let store = Store::open(&lab.env.store()).unwrap();
    send(&lab.env.project(), &store, name, dir, say);
}

/// The same, with what one lab truly says.
pub fn push(lab: &Lab, name: &str, dir: &Path, key: &SecretKey) {
    push_saying(lab, name, dir, |stated| vec![said(stated, key)]);
}
