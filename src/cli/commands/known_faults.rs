//! What of a run its gem5 is known to compute wrongly: looked up in the image once, and kept in the store.

use fs_err as fs;
use serde_json::json;

use crate::{
    cli::context::{Context, Planned},
    digest::Digest,
    fitness::{self, Faults, Subject},
    path::GuestPath,
    plan::ImagePlan,
    run::KnownFault,
    store::{Realisation, Store},
    tree::{Blobs, Time, Tree},
};

/// Version of what is kept: a change looks anew.
const FORMAT: u32 = 1;
/// The file that is kept.
const FILE: &str = "faults.json";

/// What is known, and what a reader of the record should know of that.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) faults: Vec<KnownFault>,
    pub(super) warnings: Vec<String>,
}

/// The faults of a version of gem5 that are in what a function's run executes; for no function, that of all containers. That
/// they cannot be had is a warning, and no reason for a run to fail.
pub(super) fn known(
    context: &Context,
    store: &Store,
    image: &str,
    version: &str,
    function: Option<&str>,
) -> Known {
    let Some(table) = Faults::nearest(version) else {
        let warning = format!(
            "nobody has looked yet which instructions gem5 {version} computes wrongly: `vsbuild conformance` does"
        );
        return Known { warnings: vec![warning], ..Known::default() };
    };
    let mut warnings = Vec::new();
    if table.version != version {
        warnings.push(format!(
            "there is no table of what gem5 {version} computes wrongly; that of {} is gone by: `vsbuild conformance` says what \
             is true of yours",
            table.version
        ));
    }
    let faults = match looked_up(context, store, image, &table, function) {
        Ok(faults) => faults,
        Err(why) => {
            warnings.push(format!("the image could not be looked through for instructions that gem5 computes wrongly: {why}"));
            return Known { warnings, ..Known::default() };
        }
    };
    if !faults.is_empty() {
        let worst =
            faults.iter().filter(|fault| ["crash", "values"].contains(&fault.harm.as_str()));
        warnings.push(format!(
            "what was run has instructions that gem5 computes wrongly, of {} kinds, {} of them with wrong results or addresses: \
             they are listed as known faults",
            faults.len(),
            worst.count()
        ));
    }
    Known { faults, warnings }
}

fn looked_up(
    context: &Context,
    store: &Store,
    image: &str,
    table: &Faults,
    function: Option<&str>,
) -> Result<Vec<KnownFault>, String> {
    let said = |error: crate::store::Error| error.to_string();
    let planned = context.plan(image, store).map_err(|problem| problem.to_string())?;
    let Planned { plan, name } = planned;
    let image = plan.images.get(&name).ok_or_else(|| format!("`{name}` is no image"))?;
    let realised = context
        .realise(&plan, &[image.kernel, image.rootfs], store, false)
        .map_err(|problem| problem.to_string())?;
    let output = |id| realised.output(id).ok_or_else(|| "it was not made".to_owned());
    let (kernel, rootfs) = (output(image.kernel)?, output(image.rootfs)?);
    let document = json!({
        "kernel": kernel, "rootfs": rootfs, "cmdline": image.cmdline, "function": function, "table": table.faults,
    });
    let key = Digest::of(format!("vsbuild-known-faults {FORMAT}\n{document}"));
    if let Some(faults) = kept(store, &key).map_err(said)? {
        return Ok(faults);
    }
    context.note("looks through the image for instructions that gem5 computes wrongly");
    let kernel = store.tree(&kernel).map_err(said)?;
    let rootfs = store.tree(&rootfs).map_err(said)?;
    let faults = fitness::touched(&subject(&kernel, &rootfs, store, image, table), function)
        .map_err(|error| error.to_string())?;
    keep(store, &key, &faults).map_err(said)?;
    Ok(faults)
}

fn subject<'a>(
    kernel: &'a Tree,
    rootfs: &'a Tree,
    blobs: &'a dyn Blobs,
    image: &'a ImagePlan,
    faults: &'a Faults,
) -> Subject<'a> {
    let (cmdline, root_device) = (image.cmdline.as_str(), image.root_device.as_str());
    // What is looked for does not depend on the machine.
    let (disk, memory, cores) = (0, 0, 1);
    Subject { kernel, rootfs, blobs, cmdline, root_device, disk, memory, cores, faults }
}

/// What was found before.
fn kept(store: &Store, key: &Digest) -> Result<Option<Vec<KnownFault>>, crate::store::Error> {
    let Some(realisation) = store.realisation(key)? else { return Ok(None) };
    if !store.has_tree(&realisation.output) {
        return Ok(None);
    }
    let tree = store.tree(&realisation.output)?;
    let content = GuestPath::new(FILE).ok().and_then(|path| tree.content(&path).cloned());
    let bytes = content.and_then(|content| store.read(&content.digest).ok());
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn keep(store: &Store, key: &Digest, faults: &[KnownFault]) -> Result<(), crate::store::Error> {
    let scratch = store.scratch()?;
    let dir = scratch.path().join("faults");
    fs::create_dir(&dir)?;
    fs::write(dir.join(FILE), serde_json::to_vec(faults).unwrap_or_default())?;
    let tree = store.import(&dir, Time::from_seconds(0))?;
    let output = store.put_tree(&tree)?;
    let name = "known faults".to_owned();
    store.record(key, &Realisation { name, output, inputs: Vec::new(), vouched: Vec::new() })
}
