//! What can be typed.

use std::{num::NonZero, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

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

const IMAGE_EXAMPLES: &str = "\
Examples:
  vsbuild image hello                 into out/hello/ of the project
  vsbuild image hello --out /tmp      into /tmp/hello/
  vsbuild image hello --layout vswarm-u
                                      into out/hello-vswarm-u/, for a gem5 script of vSwarm-u's
  vsbuild image hello --json          paths, sizes and digests for a program";

const BUILD_EXAMPLES: &str = "\
Examples:
  vsbuild build hello-rootfs             prints the manifest of the tree, in the store
  vsbuild build guest --out guest        and copies the files to guest/
  vsbuild build linux-6.1 --keep-failed  to look around with vsbuild shell if it fails";

const RUN_EXAMPLES: &str = "\
Examples:
  vsbuild run hello                                      boot it and see its container's output
  vsbuild run functions --function aes-go --warm 5       call a function, 5 + 10 times
  vsbuild run functions --all --cores 2 --json           call every function, for a program

On gem5, which boots, warms the function up, takes checkpoints, and measures:
  vsbuild run hello --on gem5 --gem5 gem5.opt
  vsbuild run functions --on gem5 --function fibonacci-python --cpu o3 --warm 20 --invocations 10
  vsbuild run functions --on gem5 --all --machine skylake --invocations 10";

const REPORT_EXAMPLES: &str = "\
Examples:
  vsbuild report runs/functions/aes-go             report.html, .csv and .json beside the run
  vsbuild report runs/functions -o report          all runs of an image on one page
  vsbuild report --compare before after -o report  what changed, in numbers and percent";

const LINT_EXAMPLES: &str = "\
Exit codes:
  0  it can run there; there may be warnings
  2  it cannot, as it is: there are errors

Examples:
  vsbuild lint hello             what is wrong, a few places of each kind
  vsbuild lint functions --all   every place
  vsbuild lint hello --json      for a program";

const LOCK_EXAMPLES: &str = "\
Examples:
  vsbuild lock                     pin what recipes newly ask for, leave all else as it is
  vsbuild lock --update            move everything on to what the archives have today
  vsbuild lock --update runc       move on only this package, or a recipe's packages
  vsbuild lock --outputs hello     record what hello comes to, for vsbuild verify";

const CONFORMANCE_EXAMPLES: &str = "\
Examples:
  vsbuild conformance --gem5 build/X86/gem5.opt          a table of what it gets wrong
  vsbuild conformance --gem5 gem5.opt --known            no failure for faults that are known
  vsbuild conformance --gem5 gem5.opt --only xchg --all  every wrong case of one instruction";

const GRAPH_EXAMPLES: &str = "\
Examples:
  vsbuild graph hello
  vsbuild graph hello --format dot | dot -Tsvg > hello.svg";

const WHY_EXAMPLES: &str = "\
Examples:
  vsbuild why hello libc6          how a package came in
  vsbuild why hello linux-6.1      how a recipe came in";

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
    Run(Run),
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

/// `run`
#[derive(Debug, Args)]
pub(super) struct Run {
    /// The image's recipe.
    pub(super) name: String,
    /// What to boot it on.
    #[arg(long, value_enum, default_value = "qemu")]
    pub(super) on: Simulator,
    /// Where the image is, or is to be built: DIR/NAME/. `out` in the project, if not given.
    #[arg(long, value_name = "DIR")]
    pub(super) image_dir: Option<PathBuf>,
    /// Lay the disk out as `vsbuild image --layout` does.
    #[arg(long, value_enum)]
    pub(super) layout: Option<Layout>,
    /// Where to put console.log and run.json. runs/NAME in the project, if not given.
    #[arg(short, long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Call this function of the image, and check what it replies.
    #[arg(long, value_name = "FUNCTION", conflicts_with = "all")]
    pub(super) function: Option<String>,
    /// Call every function of the image, each in a boot of its own.
    #[arg(long)]
    pub(super) all: bool,
    #[command(flatten)]
    pub(super) call: Call,
    #[command(flatten)]
    pub(super) gem5: OnGem5,
    /// Cores of the guest. As the recipe or the machine says, if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255))]
    pub(super) cores: Option<u32>,
    /// Let the host's processor run the guest, where KVM works. It is quick, but differs from host to host.
    #[arg(long)]
    pub(super) kvm: bool,
    /// Seconds that it may take on the host. As the recipe says, if not given; on gem5, each stage as long as it lives.
    #[arg(long, value_name = "SECONDS")]
    pub(super) timeout: Option<u64>,
    #[command(flatten)]
    pub(super) sweep: OfSweep,
    /// QEMU's program.
    #[arg(long, env = "VSBUILD_QEMU", default_value = "qemu-system-x86_64", value_name = "FILE")]
    pub(super) qemu: PathBuf,
}

/// What a run of many points takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sweeps")]
pub(super) struct OfSweep {
    /// Run the points of the sweep in this TOML file, on gem5. Those that are done are not run again.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["function", "all"])]
    pub(super) sweep: Option<PathBuf>,
    /// Who runs the points.
    #[arg(long, value_enum, default_value = "local", requires = "sweep")]
    pub(super) executor: Executor,
    /// With slurm: submit what is to be run, and do not wait for it.
    #[arg(long, requires = "sweep")]
    pub(super) detach: bool,
    /// With slurm: one more option for sbatch, such as --slurm-option=--account=lab.
    #[arg(long, value_name = "OPTION", requires = "sweep", allow_hyphen_values = true)]
    pub(super) slurm_option: Vec<String>,
}

/// Who runs the points of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Executor {
    /// This machine, as many at once as --jobs says.
    Local,
    /// A cluster, by job arrays; --jobs is how many may run at once.
    Slurm,
}

/// `sweep`
#[derive(Debug, Subcommand)]
pub(super) enum Sweep {
    /// List the points of a sweep: done, running, failed and why, waiting.
    Status {
        /// The sweep's directory, which has sweep.json.
        dir: PathBuf,
    },
}

/// How functions are called.
#[derive(Debug, Clone, Args)]
pub(super) struct Call {
    /// Invocations before the measured ones.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) warm: u64,
    /// Measured invocations.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(super) invocations: u64,
    /// The text that inputs are made of, in place of the recipe's.
    #[arg(long, value_name = "TEXT")]
    pub(super) input: Option<String>,
    /// How inputs are made, in place of the recipe's way.
    #[arg(long, value_enum)]
    pub(super) generator: Option<Generator>,
    /// What random inputs begin with.
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,
}

/// Ways to make inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Generator {
    /// The same every time.
    Unique,
    /// By chance, from a fixed seed.
    Random,
    /// From the lower bound up, again and again.
    Linear,
}

/// What an image can be booted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Simulator {
    /// QEMU: a quick check that it works.
    Qemu,
    /// gem5: to measure.
    Gem5,
}

/// What a run on gem5 takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "On gem5")]
pub(super) struct OnGem5 {
    /// gem5's program, built for X86. `gem5` in the configuration file, if not given.
    #[arg(long, env = "VSBUILD_GEM5", value_name = "FILE")]
    pub(super) gem5: Option<PathBuf>,
    /// The machine: a TOML file, or a shipped one: simple, skylake.
    #[arg(long, default_value = "simple", value_name = "FILE|NAME")]
    pub(super) machine: String,
    /// The processor model that measures, in place of the machine's.
    #[arg(long, value_enum)]
    pub(super) cpu: Option<Cpu>,
    /// What boots and warms up, in place of the machine's.
    #[arg(long, value_enum)]
    pub(super) setup: Option<Setup>,
    /// Invocations through the caches before the measuring cores take over, in place of the machine's.
    #[arg(long, value_name = "N")]
    pub(super) settle: Option<u32>,
    /// Measure again what was measured before, and compare: gem5 gives the same every time.
    #[arg(long)]
    pub(super) rerun: bool,
    /// Try a stage again whose gem5 failed, hung or took too long.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(super) retries: u32,
}

/// gem5's processor models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Cpu {
    /// An instruction a cycle.
    Atomic,
    /// An instruction after the other, with the memory's time.
    Timing,
    /// In order, with a pipeline.
    Minor,
    /// Out of order.
    O3,
}

/// What boots and warms up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Setup {
    /// KVM where it works, else atomic cores.
    Auto,
    /// The host's processor: quick, but never the same twice.
    Kvm,
    /// gem5's atomic cores: the same everywhere.
    Atomic,
}

/// `report`
#[derive(Debug, Args)]
pub(super) struct Report {
    /// Directories of runs or of sweeps, or directories with such in them.
    #[arg(required = true, value_name = "DIR")]
    pub(super) dirs: Vec<PathBuf>,
    /// Where to put the files. The run's or sweep's own directory if there is one, else report/.
    #[arg(short, long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// What to write. All of them, if not given.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(super) format: Vec<ReportFormat>,
    /// Compare the second directory with the first.
    #[arg(long)]
    pub(super) compare: bool,
}

/// Forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReportFormat {
    /// report.html: one page, which needs nothing else.
    Html,
    /// report.csv: one row an invocation.
    Csv,
    /// report.json: everything.
    Json,
}

/// `conformance`
#[derive(Debug, Args)]
pub(super) struct Conformance {
    /// gem5's program. As the configuration says, if not given.
    #[arg(long, env = "VSBUILD_GEM5", value_name = "FILE")]
    pub(super) gem5: Option<PathBuf>,
    /// Only cases of this instruction, such as `xchg` or `lock add`.
    #[arg(long, value_name = "INSTRUCTION")]
    pub(super) only: Option<String>,
    /// List every wrong case, not only instructions.
    #[arg(long)]
    pub(super) all: bool,
    /// Only fail for what is not in the table of known faults of this version.
    #[arg(long)]
    pub(super) known: bool,
    /// Seconds that one case may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) timeout: u64,
}

/// `lint`
#[derive(Debug, Args)]
pub(super) struct Lint {
    /// The image's recipe.
    pub(super) name: String,
    /// For which version of gem5, such as 24.0.0.1. The newest one that anything is known of, if not given.
    #[arg(long, value_name = "VERSION")]
    pub(super) version: Option<String>,
    /// Cores that it is to run on. As the recipe says, if not given.
    #[arg(long, value_name = "N")]
    pub(super) cores: Option<u32>,
    /// Show every place, and not only a few of each kind.
    #[arg(long)]
    pub(super) all: bool,
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

/// `store`
#[derive(Debug, Subcommand)]
pub(super) enum Store {
    /// List what is in it.
    Ls,
    /// Print the path of a blob or tree.
    Path {
        /// Its digest.
        digest: String,
    },
    /// Check every byte; what is damaged is put aside, and built again when it is needed.
    Verify,
    /// Remove what no root needs.
    ///
    /// Images are roots: what they are made of stays. What only `build` made goes, and packages, unfinished downloads and the
    /// sandboxes of failed builds; what is needed again is fetched or built again.
    Gc {
        /// Only say what would go.
        #[arg(long)]
        dry_run: bool,
    },
    /// List the roots: what gc keeps.
    Roots {
        /// Let gc have what this root keeps.
        #[arg(long, value_name = "ROOT")]
        remove: Option<String>,
    },
    /// Say which root keeps something.
    Why {
        /// Its digest.
        digest: String,
    },
    /// Forget what a derivation came to, so that what it comes to next is believed.
    Forget {
        /// The derivation's key, as `vsbuild show` and the message about a difference name it.
        key: String,
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
