//! What can be typed.

mod bill;
mod bundle;
mod cache;
mod diff;
mod examples;
mod judge;
mod run;
mod size;
mod store;
mod substitute;
mod trust;

use std::{num::NonZero, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(super) use bill::{Sbom, SbomFormat};
pub(super) use bundle::{Export, Import, Vendor};
pub(super) use cache::{Cache, CollectCache, PinCache, Pull, Push, Serve};
pub(super) use diff::Diff;
use examples::{
    BUILD_EXAMPLES, CHALLENGE_EXAMPLES, CONFORMANCE_EXAMPLES, DIFF_EXAMPLES, EXPORT_EXAMPLES,
    GRAPH_EXAMPLES, IMAGE_EXAMPLES, IMPORT_EXAMPLES, LINT_EXAMPLES, LOCK_EXAMPLES, REPORT_EXAMPLES,
    RUN_EXAMPLES, SBOM_EXAMPLES, VENDOR_EXAMPLES, WHY_EXAMPLES,
};
pub(super) use judge::{Conformance, Lint, Report, ReportFormat};
pub(super) use run::{Cpu, Executor, Run, Setup, Simulator, Sweep};
pub(super) use store::{Collect, Pin, Store};
pub(super) use substitute::Substitute;
pub(super) use trust::{Challenge, Key};

/// Build byte-reproducible disk images for full-system simulation.
///
/// Recipes say what to make, and lockfile.toml pins every input by digest.
/// The same recipes with the same lockfile give the same bytes on any Linux
/// machine, for any user, with no root, no KVM and no mount.
///
///   vsbuild image hello              build the image `hello` into out/hello/
///   vsbuild run hello --on qemu      boot it and see that its container runs
///   vsbuild verify hello             build it, compare with the lockfile's hashes
///
/// To make images of your own:
///
///   vsbuild init my-lab              a project that extends `hello`
///   vsbuild help lock                how packages are pinned
#[derive(Debug, Parser)]
#[command(name = "vsbuild", version, verbatim_doc_comment, after_help = MORE)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
    /// What goes with every command.
    #[command(flatten)]
    pub(super) global: Global,
}

/// Exit codes and environment, for `--help`; `problem.rs` gives the codes out.
const MORE: &str = "\
Exit codes:
  0  all is well
  1  something else went wrong; the message says what
  2  the command line, a recipe or the lockfile is not right
  3  a step of the build failed
  4  bytes differ from what was promised
  5  something could not be fetched
  6  the guest did not do what it should
  7  this machine cannot run the sandbox

Environment:
  VSBUILD_MIRROR_DEBIAN  servers or directories that hold the archive `debian`, such as
                         http://HOST/debian or file:///DIR; likewise for other archives";

/// Options of every command.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// The project: a directory with recipes/ and lockfile.toml. The nearest one above the current directory, if not given.
    #[arg(short = 'C', long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub(super) project: Option<PathBuf>,
    /// Where built things are kept. $XDG_DATA_HOME/vsbuild, if not given.
    #[arg(
        long,
        global = true,
        env = "VSBUILD_STORE",
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub(super) store: Option<PathBuf>,
    /// The configuration file. $XDG_CONFIG_HOME/vsbuild/config.toml, if not given.
    #[arg(
        long,
        global = true,
        env = "VSBUILD_CONFIG",
        value_name = "FILE",
        help_heading = "Global options"
    )]
    pub(super) config: Option<PathBuf>,
    /// How many steps may keep a core busy at once. As many as there are cores, if not given.
    #[arg(short, long, global = true, value_name = "N", help_heading = "Global options")]
    pub(super) jobs: Option<NonZero<usize>>,
    /// Ask no mirror: use what is here or fail.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(super) offline: bool,
    /// Results as JSON on standard output.
    #[arg(long, global = true, help_heading = "Global options")]
    pub(super) json: bool,
    /// Say nothing but results and errors.
    #[arg(short, long, global = true, help_heading = "Global options")]
    pub(super) quiet: bool,
    /// Whom to ask for what is made already.
    #[command(flatten)]
    pub(super) substitute: Substitute,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Build an image: disk, kernel and manifest, in out/NAME/.
    #[command(after_help = IMAGE_EXAMPLES)]
    Image(Image),
    /// Build a recipe of any kind and print where it is.
    #[command(after_help = BUILD_EXAMPLES)]
    Build(Build),
    /// Boot an image and see what its guest says.
    #[command(after_help = RUN_EXAMPLES)]
    Run(Box<Run>),
    /// Make figures, plots and tables of finished runs and sweeps.
    #[command(after_help = REPORT_EXAMPLES)]
    Report(Report),
    /// Compare gem5's x86 instructions with a real processor's.
    #[command(after_help = CONFORMANCE_EXAMPLES)]
    Conformance(Conformance),
    /// Look after sweeps, which `run --sweep` runs.
    #[command(subcommand)]
    Sweep(Sweep),
    /// Say whether an image can run in gem5, and what may go wrong there.
    #[command(after_help = LINT_EXAMPLES)]
    Lint(Lint),
    /// Compare images with the hashes of the lockfile.
    Verify(Verify),
    /// Compare what was built here with what others say, and name the first difference.
    #[command(after_help = CHALLENGE_EXAMPLES)]
    Challenge(Challenge),
    /// Say what differs between two images, trees, disks, directories or lockfiles, from the outside in.
    #[command(after_help = DIFF_EXAMPLES)]
    Diff(Diff),
    /// Write the bill of material of an image: what is in it, and what it was made from.
    #[command(after_help = SBOM_EXAMPLES)]
    Sbom(Sbom),
    /// Write an artifact: recipes, inputs, and what was made of them, in one file that builds without a network.
    ///
    /// The file is a tar archive. Unpacked, it is a project whose directory `vendor` has all inputs, and a cache with the outputs.
    /// Of the project it has what these recipes need; of this machine's configuration it has nothing but public keys.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(Export),
    /// Unpack an artifact, checking all of it, into a project that builds without a network.
    ///
    /// The artifact's own keys are trusted only if you say so: all else is built from its inputs.
    #[command(after_help = IMPORT_EXAMPLES)]
    Import(Import),
    /// Keep all inputs in the project, so that it builds when no mirror has them any more.
    ///
    /// Each file is kept once, by its sha256. Builds look there before they ask anybody, also with --offline.
    #[command(after_help = VENDOR_EXAMPLES)]
    Vendor(Vendor),
    /// Pin the packages that recipes ask for, in lockfile.toml.
    #[command(after_help = LOCK_EXAMPLES)]
    Lock(Lock),
    /// List what can be built.
    Recipes,
    /// Make a project of your own that extends a shipped image.
    Init(Init),
    /// Show the derivation of a recipe: all that goes into it.
    Show(Named),
    /// Show what a recipe is made from, as a tree or for Graphviz.
    #[command(after_help = GRAPH_EXAMPLES)]
    Graph(Graph),
    /// Show what a recipe's script printed when it ran, well or not.
    Log(Named),
    /// Show why one thing is part of another.
    #[command(after_help = WHY_EXAMPLES)]
    Why(Why),
    /// Enter the sandbox of a build that failed (see build --keep-failed).
    Shell(Shell),
    /// Hand out an image of a container.
    #[command(subcommand)]
    Oci(Oci),
    /// Look after the store.
    #[command(subcommand)]
    Store(Store),
    /// Make keys that sign what is built here.
    #[command(subcommand)]
    Key(Key),
    /// Look after caches, which builders share.
    #[command(subcommand)]
    Cache(Cache),
    /// Print a completion script for a shell.
    Completions(Completions),
    /// Write the manual pages into a directory.
    Man(Man),
}

/// `image`
#[derive(Debug, Args)]
pub(super) struct Image {
    /// The image's recipe, as `vsbuild recipes` lists it.
    pub(super) name: String,
    /// Where to put the files: DIR/NAME/. `out` in the project, if not given.
    #[arg(short, long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Lay the disk out as others expect it, in DIR/NAME-LAYOUT/.
    #[arg(long, value_enum)]
    pub(super) layout: Option<Layout>,
    /// Keep the sandbox of a failed build, to enter it with `vsbuild shell`.
    #[arg(long)]
    pub(super) keep_failed: bool,
}

/// Layouts of disks that others expect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Layout {
    /// As vSwarm-u's scripts for gem5 expect it: a master boot record, and the root file system on partition 2.
    VswarmU,
}

impl From<Layout> for crate::recipe::Layout {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::VswarmU => Self::VswarmU,
        }
    }
}

/// `build`
#[derive(Debug, Clone, Args)]
pub(super) struct Build {
    /// The recipe, as `vsbuild recipes` lists it.
    pub(super) name: String,
    /// Put the output here as plain files: a directory that is not there yet.
    #[arg(short, long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Keep the sandbox of a failed build, to enter it with `vsbuild shell`.
    #[arg(long)]
    pub(super) keep_failed: bool,
}

/// `verify`
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The image. All images that the lockfile has hashes of, if not given.
    pub(super) name: Option<String>,
    /// Build everything of ours again from its inputs, in another store and under other conditions, and name the first
    /// difference.
    #[arg(long)]
    pub(super) rebuild: bool,
    /// Where to build the second time: a directory, best on another file system. In the store, if not given.
    #[arg(long, requires = "rebuild", value_name = "DIR")]
    pub(super) scratch: Option<PathBuf>,
    /// Sign that it came out the same, with the key of the configuration, so that it can be pushed.
    #[arg(long, requires = "rebuild")]
    pub(super) attest: bool,
    /// Write what was signed here as well, one DSSE envelope a line.
    #[arg(long, requires = "attest", value_name = "FILE")]
    pub(super) attest_out: Option<PathBuf>,
}

/// `lock`
#[derive(Debug, Args)]
pub(super) struct Lock {
    /// Move on to what is current: everything, or only these recipes' packages, or only these packages.
    #[arg(long, value_name = "INPUT", num_args = 0.., conflicts_with = "outputs")]
    pub(super) update: Option<Vec<String>>,
    /// Believe the keys in this file, as `gpg --export` writes it, instead of Debian's.
    #[arg(long, value_name = "FILE")]
    pub(super) keyring: Option<PathBuf>,
    /// Take suites whose validity has run out, as those of a snapshot mirror.
    #[arg(long)]
    pub(super) ignore_valid_until: bool,
    /// Build these images, or all of the lockfile, and record the hashes of their files.
    #[arg(long, value_name = "IMAGE", num_args = 0..)]
    pub(super) outputs: Option<Vec<String>>,
}

/// `init`
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The directory to make.
    pub(super) dir: PathBuf,
    /// The shipped image to start from.
    #[arg(long, default_value = "hello", value_name = "IMAGE")]
    pub(super) extends: String,
}

/// A command about one recipe.
#[derive(Debug, Args)]
pub(super) struct Named {
    /// The recipe, as `vsbuild recipes` lists it.
    pub(super) name: String,
}

/// `graph`
#[derive(Debug, Args)]
pub(super) struct Graph {
    /// The recipe.
    pub(super) name: String,
    /// In what form.
    #[arg(long, value_enum, default_value = "tree")]
    pub(super) format: GraphFormat,
    /// With every package, not only recipes.
    #[arg(long)]
    pub(super) all: bool,
}

/// Forms of a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum GraphFormat {
    /// Indented lines.
    Tree,
    /// Graphviz.
    Dot,
}

/// `why`
#[derive(Debug, Args)]
pub(super) struct Why {
    /// The recipe that has it.
    pub(super) name: String,
    /// What it has: a recipe, a package or the digest of an output.
    pub(super) input: String,
}

/// `shell`
#[derive(Debug, Args)]
pub(super) struct Shell {
    /// The kept sandbox, as the failed build named it. The latest, if not given.
    pub(super) sandbox: Option<PathBuf>,
}

/// `oci`
#[derive(Debug, Subcommand)]
pub(super) enum Oci {
    /// Write it as a directory in OCI layout.
    Save {
        /// Its recipe, of kind function or oci-image.
        name: String,
        /// A directory that is not there yet.
        dir: PathBuf,
    },
    /// Put it into a registry.
    Push {
        /// Its recipe, of kind function or oci-image.
        name: String,
        /// Where to, such as `localhost:5000/team/name:tag`.
        reference: String,
    },
}

/// `completions`
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// For which shell.
    pub(super) shell: clap_complete::Shell,
}

/// `man`
#[derive(Debug, Args)]
pub(super) struct Man {
    /// Where to put them.
    pub(super) dir: PathBuf,
}
