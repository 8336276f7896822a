//! `completions` and `man`: the program about itself.

use std::process::ExitCode;

use clap::CommandFactory;
use fs_err as fs;

use crate::cli::{
    args::{Cli, Completions, Man},
    print,
    problem::{Failure, Problem},
};

pub(in crate::cli) fn completions(args: &Completions) -> Result<ExitCode, Problem> {
    let mut command = Cli::command();
    // The generator gives up noisily when its reader goes away; a buffer does not.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "vsbuild", &mut script);
    print(String::from_utf8_lossy(&script).trim_end());
    Ok(ExitCode::SUCCESS)
}

pub(in crate::cli) fn man(args: &Man) -> Result<ExitCode, Problem> {
    let failed = |error: std::io::Error| Problem::from_error(Failure::Other, &error);
    fs::create_dir_all(&args.dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}
