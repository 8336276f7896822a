//! `diff`: what is not the same, from the outside in.

use std::process::ExitCode;

use crate::{
    cli::{
        args::Diff,
        context::Context,
        difference::{self, Limits},
        gauge::Gauge,
        print, print_json,
        problem::{Failure, Problem},
        sides,
    },
    compare::{self, Options},
};

/// How many entries of each list are shown, if not all.
const LISTED: usize = 40;

pub(in crate::cli) fn run(context: &Context, args: &Diff) -> Result<ExitCode, Problem> {
    let store = context.store()?;
    let (a, b) = (sides::side(context, &args.a, &store)?, sides::side(context, &args.b, &store)?);
    let ignore = args.ignore.iter().copied().map(Into::into).collect();
    let options = Options { ignore, structures: args.structures };
    let gauge = Gauge::new(context);
    let report = compare::compare(&a, &b, &options, &store, &|what, done, total| {
        gauge.tell(what, done, total);
    });
    drop(gauge);
    let report = report.map_err(|error| sides::problem(context, error))?;
    if context.global.json {
        print_json(&report);
    } else {
        let limits = match args.all {
            true => Limits { listed: usize::MAX, lines: usize::MAX },
            false => Limits { listed: LISTED, lines: args.lines.get() },
        };
        print(difference::text(&report, limits).trim_end());
    }
    Ok(match report.same {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(Failure::Mismatch as u8),
    })
}
