//! What a recipe declares about a root file system, as entries of a derivation.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Attributes, Entry, Errata, FileContent, Input, Layer, Rootfs,
    lower::{EPOCH, Fault, Lowering, whole},
};
use crate::{
    formats::elf::barrier,
    path::GuestPath,
    recipe::{self, DeviceKind, Erratum, Recipe},
};

pub(super) fn rootfs(
    lowering: &mut Lowering<'_>,
    recipe: &Recipe,
    rootfs: &recipe::Rootfs,
) -> Result<Rootfs<Input>, Fault> {
    let mut layers = Vec::new();
    if let Some((set, packages)) = recipe.package_set() {
        let step = lowering.packages(&set, packages)?;
        layers.push(whole(set.to_string(), Input::Step(step)));
    }
    for recipe::RootfsLayer { recipe, from, at } in &rootfs.layers {
        let tree = Input::Step(lowering.recipe(recipe)?);
        let (from, at) = (from.clone(), at.clone());
        layers.push(Layer { name: recipe.to_string(), tree, from, at });
    }
    let accounts = [("etc/passwd", passwd(rootfs)), ("etc/group", group(rootfs))]
        .map(|(path, text)| (GuestPath::new(path).unwrap_or_default(), text_file(text)));
    let mut replace = rootfs.replace.clone();
    replace.extend(accounts.iter().map(|(path, _)| path.clone()));
    let mut add = BTreeMap::from(accounts);
    add.extend(entries(lowering, recipe, rootfs)?);
    Ok(Rootfs {
        format: Rootfs::<Input>::FORMAT,
        layers,
        replace,
        remove: rootfs.remove.clone(),
        add,
        attributes: rootfs.attributes.iter().map(attributes).collect(),
        epoch: EPOCH,
        errata: errata(&rootfs.errata),
    })
}

/// Changes to programs, each with the version of what it does.
pub(super) fn errata(errata: &BTreeSet<Erratum>) -> Errata {
    let versioned = errata.iter().map(|erratum| match erratum {
        Erratum::GoWriteBarrierR8 => (erratum.word(), barrier::FORMAT),
    });
    versioned.collect()
}

fn entries(
    lowering: &Lowering<'_>,
    recipe: &Recipe,
    rootfs: &recipe::Rootfs,
) -> Result<BTreeMap<GuestPath, Entry<Input>>, Fault> {
    let mut entries = BTreeMap::new();
    for (path, recipe::Directory { mode, owner }) in &rootfs.directories {
        let entry = Entry::Directory { mode: *mode, uid: owner.uid, gid: owner.gid };
        entries.insert(path.clone(), entry);
    }
    for (path, recipe::File { content, mode, owner }) in &rootfs.files {
        let (content, executable) = match content {
            recipe::FileContent::Text(text) => (FileContent::Text(text.clone()), false),
            recipe::FileContent::Source(source) => {
                let (tree, path, executable) = lowering.single(recipe, source)?;
                (FileContent::Copy { tree, path }, executable)
            }
        };
        let mode = mode.unwrap_or(if executable { 0o755 } else { 0o644 });
        let entry = Entry::File { content, mode, uid: owner.uid, gid: owner.gid };
        entries.insert(path.clone(), entry);
    }
    for (path, target) in &rootfs.links {
        entries.insert(path.clone(), Entry::Symlink(target.clone()));
    }
    for (path, device) in &rootfs.devices {
        let recipe::DeviceNode { kind, major, minor, mode, owner } = device;
        let entry = Entry::Device {
            block: *kind == DeviceKind::Block,
            major: *major,
            minor: *minor,
            mode: *mode,
            uid: owner.uid,
            gid: owner.gid,
        };
        entries.insert(path.clone(), entry);
    }
    Ok(entries)
}

fn text_file(text: String) -> Entry<Input> {
    Entry::File { content: FileContent::Text(text), mode: 0o644, uid: 0, gid: 0 }
}

/// passwd(5). Nobody has a password, and there is no shadow file: a guest is not logged into.
fn passwd(rootfs: &recipe::Rootfs) -> String {
    let line = |(name, user): (&String, &recipe::User)| {
        let recipe::User { uid, gid, comment, home, shell } = user;
        format!("{name}:*:{uid}:{gid}:{comment}:{home}:{shell}\n")
    };
    let others = rootfs.users.iter().map(line);
    std::iter::once("root:*:0:0:root:/root:/bin/sh\n".to_owned()).chain(others).collect()
}

/// group(5).
fn group(rootfs: &recipe::Rootfs) -> String {
    let line = |(name, group): (&String, &recipe::Group)| {
        let members: Vec<&str> = group.members.iter().map(String::as_str).collect();
        format!("{name}:*:{}:{}\n", group.gid, members.join(","))
    };
    let others = rootfs.groups.iter().map(line);
    std::iter::once("root:*:0:\n".to_owned()).chain(others).collect()
}

fn attributes((path, wanted): (&GuestPath, &recipe::Attributes)) -> (GuestPath, Attributes) {
    let recipe::Attributes { mode, owner, capabilities } = wanted;
    let attributes = Attributes {
        mode: *mode,
        owner: owner.map(|owner| (owner.uid, owner.gid)),
        capability: capabilities.as_ref().map(|set| set.to_xattr().to_vec()),
    };
    (path.clone(), attributes)
}
