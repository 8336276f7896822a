//! `run`: boots an image and judges what its guest says.

use std::{collections::BTreeMap, path::Path, process::ExitCode, time::Duration};

use fs_err as fs;

use super::image;
use crate::{
    cli::{
        args::{Machine, Run},
        context::Context,
        print, print_json, printer,
        problem::{Failure, Problem},
    },
    recipe::{Image, Kind},
    run::{self, Accelerator, Boot, Outcome, Record, Said, Stage, Verdict},
};

pub(in crate::cli) fn run(context: &Context, args: &Run) -> Result<ExitCode, Problem> {
    let Machine::Qemu = args.on;
    let made = image::make(context, &args.name, args.image_dir.as_deref(), false)?;
    let (project, recipes) = context.project()?;
    let recipe = recipes.get(&made.name).map(|recipe| &recipe.kind);
    let Some(Kind::Image(recipe)) = recipe else { unreachable!("an image was just made of it") };
    let dir = args.out.clone().unwrap_or_else(|| project.root.join("runs").join(&args.name));
    let failed = |error: std::io::Error| Problem::from_error(Failure::Other, &error);
    fs::create_dir_all(&dir).map_err(failed)?;
    let boot = boot(args, recipe, &made, &dir);
    context.note(&format!("{} boots on QEMU; console: {}", args.name, boot.console_log.display()));
    let outcome = run::boot(&boot, &mut |said| show(context, said)).map_err(|error| {
        Problem::from_error(Failure::Other, &error)
            .help("QEMU is Debian's package qemu-system-x86; --qemu names another program")
    })?;
    let verdict = outcome.verdict(recipe.expect.as_deref());
    let record = Record {
        image: args.name.clone(),
        on: "qemu".to_owned(),
        files: made.digests(),
        cmdline: boot.cmdline.clone(),
        memory: boot.memory,
        cores: boot.cores,
        verdict,
        outcome,
    };
    let text = serde_json::to_string_pretty(&record).expect("a record is plain data");
    fs::write(dir.join("run.json"), text + "\n").map_err(failed)?;
    report(context, &record, &boot)
}

fn boot(args: &Run, recipe: &Image, made: &image::Made, dir: &Path) -> Boot {
    Boot {
        qemu: args.qemu.clone(),
        disk: made.dir.join("disk.img"),
        kernel: made.dir.join("bzImage"),
        cmdline: made.cmdline.clone(),
        memory: recipe.run.memory,
        cores: recipe.run.cores,
        accelerator: if args.kvm { Accelerator::Kvm } else { Accelerator::Tcg },
        timeout: Duration::from_secs(args.timeout.unwrap_or(recipe.run.timeout)),
        console_log: dir.join("console.log"),
    }
}

/// What the guest says, as it says it. Results come at the end.
fn show(context: &Context, said: &Said) {
    let time = Duration::from_micros(said.uptime_us);
    let text = match (&said.stage, &said.text, said.code) {
        (Stage::Output | Stage::Log | Stage::Error, Some(text), _) => {
            format!("{}: {text}", said.stage.name())
        }
        (_, _, Some(code)) => format!("{} with code {code}", said.stage.name()),
        _ => said.stage.name().to_owned(),
    };
    context.note(&format!("  {:>9.3} s  {text}", time.as_secs_f64()));
}

fn report(context: &Context, record: &Record, boot: &Boot) -> Result<ExitCode, Problem> {
    if context.global.json {
        print_json(record);
    } else {
        print(&stages(&record.outcome));
    }
    match &record.verdict {
        Verdict::Good => {
            let took = printer::duration(Duration::from_secs_f64(record.outcome.host_seconds));
            context.note(&format!(
                "good: the container ran and said what it should ({took} on this host)"
            ));
            Ok(ExitCode::SUCCESS)
        }
        Verdict::Bad(_) if context.global.json => Ok(ExitCode::from(Failure::Guest as u8)),
        Verdict::Bad(why) => {
            Err(Problem::new(Failure::Guest, format!("the run of {} failed: {why}", record.image))
                .help(format!("all that was on the console: {}", boot.console_log.display())))
        }
    }
}

/// The stages with their times, as a table.
fn stages(outcome: &Outcome) -> String {
    let mut lines = vec!["stage                 guest time      since before".to_owned()];
    let mut before = 0;
    let quiet = [Stage::Output, Stage::Log, Stage::Error];
    for said in outcome.said.iter().filter(|said| !quiet.contains(&said.stage)) {
        let seconds = |us: u64| Duration::from_micros(us).as_secs_f64();
        let since = seconds(said.uptime_us.saturating_sub(before));
        lines.push(format!(
            "{:20}{:>10.3} s  {since:>12.3} s",
            said.stage.name(),
            seconds(said.uptime_us)
        ));
        before = said.uptime_us;
    }
    let output = outcome.output().map(|line| format!("output: {line}"));
    lines.extend(output);
    lines.join("\n")
}

impl image::Made {
    /// The files of the image by digest.
    fn digests(&self) -> BTreeMap<String, crate::digest::Digest> {
        self.files.iter().map(|file| (file.name.clone(), file.sha256)).collect()
    }
}
