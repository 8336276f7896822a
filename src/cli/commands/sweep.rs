//! `run --sweep` and `sweep`: many runs from one file.

use std::{
    env,
    path::{Path, PathBuf, absolute},
    process::ExitCode,
    time::Duration,
};

use fs_err as fs;
use serde_json::json;

use super::{image, on_gem5};
use crate::{
    cli::{
        args::{Executor, Run, Sweep as Command},
        context::Context,
        print, print_json,
        problem::{Failure, Problem},
    },
    run::{
        gem5::Machine,
        sweep::{
            Counts, Directory, Error, News, Plan, Standing, State, Sweep, local, slurm, survey,
        },
    },
};

/// How often Slurm is asked.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// `sweep`
pub(in crate::cli) fn run(context: &Context, command: &Command) -> Result<ExitCode, Problem> {
    let Command::Status { dir } = command;
    let directory = Directory::open(dir).map_err(|error| explain(&error))?;
    let seats = slurm::seats(&directory).unwrap_or_else(|error| {
        context.note(&format!("{error}: what waits there or runs there is not known"));
        Default::default()
    });
    show(context, &directory, &survey(&directory, &seats));
    Ok(ExitCode::SUCCESS)
}

/// `run --sweep`
pub(super) fn run_points(context: &Context, args: &Run, file: &Path) -> Result<ExitCode, Problem> {
    let (project, recipes) = context.project()?;
    let name = context.name(&recipes, &args.name)?;
    let sweep = read(file)?;
    if sweep.image != args.name {
        let problem = format!("{} is of {}, not of {}", file.display(), sweep.image, args.name);
        return Err(Problem::new(Failure::Input, problem));
    }
    let there = recipes.functions(&name);
    if let Some(function) =
        sweep.functions.iter().find(|function| !there.iter().any(|name| name.as_str() == *function))
    {
        let known: Vec<&str> = there.iter().map(|name| name.as_str()).collect();
        let problem = format!("{}: there is no function `{function}` in {name}", file.display());
        return Err(
            Problem::new(Failure::Input, problem).help(format!("it has {}", known.join(", ")))
        );
    }
    let stem = file.file_stem().unwrap_or(file.as_os_str());
    let dir =
        args.out.clone().unwrap_or_else(|| project.root.join("runs").join(&args.name).join(stem));
    let dir = absolute(dir).map_err(|error| Problem::from_error(Failure::Other, &error))?;
    let more = options(context, args, &project.root)?;
    let plan = Plan::new(&sweep, &dir, &more).map_err(|error| explain(&error))?;
    let directory = Directory::make(&dir, &sweep, plan).map_err(|error| explain(&error))?;
    // Once, and not by every point.
    image::make(context, &args.name, args.image_dir.as_deref(), false)?;
    execute(context, args, &sweep, &directory)?;
    let seats = slurm::seats(&directory).map_err(|error| explain(&error))?;
    let standings = survey(&directory, &seats);
    show(context, &directory, &standings);
    judged(args, &directory, Counts::of(&standings))
}

fn execute(
    context: &Context,
    args: &Run,
    sweep: &Sweep,
    directory: &Directory,
) -> Result<(), Problem> {
    let program =
        env::current_exe().map_err(|error| Problem::from_error(Failure::Other, &error))?;
    let watch = |news: News| tell(context, directory, &news);
    let dir = directory.path().display();
    let done = match args.sweep.executor {
        Executor::Local => local::run(directory, &program, context.jobs(), &watch),
        Executor::Slurm => {
            let mut resources = sweep.slurm.clone();
            resources.options.extend(args.sweep.slurm_option.iter().cloned());
            let submission = slurm::Submission {
                program: &program,
                resources: &resources,
                jobs: context.global.jobs.map(Into::into),
            };
            slurm::submit(directory, &submission, &watch).and_then(|_| {
                if args.sweep.detach {
                    return Ok(());
                }
                context.note(&format!(
                    "waiting for Slurm; the jobs go on without this command: vsbuild sweep status {dir}"
                ));
                slurm::wait(directory, ASK_EVERY, &watch)
            })
        }
    };
    done.map_err(|error| explain(&error))
}

fn read(file: &Path) -> Result<Sweep, Problem> {
    let text =
        fs::read_to_string(file).map_err(|error| Problem::from_error(Failure::Input, &error))?;
    let machine = |text: &str| {
        Machine::parse(text, &on_gem5::presets()).map(drop).map_err(|error| error.to_string())
    };
    Sweep::parse(&text, &machine).map_err(|mistakes| {
        let what = match mistakes.0.len() {
            1 => "a mistake".to_owned(),
            count => format!("{count} mistakes"),
        };
        Problem::new(Failure::Input, format!("{} has {what}\n{mistakes}", file.display()))
            .help("docs/sweeps.md has all keys")
    })
}

/// What the command was given that every point needs too: a node of a cluster has another directory and environment.
fn options(context: &Context, args: &Run, project: &Path) -> Result<Vec<String>, Problem> {
    let mut options = Vec::new();
    let mut option = |name: &str, path: &Path| {
        let path = absolute(path).map_err(|error| Problem::from_error(Failure::Other, &error))?;
        let text = path.to_str().map(str::to_owned);
        let not_text = || explain(&Error::NotText { path: PathBuf::from(&path) });
        options.extend([format!("--{name}"), text.ok_or_else(not_text)?]);
        Ok::<_, Problem>(())
    };
    option("project", project)?;
    option("store", &context.store_dir()?)?;
    for (name, path) in [
        ("config", &context.global.config),
        ("image-dir", &args.image_dir),
        ("gem5", &args.gem5.gem5),
    ] {
        if let Some(path) = path {
            option(name, path)?;
        }
    }
    Ok(options)
}

fn tell(context: &Context, directory: &Directory, news: &News) {
    let name = |number: usize| {
        let function = directory.plan().points.get(number).map_or("", |point| &point.function);
        format!("{number:03} {function} {}", directory.plan().place(number))
    };
    let line = match news {
        News::Began(number) => format!("{}: runs", name(*number)),
        News::Ended(number, State::Done) => format!("{}: done", name(*number)),
        News::Ended(number, State::Failed(why)) => format!("{}: failed: {why}", name(*number)),
        News::Ended(number, State::Running | State::Waiting) => format!("{}: ended", name(*number)),
        News::Submitted { job, points } => format!("job {job}: {points} points"),
        News::Note(text) => text.clone(),
    };
    context.note(&line);
}

/// The table of the points.
fn show(context: &Context, directory: &Directory, standings: &[Standing]) {
    let counts = Counts::of(standings);
    if context.global.json {
        let point = |standing: &Standing| {
            let point = directory.plan().points.get(standing.number);
            let why = match &standing.state {
                State::Failed(why) => Some(why),
                State::Done | State::Running | State::Waiting => None,
            };
            json!({
                "point": standing.number,
                "function": point.map(|point| &point.function),
                "values": point.map(|point| &point.values),
                "state": word(&standing.state),
                "why": why,
                "job": standing.seat.as_ref().map(|seat| &seat.task),
                "dir": directory.point(standing.number),
                "command": point.map(|point| &point.command),
            })
        };
        let points: Vec<_> = standings.iter().map(point).collect();
        print_json(&json!({ "image": directory.plan().image, "counts": counts, "points": points }));
        return;
    }
    let keys = &directory.plan().grid;
    let mut rows = vec![vec!["point".to_owned(), "function".to_owned()]];
    rows[0].extend(keys.iter().cloned());
    rows[0].extend(["state".to_owned(), String::new()]);
    rows.extend(standings.iter().map(|standing| row(directory, standing)));
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in &rows {
        let cells =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}", width = *width));
        print(cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    let Counts { done, running, failed, waiting } = counts;
    print(&format!("\n{done} done, {running} running, {failed} failed, {waiting} waiting"));
}

fn row(directory: &Directory, standing: &Standing) -> Vec<String> {
    let point = directory.plan().points.get(standing.number);
    let value = |key: &String| match point.and_then(|point| point.values.get(key)) {
        Some(serde_json::Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    };
    let note = match (&standing.state, &standing.seat) {
        (State::Failed(why), _) => why.clone(),
        (_, Some(seat)) => format!("job {} {}", seat.task, seat.word),
        (_, None) => String::new(),
    };
    let mut row = vec![
        format!("{:03}", standing.number),
        point.map_or_else(String::new, |point| point.function.clone()),
    ];
    row.extend(directory.plan().grid.iter().map(value));
    row.extend([word(&standing.state).to_owned(), note]);
    row
}

fn word(state: &State) -> &'static str {
    match state {
        State::Done => "done",
        State::Running => "running",
        State::Failed(_) => "failed",
        State::Waiting => "waiting",
    }
}

fn judged(args: &Run, directory: &Directory, counts: Counts) -> Result<ExitCode, Problem> {
    let again = "the same command again runs only what is not done";
    let dir = directory.path().display();
    if counts.failed > 0 {
        let problem = format!("{} points failed", counts.failed);
        let logs = format!("what a point said is in {dir}/points/NNN/log.txt");
        return Err(Problem::new(Failure::Guest, problem).help(logs).help(again));
    }
    if counts.done < directory.plan().points.len() && !args.sweep.detach {
        let problem =
            format!("{} points were not run to their end", counts.running + counts.waiting);
        let slurm = "their jobs were cancelled, or the nodes do not see the sweep's directory";
        return Err(Problem::new(Failure::Other, problem).help(slurm).help(again));
    }
    Ok(ExitCode::SUCCESS)
}

fn explain(error: &Error) -> Problem {
    match error {
        Error::Another { .. } => Problem::from_error(Failure::Input, error)
            .help("name another directory with --out, or remove this one"),
        Error::None { .. } | Error::NotText { .. } => Problem::from_error(Failure::Input, error),
        Error::Start { .. } | Error::Slurm { .. } => Problem::from_error(Failure::Other, error)
            .help("--executor slurm needs Slurm's sbatch, squeue and scontrol"),
        Error::Unreadable { .. } | Error::Busy { .. } | Error::Io(_) => {
            Problem::from_error(Failure::Other, error)
        }
    }
}
