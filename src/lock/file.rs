//! The text of a lockfile: TOML, one line a package, everything sorted, so that two people's changes merge.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    ops::Range,
};

use serde::Deserialize;
use toml::Spanned;

use super::{
    Lock, LockedBlob, LockedImage, LockedPackage, LockedSet, LockedSuite, PackageId, SuiteId,
};
use crate::{
    digest::Digest,
    recipe::{Architecture, Name, Reference, Suite, is_package_name},
};

/// The version of the lockfile's form; another one is refused, so that an old vsbuild does not misread a new file.
pub const VERSION: u32 = 1;

const HEADER: &str = "\
# Made by `vsbuild lock`, not meant to be edited: every outside input by size and digest.
# `vsbuild lock` adds what recipes newly ask for, `vsbuild lock --update` moves on to newer versions,
# `vsbuild lock --outputs` writes down what images came to. Keep this file with the recipes.
";

/// Why a text is no lockfile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadLock {
    /// The bytes of the text that it is about.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
}

impl Lock {
    /// Reads a lockfile. What it returns is whole: every package that a set names is there.
    pub fn parse(text: &str) -> Result<Self, BadLock> {
        if let Some(at) = conflict_marker(text) {
            let message = "this is an unfinished merge: take either side, then run `vsbuild lock`";
            return Err(BadLock { span: Some(at), message: message.to_owned() });
        }
        let raw: RawLock = toml::from_str(text)
            .map_err(|error| BadLock { span: error.span(), message: error.message().to_owned() })?;
        raw.check()
    }

    /// The one text of this lock.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}version = {VERSION}\n");
        for (id, suite) in &self.suites {
            write_suite(&mut text, id, suite);
        }
        for (name, set) in &self.sets {
            write_set(&mut text, name, set);
        }
        if !self.packages.is_empty() {
            text.push_str("\n[packages]\n");
        }
        for (id, package) in &self.packages {
            let LockedPackage { archive, path, size, sha256 } = package;
            line(
                &mut text,
                format_args!(
                    "{} = {{ archive = {}, path = {}, size = {size}, sha256 = \"{sha256}\" }}",
                    quoted(&id.to_string()),
                    quoted(archive),
                    quoted(path)
                ),
            );
        }
        for (name, image) in &self.images {
            write_image(&mut text, name, image);
        }
        for (name, files) in &self.outputs {
            line(&mut text, format_args!("\n[outputs.{}]", quoted(name.as_str())));
            for (file, digest) in files {
                line(&mut text, format_args!("{} = \"{digest}\"", quoted(file)));
            }
        }
        text
    }
}

fn write_suite(text: &mut String, id: &SuiteId, suite: &LockedSuite) {
    let components: Vec<String> = suite.components.iter().map(|word| quoted(word)).collect();
    line(
        text,
        format_args!(
            "\n[[suites]]\narchive = {}\nsuite = {}\narchitecture = \"{}\"\ncomponents = [{}]\n\
             date = {}\ninrelease = \"{}\"",
            quoted(&id.archive),
            quoted(&id.suite),
            id.architecture,
            components.join(", "),
            quoted(&suite.date),
            suite.inrelease
        ),
    );
}

fn write_set(text: &mut String, name: &Name, set: &LockedSet) {
    let suites: Vec<String> = set.suites.iter().map(|suite| quoted(&suite.to_string())).collect();
    line(
        text,
        format_args!(
            "\n[sets.{}]\narchitecture = \"{}\"\nsuites = [{}]",
            quoted(name.as_str()),
            set.architecture,
            suites.join(", ")
        ),
    );
    write_list(text, "include", set.include.iter().cloned());
    write_list(text, "packages", set.packages.iter().map(PackageId::to_string));
}

fn write_image(text: &mut String, name: &Name, image: &LockedImage) {
    let LockedImage { reference, architecture, index, manifest, config, layers } = image;
    line(
        text,
        format_args!(
            "\n[images.{}]\nreference = {}\narchitecture = \"{architecture}\"",
            quoted(name.as_str()),
            quoted(reference)
        ),
    );
    let blob = |LockedBlob { size, sha256 }: &LockedBlob| {
        format!("{{ size = {size}, sha256 = \"{sha256}\" }}")
    };
    for (key, value) in
        [("index", index.as_ref()), ("manifest", Some(manifest)), ("config", Some(config))]
    {
        value.iter().for_each(|value| line(text, format_args!("{key} = {}", blob(value))));
    }
    line(text, format_args!("layers = ["));
    layers.iter().for_each(|layer| line(text, format_args!("    {},", blob(layer))));
    text.push_str("]\n");
}

fn write_list(text: &mut String, key: &str, elements: impl Iterator<Item = String>) {
    line(text, format_args!("{key} = ["));
    elements.for_each(|element| line(text, format_args!("    {},", quoted(&element))));
    text.push_str("]\n");
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("a string takes all text");
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn conflict_marker(text: &str) -> Option<Range<usize>> {
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if ["<<<<<<< ", ">>>>>>> "].iter().any(|marker| line.starts_with(marker)) {
            return Some(start..start + line.trim_end().len());
        }
        start += line.len();
    }
    None
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLock {
    version: Spanned<u32>,
    #[serde(default)]
    suites: Vec<Spanned<RawSuite>>,
    #[serde(default)]
    sets: BTreeMap<Spanned<String>, RawSet>,
    #[serde(default)]
    packages: BTreeMap<Spanned<String>, RawPackage>,
    #[serde(default)]
    images: BTreeMap<Spanned<String>, RawImage>,
    #[serde(default)]
    outputs: BTreeMap<Spanned<String>, BTreeMap<Spanned<String>, Digest>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSuite {
    archive: String,
    suite: String,
    architecture: Spanned<String>,
    components: Vec<String>,
    date: Spanned<String>,
    inrelease: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSet {
    architecture: Spanned<String>,
    suites: Vec<Spanned<String>>,
    include: Vec<Spanned<String>>,
    packages: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPackage {
    archive: Spanned<String>,
    path: Spanned<String>,
    size: u64,
    sha256: Digest,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawImage {
    reference: Spanned<String>,
    architecture: Spanned<String>,
    index: Option<LockedBlob>,
    manifest: LockedBlob,
    config: LockedBlob,
    layers: Vec<LockedBlob>,
}

impl RawLock {
    fn check(self) -> Result<Lock, BadLock> {
        if *self.version.get_ref() != VERSION {
            let message = format!(
                "this lockfile has version {}, and this vsbuild knows only {VERSION}",
                self.version.get_ref()
            );
            return Err(BadLock { span: Some(self.version.span()), message });
        }
        let mut lock = Lock::default();
        for suite in self.suites {
            let span = suite.span();
            let (id, suite) = suite.into_inner().check(&span)?;
            if lock.suites.insert(id, suite).is_some() {
                let message = "this suite is there twice".to_owned();
                return Err(BadLock { span: Some(span), message });
            }
        }
        for (id, package) in self.packages {
            lock.packages.insert(parsed(&id)?, package.check()?);
        }
        for (name, set) in self.sets {
            lock.sets.insert(parsed(&name)?, set.check(&lock.packages)?);
        }
        for (name, image) in self.images {
            lock.images.insert(parsed(&name)?, image.check()?);
        }
        for (name, files) in self.outputs {
            let files = files.into_iter().map(|(file, digest)| {
                let name = checked(&file, is_file_name, "is not the name of a file")?;
                Ok((name, digest))
            });
            lock.outputs.insert(parsed(&name)?, files.collect::<Result<_, BadLock>>()?);
        }
        Ok(lock)
    }
}

impl RawSuite {
    fn check(self, span: &Range<usize>) -> Result<(SuiteId, LockedSuite), BadLock> {
        let Self { archive, suite, architecture, components, date, inrelease } = self;
        let all = format!("{archive} {suite} {}", components.join(" "));
        if Suite::parse(&all).is_none() {
            let message = format!("`{}` does not name a suite", all.escape_debug());
            return Err(BadLock { span: Some(span.clone()), message });
        }
        let architecture = known_architecture(&architecture)?;
        let components = components.into_iter().collect();
        let one_line = |text: &str| !text.chars().any(char::is_control);
        let date = checked(&date, one_line, "is not a date")?;
        let id = SuiteId { archive, suite, architecture };
        Ok((id, LockedSuite { components, date, inrelease }))
    }
}

impl RawSet {
    fn check(self, known: &BTreeMap<PackageId, LockedPackage>) -> Result<LockedSet, BadLock> {
        let suites = self.suites.iter().map(|suite| {
            Suite::parse(suite.get_ref()).ok_or_else(|| bad(suite, "does not name a suite"))
        });
        let include = self
            .include
            .iter()
            .map(|name| checked(name, is_package_name, "is not a Debian package's name"));
        let mut packages = BTreeSet::new();
        for text in &self.packages {
            let id: PackageId = parsed(text)?;
            if !known.contains_key(&id) {
                return Err(bad(text, "is not in the table of packages"));
            }
            packages.insert(id);
        }
        Ok(LockedSet {
            architecture: known_architecture(&self.architecture)?,
            suites: suites.collect::<Result<_, _>>()?,
            include: include.collect::<Result<_, _>>()?,
            packages,
        })
    }
}

impl RawPackage {
    fn check(self) -> Result<LockedPackage, BadLock> {
        let archive = checked(&self.archive, Suite::is_word, "is not the name of an archive")?;
        let path = checked(&self.path, is_archive_path, "is not a path inside an archive")?;
        Ok(LockedPackage { archive, path, size: self.size, sha256: self.sha256 })
    }
}

impl RawImage {
    fn check(self) -> Result<LockedImage, BadLock> {
        let whole = |text: &str| {
            Reference::parse(text).is_some_and(|reference| reference.to_string() == text)
        };
        Ok(LockedImage {
            reference: checked(&self.reference, whole, "is not the full name of an image")?,
            architecture: known_architecture(&self.architecture)?,
            index: self.index,
            manifest: self.manifest,
            config: self.config,
            layers: self.layers,
        })
    }
}

fn known_architecture(word: &Spanned<String>) -> Result<Architecture, BadLock> {
    Architecture::from_word(word.get_ref()).ok_or_else(|| bad(word, "is not an architecture"))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    text: &Spanned<String>,
) -> Result<T, BadLock> {
    text.get_ref()
        .parse()
        .map_err(|wrong: T::Err| BadLock { span: Some(text.span()), message: wrong.to_string() })
}

fn checked(
    text: &Spanned<String>,
    good: impl Fn(&str) -> bool,
    complaint: &str,
) -> Result<String, BadLock> {
    if good(text.get_ref()) { Ok(text.get_ref().clone()) } else { Err(bad(text, complaint)) }
}

fn bad(text: &Spanned<String>, complaint: &str) -> BadLock {
    let message = format!("`{}` {complaint}", text.get_ref().escape_debug());
    BadLock { span: Some(text.span()), message }
}

/// Plain names joined by slashes. What has a meaning in a URL is refused, since such a path becomes part of one.
fn is_archive_path(path: &str) -> bool {
    path.len() <= 1024
        && path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\\"".contains(&byte))
        && path.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

fn is_file_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= 255
        && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/')
}
