//! `lint`: whether an image can run in gem5, before hours are spent.

use std::process::ExitCode;

use serde_json::json;

use crate::{
    cli::{
        args::Lint,
        context::{Context, Planned},
        print, print_json,
        problem::{Failure, Problem},
    },
    fitness::{self, Faults, Finding, Level, Linted, Subject},
    plan::{Derivation, ImagePlan, Plan, Size},
    realise::Realised,
    recipe::Kind,
    store::Store,
};

/// How many places of a finding are shown if not all are asked for.
const SHOWN: usize = 6;

pub(in crate::cli) fn run(context: &Context, args: &Lint) -> Result<ExitCode, Problem> {
    let faults = faults(context, args)?;
    let store = context.store()?;
    let (_, recipes) = context.project()?;
    let Planned { plan, name } = context.plan(&args.name, &store)?;
    let image = plan.images.get(&name);
    let recipe = recipes.get(&name).map(|recipe| &recipe.kind);
    let (Some(image), Some(Kind::Image(recipe))) = (image, recipe) else {
        let what = format!("`{name}` is no image");
        return Err(Problem::new(Failure::Input, what).help("vsbuild recipes lists images"));
    };
    let realised = context.realise(&plan, &[image.kernel, image.rootfs], &store, false)?;
    let linted = {
        let failed = |error: crate::store::Error| context.explain(error.into());
        let output = |id| realised.output(id).expect("what was realised has an output");
        let kernel = store.tree(&output(image.kernel)).map_err(failed)?;
        let rootfs = store.tree(&output(image.rootfs)).map_err(failed)?;
        let content: u64 = rootfs.contents().map(|content| content.size).sum();
        let subject = Subject {
            kernel: &kernel,
            rootfs: &rootfs,
            blobs: &store,
            cmdline: &image.cmdline,
            root_device: &image.root_device,
            disk: disk(&plan, image, &realised, content),
            memory: recipe.run.memory,
            cores: args.cores.unwrap_or(recipe.run.cores),
            faults: &faults,
        };
        fitness::lint(&subject)
            .map_err(|error| Problem::from_error(Failure::Other, &error).help(mend(&store)))?
    };
    if context.global.json {
        print_json(&json!({
            "image": name,
            "gem5": faults.version,
            "programs": linted.programs,
            "instructions": linted.instructions,
            "errors": count(&linted, Level::Error),
            "warnings": count(&linted, Level::Warning),
            "findings": linted.findings,
        }));
    } else {
        for finding in &linted.findings {
            print(&text(finding, args.all));
        }
        print(&summary(name.as_str(), &linted, &faults));
    }
    let failed = count(&linted, Level::Error) > 0;
    Ok(if failed { ExitCode::from(Failure::Input as u8) } else { ExitCode::SUCCESS })
}

/// What is known of the version that is asked for, or of the newest before it; of the newest of all, if none is asked for.
fn faults(context: &Context, args: &Lint) -> Result<Faults, Problem> {
    let shipped = Faults::shipped();
    let known = || shipped.iter().map(|it| it.version.as_str()).collect::<Vec<_>>().join(", ");
    let nothing = |version: &str| {
        let what = format!("nothing is known of what gem5 {version} gets wrong");
        Problem::new(Failure::Input, what).help(format!("known versions: {}", known()))
    };
    let Some(version) = args.version.as_deref() else {
        return shipped.last().cloned().ok_or_else(|| nothing("of any version"));
    };
    let faults = Faults::nearest(version).ok_or_else(|| nothing(version))?;
    if faults.version != version {
        let table = &faults.version;
        context.note(&format!(
            "there is no table of faults for gem5 {version}; that of {table} is gone by"
        ));
    }
    Ok(faults)
}

/// Bytes that the disk has at least.
fn disk(plan: &Plan, image: &ImagePlan, realised: &Realised, content: u64) -> u64 {
    match realised.derivation(plan, image.disk) {
        Some(Derivation::Disk(disk)) => match disk.size {
            Size::Exact(size) => size,
            Size::Free(free) => free.saturating_add(content),
        },
        _ => content,
    }
}

fn mend(store: &Store) -> String {
    format!("vsbuild store verify puts aside what is damaged in {}", store.dir().display())
}

fn count(linted: &Linted, level: Level) -> usize {
    linted.findings.iter().filter(|finding| finding.level == level).count()
}

fn text(finding: &Finding, all: bool) -> String {
    let level = match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    };
    let shown = if all { finding.places.len() } else { SHOWN.min(finding.places.len()) };
    let mut text = format!("{level}: {} [{}]\n", finding.what, finding.check);
    for place in &finding.places[..shown] {
        text += &format!("  {place}\n");
    }
    if shown < finding.places.len() {
        text += &format!("  and {} more: --all\n", finding.places.len() - shown);
    }
    text + &format!("  help: {}\n", finding.help)
}

fn summary(name: &str, linted: &Linted, faults: &Faults) -> String {
    let plural = |count: usize, word: &str| match count {
        1 => format!("1 {word}"),
        _ => format!("{count} {word}s"),
    };
    let verdict = match count(linted, Level::Error) {
        0 => "can run in gem5",
        _ => "cannot run in gem5 as it is",
    };
    format!(
        "{name} {verdict} {}: {}, {}, {}; {} looked through, {:.1} million instructions",
        faults.version,
        plural(count(linted, Level::Error), "error"),
        plural(count(linted, Level::Warning), "warning"),
        plural(count(linted, Level::Note), "note"),
        plural(linted.programs, "program"),
        linted.instructions as f64 / 1e6,
    )
}
