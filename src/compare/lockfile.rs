//! Two lockfiles: what each pins.

use super::report::{Change, LockChange};
use crate::{
    digest::Digest,
    lock::{self, Lock, PackageId},
};

/// All that is pinned otherwise: suites, packages by set, images of containers, hashes of images.
pub(super) fn compare(before: &Lock, after: &Lock) -> Vec<LockChange> {
    let diff = lock::diff(before, after);
    let mut found = Vec::new();
    for suite in diff.suites {
        let of = format!("{} {}", suite.suite.archive, suite.suite.suite);
        let change = Change {
            what: suite.suite.architecture.to_string(),
            before: suite.before,
            after: Some(suite.after),
        };
        found.push(LockChange { kind: "suite", of, change });
    }
    let gone = before.suites.iter().filter(|(id, _)| !after.suites.contains_key(*id));
    found.extend(gone.map(|(id, suite)| {
        let (what, before) = (id.architecture.to_string(), Some(suite.date.clone()));
        let of = format!("{} {}", id.archive, id.suite);
        LockChange { kind: "suite", of, change: Change { what, before, after: None } }
    }));
    for set in diff.sets {
        let mut add = |what: &PackageId, before: Option<String>, after: Option<String>| {
            let what = format!("{}:{}", what.name, what.architecture);
            let change = Change { what, before, after };
            found.push(LockChange { kind: "package", of: set.set.to_string(), change });
        };
        let version = |id: &PackageId| Some(id.version.to_string());
        set.changed.iter().for_each(|(old, new)| add(new, version(old), version(new)));
        set.added.iter().for_each(|id| add(id, None, version(id)));
        set.removed.iter().for_each(|id| add(id, version(id), None));
        let digest = |lock: &Lock, id: &PackageId| {
            let digest = lock.packages.get(id).map(|package| package.sha256)?;
            Some(format!("{} {digest}", id.version))
        };
        set.rebuilt.iter().for_each(|id| add(id, digest(before, id), digest(after, id)));
    }
    let text = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
    found.extend(diff.images.into_iter().map(|image| {
        let (before, after) = (text(image.before), text(image.after));
        let change = Change { what: "manifest".to_owned(), before, after };
        LockChange { kind: "image", of: image.image.to_string(), change }
    }));
    found.extend(diff.outputs.into_iter().map(|output| {
        let (before, after) = (text(output.before), text(output.after));
        let change = Change { what: output.file, before, after };
        LockChange { kind: "output", of: output.image.to_string(), change }
    }));
    if found.is_empty() && before != after {
        // Such as what was asked for, or the path of a package in its archive.
        let change = Change { what: "text".to_owned(), before: None, after: None };
        found.push(LockChange { kind: "other", of: String::new(), change });
    }
    found
}
