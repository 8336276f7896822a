//! Recipes and lock become steps. Pure: the same texts give the same steps on any machine.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Derivation, Disk, Fetch, FetchFrom, ImagePlan, Input, Layer, Packages, Plan, Run, RunInput,
    Size, Step, StepId, Unpack, function, guest,
};
use crate::{
    digest::Digest,
    formats::deb,
    lock::{Lock, LockedImage, LockedSet, PackageId},
    path::GuestPath,
    recipe::{self, Architecture, Kind, Name, Recipe, Recipes, Source},
    tree::{Inode, Kind as FileKind, Node, Tree},
};

/// The time of whatever has no time of its own, in seconds: 2023-06-10 00:00 UTC, the day of Debian 12.
///
/// It is `SOURCE_DATE_EPOCH` in the sandbox and the time of declared files. A change changes every key.
pub(super) const EPOCH: i64 = 1_686_355_200;

/// A local file or directory of a recipe as a tree, with the tree's digest. A single file is a tree of that one file.
#[derive(Debug, Clone)]
pub struct SourceTree {
    /// The name of the tree.
    pub digest: Digest,
    /// The tree.
    pub tree: Tree,
}

/// Why recipes and lock make no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is no such recipe.
    #[error("there is no recipe `{0}`")]
    NoRecipe(Name),
    /// The lockfile lacks a package set, or one of its packages.
    #[error("lockfile.toml does not cover the packages of `{0}`")]
    NotLocked(Name),
    /// The lockfile lacks an image of a container.
    #[error("lockfile.toml does not cover the image `{0}`")]
    ImageNotLocked(Name),
    /// A file that a recipe names was not read.
    #[error(
        "`{source_file}`, which `{recipe}` names, is not there or not of the kind it should be"
    )]
    NoSource {
        /// The recipe.
        recipe: Name,
        /// The file.
        source_file: Source,
    },
}

/// The plan that makes `goals`.
pub fn lower(
    recipes: &Recipes,
    lock: &Lock,
    sources: &BTreeMap<Source, SourceTree>,
    goals: &[Name],
) -> Result<Plan, Fault> {
    let mut lowering = Lowering { recipes, lock, sources, plan: Plan::default() };
    for goal in goals {
        lowering.recipe(goal)?;
    }
    Ok(lowering.plan)
}

pub(super) struct Lowering<'l> {
    recipes: &'l Recipes,
    lock: &'l Lock,
    sources: &'l BTreeMap<Source, SourceTree>,
    plan: Plan,
}

impl<'l> Lowering<'l> {
    /// The step that makes a recipe.
    pub(super) fn recipe(&mut self, name: &Name) -> Result<StepId, Fault> {
        if let Some(id) = self.plan.recipes.get(name) {
            return Ok(*id);
        }
        let recipe = self.get(name)?;
        let id = match &recipe.kind {
            Kind::Packages(packages) => self.packages(name, packages)?,
            Kind::Build(build) => self.build(recipe, build)?,
            Kind::Kernel(kernel) => self.kernel(recipe, kernel)?,
            Kind::Rootfs(rootfs) => {
                let rootfs = guest::rootfs(self, recipe, rootfs)?;
                self.step(name, Derivation::Rootfs(rootfs))
            }
            Kind::Image(image) => self.image(name, image)?,
            Kind::OciImage(image) => {
                let image = function::oci_image(self, recipe, image)?;
                self.step(name, Derivation::OciImage(image))
            }
            Kind::Function(function) => {
                let function = function::function(self, function)?;
                self.step(name, Derivation::Function(function))
            }
            Kind::Preload(preload) => {
                let preload = function::preload(self, preload)?;
                self.step(name, Derivation::Preload(preload))
            }
        };
        self.plan.recipes.insert(name.clone(), id);
        Ok(id)
    }

    /// The recipe with this name.
    pub(super) fn get(&self, name: &Name) -> Result<&'l Recipe, Fault> {
        self.recipes.get(name).ok_or_else(|| Fault::NoRecipe(name.clone()))
    }

    /// What the lockfile says of an image of a container.
    pub(super) fn locked_image(&self, name: &Name) -> Option<&'l LockedImage> {
        self.lock.images.get(name)
    }

    /// The step that fetches something.
    pub(super) fn fetch(&mut self, name: String, fetch: Fetch) -> StepId {
        self.step(name, Derivation::Fetch(fetch))
    }

    /// A source that is a directory: its tree.
    pub(super) fn directory(&self, recipe: &Recipe, source: &Source) -> Result<Input, Fault> {
        match self.single(recipe, source) {
            Ok(_) => Err(self.no_source(recipe, source)),
            Err(_) => Ok(Input::Source(self.source(recipe, source)?.digest)),
        }
    }

    fn step(&mut self, name: impl ToString, derivation: Derivation<Input>) -> StepId {
        self.plan.add(Step { name: name.to_string(), derivation })
    }

    /// The step that lays the packages of a set together.
    pub(super) fn packages(
        &mut self,
        set: &Name,
        packages: &recipe::Packages,
    ) -> Result<StepId, Fault> {
        let lock = self.lock;
        let locked: &LockedSet = lock.sets.get(set).ok_or_else(|| Fault::NotLocked(set.clone()))?;
        let mut layers = Vec::with_capacity(locked.packages.len());
        for id in &locked.packages {
            let step = self.package(id).ok_or_else(|| Fault::NotLocked(set.clone()))?;
            layers.push(whole(id.name.clone(), Input::Step(step)));
        }
        let format = Packages::<Input>::FORMAT;
        let links = packages.links.clone();
        let derivation = Derivation::Packages(Packages { format, packages: layers, links });
        Ok(self.step(set, derivation))
    }

    fn package(&mut self, id: &PackageId) -> Option<StepId> {
        let locked = self.lock.packages.get(id)?;
        let name = format!("{} {}", id.name, id.version);
        let from =
            FetchFrom::Archive { archive: locked.archive.clone(), path: locked.path.clone() };
        let fetch = Fetch { from, size: locked.size, sha256: locked.sha256 };
        let package = Input::Step(self.fetch(name.clone(), fetch));
        Some(self.step(&name, Derivation::Unpack(Unpack { reader: deb::FORMAT, package })))
    }

    fn build(&mut self, recipe: &Recipe, build: &recipe::Build) -> Result<StepId, Fault> {
        let root = Input::Step(self.recipe(&build.tools)?);
        let mut inputs = BTreeMap::new();
        for (variable, input) in &build.inputs {
            inputs.insert(variable.clone(), self.input(recipe, input)?);
        }
        let script = self.file(recipe, &build.script)?;
        inputs.insert(Run::<Input>::SCRIPT.to_owned(), script);
        let (format, env) = (Run::<Input>::FORMAT, build.env.clone());
        let run = Run { format, root, inputs, env, epoch: EPOCH };
        Ok(self.step(&recipe.name, Derivation::Run(run)))
    }

    /// A kernel is a build whose script is told its fragments in order.
    fn kernel(&mut self, recipe: &Recipe, kernel: &recipe::Kernel) -> Result<StepId, Fault> {
        let root = Input::Step(self.recipe(&kernel.tools)?);
        let mut inputs = BTreeMap::new();
        inputs.insert(Run::<Input>::SCRIPT.to_owned(), self.file(recipe, &kernel.script)?);
        inputs.insert("SOURCE".to_owned(), self.input(recipe, &kernel.source)?);
        let patches = self.list(recipe, "PATCH", &kernel.patches, &mut inputs)?;
        let mut fragments = self.list(recipe, "FRAGMENT", &kernel.fragments, &mut inputs)?;
        if !kernel.symbols.is_empty() {
            let lines = kernel.symbols.iter().map(|(symbol, value)| format!("{symbol}={value}\n"));
            inputs.insert("SYMBOLS".to_owned(), RunInput::Text(lines.collect()));
            fragments.push("/inputs/SYMBOLS".to_owned());
        }
        let arch = match kernel.architecture {
            Architecture::Amd64 => "x86_64",
            Architecture::Arm64 => "arm64",
        };
        let env = [
            ("ARCH", arch.to_owned()),
            ("FRAGMENTS", fragments.join(" ")),
            ("PATCHES", patches.join(" ")),
        ];
        let env = env.map(|(variable, value)| (variable.to_owned(), value)).into();
        let run = Run { format: Run::<Input>::FORMAT, root, inputs, env, epoch: EPOCH };
        Ok(self.step(&recipe.name, Derivation::Run(run)))
    }

    /// Adds each of some files as an input of its own; gives the paths that a script finds them at, in order.
    fn list(
        &self,
        recipe: &Recipe,
        variable: &str,
        files: &[Source],
        inputs: &mut BTreeMap<String, RunInput<Input>>,
    ) -> Result<Vec<String>, Fault> {
        let mut paths = Vec::with_capacity(files.len());
        for (index, file) in files.iter().enumerate() {
            let (tree, path, _) = self.single(recipe, file)?;
            let variable = format!("{variable}_{index}");
            paths.push(format!("/inputs/{variable}{path}"));
            inputs.insert(variable, RunInput::Tree { tree, path });
        }
        Ok(paths)
    }

    fn image(&mut self, name: &Name, image: &recipe::Image) -> Result<StepId, Fault> {
        let kernel = self.recipe(&image.kernel)?;
        let rootfs = self.recipe(&image.rootfs)?;
        let layout = &image.disk;
        let (table, root_device) = match layout.table {
            recipe::Table::None => ("none", "/dev/sda".to_owned()),
            recipe::Table::Mbr => ("mbr", format!("/dev/sda{}", layout.partition)),
            recipe::Table::Gpt => ("gpt", format!("/dev/sda{}", layout.partition)),
        };
        let size = match layout.size {
            recipe::Size::Exact(bytes) => Size::Exact(bytes),
            recipe::Size::Free(bytes) => Size::Free(bytes),
        };
        let disk = Disk {
            writer: layout.format,
            rootfs: Input::Step(rootfs),
            table,
            partition: if table == "none" { 0 } else { layout.partition },
            size,
            spare_inodes: layout.spare_inodes,
            journal: layout.journal.unwrap_or(0),
            label: layout.label.clone(),
            epoch: image.epoch,
        };
        let disk = self.step(name, Derivation::Disk(disk));
        let cmdline = format!("{} root={root_device} rw", image.cmdline).trim_start().to_owned();
        let plan = ImagePlan { kernel, rootfs, disk, cmdline, root_device };
        self.plan.images.insert(name.clone(), plan);
        Ok(disk)
    }

    fn input(&mut self, recipe: &Recipe, input: &recipe::Input) -> Result<RunInput<Input>, Fault> {
        match input {
            recipe::Input::Output { recipe, path } => {
                let tree = Input::Step(self.recipe(recipe)?);
                Ok(RunInput::Tree { tree, path: path.clone() })
            }
            recipe::Input::Source(source) => match self.file(recipe, source) {
                Err(Fault::NoSource { .. }) => {
                    let (tree, path) = (self.source(recipe, source)?, GuestPath::root());
                    Ok(RunInput::Tree { tree: Input::Source(tree.digest), path })
                }
                file => file,
            },
        }
    }

    /// A source that is a single file, as the input of a script.
    fn file(&self, recipe: &Recipe, source: &Source) -> Result<RunInput<Input>, Fault> {
        let (tree, path, _) = self.single(recipe, source)?;
        Ok(RunInput::Tree { tree, path })
    }

    /// A source that is a single file: its tree, its path in there, whether it is executable.
    pub(super) fn single(
        &self,
        recipe: &Recipe,
        source: &Source,
    ) -> Result<(Input, GuestPath, bool), Fault> {
        let found = self.source(recipe, source)?;
        let name = source.path.file_name().and_then(|name| GuestPath::new(name).ok());
        match name.as_ref().and_then(|name| found.tree.get(name)) {
            Some(Node::Inode(Inode { meta, kind: FileKind::File(_) })) if found.tree.len() == 2 => {
                let executable = meta.mode & 0o111 != 0;
                Ok((Input::Source(found.digest), name.unwrap_or_default(), executable))
            }
            _ => Err(self.no_source(recipe, source)),
        }
    }

    fn source(&self, recipe: &Recipe, source: &Source) -> Result<&SourceTree, Fault> {
        self.sources.get(source).ok_or_else(|| self.no_source(recipe, source))
    }

    fn no_source(&self, recipe: &Recipe, source: &Source) -> Fault {
        Fault::NoSource { recipe: recipe.name.clone(), source_file: source.clone() }
    }
}

/// All of a tree, at the root.
pub(super) fn whole(name: String, tree: Input) -> Layer<Input> {
    Layer { name, tree, from: GuestPath::root(), at: GuestPath::root() }
}

/// All local files and directories that `goals` need; these must be given to [`lower`].
pub fn needed_sources(recipes: &Recipes, goals: &[Name]) -> BTreeSet<Source> {
    let needed = recipes.closure(goals).into_iter().filter_map(|name| recipes.get(name));
    needed.flat_map(|recipe| recipe.sources().into_iter().cloned()).collect()
}
