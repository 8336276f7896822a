//! `conformance`: which x86 instructions a gem5 computes otherwise than a processor.

use std::{io, path::Path, process::ExitCode, time::Duration};

use serde::Serialize;

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
    run::gem5::digest_of,
};

/// The recipe of the test's program.
const PROGRAM: &str = "conformance-x86";

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
    let answers = Answers::shipped();
    let asked = match &args.only {
        Some(only) => answers.only(only),
        None => answers.clone(),
    };
    if asked.cases().is_empty() {
        let problem = format!("no case is about `{}`", args.only.as_deref().unwrap_or_default());
        return Err(Problem::new(Failure::Input, problem)
            .help("instructions are named as in `xchg`, `lock add` and `rep movs`"));
    }
    let tried = attempt(context, args, &gem5, &answers, asked.cases().len())?;
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

/// Makes the test's program and has gem5 run it.
fn attempt(
    context: &Context,
    args: &Conformance,
    gem5: &Path,
    answers: &Answers,
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
    trial.run(answers, &is_wanted, &watch).map_err(|error| {
        Problem::from_error(Failure::Other, &error)
            .help("gem5 must be a build for X86, 24.0 or newer; --gem5 names another program")
    })
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
