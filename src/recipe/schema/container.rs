use std::collections::BTreeMap;

use toml::de::DeValue;

use super::super::{
    Architecture, Erratum, Field, Generator, Name, Origin, Reference, Reply,
    value::{self, Wrong},
    walk::{At, Fields},
};
use super::rootfs::{Layer, erratum, layer};

#[derive(Debug, Clone, Default)]
pub(in super::super) struct OciImage {
    pub(in super::super) architecture: Option<At<Architecture>>,
    pub(in super::super) origin: Option<At<Origin>>,
    pub(in super::super) on_request: Option<At<bool>>,
    pub(in super::super) entrypoint: Option<At<Vec<String>>>,
    pub(in super::super) command: Option<At<Vec<String>>>,
    pub(in super::super) env: BTreeMap<String, At<String>>,
    pub(in super::super) invoke: Option<Invoke>,
}

impl OciImage {
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            architecture: fields.read("architecture", &value::architecture),
            origin: read_origin(fields),
            on_request: fields.read("on-request", &value::boolean),
            entrypoint: fields.read("entrypoint", &value::words),
            command: fields.read("command", &value::words),
            env: fields.map("env", value::variable, &value::line),
            invoke: fields.table("invoke", Invoke::read),
        }
    }
}

/// One of `reference`, `layout` and `archive`; the latter two with a `tag` where several images are inside.
fn read_origin(fields: &mut Fields<'_, '_>) -> Option<At<Origin>> {
    let file = fields.spot.file.clone();
    let source = |value: &DeValue<'_>| value::source(value, &file);
    let tag = fields.read("tag", &value::line);
    let reference = fields.read("reference", &reference);
    let layout = fields.read("layout", &source);
    let archive = fields.read("archive", &source);
    let spots: Vec<_> = [
        reference.as_ref().map(|at| &at.spot),
        layout.as_ref().map(|at| &at.spot),
        archive.as_ref().map(|at| &at.spot),
    ]
    .into_iter()
    .flatten()
    .collect();
    if let [_, second, ..] = spots.as_slice() {
        let message = "only one of `reference`, `layout` and `archive` can be the origin";
        fields.report().add(second.problem(message));
    }
    if let (Some(_), Some(tag)) = (&reference, &tag) {
        fields.report().add(tag.spot.problem("the tag of a registry's image is in its reference"));
    }
    let tag = tag.map(|tag| tag.value);
    let local = layout.map(|at| at.map(|source| Origin::Layout { source, tag: tag.clone() }));
    let local =
        local.or_else(|| Some(archive?.map(|source| Origin::Archive { source, tag: tag.clone() })));
    reference.map(|at| at.map(Origin::Registry)).or(local)
}

fn reference(value: &DeValue<'_>) -> Result<Reference, Wrong> {
    let text = value::line(value)?;
    Reference::parse(&text).ok_or_else(|| {
        Wrong::from(format!("`{}` does not name an image", text.escape_debug()))
            .with_hint("write registry, repository and tag, such as \"localhost:5000/team/name:1\"")
    })
}

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Function {
    pub(in super::super) architecture: Option<At<Architecture>>,
    pub(in super::super) layers: Vec<At<Layer>>,
    pub(in super::super) entrypoint: Option<At<Vec<String>>>,
    pub(in super::super) command: Option<At<Vec<String>>>,
    pub(in super::super) user: Option<At<String>>,
    pub(in super::super) workdir: Option<At<String>>,
    pub(in super::super) env: BTreeMap<String, At<String>>,
    pub(in super::super) ports: Vec<At<u16>>,
    pub(in super::super) labels: BTreeMap<String, At<String>>,
    pub(in super::super) errata: Vec<At<Erratum>>,
    pub(in super::super) invoke: Option<Invoke>,
}

impl Function {
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            architecture: fields.read("architecture", &value::architecture),
            layers: fields.list("layers", &layer).unwrap_or_default(),
            entrypoint: fields.read("entrypoint", &value::words),
            command: fields.read("command", &value::words),
            user: fields.read("user", &user),
            workdir: fields.read("workdir", &workdir),
            env: fields.map("env", value::variable, &value::line),
            ports: fields.list("ports", &value::port).unwrap_or_default(),
            labels: fields.map("labels", |key| Ok(key.to_owned()), &value::line),
            errata: fields.list("errata", &erratum).unwrap_or_default(),
            invoke: fields.table("invoke", Invoke::read),
        }
    }
}

fn user(value: &DeValue<'_>) -> Result<String, Wrong> {
    let text = value::line(value)?;
    let word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    };
    match text.split_once(':') {
        Some((user, group)) if word(user) && word(group) => Ok(text),
        None if word(&text) => Ok(text),
        _ => Err(Wrong::from("this is not a user").with_hint("write \"user\" or \"user:group\"")),
    }
}

fn workdir(value: &DeValue<'_>) -> Result<String, Wrong> {
    value::path(value).map(|path| path.to_string())
}

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Invoke {
    pub(in super::super) port: Option<At<u16>>,
    /// None inside for a container that nobody calls.
    pub(in super::super) method: Option<At<Option<String>>>,
    pub(in super::super) request: Option<Vec<At<Field>>>,
    pub(in super::super) reply: Option<At<Reply>>,
    pub(in super::super) generator: Option<At<Generator>>,
    pub(in super::super) lower: Option<At<u32>>,
    pub(in super::super) upper: Option<At<u32>>,
    pub(in super::super) input: Option<At<String>>,
    pub(in super::super) needs: Vec<At<Name>>,
    /// The table, to blame for what is missing.
    pub(in super::super) place: Option<At<()>>,
}

impl Invoke {
    fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            port: fields.read("port", &value::port),
            method: fields.read("method", &method),
            request: fields.list("request", &field),
            reply: fields.read("reply", &reply),
            generator: fields.read("generator", &generator),
            lower: fields.read("lower", &|value| value::number(value, u32::MAX)),
            upper: fields.read("upper", &|value| value::number(value, u32::MAX)),
            input: fields.read("input", &value::line),
            needs: fields.list("needs", &value::name).unwrap_or_default(),
            place: Some(At { value: (), spot: fields.spot.clone() }),
        }
    }
}

/// `/package.Service/Method`, or false for what is only started.
fn method(value: &DeValue<'_>) -> Result<Option<String>, Wrong> {
    if let DeValue::Boolean(false) = value {
        return Ok(None);
    }
    let text = value::line(value)?;
    let word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
    };
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        ["", service, method] if word(service) && word(method) => Ok(Some(text)),
        _ => Err(Wrong::from(format!("`{}` is not a gRPC method", text.escape_debug()))
            .with_hint("write such as \"/helloworld.Greeter/SayHello\", or false")),
    }
}

/// `{ field = 1, string = "{input}" }`, or another type in place of string.
fn field(value: &DeValue<'_>) -> Result<Field, Wrong> {
    const KINDS: [&str; 5] = ["string", "int", "double", "float", "bool"];
    let DeValue::Table(table) = value else { return Err(Wrong::kind("a table", value)) };
    let (mut number, mut content) = (None, None);
    for (key, value) in table {
        let key = key.get_ref().as_ref();
        match KINDS.into_iter().find(|kind| *kind == key) {
            Some(kind) => content = Some((kind, scalar(kind, value.get_ref())?)),
            None if key == "field" => number = Some(field_number(value.get_ref())?),
            None => {
                let known = std::iter::once("field").chain(KINDS);
                return Err(Wrong::unknown("key", key, known));
            }
        }
    }
    let number = number.ok_or("a field needs its number, as `field`")?;
    let (kind, value) = content
        .filter(|_| table.len() == 2)
        .ok_or("a field needs one value, such as `string = \"{input}\"`")?;
    Ok(Field { number, kind, value })
}

/// A value as text. What is not written as its own type must be the input.
fn scalar(kind: &str, value: &DeValue<'_>) -> Result<String, Wrong> {
    match (kind, value) {
        ("int", DeValue::Integer(_)) => value::integer(value).map(|number| number.to_string()),
        ("double" | "float", DeValue::Float(number)) => Ok(number.as_str().to_owned()),
        ("bool", DeValue::Boolean(yes)) => Ok(yes.to_string()),
        ("string", DeValue::String(_)) => value::line(value),
        (_, DeValue::String(text)) if text.as_ref() == "{input}" => Ok("{input}".to_owned()),
        _ => Err(Wrong::kind(&format!("a value of type {kind}, or \"{{input}}\""), value)),
    }
}

/// Field numbers of protobuf are below 2^29.
fn field_number(value: &DeValue<'_>) -> Result<u32, Wrong> {
    value::count(value, (1 << 29) - 1)
}

/// `{ field = 1, check = "fibonacci" }`.
fn reply(value: &DeValue<'_>) -> Result<Reply, Wrong> {
    const CHECKS: [&str; 5] = ["fibonacci", "aes", "auth", "any", "contains:TEXT"];
    let DeValue::Table(table) = value else { return Err(Wrong::kind("a table", value)) };
    let (mut number, mut check) = (1, None);
    for (key, value) in table {
        match key.get_ref().as_ref() {
            "field" => number = field_number(value.get_ref())?,
            "check" => check = Some(value::line(value.get_ref())?),
            key => return Err(Wrong::unknown("key", key, ["field", "check"].into_iter())),
        }
    }
    let check = check.ok_or("`check` is missing: what must the reply be?")?;
    let check = match check.split_once(':') {
        Some(("contains", text)) if !text.is_empty() => format!("contains {text}"),
        None if CHECKS[..4].contains(&check.as_str()) => check,
        _ => return Err(Wrong::unknown("check", &check, CHECKS.into_iter())),
    };
    Ok(Reply { field: number, check })
}

fn generator(value: &DeValue<'_>) -> Result<Generator, Wrong> {
    let word = value::text(value)?;
    let known = Generator::ALL.map(Generator::word);
    Generator::ALL
        .into_iter()
        .find(|generator| generator.word() == word)
        .ok_or_else(|| Wrong::unknown("generator", &word, known.into_iter()))
}

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Preload {
    pub(in super::super) functions: Vec<At<Name>>,
    pub(in super::super) namespace: Option<At<String>>,
    pub(in super::super) blobs: Option<At<bool>>,
}

impl Preload {
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Self {
        Self {
            functions: fields.list("functions", &value::name).unwrap_or_default(),
            namespace: fields.read("namespace", &namespace),
            blobs: fields.read("blobs", &value::boolean),
        }
    }
}

/// containerd's identifiers: letters, digits, and `-`, `_`, `.` between them, at most 76.
fn namespace(value: &DeValue<'_>) -> Result<String, Wrong> {
    let text = value::text(value)?;
    let letter = |byte: &u8| byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    let good = bytes.first().is_some_and(letter)
        && bytes.last().is_some_and(letter)
        && bytes.len() <= 76
        && bytes.iter().all(|byte| letter(byte) || b"-_.".contains(byte));
    if good { Ok(text) } else { Err("this is not a namespace of containerd".into()) }
}
