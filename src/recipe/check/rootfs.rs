use std::collections::BTreeMap;

use super::{Check, LAYERS, accounts::Accounts};
use crate::{
    path::GuestPath,
    recipe::{
        Attributes, DeviceNode, Directory, File, Owner, Packages, Rootfs, RootfsLayer,
        schema::{self, OwnerText, Typed},
        walk::{At, Spot},
    },
};

const DIRECTORY_MODE: u16 = 0o755;
const DEVICE_MODE: u16 = 0o600;

impl Check<'_> {
    pub(super) fn rootfs(&mut self, typed: &Typed, rootfs: &schema::Rootfs) -> Option<Rootfs> {
        for layer in &rootfs.layers {
            let name = At { value: layer.value.recipe.clone(), spot: layer.spot.clone() };
            self.reference(typed, &name, LAYERS);
        }
        self.one_declaration_a_path(rootfs);
        let accounts = self.accounts_of(typed, rootfs);
        let layers = rootfs.layers.iter().map(|layer| RootfsLayer {
            recipe: layer.value.recipe.clone(),
            from: layer.value.from.clone(),
            at: layer.value.at.clone(),
        });
        let paths = |paths: &[At<GuestPath>]| paths.iter().map(|path| path.value.clone()).collect();
        let links = rootfs.links.iter();
        Some(Rootfs {
            packages: self.inner_packages(typed, &rootfs.packages),
            layers: layers.collect(),
            remove: paths(&rootfs.remove),
            replace: paths(&rootfs.replace),
            files: self.files(typed, &rootfs.files, &accounts),
            directories: each(&rootfs.directories, |_, directory| {
                Some(Directory {
                    mode: directory.mode.as_ref().map_or(DIRECTORY_MODE, |mode| mode.value),
                    owner: self.owner(directory.owner.as_ref(), &accounts),
                })
            }),
            links: links.map(|(path, target)| (path.clone(), target.value.clone())).collect(),
            attributes: each(&rootfs.attributes, |_, attributes| {
                let owner = attributes.owner.as_ref();
                Some(Attributes {
                    mode: attributes.mode.as_ref().map(|mode| mode.value),
                    owner: owner.map(|owner| self.owner(Some(owner), &accounts)),
                    capabilities: attributes.capabilities.as_ref().map(|set| set.value),
                })
            }),
            devices: self.devices(typed, &rootfs.devices, &accounts),
            errata: rootfs.errata.iter().map(|erratum| erratum.value).collect(),
            users: accounts.users,
            groups: accounts.groups,
        })
    }

    /// The packages asked for inside a root file system; none if the list is empty.
    fn inner_packages(&self, typed: &Typed, packages: &schema::Packages) -> Option<Packages> {
        let checked = self.packages(typed, packages);
        if !checked.include.is_empty() {
            return Some(checked);
        }
        let archive = packages.archives.iter().flatten().next().map(|suite| &suite.spot);
        let stray = archive.or(packages.architecture.as_ref().map(|at| &at.spot));
        if let Some(spot) = stray.filter(|_| !typed.broken) {
            self.report.add(spot.problem("this has no effect without `packages`"));
        }
        None
    }

    fn files(
        &self,
        typed: &Typed,
        files: &BTreeMap<GuestPath, schema::File>,
        accounts: &Accounts,
    ) -> BTreeMap<GuestPath, File> {
        each(files, |path, file| {
            let owner = self.owner(file.owner.as_ref(), accounts);
            let Some(content) = &file.content else {
                self.incomplete(typed, file.place.as_ref(), || {
                    format!("file `{path}` needs `text` or `source`")
                });
                return None;
            };
            let mode = file.mode.as_ref().map(|mode| mode.value);
            Some(File { content: content.value.clone(), mode, owner })
        })
    }

    fn devices(
        &self,
        typed: &Typed,
        devices: &BTreeMap<GuestPath, schema::Device>,
        accounts: &Accounts,
    ) -> BTreeMap<GuestPath, DeviceNode> {
        each(devices, |path, device| {
            let owner = self.owner(device.owner.as_ref(), accounts);
            let (Some(kind), Some(major), Some(minor)) =
                (&device.kind, &device.major, &device.minor)
            else {
                self.incomplete(typed, device.place.as_ref(), || {
                    format!("device `{path}` needs `type`, `major` and `minor`")
                });
                return None;
            };
            let mode = device.mode.as_ref().map_or(DEVICE_MODE, |mode| mode.value);
            let (kind, major, minor) = (kind.value, major.value, minor.value);
            Some(DeviceNode { kind, major, minor, mode, owner })
        })
    }

    fn incomplete(&self, typed: &Typed, place: Option<&At<()>>, message: impl FnOnce() -> String) {
        if !typed.broken {
            let spot = place.map_or(&typed.spot, |place| &place.spot);
            self.report.add(spot.problem(message()));
        }
    }

    fn owner(&self, owner: Option<&At<OwnerText>>, accounts: &Accounts) -> Owner {
        let Some(owner) = owner else { return Owner::default() };
        accounts.owner(&owner.value).unwrap_or_else(|wrong| {
            self.report.add(owner.spot.problem(wrong));
            Owner::default()
        })
    }

    fn one_declaration_a_path(&self, rootfs: &schema::Rootfs) {
        let mut seen: BTreeMap<&GuestPath, &str> = BTreeMap::new();
        seen.extend(rootfs.directories.keys().map(|path| (path, "directory")));
        let files = rootfs.files.iter().map(|(path, file)| (path, "file", place(&file.place)));
        let devices =
            rootfs.devices.iter().map(|(path, device)| (path, "device", place(&device.place)));
        let links = rootfs.links.iter().map(|(path, link)| (path, "link", Some(&link.spot)));
        for (path, word, spot) in files.chain(devices).chain(links) {
            let Some(other) = seen.insert(path, word) else { continue };
            let message = format!("`{path}` is declared as a {other} and as a {word}");
            spot.into_iter().for_each(|spot| self.report.add(spot.problem(message.as_str())));
        }
    }
}

fn place(place: &Option<At<()>>) -> Option<&Spot> {
    place.as_ref().map(|place| &place.spot)
}

fn each<A, B>(
    entries: &BTreeMap<GuestPath, A>,
    change: impl Fn(&GuestPath, &A) -> Option<B>,
) -> BTreeMap<GuestPath, B> {
    entries.iter().filter_map(|(path, entry)| Some((path.clone(), change(path, entry)?))).collect()
}
