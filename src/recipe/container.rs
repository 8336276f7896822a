use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{Architecture, Erratum, Name, RootfsLayer, Source};

/// An image of a container that others made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OciImage {
    /// For which machines.
    pub architecture: Architecture,
    /// Where it comes from.
    pub origin: Origin,
    /// Whether it is locked only when someone asks for it by name.
    pub on_request: bool,
    /// The program in place of the image's own; the image's arguments are not for it.
    pub entrypoint: Option<Vec<String>>,
    /// What its container is given in place of the image's own arguments.
    pub command: Option<Vec<String>>,
    /// More environment variables of its container.
    pub env: BTreeMap<String, String>,
    /// How it is called, if it is a function.
    pub invoke: Option<Invoke>,
}

/// Where an image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A registry; the lockfile says which manifest.
    Registry(Reference),
    /// A directory in the layout of the OCI image specification, beside the recipe.
    Layout {
        /// The directory.
        source: Source,
        /// Which of its images, if there are several.
        tag: Option<String>,
    },
    /// A file that `docker save` wrote, or an OCI layout in a tar file.
    Archive {
        /// The file.
        source: Source,
        /// Which of its images, if there are several.
        tag: Option<String>,
    },
}

impl Origin {
    /// The local file or directory that holds it.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::Registry(_) => None,
            Self::Layout { source, .. } | Self::Archive { source, .. } => Some(source),
        }
    }
}

/// What a registry calls an image, with nothing left to a default.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// The registry's name, with its port if it has one: `docker.io`, `localhost:5000`.
    pub registry: String,
    /// The repository in it: `library/redis`.
    pub repository: String,
    /// The tag; `latest` if neither a tag nor a digest was written.
    pub tag: Option<String>,
    /// The digest as `sha256:…`, if the recipe pins one.
    pub digest: Option<String>,
}

impl Reference {
    /// Reads a reference as docker does: without a registry it is Docker Hub's, without a tag or digest `latest`.
    pub fn parse(text: &str) -> Option<Self> {
        let parsed: oci_spec::distribution::Reference = text.parse().ok()?;
        Some(Self {
            registry: parsed.registry().to_owned(),
            repository: parsed.repository().to_owned(),
            tag: parsed.tag().map(str::to_owned),
            digest: parsed.digest().map(str::to_owned),
        })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

/// An image of a container, made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// For which machines.
    pub architecture: Architecture,
    /// Trees, each a layer of the image, the lowest first.
    pub layers: Vec<RootfsLayer>,
    /// The program and the arguments that are always there.
    pub entrypoint: Vec<String>,
    /// Arguments that can be replaced.
    pub command: Vec<String>,
    /// `user`, `user:group` or numbers; root if empty.
    pub user: String,
    /// The directory it starts in.
    pub workdir: String,
    /// Environment variables.
    pub env: BTreeMap<String, String>,
    /// Ports that it listens on, TCP.
    pub ports: BTreeSet<u16>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Changes to the programs in its layers.
    pub errata: BTreeSet<Erratum>,
    /// How it is called.
    pub invoke: Option<Invoke>,
}

/// How a function is called and what it must answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoke {
    /// The port that the container listens on, which is published under the same number.
    pub port: u16,
    /// The gRPC method as `/package.Service/Method`; none for a container that others need and nobody calls.
    pub method: Option<String>,
    /// The fields of a request.
    pub request: Vec<Field>,
    /// What the reply must be.
    pub reply: Reply,
    /// How inputs are made.
    pub generator: Generator,
    /// The least input of a generator that makes numbers.
    pub lower: u32,
    /// The greatest.
    pub upper: u32,
    /// A text that inputs are made of.
    pub input: Option<String>,
    /// The containers that must run before: recipes of kind oci-image or function.
    pub needs: BTreeSet<Name>,
}

/// One field of a request. `{input}` in its value stands for what the generator made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its number in the message.
    pub number: u32,
    /// Its type in protobuf's words: `string`, `int`, `double`, `float` or `bool`.
    pub kind: &'static str,
    /// Its value as text.
    pub value: String,
}

/// What a reply must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The number of the field that is looked at, a string.
    pub field: u32,
    /// What it must be: `fibonacci`, `aes`, `auth`, `any`, or `contains TEXT`.
    pub check: String,
}

/// How inputs are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generator {
    /// The same input every time.
    Unique,
    /// Between the bounds by a generator with a fixed seed.
    Random,
    /// From the lower bound up, again and again.
    Linear,
}

impl Generator {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Unique, Self::Random, Self::Linear];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unique => "unique",
            Self::Random => "random",
            Self::Linear => "linear",
        }
    }
}

/// Images in containerd's own store, and the guest's list of functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preload {
    /// Recipes of kind oci-image or function; what they need to run is among them.
    pub functions: BTreeSet<Name>,
    /// containerd's namespace that they are in.
    pub namespace: String,
    /// Whether the layers' blobs are there as well as the unpacked layers.
    pub blobs: bool,
}
