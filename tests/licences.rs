//! Every crate that vsbuild is made of has a licence that deny.toml allows.
//!
//! `cargo deny check licenses` asks the same and more, but takes minutes to compile, so that CI does not have it.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::{collections::BTreeSet, fs, iter::Peekable, process::Command};

use serde_json::Value;

/// Crates for other systems are not in the way: nobody fetches them to build vsbuild.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// The licences that deny.toml allows.
fn allowed() -> BTreeSet<String> {
    let text = fs::read_to_string("deny.toml").unwrap();
    let policy: toml::Table = toml::from_str(&text).unwrap();
    assert!(policy["licenses"].get("exceptions").is_none(), "this test knows no exceptions");
    let list = policy["licenses"]["allow"].as_array().unwrap();
    list.iter().map(|licence| licence.as_str().unwrap().to_owned()).collect()
}

/// Whether an expression of SPDX 2.3 (annex D) holds, when these licences are allowed. OR binds less than AND; `/` is
/// how crates wrote OR before.
fn holds(expression: &str, allowed: &BTreeSet<String>) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let value = any(&mut words, allowed)?;
    match words.next() {
        None => Ok(value),
        Some(word) => Err(format!("`{word}` is too much")),
    }
}

fn any<'w>(
    words: &mut Peekable<impl Iterator<Item = &'w str>>,
    allowed: &BTreeSet<String>,
) -> Result<bool, String> {
    let mut value = all(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        value |= all(words, allowed)?;
    }
    Ok(value)
}

fn all<'w>(
    words: &mut Peekable<impl Iterator<Item = &'w str>>,
    allowed: &BTreeSet<String>,
) -> Result<bool, String> {
    let mut value = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        value &= one(words, allowed)?;
    }
    Ok(value)
}

fn one<'w>(
    words: &mut Peekable<impl Iterator<Item = &'w str>>,
    allowed: &BTreeSet<String>,
) -> Result<bool, String> {
    match words.next() {
        None | Some("AND" | "OR" | "WITH" | ")") => Err("a licence is missing".to_owned()),
        Some("(") => {
            let value = any(words, allowed)?;
            words.next_if_eq(&")").map(|_| value).ok_or("`)` is missing".to_owned())
        }
        Some(licence) => match words.next_if_eq(&"WITH").and_then(|_| words.next()) {
            // An exception makes it another licence, which must be allowed by that name.
            Some(exception) => Ok(allowed.contains(&format!("{licence} WITH {exception}"))),
            None => Ok(allowed.contains(licence)),
        },
    }
}

#[test]
fn every_crate_has_a_licence_that_is_allowed() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let metadata = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(["--filter-platform", PLATFORM])
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let needed: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    let allowed = allowed();
    let mut faults = Vec::new();
    let packages = metadata["packages"].as_array().unwrap().iter();
    for package in packages.filter(|package| needed.contains(package["id"].as_str().unwrap())) {
        let who = format!("{} {}", package["name"], package["version"]);
        match package["license"].as_str() {
            None => faults.push(format!("{who} says no licence")),
            Some(expression) => match holds(expression, &allowed) {
                Ok(true) => (),
                Ok(false) => faults.push(format!("{who}: `{expression}` is not allowed")),
                Err(why) => faults.push(format!("{who}: `{expression}`: {why}")),
            },
        }
    }
    assert!(needed.len() > 100, "{} crates are too few to be true", needed.len());
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn expressions_mean_what_spdx_says() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned).into();
    for (expression, expected) in [
        ("MIT", Ok(true)),
        ("GPL-3.0-only", Ok(false)),
        ("GPL-3.0-only OR MIT", Ok(true)),
        ("GPL-3.0-only AND MIT", Ok(false)),
        ("Apache-2.0/MIT", Ok(true)),
        ("Apache-2.0", Ok(false)),
        ("Apache-2.0 WITH LLVM-exception", Ok(true)),
        ("MIT OR ISC AND GPL-3.0-only", Ok(true)),
        ("(MIT OR ISC) AND GPL-3.0-only", Ok(false)),
        ("(MIT OR GPL-3.0-only) AND ISC", Ok(true)),
        ("", Err("a licence is missing")),
        ("MIT OR", Err("a licence is missing")),
        ("(MIT", Err("`)` is missing")),
        ("MIT ISC", Err("`ISC` is too much")),
    ] {
        assert_eq!(holds(expression, &allowed), expected.map_err(str::to_owned), "{expression}");
    }
}
