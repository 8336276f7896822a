//! `cache ls` and `cache gc`: what is there, and what of it stays.

use std::process::ExitCode;

use serde_json::json;

use crate::{
    cache::{Overview, Terms},
    cli::{
        args::CollectCache, context::Context, explain, print, print_json, printer, problem::Problem,
    },
    remote::Address,
};

pub(super) fn list(context: &Context, address: &Address) -> Result<ExitCode, Problem> {
    let cache = super::there(context, address)?;
    let Overview { contents, statements, pins } =
        cache.overview().map_err(|error| explain::cache(&error))?;
    let mut policy = context.policy();
    policy.at.insert(cache.address().to_owned(), context.keys_of(address));
    if context.global.json {
        let rooms: serde_json::Map<_, _> = contents
            .iter()
            .map(|(room, held)| {
                ((*room).to_owned(), json!({ "count": held.count, "bytes": held.bytes }))
            })
            .collect();
        let statements = statements.iter().map(|(id, count)| {
            let name = policy.keys_at(cache.address()).name(*id).map(str::to_owned);
            json!({ "key": id, "name": name, "count": count })
        });
        let pins = pins.iter().map(|(name, pin)| {
            json!({
                "name": name,
                "reason": pin.reason,
                "steps": pin.plan_keys.len(),
                "trees": pin.trees.len(),
                "inputs": pin.inputs.len(),
            })
        });
        print_json(&json!({
            "cache": cache.address(),
            "rooms": rooms,
            "statements": statements.collect::<Vec<_>>(),
            "pins": pins.collect::<Vec<_>>(),
        }));
        return Ok(ExitCode::SUCCESS);
    }
    for (room, held) in &contents {
        print(&format!("{room:13} {:>8}  {:>11}", held.count, printer::size(held.bytes)));
    }
    let (count, bytes) = contents
        .values()
        .fold((0, 0), |(count, bytes), held| (count + held.count, bytes + held.bytes));
    print(&format!("{:13} {count:>8}  {:>11}", "in all", printer::size(bytes)));
    for (id, count) in &statements {
        let count = printer::count(usize::try_from(*count).unwrap_or(usize::MAX), "statement");
        print(&format!("{count} signed by {}", policy.who(*id)));
    }
    for (name, pin) in &pins {
        print(&format!("pinned: {name}  ({})", pin.reason.escape_debug()));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn collect(context: &Context, args: &CollectCache) -> Result<ExitCode, Problem> {
    let cache = super::there(context, &args.address)?;
    // What was sent before there was time is not looked for: without a limit of age no statement is too old.
    let terms = Terms { older_than: args.older_than.unwrap_or(u64::MAX), max_size: args.max_size };
    let collection =
        if args.dry_run { cache.plan_collection(&terms) } else { cache.collect(&terms) };
    let collection = collection.map_err(|error| explain::cache(&error))?;
    let (count, bytes) = (collection.remove.len(), collection.bytes());
    let (kept, kept_bytes) = (collection.kept, collection.kept_bytes);
    if let Some(max) = args.max_size.filter(|max| kept_bytes > *max) {
        context.note(&format!(
            "what pins keep, or what came in the last day, takes {}, more than {}",
            printer::size(kept_bytes),
            printer::size(max)
        ));
    }
    if context.global.json {
        print_json(&json!({
            "removed": !args.dry_run,
            "objects": count,
            "bytes": bytes,
            "kept": kept,
            "kept-bytes": kept_bytes,
        }));
    } else {
        let verb = if args.dry_run { "would remove" } else { "removed" };
        let (count, size) = (printer::count(count, "object"), printer::size(bytes));
        print(&format!("{verb} {count}, {size}; {kept} kept, {}", printer::size(kept_bytes)));
    }
    Ok(ExitCode::SUCCESS)
}
