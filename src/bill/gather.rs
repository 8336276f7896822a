use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use super::{
    loose,
    model::{Bill, Component, Id, Kind, Link, Relation},
    package::{self, Package},
};
use crate::{
    digest::Digest,
    formats::{
        deb::{control, relation},
        oci,
    },
    path::{BadPath, GuestPath},
    plan::{
        Derivation, Entry, Fetch, FetchFrom, FileContent, ImageFrom, ImagePlan, Input, Layer, Plan,
        Run, RunInput, StepId,
    },
    store::{self, Store},
    tree::Blobs,
};

/// What a bill is to be about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// What its recipe is called.
    pub name: &'a str,
    /// The step that makes it.
    pub step: StepId,
    /// What it is made of, if it is an image.
    pub image: Option<&'a ImagePlan>,
    /// The files of the image: name and digest.
    pub files: &'a [(String, Digest)],
}

/// Why there is no bill.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something that the bill must look into is not there.
    #[error("{0} is not built, so that nothing is known of what is in it")]
    NotBuilt(String),
    /// The tree of a package has no record of it.
    #[error("the tree of {0} has no record of a package")]
    NoRecord(String),
    /// The record of a package is malformed.
    #[error("the record of the package {package} is malformed")]
    Record {
        /// The package.
        package: String,
        /// How.
        source: control::Malformed,
    },
    /// A relationship of a package is malformed.
    #[error("what the package {package} says of others is malformed")]
    Relation {
        /// The package.
        package: String,
        /// How.
        source: relation::Malformed,
    },
    /// The tree of an image of a container is none.
    #[error("{name} is no image of a container")]
    Container {
        /// The image's recipe.
        name: String,
        /// Why.
        source: oci::UnpackedError,
    },
    /// A path is none.
    #[error(transparent)]
    Path(#[from] BadPath),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Reading failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Gathers all that goes into a subject.
///
/// `outputs` gives what a step came to. It must know the subject's own parts and all packages on the way to it, whose
/// trees must be in the store; what scripts were made with is named from the plan alone.
pub fn gather(
    plan: &Plan,
    subject: &Subject<'_>,
    outputs: &dyn Fn(StepId) -> Option<Digest>,
    store: &Store,
) -> Result<Bill, Error> {
    let (goals, content) = match subject.image {
        Some(image) => (vec![image.kernel, image.rootfs], vec![image.kernel, image.rootfs]),
        None => (vec![subject.step], vec![subject.step]),
    };
    let inside = inside(plan, &content);
    let mut gathering = Gathering {
        plan,
        outputs,
        store,
        inside,
        kernel: subject.image.map(|image| image.kernel),
        names: plan_names(plan),
        packages: BTreeMap::new(),
        bill: Bill {
            subject: Id::new("image", subject.name, &Digest::of("")),
            epoch: epoch(&plan.step(subject.step).derivation),
            components: BTreeMap::new(),
            files: BTreeMap::new(),
            relations: BTreeSet::new(),
            texts: BTreeMap::new(),
        },
    };
    for id in plan.closure(goals.iter().copied()) {
        gathering.step(id)?;
    }
    gathering.dependencies();
    gathering.bill.subject = match subject.image {
        Some(image) => gathering.image(subject, image),
        None => gathering.id(subject.step),
    };
    let holder = subject.image.map_or(subject.step, |image| image.rootfs);
    if !matches!(plan.step(holder).derivation, Derivation::Unpack(_) | Derivation::OciImage(_)) {
        loose::files(&mut gathering, holder)?;
    }
    Ok(gathering.bill)
}

/// What is known while a bill is gathered.
pub(super) struct Gathering<'a> {
    plan: &'a Plan,
    outputs: &'a dyn Fn(StepId) -> Option<Digest>,
    pub(super) store: &'a Store,
    /// The steps whose content is part of the subject.
    pub(super) inside: BTreeSet<StepId>,
    kernel: Option<StepId>,
    /// By step: what it is made from, in one digest.
    names: Vec<Digest>,
    packages: BTreeMap<StepId, Package>,
    pub(super) bill: Bill,
}

impl Gathering<'_> {
    /// The element that a step is.
    pub(super) fn id(&self, step: StepId) -> Id {
        let digest = &self.names[step.index()];
        let found = self.plan.step(step);
        let name = found.name.as_str();
        match &found.derivation {
            Derivation::Fetch(fetch) => Id::new("file", name, &fetch.sha256),
            Derivation::Unpack(_) => Id::new("deb", name, digest),
            Derivation::Packages(_) => Id::new("set", name, digest),
            Derivation::Run(_) if Some(step) == self.kernel => Id::new("kernel", name, digest),
            Derivation::Run(_) => Id::new("build", name, digest),
            Derivation::Rootfs(_) | Derivation::Preload(_) => Id::new("system", name, digest),
            Derivation::Disk(_) => Id::new("disk", name, digest),
            Derivation::OciImage(_) | Derivation::Function(_) => Id::new("container", name, digest),
        }
    }

    pub(super) fn derivation(&self, step: StepId) -> &Derivation<Input> {
        &self.plan.step(step).derivation
    }

    /// What a step came to, which must be known.
    pub(super) fn output(&self, step: StepId) -> Result<Digest, Error> {
        (self.outputs)(step).ok_or_else(|| Error::NotBuilt(self.plan.step(step).name.clone()))
    }

    pub(super) fn relate(&mut self, from: &Id, link: Link, to: &Id) {
        self.bill.relations.insert(Relation { from: from.clone(), link, to: to.clone() });
    }

    fn add(&mut self, id: &Id, component: Component) {
        self.bill.components.insert(id.clone(), component);
    }

    fn step(&mut self, step: StepId) -> Result<(), Error> {
        let found = self.plan.step(step);
        let id = self.id(step);
        let plain = |kind| Component::new(kind, &found.name);
        let component = match &found.derivation {
            // A package stands for the file that it was.
            Derivation::Fetch(Fetch { from: FetchFrom::Archive { .. }, .. }) => return Ok(()),
            Derivation::Fetch(fetch) => blob(&found.name, fetch),
            Derivation::Unpack(unpack) => self.package(step, unpack.package)?,
            Derivation::Packages(packages) => {
                self.layers(&id, &packages.packages)?;
                plain(Kind::Set)
            }
            Derivation::Run(run) => self.run(step, &id, run)?,
            Derivation::Rootfs(rootfs) => {
                self.layers(&id, &rootfs.layers)?;
                for entry in rootfs.add.values() {
                    if let Entry::File { content: FileContent::Copy { tree, path }, .. } = entry {
                        let from = self.input(*tree, path)?;
                        self.relate(&id, Link::GeneratedFrom, &from);
                    }
                }
                plain(Kind::System)
            }
            Derivation::OciImage(image) => {
                let inputs: Vec<Input> = match &image.from {
                    ImageFrom::Blobs { manifest, config, layers } => {
                        [*manifest, *config].into_iter().chain(layers.iter().copied()).collect()
                    }
                    ImageFrom::Layout { tree, .. } | ImageFrom::Archive { tree, .. } => vec![*tree],
                };
                for input in inputs {
                    let from = self.input(input, &GuestPath::root())?;
                    self.relate(&id, Link::GeneratedFrom, &from);
                }
                self.container(step, &id, image.architecture)?
            }
            Derivation::Function(function) => {
                self.layers(&id, &function.layers)?;
                self.container(step, &id, function.architecture)?
            }
            Derivation::Preload(preload) => {
                for container in preload.containers.values() {
                    let image = self.input(container.image, &GuestPath::root())?;
                    self.relate(&id, Link::Contains, &image);
                }
                plain(Kind::System)
            }
            Derivation::Disk(_) => return Ok(()),
        };
        let inside = self.inside.contains(&step);
        let tree = match component.kind {
            Kind::File | Kind::Package => None,
            _ if inside => Some(self.output(step)?),
            _ => None,
        };
        self.add(&id, Component { inside, tree, ..component });
        Ok(())
    }

    fn layers(&mut self, id: &Id, layers: &[Layer<Input>]) -> Result<(), Error> {
        for layer in layers {
            let part = self.input(layer.tree, &layer.from)?;
            self.relate(id, Link::Contains, &part);
        }
        Ok(())
    }

    /// The element that an input is; local files become one here.
    fn input(&mut self, input: Input, path: &GuestPath) -> Result<Id, Error> {
        let digest = match input {
            Input::Step(step) => return Ok(self.id(step)),
            Input::Source(digest) => digest,
        };
        let tree = self.store.tree(&digest)?;
        let name = |path: &GuestPath| {
            path.file_name().map(|name| String::from_utf8_lossy(name).into_owned())
        };
        let mut files = tree.iter().filter(|(path, _)| !path.is_root());
        let only = files.next().filter(|_| tree.len() == 2).map(|(path, _)| path);
        let path = only.unwrap_or(path);
        let mut source =
            Component::new(Kind::Source, &name(path).unwrap_or_else(|| "source".into()));
        source.tree = Some(digest);
        source.sha256 = tree.content(path).map(|content| content.digest);
        let id = Id::new("source", &source.name, &digest);
        self.add(&id, source);
        Ok(id)
    }

    fn package(&mut self, step: StepId, deb: Input) -> Result<Component, Error> {
        let name = self.plan.step(step).name.clone();
        let (archive, sha256) = match deb {
            Input::Step(fetch) => match self.derivation(fetch) {
                Derivation::Fetch(Fetch {
                    from: FetchFrom::Archive { archive, .. },
                    sha256,
                    ..
                }) => (archive.clone(), *sha256),
                _ => (String::new(), self.output(fetch)?),
            },
            Input::Source(digest) => (String::new(), digest),
        };
        let tree = self.store.tree(&self.output(step)?)?;
        let package = package::read(&name, &tree, &archive, sha256, self.store)?;
        self.bill.texts.extend(package.licences.extracted.clone());
        let component = package.component.clone();
        self.packages.insert(step, package);
        Ok(component)
    }

    fn run(&mut self, step: StepId, id: &Id, run: &Run<Input>) -> Result<Component, Error> {
        let tools = self.input(run.root, &GuestPath::root())?;
        self.relate(id, Link::BuiltWith, &tools);
        let mut component = Component::new(Kind::Built, &self.plan.step(step).name);
        for (variable, input) in &run.inputs {
            match input {
                RunInput::Tree { tree, path } => {
                    let patch = variable.starts_with("PATCH_") && Some(step) == self.kernel;
                    let link = if patch { Link::PatchedWith } else { Link::GeneratedFrom };
                    let from = self.input(*tree, path)?;
                    self.relate(id, link, &from);
                }
                RunInput::Text(text) => {
                    let digest = Digest::of(text);
                    let from = Id::new("source", variable, &digest);
                    let mut source = Component::new(Kind::Source, variable);
                    source.sha256 = Some(digest);
                    self.add(&from, source);
                    self.relate(id, Link::GeneratedFrom, &from);
                }
            }
        }
        if Some(step) == self.kernel {
            component.kind = Kind::Kernel;
            self.kernel_source(&mut component, run);
        }
        Ok(component)
    }

    /// A kernel has version, licence and source package of the package that its source is from.
    fn kernel_source(&self, kernel: &mut Component, run: &Run<Input>) {
        let Some(RunInput::Tree { tree: Input::Step(source), .. }) = run.inputs.get("SOURCE")
        else {
            return;
        };
        let parts = match self.derivation(*source) {
            Derivation::Packages(packages) => {
                packages.packages.iter().map(|layer| layer.tree).collect()
            }
            _ => vec![Input::Step(*source)],
        };
        let mut packages = parts.iter().filter_map(|part| match part {
            Input::Step(step) => self.packages.get(step),
            Input::Source(_) => None,
        });
        let found = packages.find(|package| package.component.name.starts_with("linux"));
        if let Some(Package { component, .. }) = found {
            kernel.version = component.version.clone();
            kernel.licence = component.licence.clone();
            kernel.origin = component.origin.clone();
            kernel.supplier = component.supplier.clone();
        }
    }

    /// An image of a container: its configuration and its layers, uncompressed.
    fn container(&mut self, step: StepId, id: &Id, architecture: &str) -> Result<Component, Error> {
        let name = self.plan.step(step).name.clone();
        let tree = self.store.tree(&self.output(step)?)?;
        let image = oci::Unpacked::from_tree(&tree)
            .map_err(|source| Error::Container { name: name.clone(), source })?;
        let config = self.store.read(&image.config.digest)?;
        let layers: Vec<(Digest, u64)> =
            image.layers.iter().map(|layer| (layer.tar.digest, layer.tar.size)).collect();
        for (index, (digest, _)) in layers.iter().enumerate() {
            let mut layer = Component::new(Kind::File, &format!("{name}/layers/{index:03}.tar"));
            layer.sha256 = Some(*digest);
            layer.inside = true;
            let layer_id = Id::new("layer", &name, digest);
            self.add(&layer_id, layer);
            self.relate(id, Link::Contains, &layer_id);
        }
        let manifest = Digest::of(oci::canonical_manifest(&config, &layers));
        let mut container = Component::new(Kind::Container, &name);
        container.version = Some(format!("sha256:{manifest}"));
        container.sha256 = Some(manifest);
        container.purl = Some(format!(
            "pkg:oci/{}@sha256%3A{manifest}?arch={architecture}",
            package::quoted(&name.to_lowercase())
        ));
        container.notes = BTreeMap::from([
            ("architecture", architecture.to_owned()),
            ("configuration", image.config.digest.hex()),
        ]);
        Ok(container)
    }

    /// Which package of a set needs which other: the first alternative that is there, as dpkg is content with.
    fn dependencies(&mut self) {
        let mut found = Vec::new();
        let mut documented = Vec::new();
        for (_, step) in self.plan.iter() {
            let Derivation::Packages(set) = &step.derivation else { continue };
            let members: Vec<StepId> = set
                .packages
                .iter()
                .filter_map(|layer| match layer.tree {
                    Input::Step(step) if self.packages.contains_key(&step) => Some(step),
                    Input::Step(_) | Input::Source(_) => None,
                })
                .collect();
            let mut by_name: BTreeMap<&str, StepId> = BTreeMap::new();
            // Real packages before virtual ones.
            for own in [true, false] {
                for &member in &members {
                    let names = &self.packages[&member].provides;
                    let names = if own { &names[..1] } else { &names[1..] };
                    names.iter().for_each(|name| {
                        by_name.entry(name).or_insert(member);
                    });
                }
            }
            for &member in &members {
                let package = &self.packages[&member];
                let met = package.needs.iter().filter_map(|alternatives| {
                    alternatives.iter().find_map(|it| by_name.get(&*it.package))
                });
                found.extend(met.filter(|other| **other != member).map(|other| (member, *other)));
                let documents = package.documented_by.as_deref().and_then(|name| by_name.get(name));
                documented.extend(documents.map(|other| (member, *other)));
            }
        }
        for (member, other) in found {
            let (member, other) = (self.id(member), self.id(other));
            self.relate(&member, Link::DependsOn, &other);
        }
        for (member, other) in documented {
            let licence = self.packages[&other].component.licence.clone();
            let id = self.id(member);
            if let Some(component) = self.bill.components.get_mut(&id)
                && component.licence.is_none()
            {
                component.licence = licence;
            }
        }
    }

    /// The image itself, with its files.
    fn image(&mut self, subject: &Subject<'_>, image: &ImagePlan) -> Id {
        let listed: Vec<String> =
            subject.files.iter().map(|(name, digest)| format!("{name} {digest}\n")).collect();
        let id = Id::new("image", subject.name, &Digest::of(listed.concat()));
        let mut component = Component::new(Kind::Image, subject.name);
        component.inside = true;
        component.notes = BTreeMap::from([("command line", image.cmdline.clone())]);
        let (kernel, rootfs) = (self.id(image.kernel), self.id(image.rootfs));
        for (name, sha256) in subject.files {
            let mut file = Component::new(Kind::File, name);
            (file.sha256, file.inside) = (Some(*sha256), true);
            let file_id = Id::new("file", name, sha256);
            self.add(&file_id, file);
            self.relate(&id, Link::Contains, &file_id);
            let from = if name.ends_with(".img") { &rootfs } else { &kernel };
            self.relate(&file_id, Link::GeneratedFrom, from);
        }
        self.relate(&id, Link::Contains, &kernel);
        self.relate(&id, Link::Contains, &rootfs);
        self.add(&id, component);
        id
    }
}

/// A blob of a registry.
fn blob(name: &str, fetch: &Fetch) -> Component {
    let mut component = Component::new(Kind::File, name);
    component.sha256 = Some(fetch.sha256);
    if let FetchFrom::Registry { registry, repository, .. } = &fetch.from {
        component.notes.insert("repository", format!("{registry}/{repository}"));
    }
    component
}

/// The steps whose content is content of `goals`: down to scripts, packages and fetched images, but not into them.
pub fn inside(plan: &Plan, goals: &[StepId]) -> BTreeSet<StepId> {
    let (mut inside, mut todo) = (BTreeSet::new(), goals.to_vec());
    while let Some(step) = todo.pop() {
        if inside.insert(step) {
            match plan.step(step).derivation {
                Derivation::Fetch(_)
                | Derivation::Unpack(_)
                | Derivation::Run(_)
                | Derivation::OciImage(_) => (),
                Derivation::Packages(_)
                | Derivation::Rootfs(_)
                | Derivation::Disk(_)
                | Derivation::Function(_)
                | Derivation::Preload(_) => todo.extend(plan.step(step).needs()),
            }
        }
    }
    inside
}

/// For each step a digest of all that it is made from, known without anything being made.
fn plan_names(plan: &Plan) -> Vec<Digest> {
    let mut names: Vec<Digest> = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let named = step.derivation.try_map(|input| match input {
            Input::Step(step) => names.get(step.index()).copied(),
            Input::Source(digest) => Some(*digest),
        });
        let named = named.expect("a step stands after all that it needs");
        names.push(*named.key().digest());
    }
    names
}

/// The time of what a derivation makes, in seconds; what has none is of 1970.
fn epoch(derivation: &Derivation<Input>) -> i64 {
    match derivation {
        Derivation::Run(run) => run.epoch,
        Derivation::Rootfs(rootfs) => rootfs.epoch,
        Derivation::Disk(disk) => disk.epoch,
        Derivation::Function(function) => function.epoch,
        Derivation::Preload(preload) => preload.epoch,
        Derivation::Fetch(_)
        | Derivation::Unpack(_)
        | Derivation::Packages(_)
        | Derivation::OciImage(_) => 0,
    }
}
