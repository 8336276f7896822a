//! The Python that gem5 runs, checked without a gem5: syntax, lint, form, types, and tests of all that knows nothing of gem5.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

const HARNESS: &str = "harness";
const TESTS: &str = "tests/harness";
const CONFIG: &str = "tests/harness/pyproject.toml";

/// A program of the virtual environment that ci/install makes.
fn tool(name: &str) -> Command {
    let path: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../python/bin").join(name);
    assert!(path.exists(), "{} is not there; ci/install installs it", path.display());
    let mut command = Command::new(path);
    // Nothing is left in harness/: all that lies there is part of results' keys.
    command
        .env("PYTHONPYCACHEPREFIX", Path::new(env!("CARGO_TARGET_TMPDIR")).join("pycache"))
        .env("PYTHONPATH", HARNESS)
        .env("MYPYPATH", HARNESS)
        .env_remove("PYTHONHOME");
    command
}

/// Runs it; gives all that it said.
#[track_caller]
fn good(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    assert!(output.status.success(), "{command:?}\n{said}");
    said
}

/// All files of the harness that are Python.
fn sources() -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(HARNESS).sort_by_file_name().into_iter();
    let files = files.map(|entry| entry.unwrap().into_path());
    files.filter(|path| path.extension().is_some_and(|ext| ext == "py")).collect()
}

#[test]
fn every_file_is_python() {
    good(tool("python").args(["-m", "compileall", "-q", HARNESS, TESTS]));
}

#[test]
fn lint_finds_nothing() {
    good(tool("ruff").args(["check", "--no-cache", "--config", CONFIG, HARNESS, TESTS]));
}

#[test]
fn it_is_formatted() {
    let args = ["format", "--check", "--diff", "--no-cache", "--config", CONFIG, HARNESS, TESTS];
    good(tool("ruff").args(args));
}

#[test]
fn its_types_are_right() {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mypy");
    let mut mypy = tool("mypy");
    mypy.args(["--config-file", CONFIG, "--cache-dir"]).arg(cache).args(sources());
    let said = good(mypy.args(
        ["test_course.py", "test_leg.py", "test_machines.py"].map(|name| format!("{TESTS}/{name}")),
    ));
    assert!(said.contains("no issues found"), "{said}");
}

#[test]
fn what_knows_nothing_of_gem5_passes_its_own_tests() {
    let said = good(tool("python").args(["-m", "unittest", "discover", "-s", TESTS]));
    let ran = said.lines().find_map(|line| line.strip_prefix("Ran ")?.split(' ').next());
    let ran: u32 = ran.and_then(|count| count.parse().ok()).unwrap_or_default();
    assert!(ran >= 15, "{ran} tests are too few:\n{said}");
    // Shown with --nocapture, so that the count is there for who wants it.
    std::io::Write::write_all(&mut std::io::stdout(), format!("python: {ran} passed\n").as_bytes())
        .unwrap();
}
