use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::super::{
    Capabilities, DeviceKind, Erratum, FileContent, Name,
    value::{self, Wrong},
    walk::{At, Fields},
};
use super::Packages;
use crate::path::GuestPath;

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Rootfs {
    pub(in super::super) packages: Packages,
    pub(in super::super) layers: Vec<At<Layer>>,
    pub(in super::super) remove: Vec<At<GuestPath>>,
    pub(in super::super) replace: Vec<At<GuestPath>>,
    pub(in super::super) users: BTreeMap<String, Account>,
    pub(in super::super) groups: BTreeMap<String, At<u32>>,
    pub(in super::super) files: BTreeMap<GuestPath, File>,
    pub(in super::super) directories: BTreeMap<GuestPath, Directory>,
    pub(in super::super) links: BTreeMap<GuestPath, At<String>>,
    pub(in super::super) attributes: BTreeMap<GuestPath, Attributes>,
    pub(in super::super) devices: BTreeMap<GuestPath, Device>,
    pub(in super::super) errata: Vec<At<Erratum>>,
}

impl Rootfs {
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let below = |value: &DeValue<'_>| value::path_below(&value::text(value)?);
        Self {
            packages: Packages::read_inside(fields, "packages"),
            layers: fields.list("layers", &layer).unwrap_or_default(),
            remove: fields.list("remove", &below).unwrap_or_default(),
            replace: fields.list("replace", &value::path).unwrap_or_default(),
            users: fields.tables("users", value::account, Account::read),
            groups: fields.map("groups", value::account, &value::id),
            files: fields.tables("files", value::path_below, File::read),
            directories: fields.tables("directories", value::path_key, Directory::read),
            links: fields.map("links", value::path_below, &value::link_target),
            attributes: fields.tables("attributes", value::path_key, Attributes::read),
            devices: fields.tables("devices", value::path_below, Device::read),
            errata: fields.list("errata", &erratum).unwrap_or_default(),
        }
    }
}

/// One layer: a name alone, or with what is taken of its tree and where that is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Layer {
    pub(in super::super) recipe: Name,
    pub(in super::super) from: GuestPath,
    pub(in super::super) at: GuestPath,
}

pub(super) fn layer(value: &DeValue<'_>) -> Result<Layer, Wrong> {
    let table = match value {
        DeValue::String(_) => {
            let recipe = value::name(value)?;
            return Ok(Layer { recipe, from: GuestPath::root(), at: GuestPath::root() });
        }
        DeValue::Table(table) => table,
        _ => return Err(Wrong::kind("the name of a recipe or a table", value)),
    };
    const KEYS: [&str; 3] = ["from", "path", "at"];
    if let Some((key, _)) = table.iter().find(|(key, _)| !KEYS.contains(&&**key.get_ref())) {
        return Err(Wrong::unknown("key", key.get_ref(), KEYS.into_iter()));
    }
    let path = |key| field(table, key).map_or(Ok(GuestPath::root()), value::path);
    let recipe = field(table, "from").ok_or("a layer needs `from`, the name of a recipe")?;
    Ok(Layer { recipe: value::name(recipe)?, from: path("path")?, at: path("at")? })
}

/// A change to programs, by its name.
pub(super) fn erratum(value: &DeValue<'_>) -> Result<Erratum, Wrong> {
    let text = value::text(value)?;
    Erratum::ALL.into_iter().find(|erratum| erratum.word() == text).ok_or_else(|| {
        Wrong::unknown("erratum", &text, Erratum::ALL.into_iter().map(Erratum::word))
    })
}

fn field<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t DeValue<'i>> {
    table.get(key).map(|value| value.get_ref())
}

/// A user or group by name or number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Who {
    Name(String),
    Number(u32),
}

impl Who {
    fn parse(text: &str) -> Result<Self, Wrong> {
        if text == "root" {
            return Ok(Self::Number(0));
        }
        match text.parse() {
            Ok(number) if number < u32::MAX => Ok(Self::Number(number)),
            _ => value::account(text).map(Self::Name),
        }
    }
}

/// An owner as typed: `user`, `user:group` or a number that is both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct OwnerText {
    pub(in super::super) user: Who,
    pub(in super::super) group: Option<Who>,
}

fn owner(value: &DeValue<'_>) -> Result<OwnerText, Wrong> {
    if let DeValue::Integer(_) = value {
        return Ok(OwnerText { user: Who::Number(value::id(value)?), group: None });
    }
    let text = value::text(value)?;
    match text.split_once(':') {
        Some((user, group)) => {
            Ok(OwnerText { user: Who::parse(user)?, group: Some(Who::parse(group)?) })
        }
        None => Ok(OwnerText { user: Who::parse(&text)?, group: None }),
    }
}

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Account {
    pub(in super::super) uid: Option<At<u32>>,
    pub(in super::super) group: Option<At<Who>>,
    pub(in super::super) groups: Vec<At<String>>,
    pub(in super::super) comment: Option<At<String>>,
    pub(in super::super) home: Option<At<String>>,
    pub(in super::super) shell: Option<At<String>>,
    /// The table, to blame for what is missing.
    pub(in super::super) place: Option<At<()>>,
}

impl Account {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let group = |value: &DeValue<'_>| match value {
            DeValue::Integer(_) => value::id(value).map(Who::Number),
            _ => Who::parse(&value::text(value)?),
        };
        Self {
            uid: fields.read("uid", &value::id),
            group: fields.read("group", &group),
            groups: fields
                .list("groups", &|value| value::account(&value::text(value)?))
                .unwrap_or_default(),
            comment: fields.read("comment", &value::passwd_field),
            home: fields.read("home", &value::passwd_field),
            shell: fields.read("shell", &value::passwd_field),
            place: Some(At { value: (), spot: fields.spot.clone() }),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(in super::super) struct File {
    pub(in super::super) content: Option<At<FileContent>>,
    pub(in super::super) mode: Option<At<u16>>,
    pub(in super::super) owner: Option<At<OwnerText>>,
    /// The table, to blame for what is missing.
    pub(in super::super) place: Option<At<()>>,
}

impl File {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let file = fields.spot.file.clone();
        let text = fields.read("text", &plain_text);
        let source = fields.read("source", &|value| value::source(value, &file));
        if let (Some(_), Some(source)) = (&text, &source) {
            fields.report().add(source.spot.problem("`text` and `source` exclude each other"));
        }
        Self {
            content: text
                .map(|text| text.map(FileContent::Text))
                .or_else(|| Some(source?.map(FileContent::Source))),
            mode: fields.read("mode", &value::mode),
            owner: fields.read("owner", &owner),
            place: Some(At { value: (), spot: fields.spot.clone() }),
        }
    }
}

fn plain_text(value: &DeValue<'_>) -> Result<String, Wrong> {
    value.as_str().map(str::to_owned).ok_or_else(|| Wrong::kind("a string", value))
}

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Directory {
    pub(in super::super) mode: Option<At<u16>>,
    pub(in super::super) owner: Option<At<OwnerText>>,
}

impl Directory {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self { mode: fields.read("mode", &value::mode), owner: fields.read("owner", &owner) }
    }
}

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Attributes {
    pub(in super::super) mode: Option<At<u16>>,
    pub(in super::super) owner: Option<At<OwnerText>>,
    pub(in super::super) capabilities: Option<At<Capabilities>>,
}

impl Attributes {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let capabilities = |value: &DeValue<'_>| {
            let text = value::text(value)?;
            text.parse().map_err(|wrong: super::super::NotCapabilities| {
                Wrong::from(wrong.to_string()).with_hint("write such as \"cap_net_raw+ep\"")
            })
        };
        Self {
            mode: fields.read("mode", &value::mode),
            owner: fields.read("owner", &owner),
            capabilities: fields.read("capabilities", &capabilities),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Device {
    pub(in super::super) kind: Option<At<DeviceKind>>,
    pub(in super::super) major: Option<At<u32>>,
    pub(in super::super) minor: Option<At<u32>>,
    pub(in super::super) mode: Option<At<u16>>,
    pub(in super::super) owner: Option<At<OwnerText>>,
    /// The table, to blame for what is missing.
    pub(in super::super) place: Option<At<()>>,
}

impl Device {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        let kind = |value: &DeValue<'_>| match value::text(value)?.as_str() {
            "char" => Ok(DeviceKind::Char),
            "block" => Ok(DeviceKind::Block),
            word => Err(Wrong::unknown("type of device", word, ["char", "block"].into_iter())),
        };
        Self {
            kind: fields.read("type", &kind),
            major: fields.read("major", &|value| value::number(value, (1 << 12) - 1)),
            minor: fields.read("minor", &|value| value::number(value, (1 << 20) - 1)),
            mode: fields.read("mode", &value::mode),
            owner: fields.read("owner", &owner),
            place: Some(At { value: (), spot: fields.spot.clone() }),
        }
    }
}
