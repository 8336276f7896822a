//! Scripts in the sandbox, from a recipe to a tree in the store: what they get, what they give, and what is said when
//! they fail.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod common;

use common::{Ran, lab::Lab};

#[test]
fn a_script_gets_its_inputs_and_environment_and_its_output_is_normalised() {
    let lab = Lab::new();
    lab.env.write("data/one.txt", "one\n");
    lab.script("first", "mkdir -p $out/sub\necho first > $out/sub/file\n", "");
    lab.script(
        "second",
        "set -eu\n\
         cat $data/one.txt $made > $out/both\n\
         echo \"$JOBS $SOURCE_DATE_EPOCH $TZ $LC_ALL $COLOUR $PWD $(umask) $(id -u)\" > $out/environment\n\
         touch -d '2001-01-01 00:00' $out/old; chmod 0700 $out/old; touch $out/plain; chmod 0600 $out/plain\n\
         ln -s nowhere $out/link; ln $out/both $out/again\n",
        "env = { COLOUR = \"blue\" }\n\
         inputs.data = { source = \"../data\" }\n\
         inputs.made = { from = \"first\", path = \"/sub/file\" }\n",
    );
    let output = lab.run(&["--jobs", "3", "build", "second"]).good();
    assert!(output.contains("/trees/"), "{output}");
    assert_eq!(lab.output_file("second", "/again"), "one\nfirst\n");
    assert_eq!(
        lab.output_file("second", "/environment"),
        "3 1686355200 UTC C blue /build 0022 1000\n"
    );
    let tree = lab.tree("second");
    let epoch = "1686355200";
    let line = |path: &str| tree.lines().find(|line| line.split(' ').nth(1) == Some(path));
    assert!(line("/old").unwrap().starts_with(&format!("f /old 0755 0 0 {epoch} 0 ")), "{tree}");
    assert!(line("/plain").unwrap().starts_with(&format!("f /plain 0644 0 0 {epoch} ")), "{tree}");
    assert_eq!(line("/both").unwrap(), "h /both /again");
    assert_eq!(line("/link").unwrap(), format!("l /link 0777 0 0 {epoch} nowhere"));
    assert_eq!(lab.build("second").1, 0, "nothing is built twice");
}

#[test]
fn an_input_that_comes_out_the_same_rebuilds_nothing_above_it() {
    let lab = Lab::new();
    let above = |lab: &Lab| {
        lab.script(
            "top",
            "cat $below > $out/all\n",
            "inputs.below = { from = \"below\", path = \"/x\" }\n",
        );
        lab.run(&["build", "top"]).good();
        lab.run(&["log", "top"]).good()
    };
    lab.script("below", "echo same > $out/x\n", "");
    let first = lab.build("below").0;
    above(&lab);
    let made = lab.build("top");
    lab.script("below", "# Another script.\necho same > $out/x\n", "");
    let shown = lab.run(&["show", "top", "--json"]).good();
    assert!(
        shown.contains("\"key\": null") && shown.contains("\"derivation\""),
        "what goes in is not known yet: {shown}"
    );
    let ran = lab.run(&["build", "top"]);
    assert!(ran.stderr.contains("build below"), "{}", ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 1);
    assert_eq!(lab.build("below"), (first, 0));
    assert_eq!(lab.build("top"), (made.0, 0));
    lab.script("below", "echo other > $out/x\n", "");
    assert_eq!(lab.output_file("top", "/all"), "other\n");
}

/// What the script's last run printed; no two runs print the same.
fn printed(lab: &Lab, name: &str) -> String {
    lab.run(&["log", name]).good()
}

#[test]
fn what_did_not_change_does_not_run_again() {
    let lab = Lab::new();
    let chance = "head -c 16 /dev/urandom | od -x\n";
    lab.script("below", &format!("{chance}echo same > $out/x\n"), "");
    lab.script(
        "top",
        &format!("{chance}cat $below > $out/all\n"),
        "inputs.below = { from = \"below\", path = \"/x\" }\n",
    );
    lab.run(&["build", "top"]).good();
    let (below, top) = (printed(&lab, "below"), printed(&lab, "top"));
    lab.run(&["build", "top"]).good();
    assert_eq!((&printed(&lab, "below"), &printed(&lab, "top")), (&below, &top));
    lab.script("below", &format!("{chance}echo same > $out/x # as before\n"), "");
    lab.run(&["build", "top"]).good();
    assert_ne!(printed(&lab, "below"), below, "its script changed");
    assert_eq!(printed(&lab, "top"), top, "its inputs came out the same");
}

#[test]
fn steps_that_do_not_need_each_other_run_at_once() {
    let lab = Lab::new();
    // Each leaves when it begins and when it ends; these spans must overlap.
    let script = "date +%s > $out/begin; sleep 3; date +%s > $out/end\n";
    lab.script("left", script, "");
    lab.script("right", &format!("# Not the same.\n{script}"), "");
    lab.script(
        "both",
        "cp -r $left $out/left; cp -r $right $out/right\n",
        "inputs.left = { from = \"left\" }\ninputs.right = { from = \"right\" }\n",
    );
    lab.run(&["--jobs", "2", "build", "both"]).good();
    let time = |path: &str| lab.output_file("both", path).trim().parse::<f64>().unwrap();
    let begin = time("/left/begin").max(time("/right/begin"));
    let end = time("/left/end").min(time("/right/end"));
    assert!(begin < end, "one began at {begin}, after the other ended at {end}");
}

#[test]
fn a_script_that_fails_is_named_with_its_code_its_last_lines_and_what_helps() {
    let lab = Lab::new();
    let script =
        "i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); done; echo oops >&2; exit 7\n";
    lab.script("fails", script, "");
    let said = lab.run(&["build", "fails"]).bad(3);
    assert!(said.contains("the script of fails ended with exit code 7"), "{said}");
    assert!(said.contains("line 49\n") && said.contains("oops"), "{said}");
    assert!(!said.contains("line 3\n"), "only the last lines: {said}");
    assert!(said.contains("vsbuild build fails --keep-failed"), "{said}");
    let log = said.lines().find_map(|line| line.split_once("the whole log: ")).unwrap().1;
    assert!(std::fs::read_to_string(log).unwrap().starts_with("line 0\n"));
    assert!(lab.run(&["log", "fails"]).good().contains("line 49"), "a failed build has its log");
}

#[test]
fn the_sandbox_of_a_failed_build_can_be_kept_and_entered() {
    let lab = Lab::new();
    lab.script("fails", "echo half > done; echo part > $out/part; exit 1\n", "");
    let said = lab.run(&["build", "fails", "--keep-failed"]).bad(3);
    let dir = said.lines().find_map(|line| line.split_once("vsbuild shell ")).unwrap().1;
    for args in [vec!["shell"], vec!["shell", dir]] {
        let mut command = lab.command(&args);
        let input = lab.env.path().join("commands");
        std::fs::write(
            &input,
            "pwd; cat done $out/part; echo $SOURCE_DATE_EPOCH; cat $SCRIPT; exit 5\n",
        )
        .unwrap();
        let ran = Ran::of(command.stdin(std::fs::File::open(&input).unwrap()).output().unwrap());
        assert_eq!(ran.code, Some(5), "{ran:?}");
        assert!(ran.stdout.starts_with("/build\nhalf\npart\n1686355200\necho half"), "{ran:?}");
    }
    let said = lab.run(&["shell", "/nonexistent"]).bad(2);
    assert!(said.contains("/nonexistent is no kept sandbox"), "{said}");
    let said = Lab::new().run(&["shell"]).bad(2);
    assert!(said.contains("--keep-failed"), "{said}");
}

#[test]
fn a_script_that_wants_a_network_is_told_that_there_is_none() {
    let lab = Lab::new();
    lab.script("net", "nc -w 1 192.0.2.1 80 < /dev/null\n", "");
    let said = lab.run(&["build", "net"]).bad(3);
    assert!(said.contains("it tried to reach a network; there is none"), "{said}");
}

#[test]
fn a_script_that_leaves_nothing_or_something_odd_is_told_so() {
    let lab = Lab::new();
    lab.script("empty", "echo I did nothing\n", "");
    let said = lab.run(&["build", "empty"]).bad(3);
    assert!(said.contains("the script of empty left nothing in $out"), "{said}");
    assert!(said.contains("vsbuild log empty"), "{said}");
    assert!(lab.run(&["log", "empty"]).good().contains("I did nothing"));
    lab.script("gone", "rm -rf $out\n", "");
    lab.run(&["build", "gone"]).bad(3);
    lab.script("pipe", "mkdir $out/d; mkfifo $out/d/pipe\n", "");
    let said = lab.run(&["build", "pipe"]).bad(3);
    assert!(said.contains("$out/d/pipe: a named pipe is no output"), "{said}");
    lab.script("killed", "kill -9 $$\n", "");
    let said = lab.run(&["build", "killed"]).bad(3);
    assert!(said.contains("the script of killed was killed by signal 9"), "{said}");
}

#[test]
fn a_script_that_gives_other_bytes_a_second_time_is_found_out() {
    let lab = Lab::new();
    lab.script("chance", "head -c 16 /dev/urandom > $out/x\n", "");
    let tree = lab.run(&["build", "chance"]).good();
    std::fs::remove_file(tree.trim()).unwrap();
    let said = lab.run(&["build", "chance"]).bad(4);
    assert!(said.contains("chance came out as") && said.contains("from the same inputs"), "{said}");
    assert!(said.contains("help:"), "{said}");
}

#[test]
fn an_input_that_is_not_there_is_named() {
    let lab = Lab::new();
    lab.script("below", "echo x > $out/x\n", "");
    lab.script("top", "true\n", "inputs.below = { from = \"below\", path = \"/nope\" }\n");
    let said = lab.run(&["build", "top"]).bad(3);
    assert!(said.contains("top") && said.contains("below") && said.contains("/nope"), "{said}");
    lab.script("top", "true\n", "inputs.data = { source = \"../nope\" }\n");
    let said = lab.run(&["build", "top"]).bad(2);
    assert!(said.contains("nope"), "{said}");
    lab.script("top", "true\n", "inputs.below = { from = \"belo\" }\n");
    let said = lab.run(&["build", "top"]).bad(2);
    assert!(said.contains("recipes/top.toml") && said.contains("`below`"), "{said}");
}
