//! From what was typed to what is meant: everything named must be there, of the right kind, and in no circle.

mod accounts;
mod container;
mod image;
mod rootfs;

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    Architecture, Build, Input, Kernel, Kind, Name, Packages, Recipe, Recipes, Source,
    schema::{self, Body, Typed, default_suites},
    value::Wrong,
    walk::{At, Report},
};

/// The kinds of recipe that can be the root of a sandbox.
const TOOLS: &[&str] = &["packages", "rootfs"];
/// The kinds of recipe whose output is a tree.
const TREES: &[&str] =
    &["packages", "build", "kernel", "rootfs", "oci-image", "function", "preload"];
/// The kinds of recipe that can be a layer.
const LAYERS: &[&str] = &["packages", "build", "rootfs", "preload"];
/// The kinds of recipe that can be a layer of a container's image.
const CONTAINER_LAYERS: &[&str] = &["packages", "build", "rootfs"];
/// The kinds of recipe that make an image of a container.
const CONTAINERS: &[&str] = &["oci-image", "function"];

/// Turns inherited recipes into recipes as meant. `names` are all names, those too broken for a recipe included.
pub(super) fn all(
    typed: &BTreeMap<Name, Rc<Typed>>,
    names: &BTreeSet<&Name>,
    report: &Report,
) -> Recipes {
    let mut check =
        Check { typed, names, report, edges: BTreeMap::new(), accounts: BTreeMap::new() };
    let mut recipes = BTreeMap::new();
    for (name, typed) in typed {
        if let Some(kind) = check.kind(typed) {
            let recipe = Recipe {
                name: name.clone(),
                description: typed.description.clone(),
                file: typed.spot.file.clone(),
                within: typed.within.clone(),
                kind,
            };
            recipes.insert(name.clone(), recipe);
        }
    }
    check.circles();
    Recipes { recipes }
}

struct Check<'a> {
    typed: &'a BTreeMap<Name, Rc<Typed>>,
    names: &'a BTreeSet<&'a Name>,
    report: &'a Report,
    /// What each recipe needs, with the place that says so.
    edges: BTreeMap<Name, Vec<At<Name>>>,
    /// Users and groups of the root file systems looked at so far.
    accounts: BTreeMap<Name, accounts::Accounts>,
}

impl Check<'_> {
    /// What the recipe is; none if something is missing, which is then reported.
    fn kind(&mut self, typed: &Typed) -> Option<Kind> {
        match &typed.body {
            Body::Packages(packages) => Some(Kind::Packages(self.packages(typed, packages))),
            Body::Build(build) => self.build(typed, build).map(Kind::Build),
            Body::Kernel(kernel) => self.kernel(typed, kernel).map(Kind::Kernel),
            Body::Rootfs(rootfs) => self.rootfs(typed, rootfs).map(Kind::Rootfs),
            Body::Image(image) => self.image(typed, image).map(Kind::Image),
            Body::OciImage(image) => self.oci_image(typed, image).map(Kind::OciImage),
            Body::Function(function) => self.function(typed, function).map(Kind::Function),
            Body::Preload(preload) => self.preload(typed, preload).map(Kind::Preload),
        }
    }

    fn packages(&self, typed: &Typed, packages: &schema::Packages) -> Packages {
        for name in packages.exclude.iter().filter(|_| !typed.broken) {
            let known = packages.include.iter().map(|name| name.value.as_str());
            let wrong = Wrong::from(format!("`{}` is not inherited from a base", name.value));
            let wrong = match super::value::nearest(&name.value, known) {
                Some(nearest) => wrong.with_hint(format!("did you mean `{nearest}`?")),
                None => wrong.with_hint("`exclude` takes packages of the extended recipe away"),
            };
            self.report.add(name.spot.problem(wrong));
        }
        let suites = packages.archives.as_ref();
        let architecture = packages.architecture.as_ref();
        Packages {
            architecture: architecture.map_or(Architecture::Amd64, |at| at.value),
            suites: suites.map_or_else(default_suites, |suites| {
                suites.iter().map(|suite| suite.value.clone()).collect()
            }),
            include: packages.include.iter().map(|name| name.value.clone()).collect(),
            links: packages
                .links
                .iter()
                .map(|(path, to)| (path.clone(), to.value.clone()))
                .collect(),
        }
    }

    fn build(&mut self, typed: &Typed, build: &schema::Build) -> Option<Build> {
        let tools = self.required(typed, "tools", build.tools.as_ref());
        let script = self.required(typed, "script", build.script.as_ref());
        if let Some(tools) = &build.tools {
            self.reference(typed, tools, TOOLS);
        }
        for input in build.inputs.values() {
            self.input(typed, input);
        }
        for (name, value) in build.env.iter().filter(|(name, _)| build.inputs.contains_key(*name)) {
            let message = format!("`{name}` is the name of an input as well");
            self.report.add(value.spot.problem(message));
        }
        let inputs = build.inputs.iter().map(|(name, input)| (name.clone(), input.value.clone()));
        let env = build.env.iter().map(|(name, value)| (name.clone(), value.value.clone()));
        Some(Build { tools: tools?, inputs: inputs.collect(), script: script?, env: env.collect() })
    }

    fn kernel(&mut self, typed: &Typed, kernel: &schema::Kernel) -> Option<Kernel> {
        let tools = self.required(typed, "tools", kernel.tools.as_ref());
        let script = self.required(typed, "script", kernel.script.as_ref());
        let source = self.required(typed, "source", kernel.source.as_ref());
        if let Some(tools) = &kernel.tools {
            self.reference(typed, tools, TOOLS);
        }
        if let Some(source) = &kernel.source {
            self.input(typed, source);
        }
        let architecture = kernel.architecture.as_ref();
        let symbols = kernel.symbols.iter();
        let paths = |paths: &[At<Source>]| paths.iter().map(|path| path.value.clone()).collect();
        Some(Kernel {
            architecture: architecture.map_or(Architecture::Amd64, |at| at.value),
            source: source?,
            tools: tools?,
            script: script?,
            patches: paths(&kernel.patches),
            fragments: paths(&kernel.fragments),
            symbols: symbols.map(|(name, value)| (name.clone(), value.value.clone())).collect(),
        })
    }

    fn input(&mut self, typed: &Typed, input: &At<Input>) {
        if let Input::Output { recipe, .. } = &input.value {
            let name = At { value: recipe.clone(), spot: input.spot.clone() };
            self.reference(typed, &name, TREES);
        }
    }

    /// The value of `key`, which may not be missing.
    fn required<T: Clone>(&self, typed: &Typed, key: &str, value: Option<&At<T>>) -> Option<T> {
        if value.is_none() && !typed.broken {
            let message = format!("`{key}` is missing: a recipe of this kind needs it");
            self.report.add(typed.spot.problem(message));
        }
        value.map(|value| value.value.clone())
    }

    /// Notes that `typed` needs `name`, which must be there and of one of `kinds`.
    fn reference(&mut self, typed: &Typed, name: &At<Name>, kinds: &[&str]) {
        self.edges.entry(typed.name.clone()).or_default().push(name.clone());
        let fits = |kind: &str| kinds.contains(&kind);
        let wrong = match self.typed.get(&name.value) {
            Some(found) if fits(found.body.word()) => return,
            Some(found) => Wrong::from(format!(
                "`{}` is of kind {}, but here belongs one of kind {}",
                name.value,
                found.body.word(),
                kinds.join(" or ")
            )),
            // It is there, and its own file says why it is nothing yet.
            None if self.names.contains(&name.value) => return,
            None => {
                let known = self.typed.values().filter(|typed| fits(typed.body.word()));
                Wrong::unknown(
                    "recipe",
                    name.value.as_str(),
                    known.map(|typed| typed.name.as_str()),
                )
            }
        };
        self.report.add(name.spot.problem(wrong));
    }

    /// Reports each circle of needs once, at the place that closes it.
    fn circles(&self) {
        let mut done = BTreeSet::new();
        for name in self.edges.keys() {
            self.circle_from(name, &mut Vec::new(), &mut done);
        }
    }

    fn circle_from<'s>(
        &'s self,
        name: &'s Name,
        open: &mut Vec<&'s Name>,
        done: &mut BTreeSet<&'s Name>,
    ) {
        open.push(name);
        for need in self.edges.get(name).into_iter().flatten() {
            if let Some(start) = open.iter().position(|open| **open == need.value) {
                let round = open[start..].iter().copied().chain([&need.value]);
                let round: Vec<&str> = round.map(Name::as_str).collect();
                let message =
                    format!("recipes need each other in a circle: {}", round.join(" -> "));
                self.report.add(need.spot.problem(message));
            } else if !done.contains(&need.value) {
                self.circle_from(&need.value, open, done);
            }
        }
        open.pop();
        done.insert(name);
    }
}
