//! `store`: looks after what is kept.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde_json::json;

use crate::{
    cli::{
        args::{Collect, Store as Args},
        commands::pins,
        context::Context,
        print, print_json, printer,
        problem::{Failure, Problem},
    },
    digest::Digest,
    store::{Error, Kind, Spare, Store, Verified},
};

/// A day in seconds.
const DAY: u64 = 24 * 60 * 60;

pub(in crate::cli) fn run(context: &Context, args: &Args) -> Result<ExitCode, Problem> {
    let store = context.store()?;
    let failed = |error: Error| context.explain(error.into());
    match args {
        Args::Ls => list(context, &store).map_err(failed),
        Args::Path { digest } => path(&store, &parse(digest)?),
        Args::Verify => verify(context, &store),
        Args::Gc(args) => collect(context, &store, args).map_err(failed),
        Args::Roots { remove: Some(name) } => remove(context, &store, name),
        Args::Roots { remove: None } => roots(context, &store).map_err(failed),
        Args::Why { digest } => why(context, &store, &parse(digest)?),
        Args::Pin(args) => pins::pin(context, &store, args),
        Args::Unpin { name } => pins::unpin(context, &store, name),
        Args::Forget { key } => forget(context, &store, &parse(key)?),
    }
}

fn parse(digest: &str) -> Result<Digest, Problem> {
    digest.parse().map_err(|error: crate::digest::NotADigest| Problem::new(Failure::Input, error))
}

fn list(context: &Context, store: &Store) -> Result<ExitCode, Error> {
    let objects = store.objects()?;
    if context.global.json {
        let list = objects.iter().map(|object| {
            json!({ "kind": object.kind.room(), "digest": object.digest, "size": object.size })
        });
        print_json(&list.collect::<Vec<_>>());
        return Ok(ExitCode::SUCCESS);
    }
    for kind in Kind::ALL {
        let of_kind = objects.iter().filter(|object| object.kind == kind);
        let size: u64 = of_kind.clone().map(|object| object.size).sum();
        print(&format!("{:13} {:>8}  {:>11}", kind.room(), of_kind.count(), printer::size(size)));
    }
    context.note(&format!("in {}; --json lists every object", store.dir().display()));
    Ok(ExitCode::SUCCESS)
}

fn path(store: &Store, digest: &Digest) -> Result<ExitCode, Problem> {
    let found = if store.has_blob(digest) {
        store.blob_path(digest)
    } else if store.has_tree(digest) {
        store.tree_path(digest)
    } else {
        return Err(Problem::new(Failure::Other, format!("{digest} is not in the store")));
    };
    print(&found.display().to_string());
    Ok(ExitCode::SUCCESS)
}

fn verify(context: &Context, store: &Store) -> Result<ExitCode, Problem> {
    let verified = store.verify(&|_| ()).map_err(|error| context.explain(error.into()))?;
    let Verified { objects, bytes, damaged } = &verified;
    if context.global.json {
        let list = damaged.iter().map(|damage| {
            json!({
                "kind": damage.object.kind.room(),
                "digest": damage.object.digest,
                "what": damage.what,
                "quarantine": damage.quarantine,
            })
        });
        print_json(&json!({
            "objects": objects,
            "bytes": bytes,
            "damaged": list.collect::<Vec<_>>(),
        }));
    } else {
        let count = printer::count(*objects, "object");
        print(&format!("{count}, {}: {} damaged", printer::size(*bytes), damaged.len()));
        for damage in damaged {
            print(&format!(
                "  {} {}: {}",
                damage.object.kind.room(),
                damage.object.digest,
                damage.what
            ));
        }
    }
    if damaged.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    context.note("What was damaged is put aside; the next build makes it again.");
    Ok(ExitCode::from(Failure::Mismatch as u8))
}

fn collect(context: &Context, store: &Store, args: &Collect) -> Result<ExitCode, Error> {
    let Collect { dry_run, older_than, max_size } = *args;
    let time = older_than.map(|days| Duration::from_secs(u64::from(days) * DAY));
    // Before what a clock can tell, nothing is young.
    let since = time.map(|time| SystemTime::now().checked_sub(time).unwrap_or(UNIX_EPOCH));
    let spare = Spare { since, size: max_size };
    let sweep = if dry_run { store.plan_sweep(&spare)? } else { store.sweep(&spare)? };
    let (count, size) = (sweep.objects.len(), sweep.size());
    if let Some(max) = max_size.filter(|max| sweep.kept_size > *max) {
        let (left, max) = (printer::size(sweep.kept_size), printer::size(max));
        let why =
            if older_than.is_some() { "roots keep, or what is young, " } else { "roots keep " };
        context.note(&format!("what {why}takes {left}, more than {max}"));
    }
    if context.global.json {
        print_json(&json!({
            "removed": !dry_run,
            "objects": count,
            "bytes": size,
            "kept": sweep.kept,
            "kept-bytes": sweep.kept_size,
        }));
    } else {
        let verb = if dry_run { "would remove" } else { "removed" };
        let count = printer::count(count, "object");
        print(&format!("{verb} {count}, {}; {} kept", printer::size(size), sweep.kept));
    }
    Ok(ExitCode::SUCCESS)
}

fn roots(context: &Context, store: &Store) -> Result<ExitCode, Error> {
    let roots = store.roots()?;
    if context.global.json {
        print_json(&roots);
        return Ok(ExitCode::SUCCESS);
    }
    for (name, root) in roots {
        let place = root.place.map(|place| format!("  {}", place.display())).unwrap_or_default();
        print(&format!("{name}  ({}){place}", root.reason));
    }
    Ok(ExitCode::SUCCESS)
}

fn remove(context: &Context, store: &Store, name: &str) -> Result<ExitCode, Problem> {
    let failed = |error: Error| context.explain(error.into());
    let roots = store.roots().map_err(failed)?;
    // An image's name will do where only one project has such an image.
    let of_image = |root: &&String| root.split('@').next() == Some(name);
    let meant: Vec<&String> = match roots.get_key_value(name) {
        Some((exact, _)) => vec![exact],
        None => roots.keys().filter(of_image).collect(),
    };
    match meant.as_slice() {
        [root] => store.remove_root(root).map(|_| ExitCode::SUCCESS).map_err(failed),
        [] => Err(Problem::new(Failure::Input, format!("there is no root `{name}`"))
            .help("vsbuild store roots lists them")),
        several => {
            let list = several.iter().map(|root| root.as_str()).collect::<Vec<_>>().join(", ");
            Err(Problem::new(Failure::Input, format!("several roots are for `{name}`"))
                .help(format!("name one of {list}")))
        }
    }
}

fn forget(context: &Context, store: &Store, key: &Digest) -> Result<ExitCode, Problem> {
    match store.forget(key).map_err(|error| context.explain(error.into()))? {
        true => Ok(ExitCode::SUCCESS),
        false => Err(Problem::new(Failure::Input, format!("nothing is recorded under {key}"))
            .help("vsbuild show NAME prints the key of a recipe")),
    }
}

fn why(context: &Context, store: &Store, digest: &Digest) -> Result<ExitCode, Problem> {
    let ways = store.why(digest).map_err(|error| context.explain(error.into()))?;
    if ways.is_empty() {
        return Err(Problem::new(Failure::Other, format!("no root keeps {digest}"))
            .help("the next `vsbuild store gc` removes it, if it is in the store"));
    }
    for (root, tree, path) in ways {
        let path = path.map(|path| format!(" at {path}")).unwrap_or_default();
        print(&format!("{root} keeps it: tree {tree}{path}"));
    }
    Ok(ExitCode::SUCCESS)
}
