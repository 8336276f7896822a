//! `shell`: enters the sandbox of a build that failed.

use std::{path::PathBuf, process::ExitCode};

use fs_err as fs;

use crate::{
    cli::{
        args::Shell,
        context::Context,
        problem::{Failure, Problem},
    },
    realise,
};

pub(in crate::cli) fn run(context: &Context, args: &Shell) -> Result<ExitCode, Problem> {
    let dir = match &args.sandbox {
        Some(dir) if dir.join(realise::SPEC).exists() => dir.clone(),
        Some(dir) => {
            return Err(Problem::new(
                Failure::Input,
                format!("{} is no kept sandbox", dir.display()),
            )
            .help("without a directory, vsbuild shell enters the latest"));
        }
        None => latest(context)?.ok_or_else(|| {
            Problem::new(Failure::Input, "no sandbox of a failed build was kept")
                .help("build with --keep-failed to keep one")
        })?,
    };
    context.note("The sandbox as the script left it; its directory is /build, its script $SCRIPT. Leave with exit.");
    let code = realise::enter(&dir).map_err(|error| context.explain(error))?;
    Ok(ExitCode::from(code))
}

fn latest(context: &Context) -> Result<Option<PathBuf>, Problem> {
    let kept = context.store()?.kept().map_err(|error| context.explain(error.into()))?;
    let when =
        |dir: &PathBuf| fs::metadata(dir.join(realise::SPEC)).and_then(|meta| meta.modified()).ok();
    Ok(kept.into_iter().filter(|dir| when(dir).is_some()).max_by_key(when))
}
