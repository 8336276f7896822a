//! `run --on gem5`.

use std::{
    collections::BTreeMap,
    env,
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use fs_err as fs;

use super::{image::Made, known_faults, run::Runner};
use crate::{
    cli::{
        args::{self, Run},
        context::Context,
        printer,
        problem::{Failure, Problem},
    },
    path::GuestPath,
    project,
    run::{
        Call, Measured, Record, Verdict,
        gem5::{self, Course, Error, Event, Files, Harness, Machine, Program, Sign},
    },
    store::{Root, Scratch, Store},
};

/// How often a person is told that a simulation lives.
const TELL: Duration = Duration::from_secs(15);
/// Version of what `run.json` says of a run on gem5.
const FORMAT: u32 = 1;
/// Ticks of a simulated second.
const SECOND: f64 = 1e12;
/// What of a measurement is put into the run's directory.
const RESULTS: [&str; 2] = ["stats.txt", "config.json"];

/// What all runs of a command on gem5 have in common.
pub(super) struct OnGem5 {
    store: Store,
    gem5: Program,
    harness: Harness,
    machine: Machine,
    /// Holds the harness's files as long as there are runs.
    _scratch: Scratch,
}

/// How hard a simulation is tried.
pub(super) struct Effort {
    /// How long each start of gem5 may take, in host time.
    pub(super) timeout: Option<Duration>,
    /// How often a stage is tried again.
    pub(super) retries: u32,
    /// Whether to measure although the result is known, and compare.
    pub(super) rerun: bool,
}

impl OnGem5 {
    /// Finds gem5, and asks it what it is.
    pub(super) fn prepare(
        context: &Context,
        gem5: Option<&Path>,
        machine: Machine,
    ) -> Result<Self, Problem> {
        let program = context.gem5(gem5)?;
        let store = context.store()?;
        let scratch = store.scratch().map_err(|error| explain(&error.into()))?;
        let dir = scratch.path().join("harness");
        let harness = Harness::write(&project::shipped_harness(), dir, &store)
            .map_err(|error| explain(&error))?;
        let gem5 =
            Program::probe(&program, &harness, scratch.path()).map_err(|error| explain(&error))?;
        context.note(&format!("gem5 {} ({})", gem5.version, gem5.sha256.short()));
        if machine.cpu == gem5::Cpu::Minor {
            context.note("minor cores of gem5 are not known to run x86: those that were tried ended in gem5's decoder");
        }
        Ok(Self { store, gem5, harness, machine, _scratch: scratch })
    }

    /// What this gem5 calls its version.
    pub(super) fn version(&self) -> &str {
        &self.gem5.version
    }

    /// One run, with its files in `dir`.
    pub(super) fn run(
        &self,
        runner: &Runner<'_>,
        call: Option<&Call>,
        dir: &Path,
    ) -> Result<Record, Problem> {
        let (args, made) = (runner.args, runner.made);
        for name in RESULTS {
            // Those of an earlier run would be taken for this one's.
            let _ = fs::remove_file(dir.join(name));
        }
        let effort = Effort {
            timeout: args.timeout.map(Duration::from_secs),
            retries: args.gem5.retries,
            rerun: args.gem5.rerun,
        };
        let whom = match call {
            Some(call) if args.all => format!("{}: ", call.function),
            _ => String::new(),
        };
        let teller = Teller::new(runner.context, whom);
        let (run, files) = self.simulate(made, call, &effort, dir, &mut |sign| match sign {
            Sign::Said(said) => runner.show(call, said),
            sign => teller.tell(&sign),
        })?;
        self.keep(&run, args, dir)?;
        self.deliver(&run, dir).map_err(|error| explain(&error))?;
        let verdict = run.outcome.verdict(&runner.wanted(call));
        let version = &self.gem5.version;
        let function = call.map(|call| call.function.as_str());
        let known = known_faults::known(runner.context, &self.store, &args.name, version, function);
        let warnings = run.warnings.into_iter().chain(known.warnings).collect();
        Ok(Record {
            image: args.name.clone(),
            on: "gem5".to_owned(),
            files: made.files.iter().map(|file| (file.name.clone(), file.sha256)).collect(),
            cmdline: files.cmdline,
            memory: self.machine.memory_bytes(),
            cores: self.machine.cores,
            call: call.cloned(),
            measured: Some(Measured {
                format: FORMAT,
                key: run.stages.last().map(|stage| stage.key),
                machine: self.machine.clone(),
                gem5: self.gem5.clone(),
                harness: self.harness.digest,
                stages: run.stages,
                invocations: if verdict == Verdict::Good { run.invocations } else { Vec::new() },
                warnings,
                faults: known.faults,
                command: command(),
            }),
            verdict,
            outcome: run.outcome,
        })
    }

    /// Has gem5 simulate what the store does not have of a run, or all of it again.
    pub(super) fn simulate(
        &self,
        made: &Made,
        call: Option<&Call>,
        effort: &Effort,
        dir: &Path,
        watch: &mut dyn FnMut(Sign<'_>),
    ) -> Result<(gem5::Run, Files), Problem> {
        let files = files(made)?;
        let course = Course {
            store: &self.store,
            gem5: &self.gem5,
            harness: &self.harness,
            files: &files,
            machine: &self.machine,
            call,
            timeout: effort.timeout,
            retries: effort.retries,
            rerun: effort.rerun,
            log: dir,
        };
        let run = gem5::run(&course, watch).map_err(|error| explain(&error))?;
        Ok((run, files))
    }

    /// Sets the root that keeps the run's checkpoints and result.
    fn keep(&self, run: &gem5::Run, args: &Run, dir: &Path) -> Result<(), Problem> {
        let place = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let digest = crate::digest::Digest::of(place.as_os_str().as_encoded_bytes());
        let root = Root {
            keys: run.stages.iter().map(|stage| stage.key).collect(),
            trees: run.stages.iter().map(|stage| stage.output).collect(),
            place: Some(place),
            reason: "vsbuild run --on gem5".to_owned(),
        };
        let name = format!("run-{}@{}", args.name, digest.short());
        self.store.set_root(&name, &root).map_err(|error| explain(&error.into()))
    }

    /// Puts what the run gave into its directory.
    fn deliver(&self, run: &gem5::Run, dir: &Path) -> Result<(), Error> {
        fs::write(dir.join("console.log"), &run.console)?;
        let Some(result) = &run.result else { return Ok(()) };
        for name in RESULTS {
            if let Some(content) = result.content(&GuestPath::new(name)?) {
                let bytes = fs::read(self.store.blob_path(&content.digest))?;
                fs::write(dir.join(name), bytes)?;
            }
        }
        Ok(())
    }
}

/// The texts of the machines that ship, by name.
pub(super) fn presets() -> BTreeMap<String, String> {
    let machine = |(path, bytes): (&str, &[u8])| {
        let name = path.strip_prefix("machines/")?.strip_suffix(".toml")?;
        Some((name.to_owned(), String::from_utf8_lossy(bytes).into_owned()))
    };
    project::shipped_harness().into_iter().filter_map(machine).collect()
}

/// The machine that the arguments name, changed as they say.
pub(super) fn machine(args: &Run) -> Result<Machine, Problem> {
    let presets = presets();
    let name = &args.gem5.machine;
    let text = match presets.get(name) {
        Some(text) => text.clone(),
        None => fs::read_to_string(name).map_err(|error| {
            let known: Vec<_> = presets.keys().map(String::as_str).collect();
            Problem::from_error(Failure::Input, &error)
                .help(format!("--machine is a file, or one of: {}", known.join(", ")))
        })?,
    };
    let wrong = |mistake: gem5::Mistake| Problem::new(Failure::Input, format!("{name}: {mistake}"));
    let mut machine = Machine::parse(&text, &presets).map_err(wrong)?;
    if let Some(cpu) = args.gem5.cpu {
        machine.cpu = match cpu {
            args::Cpu::Atomic => gem5::Cpu::Atomic,
            args::Cpu::Timing => gem5::Cpu::Timing,
            args::Cpu::Minor => gem5::Cpu::Minor,
            args::Cpu::O3 => gem5::Cpu::O3,
        };
    }
    if let Some(setup) = args.gem5.setup {
        machine.setup = match setup {
            args::Setup::Auto => gem5::Setup::Auto,
            args::Setup::Kvm => gem5::Setup::Kvm,
            args::Setup::Atomic => gem5::Setup::Atomic,
        };
    }
    machine.cores = args.cores.unwrap_or(machine.cores);
    machine.settle = args.gem5.settle.unwrap_or(machine.settle);
    machine.check().map_err(wrong)?;
    Ok(machine)
}

fn files(made: &Made) -> Result<Files, Problem> {
    let find = |name: &str| {
        made.files
            .iter()
            .find(|file| file.name == name)
            .ok_or_else(|| Problem::new(Failure::Input, format!("{} has no {name}", made.name)))
    };
    Ok(Files {
        disk: made.dir.join("disk.img"),
        disk_digest: find("disk.img")?.sha256,
        kernel: made.dir.join("vmlinux"),
        kernel_digest: find("vmlinux")?.sha256,
        cmdline: made.cmdline.clone(),
    })
}

/// The command as it was typed, for a shell.
fn command() -> String {
    let word = |word: std::ffi::OsString| {
        let word = word.to_string_lossy().into_owned();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/:=,+@%".contains(&byte);
        if !word.is_empty() && word.bytes().all(plain) {
            word
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    };
    let words = std::iter::once("vsbuild".to_owned()).chain(env::args_os().skip(1).map(word));
    words.collect::<Vec<_>>().join(" ")
}

/// Tells a person what a simulation is at.
pub(super) struct Teller<'a> {
    context: &'a Context,
    /// Of which run, before every line.
    whom: String,
    /// When a sign of life was told last.
    told: Mutex<Instant>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(context: &'a Context, whom: String) -> Self {
        Self { context, whom, told: Mutex::new(Instant::now()) }
    }

    /// What the guest says is the caller's to tell.
    pub(super) fn tell(&self, sign: &Sign<'_>) {
        let note = |text: &str| self.context.note(&format!("{}{text}", self.whom));
        match sign {
            Sign::Said(_) => {}
            Sign::Stage(stage, true) => {
                note(&format!("stage {}: in the store already", stage.name()));
            }
            Sign::Stage(stage, false) => note(&format!("stage {}: gem5 simulates", stage.name())),
            Sign::Note(text) => note(text),
            Sign::Event(event) => {
                let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let beat = event.event == "heartbeat";
                if (beat && told.elapsed() >= TELL) || event.event == "work-ends" {
                    *told = Instant::now();
                    note(&progress(event));
                }
            }
        }
    }
}

fn progress(event: &Event) -> String {
    let done = event.n.map_or_else(String::new, |n| format!("invocation {} is over; ", n + 1));
    let mips = event.insts as f64 / 1e6 / event.host.max(0.001);
    format!(
        "  {:>9.3} s  {done}{:.1} million instructions in {} ({mips:.2} a second)",
        event.tick as f64 / SECOND,
        event.insts as f64 / 1e6,
        printer::duration(Duration::from_secs_f64(event.host)),
    )
}

fn explain(error: &Error) -> Problem {
    match error {
        Error::Start { .. } => Problem::from_error(Failure::Input, error)
            .help("--gem5 names gem5's program, as gem5.opt or gem5.fast"),
        Error::NotGem5 { .. } => Problem::from_error(Failure::Input, error)
            .help("gem5 24.0 or newer is needed, built with X86"),
        Error::Failed { log, .. } => {
            let problem = Problem::from_error(Failure::Other, error);
            match log {
                Some(log) => problem.help(format!("all that it said: {}", log.display())),
                None => problem,
            }
        }
        Error::Damaged { .. } => Problem::from_error(Failure::Mismatch, error).help(
            "vsbuild image makes the disk and the kernel again, vsbuild store verify puts damaged checkpoints aside",
        ),
        Error::Differs { .. } => Problem::from_error(Failure::Mismatch, error)
            .help("gem5 gives the same every time on sound hardware; after --setup kvm nothing does"),
        Error::Unreadable { .. } | Error::Store(_) | Error::Path(_) | Error::Io(_) => {
            Problem::from_error(Failure::Other, error)
        }
    }
}
