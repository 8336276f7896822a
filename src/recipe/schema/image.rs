use toml::de::DeValue;

use super::super::{
    Name, Size, Table,
    value::{self, Wrong},
    walk::{At, Fields},
};

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Image {
    pub(in super::super) kernel: Option<At<Name>>,
    pub(in super::super) rootfs: Option<At<Name>>,
    pub(in super::super) disk: Disk,
    pub(in super::super) cmdline: Option<At<String>>,
    pub(in super::super) epoch: Option<At<i64>>,
    pub(in super::super) expect: Option<At<String>>,
    pub(in super::super) run: Run,
}

impl Image {
    pub(super) fn read(
        fields: &mut Fields<'_, '_>,
        kernel: Option<At<Name>>,
        rootfs: Option<At<Name>>,
    ) -> Self {
        Self {
            kernel,
            rootfs,
            disk: fields.table("disk", Disk::read).unwrap_or_default(),
            cmdline: fields.read("cmdline", &value::line),
            epoch: fields.read("epoch", &value::epoch),
            expect: fields.read("expect", &value::text),
            run: fields.table("run", Run::read).unwrap_or_default(),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Disk {
    pub(in super::super) table: Option<At<Table>>,
    pub(in super::super) partition: Option<At<u32>>,
    pub(in super::super) size: Option<At<Size>>,
    pub(in super::super) spare_inodes: Option<At<u32>>,
    pub(in super::super) label: Option<At<String>>,
    pub(in super::super) journal: Option<At<Option<u64>>>,
    pub(in super::super) format: Option<At<u32>>,
}

impl Disk {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let size = fields.read("size", &value::size);
        let free = fields.read("free", &value::size);
        if let (Some(_), Some(free)) = (&size, &free) {
            fields.report().add(free.spot.problem("`size` and `free` exclude each other"));
        }
        Self {
            table: fields.read("table", &table),
            partition: fields.read("partition", &|value| value::count(value, 128)),
            size: size.map(|size| size.map(Size::Exact)).or_else(|| Some(free?.map(Size::Free))),
            spare_inodes: fields.read("spare-inodes", &|value| value::number(value, u32::MAX)),
            label: fields.read("label", &label),
            journal: fields.read("journal", &value::journal),
            format: fields.read("format", &|value| value::count(value, u32::MAX)),
        }
    }
}

fn table(value: &DeValue<'_>) -> Result<Table, Wrong> {
    match value::text(value)?.as_str() {
        "none" => Ok(Table::None),
        "mbr" => Ok(Table::Mbr),
        "gpt" => Ok(Table::Gpt),
        word => Err(Wrong::unknown("partition table", word, ["none", "mbr", "gpt"].into_iter())),
    }
}

fn label(value: &DeValue<'_>) -> Result<String, Wrong> {
    let label = value::line(value)?;
    if label.len() > 16 { Err("a label has at most 16 bytes".into()) } else { Ok(label) }
}

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Run {
    pub(in super::super) memory: Option<At<u64>>,
    pub(in super::super) cores: Option<At<u32>>,
    pub(in super::super) timeout: Option<At<u64>>,
}

impl Run {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            memory: fields.read("memory", &value::size),
            cores: fields.read("cores", &|value| value::count(value, 1024)),
            timeout: fields.read("timeout", &value::duration),
        }
    }
}
