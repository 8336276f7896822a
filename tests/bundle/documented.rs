//! The commands of docs/artifacts.md, as they stand there.

use std::{fs, process::Command};

use crate::{
    common::Ran,
    site::{Author, Evaluator},
};

/// The commands of one section of the page, for the image `tiny`.
fn commands(section: &str) -> String {
    let page = fs::read_to_string("docs/artifacts.md").unwrap();
    let section = page.split("\n## ").find(|text| text.starts_with(section));
    let lines = section.unwrap_or_else(|| panic!("no section {section:?}")).lines();
    let known = |line: &&str| {
        ["vsbuild ", "cd ", "unshare ", "tar "].iter().any(|word| line.starts_with(word))
    };
    let commands: Vec<&str> =
        lines.filter_map(|line| line.strip_prefix("    ")).filter(known).collect();
    assert!(commands.len() >= 3, "{commands:?}");
    commands.join("\n").replace("hello", "tiny")
}

/// Runs them one after the other, until one fails.
fn run(script: &str, mut command: Command) {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_vsbuild")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", program.display());
    Ran::of(command.args(["-exc", script]).env("PATH", path).output().unwrap()).good();
}

/// A shell where vsbuild would run.
fn shell(like: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.env_clear().current_dir(like.get_current_dir().unwrap());
    shell.envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell
}

#[test]
fn what_the_documentation_says_works_as_it_stands() {
    let author = Author::new();
    run(&commands("For the author"), shell(&author.lab.command(&[])));
    run(&commands("Inputs in the project"), shell(&author.lab.command(&[])));
    let there = Evaluator::new();
    there.receive(&author.lab.env.project().join("artifact.tar"));
    let (key, id) = author.key();
    // The second import is told from the directory of the first one.
    let script = commands("For the evaluator")
        .replace("artifact.tar --to quick", "../artifact.tar --to ../quick")
        .replace("KEYID", &id)
        .replace("KEY", &key);
    run(&script, shell(&there.alone("", "vsbuild".as_ref(), &[])));
}
