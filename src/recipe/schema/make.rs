use std::collections::BTreeMap;

use toml::de::DeValue;

use super::super::{
    Architecture, Input, Name, Source, Suite,
    value::{self, Wrong},
    walk::{At, Fields},
};
use crate::path::GuestPath;

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Packages {
    pub(in super::super) architecture: Option<At<Architecture>>,
    pub(in super::super) archives: Option<Vec<At<Suite>>>,
    pub(in super::super) include: Vec<At<String>>,
    /// Of what is inherited.
    pub(in super::super) exclude: Vec<At<String>>,
    pub(in super::super) links: BTreeMap<GuestPath, At<String>>,
}

/// Where packages come from if a recipe does not say.
pub(in super::super) fn default_suites() -> Vec<Suite> {
    vec![Suite {
        archive: "debian".to_owned(),
        suite: "bookworm".to_owned(),
        components: vec!["main".to_owned()],
    }]
}

impl Packages {
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let links = fields.map("links", value::path_below, &value::link_target);
        Self { links, ..Self::read_inside(fields, "include") }
    }

    /// The packages of a root file system, whose list has another key and whose links are its own.
    pub(super) fn read_inside(fields: &mut Fields<'_, '_>, include: &'static str) -> Self {
        Self {
            architecture: fields.read("architecture", &value::architecture),
            archives: fields.list("archives", &value::suite),
            include: fields.list(include, &value::package).unwrap_or_default(),
            exclude: fields.list("exclude", &value::package).unwrap_or_default(),
            links: BTreeMap::new(),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Build {
    pub(in super::super) tools: Option<At<Name>>,
    pub(in super::super) inputs: BTreeMap<String, At<Input>>,
    pub(in super::super) script: Option<At<Source>>,
    pub(in super::super) env: BTreeMap<String, At<String>>,
}

impl Build {
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let file = fields.spot.file.clone();
        let inputs = fields.tables("inputs", value::variable, read_input);
        Self {
            tools: fields.read("tools", &value::name),
            inputs: inputs.into_iter().filter_map(|(name, input)| Some((name, input?))).collect(),
            script: fields.read("script", &|value| value::source(value, &file)),
            env: fields.map("env", value::variable, &value::text),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(in super::super) struct Kernel {
    pub(in super::super) architecture: Option<At<Architecture>>,
    pub(in super::super) source: Option<At<Input>>,
    pub(in super::super) tools: Option<At<Name>>,
    pub(in super::super) script: Option<At<Source>>,
    pub(in super::super) patches: Vec<At<Source>>,
    pub(in super::super) fragments: Vec<At<Source>>,
    pub(in super::super) symbols: BTreeMap<String, At<String>>,
}

impl Kernel {
    pub(super) fn read(fields: &mut Fields<'_, '_>) -> Self {
        let file = fields.spot.file.clone();
        let source = |value: &DeValue<'_>| value::source(value, &file);
        Self {
            architecture: fields.read("architecture", &value::architecture),
            source: fields.table("source", read_input).flatten(),
            tools: fields.read("tools", &value::name),
            script: fields.read("script", &source),
            patches: fields.list("patches", &source).unwrap_or_default(),
            fragments: fields.list("fragments", &source).unwrap_or_default(),
            symbols: fields.map("symbols", value::symbol, &value::symbol_value),
        }
    }
}

/// `{ from = "recipe", path = "/in/its/tree" }` or `{ source = "../beside/this/file" }`.
fn read_input(fields: &mut Fields<'_, '_>) -> Option<At<Input>> {
    let file = fields.spot.file.clone();
    let known = fields.report().count();
    let from = fields.read("from", &value::name);
    let path = fields.read("path", &value::path);
    let source = fields.read("source", &|value| value::source(value, &file));
    let wrong: Wrong = match (from, path, source) {
        (Some(from), path, None) => {
            let path = path.map(|path| path.value).unwrap_or_default();
            return Some(from.map(|recipe| Input::Output { recipe, path }));
        }
        (None, None, Some(source)) => return Some(source.map(Input::Source)),
        (Some(_), _, Some(_)) => "`from` and `source` exclude each other".into(),
        (None, Some(_), Some(_)) => "`path` belongs to `from`, not to `source`".into(),
        (None, _, None) => Wrong::from("an input names a recipe or a file").with_hint(
            "write `{ from = \"recipe\", path = \"/in/its/tree\" }` or `{ source = \"file\" }`",
        ),
    };
    if fields.report().count() == known {
        fields.report().add(fields.spot.problem(wrong));
    }
    None
}
