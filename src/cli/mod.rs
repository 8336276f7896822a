//! Arguments in, messages out. The only room that talks to a person.

mod args;
mod caches;
mod commands;
mod config;
mod context;
mod difference;
mod explain;
mod gauge;
mod graph;
mod keys;
mod manifest;
mod printer;
mod problem;
mod results;
mod signer;
mod sides;

use std::{io::Write, process::ExitCode, sync::OnceLock};

use clap::Parser;

use args::{Cli, Command};
use context::Context;
use problem::{Failure, Problem};

/// The whole program: reads the arguments, does what they say, and gives the exit code.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.global.json;
    let code = run(cli).unwrap_or_else(|problem| problem.report(json));
    match LOST.get() {
        Some(error) => {
            let message = format!("the result could not be written: {error}");
            Problem::new(Failure::Other, message).report(json)
        }
        None => code,
    }
}

fn run(Cli { command, global }: Cli) -> Result<ExitCode, Problem> {
    let context = Context::new(global)?;
    match command {
        Command::Image(args) => commands::image::run(&context, &args),
        Command::Build(args) => commands::build::run(&context, &args),
        Command::Run(args) => commands::run::run(&context, &args),
        Command::Report(args) => commands::report::run(&context, &args),
        Command::Conformance(args) => commands::conformance::run(&context, &args),
        Command::Sweep(command) => commands::sweep::run(&context, &command),
        Command::Lint(args) => commands::lint::run(&context, &args),
        Command::Verify(args) => commands::verify::run(&context, &args),
        Command::Challenge(args) => commands::challenge::run(&context, &args),
        Command::Diff(args) => commands::diff::run(&context, &args),
        Command::Sbom(args) => commands::sbom::run(&context, &args),
        Command::Export(args) => commands::export::run(&context, &args),
        Command::Import(args) => commands::import::run(&context, &args),
        Command::Vendor(args) => commands::vendor::run(&context, &args),
        Command::Lock(args) => commands::lock::run(&context, &args),
        Command::Recipes => commands::recipes::run(&context),
        Command::Init(args) => commands::init::run(&context, &args),
        Command::Show(args) => commands::explain::show(&context, &args),
        Command::Graph(args) => commands::explain::graph(&context, &args),
        Command::Log(args) => commands::explain::log(&context, &args),
        Command::Why(args) => commands::explain::why(&context, &args),
        Command::Shell(args) => commands::shell::run(&context, &args),
        Command::Oci(command) => commands::oci::run(&context, &command),
        Command::Store(command) => commands::store::run(&context, &command),
        Command::Key(command) => commands::key::run(&context, &command),
        Command::Cache(command) => commands::cache::run(&context, &command),
        Command::Completions(args) => commands::about::completions(&args),
        Command::Man(args) => commands::about::man(&args),
    }
}

/// Why a result could not be written.
static LOST: OnceLock<std::io::Error> = OnceLock::new();

/// Writes a result. A reader that has gone away is no failure of ours; any other one is told of in the end.
fn print(text: &str) {
    if let Err(error) = writeln!(std::io::stdout(), "{text}")
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error);
    }
}

/// Writes a result as JSON.
fn print_json(value: &impl serde::Serialize) {
    let text = serde_json::to_string_pretty(value).expect("results are plain data");
    print(&text);
}
