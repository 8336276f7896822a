//! `functions`: every function answers, on one core and on two.

use std::{fs, process::Command, sync::Mutex};

use crate::{Ran, dir, image, run, vsbuild};

const FUNCTIONS: [&str; 9] = [
    "aes-go",
    "aes-nodejs",
    "aes-python",
    "auth-go",
    "auth-nodejs",
    "auth-python",
    "fibonacci-go",
    "fibonacci-nodejs",
    "fibonacci-python",
];

/// Calls every function of the image, on a guest with so many cores; gives the records of the runs.
fn call_all(cores: &str) -> Vec<serde_json::Value> {
    /// One command boots as many guests as there are cores; two at once would only wait for each other.
    static BUSY: Mutex<()> = Mutex::new(());
    image("functions");
    let _busy = BUSY.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut command = vsbuild();
    command.args(["run", "functions", "--on", "qemu", "--all", "--json"]);
    command.args(["--warm", "5", "--invocations", "20", "--cores", cores, "--image-dir"]);
    command.arg(dir().join("out")).arg("--out").arg(dir().join(format!("calls-{cores}")));
    let ran = Ran::of(command.output().unwrap());
    serde_json::from_str(&ran.good()).unwrap()
}

fn every_function_answers_on(cores: &str, pinned: &str) {
    let records = call_all(cores);
    let names: Vec<&str> =
        records.iter().map(|record| record["call"]["function"].as_str().unwrap()).collect();
    assert_eq!(names, FUNCTIONS);
    for record in &records {
        let said = record["outcome"]["said"].as_array().unwrap();
        let of =
            |stage: &str| said.iter().filter(|said| said["stage"] == stage).collect::<Vec<_>>();
        assert_eq!(record["verdict"], "good", "{record}");
        assert_eq!(of("invocation").len(), 20);
        assert!(of("invocation").iter().all(|said| said["ok"] == true));
        assert_eq!(of("function-pinned")[0]["cores"], pinned);
        assert!(of("invoked")[0]["latency_ns"]["median"].as_u64().unwrap() > 0);
    }
}

#[test]
fn the_lockfile_has_the_hashes_of_what_is_built() {
    crate::the_lockfile_has_the_hashes_of("functions");
}

#[test]
fn the_disk_is_clean() {
    let disk = image("functions").join("disk.img");
    Ran::of(Command::new("e2fsck").arg("-fn").arg(disk).output().unwrap()).good();
}

#[test]
fn every_function_answers_on_one_core() {
    every_function_answers_on("1", "0");
}

#[test]
fn every_function_answers_on_two_cores() {
    every_function_answers_on("2", "1");
}

#[test]
fn one_function_is_called_and_its_latencies_are_told() {
    image("functions");
    let mut command = vsbuild();
    command.args(["run", "functions", "--on", "qemu", "--function", "fibonacci-go"]);
    command.args(["--warm", "2", "--invocations", "3", "--image-dir"]).arg(dir().join("out"));
    command.arg("--out").arg(dir().join("one-call"));
    let stdout = Ran::of(command.output().unwrap()).good();
    assert!(stdout.contains("fibonacci-go  3 right"), "{stdout}");
    let record = fs::read(dir().join("one-call/run.json")).unwrap();
    let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
    assert!(record["cmdline"].as_str().unwrap().contains("vsbuild.function=fibonacci-go"));
}

#[test]
fn a_network_that_cni_plugins_make_does_as_well() {
    image("functions-cni");
    let mut command = vsbuild();
    command.args(["run", "functions-cni", "--on", "qemu", "--function", "aes-go", "--json"]);
    command.args(["--warm", "1", "--invocations", "2", "--image-dir"]).arg(dir().join("out"));
    command.arg("--out").arg(dir().join("cni-call"));
    let record: serde_json::Value =
        serde_json::from_str(&Ran::of(command.output().unwrap()).good()).unwrap();
    assert_eq!(record["verdict"], "good", "{record}");
    let said = record["outcome"]["said"].as_array().unwrap();
    let network = said.iter().find(|said| said["stage"] == "function-network").unwrap();
    assert_eq!(network["address"], "10.88.0.2");
}

#[test]
fn a_function_that_is_not_there_is_named_with_those_that_are() {
    let stderr = run(&["run", "functions", "--function", "fibonaci-go"]).bad(2);
    assert!(stderr.contains("fibonacci-go"), "{stderr}");
    let stderr = run(&["run", "functions"]).bad(2);
    assert!(stderr.contains("--function NAME"), "{stderr}");
}
