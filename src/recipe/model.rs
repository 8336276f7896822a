use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{
    Function, Image, Invoke, Layout, Name, OciImage, Origin, Preload, Reference, Rootfs, Source,
};
use crate::path::GuestPath;

/// Every recipe by name, checked as a whole: what a recipe names is there and of a kind that fits, nothing needs
/// itself, and inheritance is applied.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recipes {
    pub(super) recipes: BTreeMap<Name, Recipe>,
}

impl Recipes {
    /// The recipe with this name.
    pub fn get(&self, name: &Name) -> Option<&Recipe> {
        self.recipes.get(name)
    }

    /// The same recipes, but the disk of `image` is laid out so. What is no image has no disk, and stays as it is.
    pub fn laid_out(mut self, image: &Name, layout: Layout) -> Self {
        if let Some(Kind::Image(image)) = self.recipes.get_mut(image).map(|recipe| &mut recipe.kind)
        {
            layout.apply(&mut image.disk);
        }
        self
    }

    /// All recipes in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Recipe> {
        self.recipes.values()
    }

    /// All images of containers that a registry holds, with the reference they are asked by.
    pub fn registry_images(&self) -> BTreeMap<&Name, (&OciImage, &Reference)> {
        let images = self.iter().filter_map(|recipe| match &recipe.kind {
            Kind::OciImage(image) => match &image.origin {
                Origin::Registry(reference) => Some((&recipe.name, (image, reference))),
                Origin::Layout { .. } | Origin::Archive { .. } => None,
            },
            Kind::Packages(_)
            | Kind::Build(_)
            | Kind::Kernel(_)
            | Kind::Rootfs(_)
            | Kind::Image(_)
            | Kind::Function(_)
            | Kind::Preload(_) => None,
        });
        images.collect()
    }

    /// The functions in an image that can be called, in the order of their names.
    pub fn functions(&self, image: &Name) -> BTreeSet<&Name> {
        let closure = self.closure([image]).into_iter().filter_map(|name| self.get(name));
        let preloaded = closure.filter_map(|recipe| match &recipe.kind {
            Kind::Preload(preload) => Some(&preload.functions),
            Kind::Packages(_)
            | Kind::Build(_)
            | Kind::Kernel(_)
            | Kind::Rootfs(_)
            | Kind::Image(_)
            | Kind::OciImage(_)
            | Kind::Function(_) => None,
        });
        let called = |name: &&Name| {
            let invoke = self.get(name).and_then(Recipe::invoke);
            invoke.is_some_and(|invoke| invoke.method.is_some())
        };
        preloaded.flatten().filter(called).collect()
    }

    /// All sets of packages: recipes of that kind under their own names, the lists inside root file systems as
    /// `<rootfs>.packages`.
    pub fn package_sets(&self) -> BTreeMap<Name, &Packages> {
        self.iter().filter_map(Recipe::package_set).collect()
    }

    /// `goals` and all that they need, transitively. Names that are no recipe are left out.
    pub fn closure<'a>(&'a self, goals: impl IntoIterator<Item = &'a Name>) -> BTreeSet<&'a Name> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&Name> = goals.into_iter().collect();
        while let Some(name) = open.pop() {
            let Some(recipe) = self.get(name) else { continue };
            if found.insert(&recipe.name) {
                open.extend(recipe.needs());
            }
        }
        found
    }
}

/// One thing to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// What others call it.
    pub name: Name,
    /// One line for a person; empty if none was written.
    pub description: String,
    /// Where it is written.
    pub file: Source,
    /// For a table inside an image (`[rootfs]`, `[kernel]`): that image.
    pub within: Option<Name>,
    /// What it is.
    pub kind: Kind,
}

impl Recipe {
    /// The set of packages that this recipe asks for, with the set's name.
    pub fn package_set(&self) -> Option<(Name, &Packages)> {
        match &self.kind {
            Kind::Packages(packages) => Some((self.name.clone(), packages)),
            Kind::Rootfs(rootfs) => Some((self.name.inner("packages"), rootfs.packages.as_ref()?)),
            Kind::Build(_)
            | Kind::Kernel(_)
            | Kind::Image(_)
            | Kind::OciImage(_)
            | Kind::Function(_)
            | Kind::Preload(_) => None,
        }
    }

    /// The recipes that this one names, in a fixed order.
    pub fn needs(&self) -> Vec<&Name> {
        match &self.kind {
            Kind::Packages(_) | Kind::OciImage(_) => Vec::new(),
            Kind::Build(build) => {
                let inputs = build.inputs.values().filter_map(Input::recipe);
                std::iter::once(&build.tools).chain(inputs).collect()
            }
            Kind::Kernel(kernel) => {
                std::iter::once(&kernel.tools).chain(kernel.source.recipe()).collect()
            }
            Kind::Rootfs(rootfs) => rootfs.layers.iter().map(|layer| &layer.recipe).collect(),
            Kind::Image(image) => vec![&image.kernel, &image.rootfs],
            Kind::Function(function) => function.layers.iter().map(|layer| &layer.recipe).collect(),
            Kind::Preload(preload) => preload.functions.iter().collect(),
        }
    }

    /// How it is called, if it is an image of a container that says so.
    pub fn invoke(&self) -> Option<&Invoke> {
        match &self.kind {
            Kind::OciImage(image) => image.invoke.as_ref(),
            Kind::Function(function) => function.invoke.as_ref(),
            Kind::Packages(_)
            | Kind::Build(_)
            | Kind::Kernel(_)
            | Kind::Rootfs(_)
            | Kind::Image(_)
            | Kind::Preload(_) => None,
        }
    }

    /// The files and directories that this recipe names, in a fixed order.
    pub fn sources(&self) -> Vec<&Source> {
        match &self.kind {
            Kind::Packages(_) | Kind::Image(_) | Kind::Function(_) | Kind::Preload(_) => Vec::new(),
            Kind::OciImage(image) => image.origin.source().into_iter().collect(),
            Kind::Build(build) => {
                let inputs = build.inputs.values().filter_map(Input::source);
                std::iter::once(&build.script).chain(inputs).collect()
            }
            Kind::Kernel(kernel) => std::iter::once(&kernel.script)
                .chain(kernel.source.source())
                .chain(&kernel.patches)
                .chain(&kernel.fragments)
                .collect(),
            Kind::Rootfs(rootfs) => rootfs.sources().collect(),
        }
    }
}

/// The kinds of recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A set of Debian packages and all they depend on, unpacked together.
    Packages(Packages),
    /// A script in the sandbox.
    Build(Build),
    /// A Linux kernel.
    Kernel(Kernel),
    /// A root file system.
    Rootfs(Rootfs),
    /// A bootable disk.
    Image(Image),
    /// An image of a container that others made.
    OciImage(OciImage),
    /// An image of a container, made here.
    Function(Function),
    /// Images in containerd's own store.
    Preload(Preload),
}

impl Kind {
    /// The word for it in a recipe.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Packages(_) => "packages",
            Self::Build(_) => "build",
            Self::Kernel(_) => "kernel",
            Self::Rootfs(_) => "rootfs",
            Self::Image(_) => "image",
            Self::OciImage(_) => "oci-image",
            Self::Function(_) => "function",
            Self::Preload(_) => "preload",
        }
    }
}

/// What machines a thing is for, in Debian's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// x86-64.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl Architecture {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Debian's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// The architecture with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|architecture| architecture.word() == word)
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One suite of an archive and the parts of it that are used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Suite {
    /// The archive's name; which server holds it is the user's configuration.
    pub archive: String,
    /// `bookworm`, `bookworm-security`.
    pub suite: String,
    /// `main`, `contrib`; at least one.
    pub components: Vec<String>,
}

impl Suite {
    /// Whether this can be the name of an archive, a suite or a component.
    pub fn is_word(text: &str) -> bool {
        text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
    }

    /// Takes what [`Suite`]'s `Display` writes: archive, suite and components, apart by single spaces.
    pub fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [archive, suite, components @ ..] = &words[..] else { return None };
        let good = words.iter().all(|word| Self::is_word(word)) && !components.is_empty();
        good.then(|| Self {
            archive: (*archive).to_owned(),
            suite: (*suite).to_owned(),
            components: components.iter().map(|&component| component.to_owned()).collect(),
        })
    }
}

impl fmt::Display for Suite {
    /// As in a recipe: `debian bookworm main`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.archive, self.suite, self.components.join(" "))
    }
}

/// A set of Debian packages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packages {
    /// For which machines.
    pub architecture: Architecture,
    /// Where packages may come from, in the order of preference as written.
    pub suites: Vec<Suite>,
    /// The packages asked for; what they depend on comes with them.
    pub include: BTreeSet<String>,
    /// Links that Debian's alternatives would have made, with their targets.
    pub links: BTreeMap<GuestPath, String>,
}

/// A script that runs in the sandbox and leaves one tree at `$out`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The root of the sandbox: a recipe of kind packages or rootfs.
    pub tools: Name,
    /// What it works on, by the environment variable that holds the path.
    pub inputs: BTreeMap<String, Input>,
    /// The script, a single file.
    pub script: Source,
    /// Further environment variables.
    pub env: BTreeMap<String, String>,
}

/// One thing that a build works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Something in the output of another recipe.
    Output {
        /// Which recipe: any kind but image.
        recipe: Name,
        /// Where in its tree.
        path: GuestPath,
    },
    /// A file or directory beside the recipes.
    Source(Source),
}

impl Input {
    /// The recipe that it comes from.
    pub fn recipe(&self) -> Option<&Name> {
        match self {
            Self::Output { recipe, .. } => Some(recipe),
            Self::Source(_) => None,
        }
    }

    /// The file or directory that it is.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::Output { .. } => None,
            Self::Source(source) => Some(source),
        }
    }
}

/// A Linux kernel, built without modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// For which machines.
    pub architecture: Architecture,
    /// The source: a tarball or a directory.
    pub source: Input,
    /// The root of the sandbox: a recipe of kind packages or rootfs.
    pub tools: Name,
    /// What runs in the sandbox, a single file.
    pub script: Source,
    /// Patches for the source, each a single file, in the order of their application.
    pub patches: Vec<Source>,
    /// Parts of the configuration, each a single file; later ones win.
    pub fragments: Vec<Source>,
    /// Single symbols with the value as Kconfig writes it (`y`, `n`, `"text"`, `12`, `0x1f`); they win over fragments.
    pub symbols: BTreeMap<String, String>,
}
