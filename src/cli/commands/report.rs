//! `report`: figures of finished runs, as a page and as data.

use std::{
    error::Error,
    path::{Path, PathBuf},
    process::ExitCode,
};

use fs_err as fs;

use crate::{
    cli::{
        args::{Report, ReportFormat},
        context::Context,
        print, print_json,
        problem::{Failure, Problem},
    },
    report,
};

pub(in crate::cli) fn run(context: &Context, args: &Report) -> Result<ExitCode, Problem> {
    let mut report = report::gather(&args.dirs).map_err(|error| problem(&error))?;
    if args.compare {
        report.comparison = Some(report::compare(&report).map_err(|error| problem(&error))?);
    }
    let out = out(args);
    let formats = match args.format.as_slice() {
        [] => [ReportFormat::Html, ReportFormat::Csv, ReportFormat::Json].as_slice(),
        formats => formats,
    };
    let failed = |error: std::io::Error| Problem::from_error(Failure::Other, &error);
    fs::create_dir_all(&out).map_err(failed)?;
    for format in formats {
        let (name, text) = match format {
            ReportFormat::Html => ("report.html", report::html(&report)),
            ReportFormat::Csv => ("report.csv", report::csv(&report)),
            ReportFormat::Json => ("report.json", json(&report)),
        };
        let path = out.join(name);
        fs::write(&path, text).map_err(failed)?;
        context.note(&format!("written: {}", path.display()));
    }
    if context.global.json {
        print_json(&report);
        return Ok(ExitCode::SUCCESS);
    }
    for run in &report.runs {
        for warning in &run.warnings {
            context.note(&format!("warning: {}: {warning}", run.name));
        }
    }
    print(&report::text(&report));
    Ok(ExitCode::SUCCESS)
}

/// Where the files go: beside a single run or sweep, as they belong to it.
fn out(args: &Report) -> PathBuf {
    match (&args.out, args.dirs.as_slice()) {
        (Some(out), _) => out.clone(),
        (None, [dir]) => dir.clone(),
        (None, _) => Path::new("report").to_owned(),
    }
}

fn json(report: &report::Report) -> String {
    serde_json::to_string_pretty(report).expect("a report is plain data") + "\n"
}

fn problem(error: &report::Error) -> Problem {
    let problem = Problem::from_error(Failure::Input, error as &dyn Error);
    match error {
        report::Error::Nothing(_) => {
            problem.help("`vsbuild run IMAGE --on gem5` puts its record in runs/IMAGE/FUNCTION")
        }
        report::Error::Incomparable(_) => problem.help("--compare takes two directories"),
        _ => problem,
    }
}
