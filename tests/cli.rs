//! The program as its users see it: what commands print, what they say when something is wrong, and their exit codes.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use common::{Ran, TestEnv, lab::Lab};
use serde_json::Value;
use vsbuild::digest::Digest;

/// A kernel of two files that boot nothing.
const KERNEL: &str = "kind = \"kernel\"\nsource = { source = \"build.sh\" }\ntools = \"tools\"\nscript = \"build.sh\"\n";
/// An image of which no container is expected to print anything.
const MUTE: &str = "kind = \"image\"\ndescription = \"Says nothing\"\nkernel = \"kernel\"\nrootfs = \"rootfs\"\ncmdline = \"\"\nepoch = 2023-06-10T00:00:00Z\n[disk]\nfree = \"1M\"\n[run]\nmemory = \"1G\"\ncores = 1\ntimeout = \"60s\"\n";

/// A lab with a recipe `top` on a recipe `below`.
fn lab() -> Lab {
    let lab = Lab::new();
    lab.script("below", "echo below > $out/x\n", "");
    lab.script(
        "top",
        "cat $below > $out/y\n",
        "inputs.below = { from = \"below\", path = \"/x\" }\n",
    );
    lab
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn every_command_has_help_and_no_line_of_it_is_too_long() {
    let env = TestEnv::new();
    let general = env.run(&["--help"]).good();
    for code in 0..=7 {
        assert!(general.contains(&format!("\n  {code}  ")), "exit code {code}: {general}");
    }
    let commands = general.split("Commands:\n").nth(1).unwrap().lines();
    let commands: Vec<&str> = commands
        .take_while(|line| !line.is_empty())
        // What a command is for may take a second line.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.len() > 12, "{commands:?}");
    for command in commands {
        for how in [&["help", command][..], &[command, "-h"], &[command, "--help"]] {
            if command == "help" && how.len() == 2 && how[0] == "help" {
                continue;
            }
            let help = env.run(how).good();
            assert!(help.contains("Usage: vsbuild"), "{help}");
            assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
        }
    }
    assert!(env.run(&["--version"]).good().starts_with("vsbuild "));
}

#[test]
fn a_command_line_that_is_wrong_is_exit_code_2() {
    let env = TestEnv::new();
    for args in
        [&["bogus"][..], &[], &["build"], &["build", "a", "b"], &["build", "a", "--jobs", "0"]]
    {
        let said = env.run(args).bad(2);
        assert!(said.contains("Usage: vsbuild") || said.contains("--help"), "{said}");
    }
}

#[test]
fn recipes_are_listed_for_people_and_programs() {
    let lab = lab();
    let text = lab.run(&["recipes"]).good();
    assert_eq!(
        text,
        "below  build     Runs below\ntools  packages  A shell\ntop    build     Runs top\n"
    );
    let list = json(&lab.run(&["recipes", "--json"]).good());
    assert_eq!(list[1]["name"], "tools");
    assert_eq!(list[1]["kind"], "packages");
    assert_eq!(list[1]["file"], "recipes/tools.toml");
    assert_eq!(lab.run(&["-C", "recipes", "recipes"]).good(), text, "from below, too");
}

#[test]
fn a_recipe_that_is_not_there_is_exit_code_2_and_a_near_one_is_named() {
    let lab = lab();
    let said = lab.run(&["build", "tool"]).bad(2);
    assert!(
        said.contains("there is no recipe `tool`") && said.contains("did you mean `tools`?"),
        "{said}"
    );
    let said = lab.run(&["build", "something"]).bad(2);
    assert!(said.contains("vsbuild recipes lists them"), "{said}");
    let said = lab.run(&["image", "top"]).bad(2);
    assert!(said.contains("`top` is no image") && said.contains("vsbuild build top"), "{said}");
    let said = lab.run(&["-C", "/", "recipes"]).bad(2);
    assert!(said.contains("no project") && said.contains("vsbuild init"), "{said}");
}

#[test]
fn show_prints_the_document_that_the_key_is_the_digest_of() {
    let lab = lab();
    let before = lab.run(&["show", "top"]);
    assert!(before.stderr.contains("vsbuild build top"), "{}", before.stderr);
    json(&before.stdout);
    lab.build("top");
    let shown = json(&lab.run(&["show", "top", "--json"]).good());
    let canonical = shown["canonical"].as_str().unwrap();
    let text = canonical.strip_prefix("vsbuild-derivation 1\n").unwrap();
    assert!(!text.contains(char::is_whitespace), "{text}");
    assert_eq!(Digest::of(canonical).hex(), shown["key"].as_str().unwrap());
    assert_eq!(shown["output"].as_str().unwrap(), lab.build("top").0);
    let person = lab.run(&["show", "top"]);
    assert_eq!(json(&person.stdout), json(text));
    assert!(person.stderr.contains(shown["key"].as_str().unwrap()));
    assert!(!text.contains(lab.env.path().to_str().unwrap()), "nothing of this machine is in it");
    // In a store and a place of its own the key is the same.
    let other = self::lab();
    other.build("top");
    assert_eq!(json(&other.run(&["show", "top", "--json"]).good()), shown);
}

#[test]
fn a_graph_is_a_tree_or_for_graphviz_or_json() {
    let lab = lab();
    assert_eq!(
        lab.run(&["graph", "top"]).good(),
        "top (run)\n  tools (packages), 1 package\n  below (run)\n    tools (packages) (see above)\n"
    );
    assert!(lab.run(&["graph", "top", "--all"]).good().contains("    shell 1.0 (unpack)\n"));
    let dot = lab.run(&["graph", "top", "--format", "dot"]).good();
    assert!(dot.starts_with("digraph vsbuild {") && dot.contains("->"), "{dot}");
    assert!(!dot.contains("shell"), "{dot}");
    assert!(lab.run(&["graph", "top", "--format", "dot", "--all"]).good().contains("shell 1.0"));
    let steps = json(&lab.run(&["graph", "top", "--json"]).good());
    let steps = steps.as_array().unwrap();
    assert!(
        steps
            .iter()
            .any(|step| step["name"] == "top" && step["needs"].as_array().unwrap().len() == 2)
    );
    assert!(
        lab.run(&["graph", "top"]).good().len() > 10
            && !lab.env.store().join("blobs/00/x").exists()
    );
}

#[test]
fn why_shows_how_one_thing_is_part_of_another() {
    let lab = lab();
    let text = "top (run)\n  needs tools (packages)\n    needs shell 1.0 (unpack)\n";
    assert_eq!(lab.run(&["why", "top", "shell"]).good(), text);
    let below = lab.build("below").0;
    lab.build("top");
    assert_eq!(lab.run(&["why", "top", &below]).good(), "top (run)\n  needs below (run)\n");
    let list = json(&lab.run(&["why", "top", "below", "--json"]).good());
    assert_eq!(list[1]["name"], "below");
    let said = lab.run(&["why", "below", "top"]).bad(2);
    assert!(said.contains("`top` is no part of `below`") && said.contains("graph"), "{said}");
}

#[test]
fn a_log_is_shown_or_it_is_said_why_there_is_none() {
    let lab = lab();
    lab.run(&["log", "below"]).bad(1);
    lab.script("below", "echo I say something; echo below > $out/x\n", "");
    lab.build("below");
    assert_eq!(lab.run(&["log", "below"]).good(), "I say something\n");
    let said = lab.run(&["log", "tools"]).bad(1);
    assert!(said.contains("there is no log of `tools`"), "{said}");
}

#[test]
fn an_output_can_be_copied_out_of_the_store() {
    let lab = lab();
    let out = lab.env.path().join("copy");
    lab.run(&["build", "below", "--out", out.to_str().unwrap()]).good();
    assert_eq!(fs::read_to_string(out.join("x")).unwrap(), "below\n");
    fs::write(out.join("x"), "mine\n").unwrap();
    let said = lab.run(&["build", "below", "-o", out.to_str().unwrap()]).bad(2);
    assert!(said.contains("is there already"), "{said}");
    assert!(
        lab.run(&["store", "verify"]).good().contains("0 damaged"),
        "a copy is not the store's"
    );
    fs::remove_dir_all(&out).unwrap();
    lab.run(&["build", "below", "-o", out.to_str().unwrap()]).good();
    assert_eq!(fs::read_to_string(out.join("x")).unwrap(), "below\n");
}

#[test]
fn errors_are_json_on_standard_output_if_asked() {
    let lab = lab();
    lab.script("bad", "exit 9\n", "");
    let ran = lab.run(&["build", "bad", "--json", "--quiet"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(3), ""));
    let error = json(&ran.stdout);
    assert_eq!(error["exit"], 3);
    assert!(error["error"].as_str().unwrap().contains("exit code 9"), "{error}");
    assert!(error["help"].as_array().unwrap().len() >= 2, "{error}");
    let error = json(&lab.run(&["build", "nope", "--json"]).stdout);
    assert_eq!(error["exit"], 2);
}

#[test]
fn a_store_that_cannot_be_is_an_error_of_its_own() {
    let lab = lab();
    let said = lab.run(&["--store", "/proc/nope", "build", "below"]).bad(1);
    assert!(said.contains("/proc/nope"), "{said}");
    let dir = lab.env.path().join("other");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("format"), "vsbuild-store 99\n").unwrap();
    let said = lab.run(&["--store", dir.to_str().unwrap(), "store", "ls"]).bad(1);
    assert!(said.contains("vsbuild-store 99") && said.contains("--store"), "{said}");
    let said = lab.run(&["--config", "/nonexistent", "recipes"]).bad(2);
    assert!(said.contains("/nonexistent"), "{said}");
    lab.env.write("config.toml", "[mirors]\n");
    let said = lab.run(&["--config", "config.toml", "recipes"]).bad(2);
    assert!(said.contains("config.toml") && said.contains("mirors"), "{said}");
}

#[test]
fn completions_and_manual_pages_are_made() {
    let env = TestEnv::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(env.run(&["completions", shell]).good().contains("keep-failed"), "{shell}");
    }
    let dir = env.path().join("man/man1");
    env.run(&["man", dir.to_str().unwrap()]).good();
    assert!(fs::read_to_string(dir.join("vsbuild.1")).unwrap().contains("vsbuild"));
    assert!(dir.join("vsbuild-build.1").exists() && dir.join("vsbuild-store-gc.1").exists());
}

#[test]
fn a_new_project_is_made_once_and_says_what_comes_next() {
    let env = TestEnv::new();
    let ran = env.run(&["init", "lab"]);
    assert!(ran.stderr.contains("vsbuild image my-hello"), "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().next(), Some("lab/recipes/my-hello.toml"));
    let said = env.run(&["init", "lab"]).bad(2);
    assert!(said.contains("lab/recipes/my-hello.toml"), "{said}");
    let said = env.run(&["init", "other", "--extends", "nope"]).bad(2);
    assert!(said.contains("nope") && said.contains("hello"), "{said}");
    assert!(env.run(&["-C", "lab", "recipes"]).good().contains("my-hello"));
    assert!(env.run(&["-C", "lab", "graph", "my-hello"]).good().contains("my-hello.rootfs"));
    let said = env.run(&["-C", "lab", "verify"]).bad(2);
    assert!(said.contains("vsbuild lock --outputs"), "{said}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let lab = lab();
    for args in [&["completions", "bash"][..], &["recipes"], &["build", "top"], &["store", "ls"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let status = lab.command(args).stdout(writer).stderr(std::process::Stdio::null()).status();
        assert!(status.unwrap().success(), "{args:?}");
    }
}

#[test]
fn a_machine_that_has_no_sandbox_is_exit_code_7_and_it_is_said_what_to_turn_on() {
    let lab = lab();
    // In a user namespace of its own the limit is the test's, and nobody else notices.
    let script = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
    let inside = lab.command(&["build", "top"]);
    let mut outside = Command::new("unshare");
    outside.args(["--user", "--map-root-user", "sh", "-c", script, "sh"]);
    outside.arg(inside.get_program()).args(inside.get_args());
    outside.current_dir(inside.get_current_dir().unwrap()).env_clear();
    outside.envs(inside.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let said = Ran::of(outside.output().unwrap()).bad(7);
    assert!(said.contains("sysctl -w user.max_user_namespaces=15000"), "{said}");
    lab.run(&["build", "top"]).good();
}

#[test]
fn a_guest_that_does_not_do_what_it_should_is_exit_code_6() {
    let lab = lab();
    lab.env.write(
        "kernels/build.sh",
        "echo no kernel > $out/vmlinux; echo no kernel > $out/bzImage\n",
    );
    lab.env.write("kernels/kernel.toml", KERNEL);
    lab.env.write("recipes/rootfs.toml", "kind = \"rootfs\"\ndescription = \"Nothing\"\n");
    lab.env.write("recipes/mute.toml", MUTE);
    // Nothing boots here: this stands in for QEMU, and prints lines as a guest's console has them.
    let stand_in = lab.env.path().join("stand-in-for-qemu");
    let console = |lines: &str| {
        fs::write(&stand_in, format!("#!/bin/sh\ncat <<'END'\n{lines}END\n")).unwrap();
        fs::set_permissions(&stand_in, PermissionsExt::from_mode(0o755)).unwrap();
        lab.run(&["run", "mute", "--qemu", stand_in.to_str().unwrap()])
    };
    let exited = "{\"vsbuild\":1,\"uptime_us\":2,\"stage\":\"container-exited\",\"name\":\"c\",\"code\":0}\n";
    let exit = |code: u32| {
        format!("{{\"vsbuild\":1,\"uptime_us\":3,\"stage\":\"exit\",\"code\":{code}}}\n")
    };
    console(&format!("{exited}{}", exit(0))).good();
    let said = console(&exit(0)).bad(6);
    assert!(said.contains("no container ran"), "{said}");
    let said = console(&exit(70)).bad(6);
    assert!(said.contains("the guest ended with code 70"), "{said}");
    let said = console("Kernel panic - not syncing: Attempted to kill init!\n").bad(6);
    assert!(said.contains("Attempted to kill init"), "{said}");
    let said = console(exited).bad(6);
    assert!(said.contains("without a last word"), "{said}");
}
