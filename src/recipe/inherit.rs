//! `extends`: what a recipe takes over from the one it extends.
//!
//! A single value of the heir stands in place of the base's; lists are appended to the base's; tables are merged by
//! key. The description is not inherited.

use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use super::{
    Name,
    schema::{
        Account, Attributes, Body, Build, Device, Directory, Disk, Extends, File, Function, Image,
        Invoke, Kernel, OciImage, Packages, Part, Preload, Rootfs, Run, Typed, default_suites,
    },
    value::Wrong,
    walk::{At, Report},
};

/// All recipes with what they inherit. One that extends itself or something broken is marked as broken.
pub(super) fn apply(
    typed: &BTreeMap<Name, Option<Typed>>,
    report: &Report,
) -> BTreeMap<Name, Rc<Typed>> {
    let mut heirs = Heirs { typed, report, done: BTreeMap::new(), open: Vec::new() };
    typed.keys().for_each(|name| {
        heirs.resolve(name);
    });
    heirs.done.into_iter().filter_map(|(name, typed)| Some((name, typed?))).collect()
}

struct Heirs<'a> {
    typed: &'a BTreeMap<Name, Option<Typed>>,
    report: &'a Report,
    /// None for what is too broken to be anything.
    done: BTreeMap<Name, Option<Rc<Typed>>>,
    /// The recipes being resolved, each extended by the one before it.
    open: Vec<Name>,
}

impl Heirs<'_> {
    fn resolve(&mut self, name: &Name) -> Option<Rc<Typed>> {
        if let Some(done) = self.done.get(name) {
            return done.clone();
        }
        let typed = self.typed.get(name).and_then(Option::as_ref).cloned();
        let resolved = typed.map(|typed| {
            self.open.push(name.clone());
            let typed = self.extend(typed);
            self.open.pop();
            Rc::new(typed)
        });
        self.done.insert(name.clone(), resolved.clone());
        resolved
    }

    fn extend(&mut self, mut heir: Typed) -> Typed {
        let Some(base) = self.base(&mut heir) else { return heir };
        if !self.typed.contains_key(&base.value) {
            let known = self.typed.keys().map(Name::as_str);
            let wrong = Wrong::unknown("recipe", base.value.as_str(), known);
            self.report.add(base.spot.problem(wrong));
            return Typed { broken: true, ..heir };
        }
        if let Some(start) = self.open.iter().position(|open| *open == base.value) {
            let round = self.open[start..].iter().chain([&base.value]);
            let round: Vec<&str> = round.map(Name::as_str).collect();
            let message = format!("recipes extend each other in a circle: {}", round.join(" -> "));
            self.report.add(base.spot.problem(message));
            return Typed { broken: true, ..heir };
        }
        let Some(parent) = self.resolve(&base.value) else {
            return Typed { broken: true, ..heir };
        };
        let broken = heir.broken || parent.broken;
        match over(heir.body.clone(), parent.body.clone()) {
            Some(body) => Typed { body, broken, ..heir },
            None => {
                let (own, other) = (heir.body.word(), parent.body.word());
                let message = format!("`{}` is of kind {other}, this is of kind {own}", base.value);
                self.report.add(base.spot.problem(message));
                Typed { broken: true, ..heir }
            }
        }
    }

    /// The name of what `heir` extends.
    fn base(&mut self, heir: &mut Typed) -> Option<At<Name>> {
        match heir.extends.clone()? {
            Extends::Recipe(name) => Some(name),
            Extends::PartOf(image, part) => {
                // What is wrong with the image itself is said there.
                let circular = self.open.contains(&image.value);
                let parent = if circular { None } else { self.resolve(&image.value) };
                let Some(parent) = parent else {
                    heir.broken = true;
                    return None;
                };
                heir.broken |= parent.broken;
                let Body::Image(parent) = &parent.body else { return None };
                let name = match part {
                    Part::Kernel => parent.kernel.as_ref(),
                    Part::Rootfs => parent.rootfs.as_ref(),
                }?;
                Some(At { value: name.value.clone(), spot: image.spot })
            }
        }
    }
}

fn over(heir: Body, base: Body) -> Option<Body> {
    match (heir, base) {
        (Body::Packages(heir), Body::Packages(base)) => Some(Body::Packages(heir.over(base))),
        (Body::Build(heir), Body::Build(base)) => Some(Body::Build(heir.over(base))),
        (Body::Kernel(heir), Body::Kernel(base)) => Some(Body::Kernel(heir.over(base))),
        (Body::Rootfs(heir), Body::Rootfs(base)) => Some(Body::Rootfs(heir.over(base))),
        (Body::Image(heir), Body::Image(base)) => Some(Body::Image(Box::new(heir.over(*base)))),
        (Body::OciImage(heir), Body::OciImage(base)) => {
            Some(Body::OciImage(Box::new(heir.over(*base))))
        }
        (Body::Function(heir), Body::Function(base)) => {
            Some(Body::Function(Box::new(heir.over(*base))))
        }
        (Body::Preload(heir), Body::Preload(base)) => Some(Body::Preload(heir.over(base))),
        (
            Body::Packages(_)
            | Body::Build(_)
            | Body::Kernel(_)
            | Body::Rootfs(_)
            | Body::Image(_)
            | Body::OciImage(_)
            | Body::Function(_)
            | Body::Preload(_),
            _,
        ) => None,
    }
}

/// Something that can be laid over the same thing of a base.
trait Over {
    fn over(self, base: Self) -> Self;
}

impl<T> Over for At<T> {
    fn over(self, _: Self) -> Self {
        self
    }
}

impl<T: Over> Over for Option<T> {
    fn over(self, base: Self) -> Self {
        match (self, base) {
            (Some(heir), Some(base)) => Some(heir.over(base)),
            (heir, base) => heir.or(base),
        }
    }
}

impl<T: PartialEq> Over for Vec<At<T>> {
    fn over(self, mut base: Self) -> Self {
        for element in self {
            if !base.iter().any(|known| known.value == element.value) {
                base.push(element);
            }
        }
        base
    }
}

impl<K: Ord, V: Over> Over for BTreeMap<K, V> {
    fn over(self, mut base: Self) -> Self {
        for (key, value) in self {
            let value = match base.remove(&key) {
                Some(old) => value.over(old),
                None => value,
            };
            base.insert(key, value);
        }
        base
    }
}

impl Over for Packages {
    fn over(self, base: Self) -> Self {
        let excluded: BTreeSet<&String> = self.exclude.iter().map(|name| &name.value).collect();
        let (gone, kept): (Vec<_>, Vec<_>) =
            base.include.into_iter().partition(|name| excluded.contains(&name.value));
        // What took something away has done its work; the rest stays, to be reported.
        let gone: BTreeSet<String> = gone.into_iter().map(|name| name.value).collect();
        let exclude = self.exclude.into_iter().filter(|name| !gone.contains(&name.value));
        let archives = self.archives.map(|own| {
            let spot = own.first().map(|first| first.spot.clone());
            let default = default_suites().into_iter();
            let default =
                default.filter_map(|suite| Some(At { value: suite, spot: spot.clone()? }));
            own.over(base.archives.clone().unwrap_or_else(|| default.collect()))
        });
        Self {
            architecture: self.architecture.over(base.architecture),
            archives: archives.or(base.archives),
            include: self.include.over(kept),
            exclude: exclude.chain(base.exclude).collect(),
            links: self.links.over(base.links),
        }
    }
}

impl Over for Build {
    fn over(self, base: Self) -> Self {
        Self {
            tools: self.tools.over(base.tools),
            inputs: self.inputs.over(base.inputs),
            script: self.script.over(base.script),
            env: self.env.over(base.env),
        }
    }
}

impl Over for Kernel {
    fn over(self, base: Self) -> Self {
        Self {
            architecture: self.architecture.over(base.architecture),
            source: self.source.over(base.source),
            tools: self.tools.over(base.tools),
            script: self.script.over(base.script),
            patches: self.patches.over(base.patches),
            fragments: self.fragments.over(base.fragments),
            symbols: self.symbols.over(base.symbols),
        }
    }
}

impl Over for Rootfs {
    fn over(self, base: Self) -> Self {
        Self {
            packages: self.packages.over(base.packages),
            layers: self.layers.over(base.layers),
            remove: self.remove.over(base.remove),
            replace: self.replace.over(base.replace),
            users: self.users.over(base.users),
            groups: self.groups.over(base.groups),
            files: self.files.over(base.files),
            directories: self.directories.over(base.directories),
            links: self.links.over(base.links),
            attributes: self.attributes.over(base.attributes),
            devices: self.devices.over(base.devices),
            errata: self.errata.over(base.errata),
        }
    }
}

impl Over for Account {
    fn over(self, base: Self) -> Self {
        Self {
            uid: self.uid.over(base.uid),
            group: self.group.over(base.group),
            groups: self.groups.over(base.groups),
            comment: self.comment.over(base.comment),
            home: self.home.over(base.home),
            shell: self.shell.over(base.shell),
            place: self.place.over(base.place),
        }
    }
}

impl Over for File {
    fn over(self, base: Self) -> Self {
        Self {
            content: self.content.over(base.content),
            mode: self.mode.over(base.mode),
            owner: self.owner.over(base.owner),
            place: self.place.over(base.place),
        }
    }
}

impl Over for Directory {
    fn over(self, base: Self) -> Self {
        Self { mode: self.mode.over(base.mode), owner: self.owner.over(base.owner) }
    }
}

impl Over for Attributes {
    fn over(self, base: Self) -> Self {
        Self {
            mode: self.mode.over(base.mode),
            owner: self.owner.over(base.owner),
            capabilities: self.capabilities.over(base.capabilities),
        }
    }
}

impl Over for Device {
    fn over(self, base: Self) -> Self {
        Self {
            kind: self.kind.over(base.kind),
            major: self.major.over(base.major),
            minor: self.minor.over(base.minor),
            mode: self.mode.over(base.mode),
            owner: self.owner.over(base.owner),
            place: self.place.over(base.place),
        }
    }
}

impl Over for Image {
    fn over(self, base: Self) -> Self {
        Self {
            kernel: self.kernel.over(base.kernel),
            rootfs: self.rootfs.over(base.rootfs),
            disk: self.disk.over(base.disk),
            cmdline: self.cmdline.over(base.cmdline),
            epoch: self.epoch.over(base.epoch),
            expect: self.expect.over(base.expect),
            run: self.run.over(base.run),
        }
    }
}

impl Over for Disk {
    fn over(self, base: Self) -> Self {
        Self {
            table: self.table.over(base.table),
            partition: self.partition.over(base.partition),
            size: self.size.over(base.size),
            spare_inodes: self.spare_inodes.over(base.spare_inodes),
            label: self.label.over(base.label),
            journal: self.journal.over(base.journal),
            format: self.format.over(base.format),
        }
    }
}

impl Over for Run {
    fn over(self, base: Self) -> Self {
        Self {
            memory: self.memory.over(base.memory),
            cores: self.cores.over(base.cores),
            timeout: self.timeout.over(base.timeout),
        }
    }
}

impl Over for OciImage {
    fn over(self, base: Self) -> Self {
        Self {
            architecture: self.architecture.over(base.architecture),
            origin: self.origin.over(base.origin),
            on_request: self.on_request.over(base.on_request),
            entrypoint: self.entrypoint.over(base.entrypoint),
            command: self.command.over(base.command),
            env: self.env.over(base.env),
            invoke: self.invoke.over(base.invoke),
        }
    }
}

impl Over for Function {
    fn over(self, base: Self) -> Self {
        Self {
            architecture: self.architecture.over(base.architecture),
            layers: self.layers.over(base.layers),
            entrypoint: self.entrypoint.over(base.entrypoint),
            command: self.command.over(base.command),
            user: self.user.over(base.user),
            workdir: self.workdir.over(base.workdir),
            env: self.env.over(base.env),
            ports: self.ports.over(base.ports),
            labels: self.labels.over(base.labels),
            errata: self.errata.over(base.errata),
            invoke: self.invoke.over(base.invoke),
        }
    }
}

impl Over for Invoke {
    fn over(self, base: Self) -> Self {
        Self {
            port: self.port.over(base.port),
            method: self.method.over(base.method),
            // Fields make one message together, so that a list of them stands in place of the base's.
            request: self.request.or(base.request),
            reply: self.reply.over(base.reply),
            generator: self.generator.over(base.generator),
            lower: self.lower.over(base.lower),
            upper: self.upper.over(base.upper),
            input: self.input.over(base.input),
            needs: self.needs.over(base.needs),
            place: self.place.over(base.place),
        }
    }
}

impl Over for Preload {
    fn over(self, base: Self) -> Self {
        Self {
            functions: self.functions.over(base.functions),
            namespace: self.namespace.over(base.namespace),
            blobs: self.blobs.over(base.blobs),
        }
    }
}
