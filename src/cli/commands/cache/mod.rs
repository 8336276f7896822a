//! `cache`: what builders share.

mod pin;
mod pull;
mod push;
mod view;

use std::process::ExitCode;

use super::serve;
use crate::{
    cache::{Cache, Error},
    cli::{args::Cache as Args, context::Context, explain, problem::Problem},
    realise,
    remote::Address,
};

pub(in crate::cli) fn run(context: &Context, args: &Args) -> Result<ExitCode, Problem> {
    match args {
        Args::Push(args) => push::run(context, args),
        Args::Pull(args) => pull::run(context, args),
        Args::Ls { address } => view::list(context, address),
        Args::Gc(args) => view::collect(context, args),
        Args::Pin(args) => pin::pin(context, args),
        Args::Unpin { address, name } => pin::unpin(context, address, name),
        Args::Serve(args) => serve::run(context, args),
    }
}

/// The cache at an address; it is asked nothing yet.
fn at(context: &Context, address: &Address) -> Result<Cache, Problem> {
    let cache = Cache::new(context.remote(address)?);
    Ok(match context.global.jobs {
        Some(jobs) => cache.at_once(jobs),
        None => cache,
    })
}

/// The same if there is one.
fn there(context: &Context, address: &Address) -> Result<Cache, Problem> {
    let cache = at(context, address)?;
    if cache.check().map_err(|error| explain::cache(&error))? {
        return Ok(cache);
    }
    Err(explain::cache(&Error::Absent { address: cache.address().to_owned() }))
}

/// Why something cannot be shared or pinned.
fn not_made(context: &Context, error: realise::Error) -> Problem {
    let what = match &error {
        realise::Error::NotMade { name } => Some(name.clone()),
        _ => None,
    };
    let problem = context.explain(error);
    match what {
        Some(name) => problem.help(format!(
            "what is sent must be made before: vsbuild build {name}, or vsbuild image for an image"
        )),
        None => problem,
    }
}
