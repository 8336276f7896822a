//! The image that `vsbuild conformance` boots: what registers hold after switches and signals.

use std::{collections::BTreeMap, fs};

use vsbuild::fitness::conformance::{Answers, Seen};

use super::{dir, image, vsbuild};

/// QEMU raises this exception only with the next instruction that can.
const NOT_IN_QEMU: &str = "signal by-fault of an unmasked divps by zero";

#[test]
fn a_machine_that_works_keeps_registers_over_switches_and_signals() {
    image("conformance");
    let record = dir().join("run-conformance");
    let command = ["run", "conformance", "--on", "qemu", "--image-dir"];
    // Its end is not that of a container, so that nobody says that one ran.
    vsbuild().args(command).arg(dir().join("out")).arg("--out").arg(&record).output().unwrap();
    let console = fs::read_to_string(record.join("console.log")).unwrap();
    let answers = Answers::of_state();
    let seen = answers.seen_on(&console, "the machine ended");
    let wanted: BTreeMap<_, _> = answers
        .cases()
        .iter()
        .filter(|answer| answer.name != NOT_IN_QEMU)
        .map(|answer| (answer.name.clone(), Seen::Answered(answer.hashes)))
        .collect();
    let seen: BTreeMap<_, _> = seen.into_iter().filter(|(name, _)| name != NOT_IN_QEMU).collect();
    assert_eq!(seen, wanted, "{console}");
}
