use std::collections::BTreeSet;

use super::Check;
use crate::recipe::{
    Architecture, Disk, Image, Name, Run, Size, Table,
    schema::{self, Body, Typed},
    walk::At,
};

/// 2025-01-01, for images that do not say.
const EPOCH: i64 = 1_735_689_600;
/// Free space, for disks that do not say.
const FREE: u64 = 256 << 20;
const SPARE_INODES: u32 = 4096;
const FORMAT: u32 = 1;
const MEMORY: u64 = 1 << 30;
const TIMEOUT: u64 = 120;
/// A master boot record has four partitions.
const MBR_PARTITIONS: u32 = 4;

impl Check<'_> {
    pub(super) fn image(&mut self, typed: &Typed, image: &schema::Image) -> Option<Image> {
        let kernel = self.required(typed, "kernel", image.kernel.as_ref());
        let rootfs = self.required(typed, "rootfs", image.rootfs.as_ref());
        let cmdline = self.required(typed, "cmdline", image.cmdline.as_ref());
        if let Some(kernel) = &image.kernel {
            self.reference(typed, kernel, &["kernel"]);
        }
        if let Some(rootfs) = &image.rootfs {
            self.reference(typed, rootfs, &["rootfs"]);
        }
        self.one_architecture(typed, image);
        Some(Image {
            kernel: kernel?,
            rootfs: rootfs?,
            cmdline: cmdline?,
            disk: self.disk(&image.disk),
            epoch: or(&image.epoch, EPOCH),
            expect: image.expect.as_ref().map(|text| text.value.clone()),
            run: Run {
                memory: or(&image.run.memory, MEMORY),
                cores: or(&image.run.cores, 1),
                timeout: or(&image.run.timeout, TIMEOUT),
            },
        })
    }

    fn disk(&self, disk: &schema::Disk) -> Disk {
        let table = or(&disk.table, Table::None);
        if let Some(partition) = &disk.partition
            && table == Table::Mbr
            && partition.value > MBR_PARTITIONS
        {
            let message = "a master boot record has four partitions";
            self.report.add(partition.spot.problem(message));
        }
        Disk {
            table,
            partition: or(&disk.partition, 1),
            size: or(&disk.size, Size::Free(FREE)),
            spare_inodes: u64::from(or(&disk.spare_inodes, SPARE_INODES)),
            label: disk.label.as_ref().map(|label| label.value.clone()).unwrap_or_default(),
            journal: or(&disk.journal, None),
            format: or(&disk.format, FORMAT),
        }
    }

    /// A kernel cannot run what was packaged for other machines.
    fn one_architecture(&self, typed: &Typed, image: &schema::Image) {
        let (Some(kernel), Some(rootfs)) = (&image.kernel, &image.rootfs) else { return };
        let Some(Body::Kernel(found)) = self.typed.get(&kernel.value).map(|typed| &typed.body)
        else {
            return;
        };
        let own = or(&found.architecture, Architecture::Amd64);
        let mut others = BTreeSet::new();
        self.architectures(&rootfs.value, &mut BTreeSet::new(), &mut others);
        others.remove(&own);
        // The last word of this very recipe is to blame, not that of a base.
        let own_spots = [&rootfs.spot, &kernel.spot].into_iter();
        let mut own_spots = own_spots.filter(|spot| spot.file == typed.spot.file);
        let spot = own_spots.next().unwrap_or(&typed.spot);
        for other in others {
            let (kernel, name) = (&kernel.value, &rootfs.value);
            let message = format!("`{name}` has packages for {other}, but `{kernel}` is for {own}");
            self.report.add(spot.problem(message));
        }
    }

    /// The architectures of the packages in a root file system, containers' own root file systems apart.
    fn architectures<'s>(
        &'s self,
        name: &'s Name,
        seen: &mut BTreeSet<&'s Name>,
        found: &mut BTreeSet<Architecture>,
    ) {
        let Some(typed) = self.typed.get(name).filter(|_| seen.insert(name)) else { return };
        match &typed.body {
            Body::Packages(packages) => {
                found.insert(or(&packages.architecture, Architecture::Amd64));
            }
            Body::Rootfs(rootfs) => {
                if !rootfs.packages.include.is_empty() {
                    found.insert(or(&rootfs.packages.architecture, Architecture::Amd64));
                }
                for layer in rootfs.layers.iter().filter(|layer| layer.value.at.is_root()) {
                    self.architectures(&layer.value.recipe, seen, found);
                }
            }
            Body::OciImage(image) => {
                found.insert(or(&image.architecture, Architecture::Amd64));
            }
            Body::Function(function) => {
                found.insert(or(&function.architecture, Architecture::Amd64));
            }
            Body::Preload(preload) => {
                for function in &preload.functions {
                    self.architectures(&function.value, seen, found);
                }
            }
            Body::Build(_) | Body::Kernel(_) | Body::Image(_) => (),
        }
    }
}

pub(super) fn or<T: Copy>(value: &Option<At<T>>, default: T) -> T {
    value.as_ref().map_or(default, |value| value.value)
}
