//! `run`: boots an image and judges what its guest says.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use clap::ValueEnum;
use fs_err as fs;

use super::{
    image,
    on_gem5::{OnGem5, machine},
};
use crate::{
    cli::{
        args::{Run, Simulator},
        context::Context,
        print, print_json,
        problem::{Failure, Problem},
        results,
    },
    recipe::{Image, Kind, Layout, Name, Recipes},
    run::{self, Accelerator, Boot, Call, Record, Said, Stage, Verdict, Wanted},
};

pub(in crate::cli) fn run(context: &Context, args: &Run) -> Result<ExitCode, Problem> {
    if let Some(file) = &args.sweep.sweep {
        if args.on != Simulator::Gem5 {
            return Err(Problem::new(Failure::Input, "a sweep is measured").help("--on gem5"));
        }
        return super::sweep::run_points(context, args, file);
    }
    let (project, recipes) = context.project()?;
    let name = context.name(&recipes, &args.name)?;
    let calls = calls(args, &recipes, &name)?;
    let layout = args.layout.map(Layout::from);
    let image_dir = args.image_dir.as_deref();
    let made = image::make_laid_out(context, &args.name, layout, image_dir, false)?;
    let recipe = recipes.get(&made.name).map(|recipe| &recipe.kind);
    let Some(Kind::Image(recipe)) = recipe else { unreachable!("an image was just made of it") };
    let dir = args.out.clone().unwrap_or_else(|| project.root.join("runs").join(&args.name));
    let gem5 = match args.on {
        Simulator::Qemu => None,
        Simulator::Gem5 => {
            Some(OnGem5::prepare(context, args.gem5.gem5.as_deref(), machine(args)?)?)
        }
    };
    let runner = Runner { context, args, recipe, made: &made, gem5 };
    match calls.as_slice() {
        [] => report(context, &runner.run(None, &dir)?, &dir),
        [call] if !args.all => {
            let dir = args.out.clone().unwrap_or_else(|| dir.join(&call.function));
            report(context, &runner.run(Some(call), &dir)?, &dir)
        }
        _ => report_all(context, &runner.run_all(&calls, &dir)?, &dir),
    }
}

/// What is to be called; nothing if the image is to run its own container.
fn calls(args: &Run, recipes: &Recipes, image: &Name) -> Result<Vec<Call>, Problem> {
    let there = recipes.functions(image);
    let names: Vec<&str> = there.iter().map(|name| name.as_str()).collect();
    let wanted = match &args.function {
        Some(function) if names.contains(&function.as_str()) => vec![function.as_str()],
        Some(function) => {
            let problem = format!("there is no function `{function}` in {image}");
            return Err(Problem::new(Failure::Input, problem).help(list(&names)));
        }
        None if args.all && names.is_empty() => {
            let problem = format!("there is no function in {image}");
            return Err(Problem::new(Failure::Input, problem));
        }
        None if args.all => names,
        None if names.is_empty() => Vec::new(),
        None => {
            let problem = format!("{image} has functions: which one is to be called?");
            let help = format!("--function NAME, or --all; {}", list(&names));
            return Err(Problem::new(Failure::Input, problem).help(help));
        }
    };
    let call = |function: &str| Call {
        function: function.to_owned(),
        warm: args.call.warm,
        invocations: args.call.invocations,
        input: args.call.input.clone(),
        generator: args.call.generator.and_then(|generator| {
            generator.to_possible_value().map(|value| value.get_name().to_owned())
        }),
        seed: args.call.seed,
    };
    Ok(wanted.into_iter().map(call).collect())
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "it has none".to_owned(),
        names => format!("it has {}", names.join(", ")),
    }
}

/// What all runs of a command have in common.
pub(super) struct Runner<'a> {
    pub(super) context: &'a Context,
    pub(super) args: &'a Run,
    recipe: &'a Image,
    pub(super) made: &'a image::Made,
    /// What measuring takes, if gem5 is what it runs on.
    gem5: Option<OnGem5>,
}

impl Runner<'_> {
    /// One boot, with its record in `dir`.
    fn run(&self, call: Option<&Call>, dir: &Path) -> Result<Record, Problem> {
        let failed = |error: std::io::Error| Problem::from_error(Failure::Other, &error);
        fs::create_dir_all(dir).map_err(failed)?;
        let record = match &self.gem5 {
            Some(gem5) => gem5.run(self, call, dir)?,
            None => self.on_qemu(call, dir)?,
        };
        let text = serde_json::to_string_pretty(&record).expect("a record is plain data");
        fs::write(dir.join("run.json"), text + "\n").map_err(failed)?;
        Ok(record)
    }

    fn on_qemu(&self, call: Option<&Call>, dir: &Path) -> Result<Record, Problem> {
        let boot = self.boot(call, dir);
        let what = call.map_or_else(String::new, |call| format!(" to call {}", call.function));
        let (name, log) = (&self.args.name, boot.console_log.display());
        self.context.note(&format!("{name} boots on QEMU{what}; console: {log}"));
        let outcome = run::boot(&boot, &mut |said| self.show(call, said)).map_err(|error| {
            Problem::from_error(Failure::Other, &error)
                .help("QEMU is Debian's package qemu-system-x86; --qemu names another program")
        })?;
        Ok(Record {
            image: name.clone(),
            on: "qemu".to_owned(),
            files: self.made.files.iter().map(|file| (file.name.clone(), file.sha256)).collect(),
            cmdline: boot.cmdline,
            memory: boot.memory,
            cores: boot.cores,
            call: call.cloned(),
            measured: None,
            verdict: outcome.verdict(&self.wanted(call)),
            outcome,
        })
    }

    /// What makes a run good.
    pub(super) fn wanted<'w>(&'w self, call: Option<&'w Call>) -> Wanted<'w> {
        let expect = self.recipe.expect.as_deref();
        call.map_or(Wanted::Container { expect }, Wanted::Function)
    }

    /// One boot for each call, as many at once as there are jobs, each in a directory of its own below `dir`.
    fn run_all(&self, calls: &[Call], dir: &Path) -> Result<Vec<Record>, Problem> {
        let waiting = Mutex::new(calls.iter().enumerate().collect::<VecDeque<_>>());
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let worker = || {
            let mut done = Vec::new();
            while let Some((place, call)) = next() {
                done.push((place, self.run(Some(call), &dir.join(&call.function))?));
            }
            Ok::<_, Problem>(done)
        };
        let mut records = thread::scope(|scope| {
            let workers: Vec<_> =
                (0..self.context.jobs().min(calls.len())).map(|_| scope.spawn(worker)).collect();
            let mut records = Vec::new();
            for worker in workers {
                records.extend(worker.join().expect("a run does not panic")?);
            }
            Ok::<_, Problem>(records)
        })?;
        records.sort_by_key(|(place, _)| *place);
        Ok(records.into_iter().map(|(_, record)| record).collect())
    }

    fn boot(&self, call: Option<&Call>, dir: &Path) -> Boot {
        let Self { args, recipe, made, .. } = self;
        let cmdline = match call {
            Some(call) => format!("{} {}", made.cmdline, call.words()),
            None => made.cmdline.clone(),
        };
        Boot {
            qemu: args.qemu.clone(),
            disk: made.dir.join("disk.img"),
            kernel: made.dir.join("bzImage"),
            cmdline,
            memory: recipe.run.memory,
            cores: args.cores.unwrap_or(recipe.run.cores),
            accelerator: if args.kvm { Accelerator::Kvm } else { Accelerator::Tcg },
            timeout: Duration::from_secs(args.timeout.unwrap_or(recipe.run.timeout)),
            console_log: dir.join("console.log"),
        }
    }

    /// What the guest says, as it says it. Results come at the end, and where several guests talk at once, each says
    /// only what went wrong.
    pub(super) fn show(&self, call: Option<&Call>, said: &Said) {
        let whom = match call {
            Some(call) if self.args.all => {
                let quiet =
                    !matches!(said.stage, Stage::Error | Stage::FunctionReady | Stage::Exit);
                if quiet {
                    return;
                }
                format!("{}: ", call.function)
            }
            _ => String::new(),
        };
        if said.stage == Stage::Invocation && said.ok == Some(true) {
            return;
        }
        let time = Duration::from_micros(said.uptime_us).as_secs_f64();
        self.context.note(&format!("  {time:>9.3} s  {whom}{}", results::sentence(said)));
    }
}

fn report(context: &Context, record: &Record, dir: &Path) -> Result<ExitCode, Problem> {
    if context.global.json {
        print_json(record);
    } else {
        print(&results::stages(&record.outcome));
        if record.call.is_some() {
            print(&format!("\n{}", results::table(std::slice::from_ref(record))));
        }
    }
    if record.verdict == Verdict::Good {
        context.note(&results::praise(record));
    }
    judged(context, [record], |_| dir.to_owned())
}

fn report_all(context: &Context, records: &[Record], dir: &Path) -> Result<ExitCode, Problem> {
    if context.global.json {
        print_json(&records);
    } else {
        print(&results::table(records));
    }
    judged(context, records, |record| {
        record.call.as_ref().map_or_else(|| dir.to_owned(), |call| dir.join(&call.function))
    })
}

/// The exit code for some runs; for a person also what went wrong, and where all of it can be read.
fn judged<'r>(
    context: &Context,
    records: impl IntoIterator<Item = &'r Record>,
    dir: impl Fn(&Record) -> PathBuf,
) -> Result<ExitCode, Problem> {
    let bad = records.into_iter().filter_map(|record| match &record.verdict {
        Verdict::Good => None,
        Verdict::Bad(why) => Some((record, why)),
    });
    let bad: Vec<_> = bad.collect();
    match bad.as_slice() {
        [] => Ok(ExitCode::SUCCESS),
        _ if context.global.json => Ok(ExitCode::from(Failure::Guest as u8)),
        bad => {
            let name = |record: &Record| match &record.call {
                Some(call) => format!("the run of {} in {}", call.function, record.image),
                None => format!("the run of {}", record.image),
            };
            let lines = bad.iter().map(|(record, why)| format!("{} failed: {why}", name(record)));
            let problem = Problem::new(Failure::Guest, lines.collect::<Vec<_>>().join("\n"));
            Err(bad.iter().fold(problem, |problem, (record, _)| {
                let log = dir(record).join("console.log");
                problem.help(format!("all that was on the console: {}", log.display()))
            }))
        }
    }
}
