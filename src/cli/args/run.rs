//! Arguments of what runs images.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Layout;

/// `run`
#[derive(Debug, Args)]
pub(in crate::cli) struct Run {
    /// The image's recipe.
    pub(in crate::cli) name: String,
    /// What to boot it on.
    #[arg(long, value_enum, default_value = "qemu")]
    pub(in crate::cli) on: Simulator,
    /// Where the image is, or is to be built: DIR/NAME/. `out` in the project, if not given.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) image_dir: Option<PathBuf>,
    /// Lay the disk out as `vsbuild image --layout` does.
    #[arg(long, value_enum)]
    pub(in crate::cli) layout: Option<Layout>,
    /// Where to put console.log and run.json. runs/NAME in the project, with a directory for each function, if not given.
    #[arg(short, long, value_name = "DIR")]
    pub(in crate::cli) out: Option<PathBuf>,
    /// Call this function of the image, and check what it replies.
    #[arg(long, value_name = "FUNCTION", conflicts_with = "all")]
    pub(in crate::cli) function: Option<String>,
    /// Call every function of the image, each in a boot of its own.
    #[arg(long)]
    pub(in crate::cli) all: bool,
    #[command(flatten)]
    pub(in crate::cli) call: Call,
    #[command(flatten)]
    pub(in crate::cli) gem5: OnGem5,
    /// Cores of the guest. As the recipe or the machine says, if not given.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255))]
    pub(in crate::cli) cores: Option<u32>,
    /// Let the host's processor run the guest, where KVM works. It is quick, but differs from host to host.
    #[arg(long)]
    pub(in crate::cli) kvm: bool,
    /// Seconds that it may take on the host. As the recipe says, if not given; on gem5, each stage as long as it lives.
    #[arg(long, value_name = "SECONDS")]
    pub(in crate::cli) timeout: Option<u64>,
    #[command(flatten)]
    pub(in crate::cli) sweep: OfSweep,
    /// QEMU's program.
    #[arg(long, env = "VSBUILD_QEMU", default_value = "qemu-system-x86_64", value_name = "FILE")]
    pub(in crate::cli) qemu: PathBuf,
}

/// What a run of many points takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sweeps")]
pub(in crate::cli) struct OfSweep {
    /// Run the points of the sweep in this TOML file, on gem5. Those that are done are not run again.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["function", "all"])]
    pub(in crate::cli) sweep: Option<PathBuf>,
    /// Who runs the points.
    #[arg(long, value_enum, default_value = "local", requires = "sweep")]
    pub(in crate::cli) executor: Executor,
    /// With slurm: submit what is to be run, and do not wait for it.
    #[arg(long, requires = "sweep")]
    pub(in crate::cli) detach: bool,
    /// With slurm: one more option for sbatch, such as --slurm-option=--account=lab.
    #[arg(long, value_name = "OPTION", requires = "sweep", allow_hyphen_values = true)]
    pub(in crate::cli) slurm_option: Vec<String>,
}

/// Who runs the points of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Executor {
    /// This machine, as many at once as --jobs says.
    Local,
    /// A cluster, by job arrays; --jobs is how many may run at once.
    Slurm,
}

/// `sweep`
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Sweep {
    /// List the points of a sweep: done, running, failed and why, waiting.
    Status {
        /// The sweep's directory, which has sweep.json.
        dir: PathBuf,
    },
}

/// How functions are called.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Call {
    /// Invocations before the measured ones.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(in crate::cli) warm: u64,
    /// Measured invocations.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub(in crate::cli) invocations: u64,
    /// The text that inputs are made of, in place of the recipe's.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) input: Option<String>,
    /// How inputs are made, in place of the recipe's way.
    #[arg(long, value_enum)]
    pub(in crate::cli) generator: Option<Generator>,
    /// What random inputs begin with.
    #[arg(long, value_name = "N")]
    pub(in crate::cli) seed: Option<u64>,
}

/// Ways to make inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Generator {
    /// The same every time.
    Unique,
    /// By chance, from a fixed seed.
    Random,
    /// From the lower bound up, again and again.
    Linear,
}

/// What an image can be booted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Simulator {
    /// QEMU: a quick check that it works.
    Qemu,
    /// gem5: to measure.
    Gem5,
}

/// What a run on gem5 takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "On gem5")]
pub(in crate::cli) struct OnGem5 {
    /// gem5's program, built for X86. `gem5` in the configuration file, if not given.
    #[arg(long, env = "VSBUILD_GEM5", value_name = "FILE")]
    pub(in crate::cli) gem5: Option<PathBuf>,
    /// The machine: a TOML file, or a shipped one: simple, skylake.
    #[arg(long, default_value = "simple", value_name = "FILE|NAME")]
    pub(in crate::cli) machine: String,
    /// The processor model that measures, in place of the machine's.
    #[arg(long, value_enum)]
    pub(in crate::cli) cpu: Option<Cpu>,
    /// What boots and warms up, in place of the machine's.
    #[arg(long, value_enum)]
    pub(in crate::cli) setup: Option<Setup>,
    /// Invocations through the caches before the measuring cores take over, in place of the machine's.
    #[arg(long, value_name = "N")]
    pub(in crate::cli) settle: Option<u32>,
    /// Measure again what was measured before, and compare: gem5 gives the same every time.
    #[arg(long)]
    pub(in crate::cli) rerun: bool,
    /// Try a stage again whose gem5 failed, hung or took too long.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(in crate::cli) retries: u32,
}

/// gem5's processor models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Cpu {
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
pub(in crate::cli) enum Setup {
    /// KVM where it works, else atomic cores.
    Auto,
    /// The host's processor: quick, but never the same twice.
    Kvm,
    /// gem5's atomic cores: the same everywhere.
    Atomic,
}
