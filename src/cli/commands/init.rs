//! `init`: a lab's own project.

use std::process::ExitCode;

use crate::{
    cli::{
        args::Init,
        context::Context,
        print,
        problem::{Failure, Problem},
    },
    project,
};

pub(in crate::cli) fn run(context: &Context, args: &Init) -> Result<ExitCode, Problem> {
    let made = project::init(&args.dir, &args.extends)
        .map_err(|error| Problem::from_error(Failure::Input, &error))?;
    for path in &made {
        print(&path.display().to_string());
    }
    context.note(&format!(
        "Now: cd {}, look at recipes/my-{base}.toml, then vsbuild lock and vsbuild image my-{base}",
        args.dir.display(),
        base = args.extends
    ));
    Ok(ExitCode::SUCCESS)
}
