//! `conformance`: what a gem5 computes otherwise than a processor.

use std::{collections::BTreeMap, io, path::Path, process::ExitCode, time::Duration};

use fs_err as fs;

use serde::Serialize;

use super::{
    image,
    on_gem5::{Effort, OnGem5, Teller},
};
use crate::{
    cli::{
        args::Conformance,
        context::{Context, Planned},
        print, print_json,
        printer::count,
        problem::{Failure, Problem},
    },
    digest::Digest,
    fitness::{
        Faults,
        conformance::{Answers, Case, Instruction, Part, Report, instruction},
        trial::{Trial, Tried},
    },
    run::{
        Verdict, Wanted,
        gem5::{Machine, digest_of},
    },
};

/// The recipe of the program that tries instructions.
const PROGRAM: &str = "conformance-x86";
/// The image whose first process tries what outlives switches and signals.
const IMAGE: &str = "conformance";
/// What it is booted on: every model of gem5 has the same decoder and the same microcode.
const MACHINE: &str = "cores = 1\nmemory = \"512MiB\"\nsetup = \"atomic\"\n";

/// What a program gets to know.
#[derive(Debug, Serialize)]
struct Outcome<'a> {
    gem5: Simulator<'a>,
    /// The version that the table of known faults is for, if there is one.
    table: Option<&'a str>,
    #[serde(flatten)]
    report: &'a Report,
}

/// Which gem5 it was.
#[derive(Debug, Serialize)]
struct Simulator<'a> {
    path: String,
    sha256: Digest,
    version: Option<&'a str>,
}

pub(in crate::cli) fn run(context: &Context, args: &Conformance) -> Result<ExitCode, Problem> {
    let gem5 = context.gem5(args.gem5.as_deref())?;
    let sha256 = digest_of(&gem5).map_err(|error| Problem::from_error(Failure::Input, &error))?;
    let chosen = |answers: Answers| match &args.only {
        Some(only) => answers.only(only),
        None => answers,
    };
    let instructions = chosen(Answers::of_instructions());
    let state = if args.no_boot { Answers::default() } else { chosen(Answers::of_state()) };
    if instructions.cases().is_empty() && state.cases().is_empty() {
        let problem = format!("no case is about `{}`", args.only.as_deref().unwrap_or_default());
        return Err(Problem::new(Failure::Input, problem).help(
            "instructions are named as in `xchg`, `lock add` and `rep movs`; beside them there are `switch` and `signal`",
        ));
    }
    let mut tried = Tried::default();
    if !instructions.cases().is_empty() {
        tried = alone(context, args, &gem5, instructions.cases().len())?;
    }
    if !state.cases().is_empty() {
        booted(context, &gem5, &state, &mut tried)?;
    }
    let asked = instructions.and(&state);
    let known = tried.version.as_deref().and_then(Faults::nearest);
    let mut report = Report::new(&asked, &tried.seen, known.as_ref());
    if args.only.is_some() {
        // Most faults are in other instructions.
        report.not_shown.clear();
    }
    let version = tried.version.as_deref();
    if context.global.json {
        let table = known.as_ref().map(|known| known.version.as_str());
        let gem5 = Simulator { path: gem5.display().to_string(), sha256, version };
        print_json(&Outcome { gem5, table, report: &report });
    } else {
        show(args, &report);
    }
    summary(context, &report, version, known.as_ref());
    let unknown = report.unknown().next().is_some() || !report.missing.is_empty();
    let fails = if args.known { unknown } else { !report.is_clean() };
    Ok(if fails { ExitCode::from(Failure::Mismatch as u8) } else { ExitCode::SUCCESS })
}

/// Makes the program that tries instructions, and has gem5 run it alone.
fn alone(
    context: &Context,
    args: &Conformance,
    gem5: &Path,
    wanted: usize,
) -> Result<Tried, Problem> {
    let failed = |error: io::Error| Problem::from_error(Failure::Other, &error);
    let store = context.store()?;
    let Planned { plan, name } = context.plan(PROGRAM, &store)?;
    let id = plan.recipes[&name];
    let realised = context.realise(&plan, &[id], &store, false)?;
    let output = realised.output(id).expect("it was just made");
    let dir = tempfile::tempdir().map_err(failed)?;
    let program = dir.path().join("program");
    store
        .tree(&output)
        .and_then(|tree| store.export(&tree, &program))
        .map_err(|error| context.explain(error.into()))?;
    context.note(&format!("{} tries {}", gem5.display(), count(wanted, "case")));
    let trial = Trial {
        gem5,
        program: &program.join("conformance"),
        jobs: context.jobs(),
        patience: Duration::from_secs(args.timeout),
    };
    let is_wanted = |case: &str| args.only.as_ref().is_none_or(|only| instruction(case) == *only);
    let watch = |tried: &Tried| {
        context.note(&format!("  {} of {wanted}", tried.seen.len()));
    };
    trial.run(&Answers::of_instructions(), &is_wanted, &watch).map_err(|error| {
        Problem::from_error(Failure::Other, &error)
            .help("gem5 must be a build for X86, 24.0 or newer; --gem5 names another program")
    })
}

/// Has gem5 boot the image whose first process tries what outlives switches and signals.
fn booted(
    context: &Context,
    gem5: &Path,
    state: &Answers,
    tried: &mut Tried,
) -> Result<(), Problem> {
    let failed = |error: io::Error| Problem::from_error(Failure::Other, &error);
    let made = image::make(context, IMAGE, None, false)?;
    let dir = context.project()?.0.root.join("runs").join(IMAGE);
    fs::create_dir_all(&dir).map_err(failed)?;
    let machine = Machine::parse(MACHINE, &BTreeMap::new()).expect("a test reads this machine");
    let on_gem5 = OnGem5::prepare(context, Some(gem5), machine)?;
    context.note(&format!("it boots a kernel and tries {}", count(state.cases().len(), "case")));
    let effort = Effort { timeout: None, retries: 0, rerun: false };
    let teller = Teller::new(context, String::new());
    tried.version.get_or_insert_with(|| on_gem5.version().to_owned());
    let run = match on_gem5.simulate(&made, None, &effort, &dir, &mut |sign| teller.tell(&sign)) {
        Ok((run, _)) => run,
        Err(problem) => {
            // What was found about instructions is worth telling all the same; these cases are told as not tried.
            let text = format!("nothing is known of switches and signals:\n{problem}");
            context.note(text.trim_end());
            return Ok(());
        }
    };
    fs::write(dir.join("console.log"), &run.console).map_err(failed)?;
    let why = match run.outcome.verdict(&Wanted::Container { expect: None }) {
        Verdict::Bad(why) => why,
        Verdict::Good => String::new(),
    };
    tried.seen.extend(state.seen_on(&run.console, &why));
    Ok(())
}

/// The table for a person.
fn show(args: &Conformance, report: &Report) {
    if !report.instructions.is_empty() {
        let heads = ["instruction", "wrong", "of", "what differs", "known as"];
        let mut rows = vec![heads.map(str::to_owned)];
        rows.extend(report.instructions.iter().map(row));
        print(&aligned(&rows));
    }
    if args.all {
        for case in report.faulty() {
            let known = case.fault.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
            print(&format!("{}: {}{known}", case.name, what(case)));
        }
    } else {
        for case in &report.crashed {
            print(&format!("{}: {}", case.name, what(case)));
        }
    }
}

fn row(row: &Instruction) -> [String; 5] {
    let differs = match row.differs.as_slice() {
        [] => "gem5 ends".to_owned(),
        parts => names(parts),
    };
    let mut known = row.faults.clone();
    if row.unknown > 0 {
        known.push(format!("{} unknown, such as {}", row.unknown, row.example));
    }
    let numbers = [row.wrong, row.cases].map(|number| number.to_string());
    let [wrong, cases] = numbers;
    [row.name.clone(), wrong, cases, differs, known.join(", ")]
}

fn names(parts: &[Part]) -> String {
    parts.iter().map(|part| part.name()).collect::<Vec<_>>().join(", ")
}

fn what(case: &Case) -> String {
    match &case.crash {
        Some(words) => format!("gem5 ends: {words}"),
        None => names(&case.differs),
    }
}

/// Columns, each as wide as its widest entry; the last one is ragged.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or_default());
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What it comes to, on standard error.
fn summary(context: &Context, report: &Report, version: Option<&str>, known: Option<&Faults>) {
    let table = known.filter(|table| Some(table.version.as_str()) != version);
    let version = version.map_or_else(|| "this gem5".to_owned(), |text| format!("gem5 {text}"));
    let Report { cases, agree, wrong, crashed, missing, .. } = report;
    context.note(&format!(
        "{version} agrees with a processor in {agree} of {}; {} wrong, {} end it, {} not tried",
        count(*cases, "case"),
        wrong.len(),
        crashed.len(),
        missing.len()
    ));
    if let Some(table) = table {
        let table = &table.version;
        context.note(&format!(
            "there is no table of known faults for {version}; that of {table} is gone by"
        ));
    }
    if known.is_none() {
        context.note("there is no table of known faults for this version");
    } else if report.unknown().next().is_some() {
        let unknown = report.unknown().count();
        context.note(&format!("{} not in the table of known faults", count(unknown, "case")));
    }
    if !report.not_shown.is_empty() {
        context.note(&format!("known faults that did not show: {}", report.not_shown.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_for_booting_can_be_read() {
        assert_eq!(Machine::parse(MACHINE, &BTreeMap::new()).unwrap().cores, 1);
    }
}
