//! Recipes as typed: every value read and checked alone, with its place, and nothing known of other recipes.

mod container;
mod image;
mod make;
mod rootfs;

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

pub(super) use container::{Function, Invoke, OciImage, Preload};
pub(super) use image::{Disk, Image, Run};
pub(super) use make::{Build, Kernel, Packages, default_suites};
pub(super) use rootfs::{Account, Attributes, Device, Directory, File, OwnerText, Rootfs, Who};

use super::{
    Library, Name, Problem, Source,
    value::{self, Wrong},
    walk::{At, Fields, Report, Spot, spot_of},
};

/// One recipe as typed.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    pub(super) name: Name,
    /// The place to blame for what is missing: the kind, or the table inside an image.
    pub(super) spot: Spot,
    pub(super) description: String,
    pub(super) extends: Option<Extends>,
    pub(super) within: Option<Name>,
    /// Whether a value of it could not be read. What is missing then may only be misspelled.
    pub(super) broken: bool,
    pub(super) body: Body,
}

/// What a recipe builds on.
#[derive(Debug, Clone)]
pub(super) enum Extends {
    /// The recipe with this name.
    Recipe(At<Name>),
    /// The kernel or root file system of the image that the surrounding image extends.
    PartOf(At<Name>, Part),
}

/// What an image is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Kernel,
    Rootfs,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    Packages(Packages),
    Build(Build),
    Kernel(Kernel),
    Rootfs(Rootfs),
    Image(Box<Image>),
    OciImage(Box<OciImage>),
    Function(Box<Function>),
    Preload(Preload),
}

impl Body {
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Packages(_) => "packages",
            Self::Build(_) => "build",
            Self::Kernel(_) => "kernel",
            Self::Rootfs(_) => "rootfs",
            Self::Image(_) => "image",
            Self::OciImage(_) => "oci-image",
            Self::Function(_) => "function",
            Self::Preload(_) => "preload",
        }
    }
}

const KINDS: [&str; 8] =
    ["packages", "build", "kernel", "rootfs", "image", "oci-image", "function", "preload"];
/// Ends of names that recipes inside other recipes have.
const INNER: [&str; 3] = [".packages", ".kernel", ".rootfs"];

/// All recipes as typed. A name whose file is too broken to say what it is has no recipe.
pub(super) fn read(
    texts: &BTreeMap<Source, String>,
    report: &Report,
) -> BTreeMap<Name, Option<Typed>> {
    let mut recipes = BTreeMap::new();
    for (name, file) in names(texts, report) {
        let inner = read_file(&name, file, texts.get(file).map_or("", String::as_str), report);
        recipes.insert(name, None);
        recipes.extend(inner.into_iter().map(|typed| (typed.name.clone(), Some(typed))));
    }
    recipes
}

/// The file of each name. A project may hold a copy of a shipped recipe, as vsbuild's own repository does; its own
/// copy is the one that counts then.
fn names<'t>(texts: &'t BTreeMap<Source, String>, report: &Report) -> BTreeMap<Name, &'t Source> {
    let mut names: BTreeMap<Name, &Source> = BTreeMap::new();
    for (file, text) in texts {
        let name = match name_of(file) {
            Ok(name) => name,
            Err(wrong) => {
                let Wrong { message, hint } = wrong;
                report.add(Problem { file: file.clone(), span: None, message, hint });
                continue;
            }
        };
        if let Some(other) = names.get(&name) {
            let copy = other.path == file.path && texts.get(*other) == Some(text);
            let problem = |message: String, hint: String| {
                report.add(Problem { file: file.clone(), span: None, message, hint: Some(hint) });
            };
            match (other.library, file.library) {
                (Library::Shipped, Library::Project) if copy => (),
                (Library::Shipped, Library::Project) => problem(
                    format!("`{name}` is a recipe that comes with vsbuild"),
                    format!("give this file another name and write `extends = \"{name}\"` in it"),
                ),
                _ => {
                    problem(
                        format!("`{name}` is also the name of {other}"),
                        "recipes and kernels share their names; rename one of them".to_owned(),
                    );
                    continue;
                }
            }
        }
        names.insert(name, file);
    }
    names
}

fn name_of(file: &Source) -> Result<Name, Wrong> {
    let name = file.path.file_name().and_then(|name| std::str::from_utf8(name).ok());
    let stem = name
        .and_then(|name| name.strip_suffix(".toml"))
        .ok_or("a recipe's file is called NAME.toml")?;
    if let Some(inner) = INNER.iter().find(|inner| stem.ends_with(**inner)) {
        return Err(format!("names that end in `{inner}` are for what is inside a recipe").into());
    }
    stem.parse().map_err(|wrong: super::NotAName| wrong.to_string().into())
}

/// The recipe in one file, and those inside it.
fn read_file(name: &Name, file: &Source, text: &str, report: &Report) -> Vec<Typed> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        for error in errors {
            let message = error.message().to_owned();
            report.add(Problem { file: file.clone(), span: error.span(), message, hint: None });
        }
        return Vec::new();
    }
    let known = report.count();
    let mut fields = Fields::new(table.get_ref(), spot_of(file, &table), report);
    let Some(kind) = fields.get("kind") else {
        let wrong = Wrong::from("`kind` is missing")
            .with_hint("write `kind = \"image\"`, or packages, build, kernel, rootfs, oci-image, function or preload");
        report.add(Spot { span: 0..0, ..fields.spot }.problem(wrong));
        return Vec::new();
    };
    let spot = kind.spot.clone();
    let description =
        fields.read("description", &value::line).map(|line| line.value).unwrap_or_default();
    let extends = fields.read("extends", &value::name);
    let mut inner = Vec::new();
    let body = match kind.value.as_str() {
        Some("packages") => Body::Packages(Packages::read(&mut fields)),
        Some("build") => Body::Build(Build::read(&mut fields)),
        Some("kernel") => Body::Kernel(Kernel::read(&mut fields)),
        Some("rootfs") => Body::Rootfs(Rootfs::read(&mut fields)),
        Some("image") => {
            let (kernel, rootfs) = read_parts(name, &mut fields, extends.as_ref(), &mut inner);
            Body::Image(Box::new(Image::read(&mut fields, kernel, rootfs)))
        }
        Some("oci-image") => Body::OciImage(Box::new(OciImage::read(&mut fields))),
        Some("function") => Body::Function(Box::new(Function::read(&mut fields))),
        Some("preload") => Body::Preload(Preload::read(&mut fields)),
        Some(word) => {
            report.add(spot.problem(Wrong::unknown("kind", word, KINDS.into_iter())));
            return Vec::new();
        }
        None => {
            report.add(spot.problem(Wrong::kind("a string", kind.value)));
            return Vec::new();
        }
    };
    fields.finish();
    let broken = report.count() > known;
    let extends = extends.map(Extends::Recipe);
    let name = name.clone();
    inner.push(Typed { name, spot, description, extends, within: None, broken, body });
    inner
}

/// The names of an image's kernel and root file system; what is written right in the image goes to `inner`.
fn read_parts(
    image: &Name,
    fields: &mut Fields<'_, '_>,
    base: Option<&At<Name>>,
    inner: &mut Vec<Typed>,
) -> (Option<At<Name>>, Option<At<Name>>) {
    let mut part = |key, part: Part, read: fn(&mut Fields<'_, '_>) -> Body| {
        let found = fields.get(key)?;
        let spot = found.spot.clone();
        match found.value {
            DeValue::Table(_) => (),
            _ => {
                let name = value::name(found.value).map_err(|wrong| match found.value {
                    DeValue::String(_) => wrong,
                    _ => Wrong::kind("the name of a recipe or a table", found.value),
                });
                let name = name.map_err(|wrong| fields.report().add(spot.problem(wrong))).ok()?;
                return Some(At { value: name, spot });
            }
        }
        let known = fields.report().count();
        let (extends, body) = fields.inside(found, |fields| {
            (fields.read("extends", &value::name).map(Extends::Recipe), read(fields))
        })?;
        let name = image.inner(key);
        inner.push(Typed {
            name: name.clone(),
            spot: spot.clone(),
            description: format!("the {key} of {image}"),
            extends: extends.or_else(|| Some(Extends::PartOf(base?.clone(), part))),
            within: Some(image.clone()),
            broken: fields.report().count() > known,
            body,
        });
        Some(At { value: name, spot })
    };
    let kernel = part("kernel", Part::Kernel, |fields| Body::Kernel(Kernel::read(fields)));
    let rootfs = part("rootfs", Part::Rootfs, |fields| Body::Rootfs(Rootfs::read(fields)));
    (kernel, rootfs)
}
