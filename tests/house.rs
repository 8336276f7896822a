//! The house rules that a machine can check. They run with every `cargo test`.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, str};

/// The rooms from the ground up, and which lower rooms each may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("digest", &[]),
    ("path", &[]),
    ("tree", &["digest", "path"]),
    ("formats", &["digest", "path", "tree"]),
    ("recipe", &["digest", "path"]),
    ("lock", &["digest", "recipe"]),
    ("trust", &["digest"]),
    ("plan", &["digest", "path", "tree", "formats", "recipe", "lock"]),
    ("store", &["digest", "path", "tree"]),
    ("sandbox", &["path"]),
    ("fetch", &["digest"]),
    ("remote", &["digest", "fetch"]),
    ("cache", &["digest", "path", "tree", "store", "remote", "trust"]),
    ("project", &["digest", "path", "tree", "recipe", "lock", "store"]),
    ("resolve", &["digest", "formats", "recipe", "lock", "fetch"]),
    (
        "realise",
        &[
            "digest", "path", "tree", "formats", "trust", "plan", "store", "sandbox", "fetch",
            "cache",
        ],
    ),
    ("run", &["digest", "path", "tree", "plan", "store"]),
    ("report", &[]),
    ("fitness", &["digest", "path", "tree", "formats", "store", "run"]),
    ("compare", &["digest", "path", "tree", "formats", "lock", "plan", "store"]),
    ("bill", &["digest", "path", "tree", "formats", "plan", "store"]),
    (
        "bundle",
        &["digest", "path", "tree", "formats", "recipe", "trust", "store", "remote", "cache"],
    ),
    ("serve", &["digest", "trust", "remote", "cache"]),
    (
        "cli",
        &[
            "digest", "path", "tree", "formats", "recipe", "lock", "trust", "plan", "store",
            "fetch", "remote", "cache", "project", "resolve", "realise", "run", "fitness",
            "report", "compare", "bill", "bundle", "serve",
        ],
    ),
];

/// Rooms that are functions of their arguments: no disk, clock, environment, network or chance.
const PURE: &[&str] = &["digest", "path", "tree", "formats", "recipe", "lock", "trust", "plan"];
const WORLD: &[&str] = &[
    "std::fs",
    "fs_err",
    "std::env",
    "std::net",
    "std::process",
    "SystemTime",
    "Instant::now",
    "tokio",
    "reqwest",
    "rustix",
    "HashMap",
    "HashSet",
    "rand::",
];
/// Outside crates that live in few rooms only, so that a change of mind stays small.
const HOMES: &[(&str, &[&str])] = &[
    ("reqwest", &["fetch", "remote"]),
    ("rustls", &["fetch", "serve"]),
    ("rusty_s3", &["remote"]),
    ("ed25519_dalek", &["trust"]),
    ("getrandom", &["cli"]),
    ("axum", &["serve"]),
    ("tokio", &["serve"]),
    ("tokio_rustls", &["serve"]),
    ("hyper", &["serve"]),
    ("hyper_util", &["serve"]),
    ("sha1", &["bill"]),
    ("nix", &["sandbox"]),
    ("seccompiler", &["sandbox"]),
    ("resolvo", &["resolve"]),
    ("pgp", &["resolve"]),
    ("gptman", &["formats"]),
    ("object", &["formats"]),
    ("iced_x86", &["fitness"]),
    ("oci_spec", &["formats", "recipe", "fetch"]),
    ("docker_credential", &["fetch"]),
    ("clap", &["cli"]),
    ("miette", &["cli"]),
    ("indicatif", &["cli"]),
    ("minijinja", &["report"]),
    ("similar", &["compare"]),
];
const LONGEST_FILE: usize = 600;

#[test]
fn floors_have_no_stairs_up() {
    for (floor, (room, uses)) in ROOMS.iter().enumerate() {
        for used in *uses {
            let below = ROOMS[..floor].iter().any(|(lower, _)| lower == used);
            assert!(below, "{room} may not use {used}: it is not listed above it");
        }
    }
}

#[test]
fn rooms_use_only_what_they_may() {
    let allowed: BTreeMap<_, _> = ROOMS.iter().copied().collect();
    let mut faults = Vec::new();
    for file in sources() {
        let Some(uses) = allowed.get(file.room.as_str()) else {
            assert!(
                ["lib", "main"].contains(&file.room.as_str()),
                "{} is in no known room",
                file.path.display()
            );
            continue;
        };
        for used in rooms_named_in(&file.code) {
            if used != file.room
                && allowed.contains_key(used.as_str())
                && !uses.contains(&used.as_str())
            {
                faults.push(format!("{}: {} may not know {used}", file.path.display(), file.room));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn pure_rooms_touch_nothing() {
    for file in sources().filter(|file| PURE.contains(&file.room.as_str())) {
        for word in WORLD {
            assert!(
                !file.code.contains(word),
                "{}: {} is pure, found `{word}`",
                file.path.display(),
                file.room
            );
        }
    }
}

#[test]
fn outside_crates_stay_at_home() {
    for file in sources() {
        for (guest, homes) in HOMES {
            let named = file.code.contains(&format!(" {guest}::"))
                || file.code.contains(&format!("({guest}::"));
            assert!(
                !named || homes.contains(&file.room.as_str()),
                "{}: {guest} lives in {homes:?}",
                file.path.display()
            );
        }
    }
}

#[test]
fn every_room_has_a_sign_on_the_door() {
    for (room, _) in ROOMS {
        let door = [format!("src/{room}/mod.rs"), format!("src/{room}.rs")]
            .iter()
            .find_map(|p| fs::read_to_string(p).ok());
        let door = door.unwrap_or_else(|| panic!("room {room} has no door"));
        let sign = door.lines().next().unwrap_or_default();
        assert!(
            sign.starts_with("//! ") && sign.ends_with('.'),
            "{room}: the first line must be one `//!` sentence"
        );
    }
}

#[test]
fn no_file_is_too_long() {
    for file in sources() {
        let lines = file.code.lines().count();
        assert!(lines <= LONGEST_FILE, "{}: {lines} lines, split it", file.path.display());
    }
}

struct Source {
    path: PathBuf,
    room: String,
    code: String,
}

fn sources() -> impl Iterator<Item = Source> {
    let mut found = Vec::new();
    collect(Path::new("src"), &mut found);
    found.into_iter().map(|path| {
        let first = path.components().nth(1).unwrap();
        let room = Path::new(first.as_os_str()).file_stem().unwrap().to_str().unwrap().to_owned();
        let code = without_comments(&fs::read_to_string(&path).unwrap());
        Source { path, room, code }
    })
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs")
            && path.file_stem().is_some_and(|stem| stem != "tests")
        {
            found.push(path);
        }
    }
}

/// Cuts line comments; good enough, since the house has no block comments and no `//` in strings that matter.
fn without_comments(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Names right after `crate::`, also inside one brace group.
fn rooms_named_in(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, rest) in code.match_indices("crate::").map(|(at, word)| code.split_at(at + word.len()))
    {
        let rest = rest.trim_start();
        match rest.strip_prefix('{') {
            None => names.extend(head(rest)),
            Some(group) => {
                let (mut depth, mut item) = (1, String::new());
                for c in group.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' => depth -= 1,
                        ',' if depth == 1 => names.extend(head(&std::mem::take(&mut item))),
                        _ if depth == 1 => item.push(c),
                        _ => (),
                    }
                    if depth == 0 {
                        break;
                    }
                }
                names.extend(head(&item));
            }
        }
    }
    names
}

fn head(item: &str) -> Option<String> {
    let name: String =
        item.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    (!name.is_empty()).then_some(name)
}
