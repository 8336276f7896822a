//! Sweeps on this machine, and what the program says of them.

use std::{collections::BTreeMap, fs, path::Path, process::Command, sync::Mutex};

use vsbuild::run::sweep::{News, State, local, survey};

use crate::{Bench, common::TestEnv, counts, make, until};

fn run(bench: &Bench, jobs: usize) -> Vec<News> {
    let news = Mutex::new(Vec::new());
    local::run(&bench.sweep(), &bench.program(), jobs, &|one| news.lock().unwrap().push(one))
        .unwrap();
    news.into_inner().unwrap()
}

#[test]
fn every_point_is_run_once_and_the_first_of_each_function_before_the_others() {
    let bench = Bench::new();
    let news = run(&bench, 4);
    assert_eq!(bench.starts("started"), [1; 20]);
    let place = |wanted: &News| news.iter().position(|one| one == wanted).unwrap();
    for leader in [0, 10] {
        let ended = place(&News::Ended(leader, State::Done));
        for other in leader + 1..leader + 10 {
            assert!(ended < place(&News::Began(other)), "{other} was run while {leader} was");
        }
    }
    run(&bench, 4);
    assert_eq!(bench.starts("started"), [1; 20], "what is done is not run again");
}

#[test]
fn points_that_fail_say_why_and_are_run_again() {
    let bench = Bench::new();
    bench.tell("bad", "aes-go");
    bench.tell("dies", "fibonacci-go");
    run(&bench, 4);
    let standings = survey(&bench.sweep(), &BTreeMap::new());
    assert_eq!(counts(&standings), [0, 0, 20, 0]);
    assert_eq!(standings[3].state, State::Failed("Kernel panic".to_owned()));
    let State::Failed(why) = &standings[13].state else { panic!("it did not fail") };
    assert_eq!(why, "the stand-in was told to die (it ended with code 1 and left no record)");

    let status = TestEnv::new().run(&["sweep", "status", bench.sweep().path().to_str().unwrap()]);
    let table = status.good();
    let line = table.lines().find(|line| line.starts_with("003")).unwrap();
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words, ["003", "aes-go", "2GHz", "2MiB", "failed", "Kernel", "panic"]);
    assert!(table.ends_with("0 done, 0 running, 20 failed, 0 waiting\n"), "{table}");

    bench.tell("bad", "");
    bench.tell("dies", "");
    run(&bench, 4);
    assert_eq!(counts(&survey(&bench.sweep(), &BTreeMap::new())), [20, 0, 0, 0]);
    assert!(!bench.sweep().point(13).join("error.txt").exists());
}

/// Not a test of its own: the process that [`a_killed_sweep_leaves_no_process_and_goes_on`] kills.
#[test]
fn as_another_process() {
    let Some(dir) = std::env::var_os("VSBUILD_TEST_SWEEP_HERE") else { return };
    let dir = Path::new(&dir);
    local::run(&make(&dir.join("sweep")), &dir.join("stand-in"), 2, &|_| ()).unwrap();
}

#[test]
fn a_killed_sweep_leaves_no_process_and_goes_on() {
    for signal in ["KILL", "INT"] {
        let bench = Bench::new();
        bench.tell("slow", "0.3");
        let mut other = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "here::as_another_process"])
            .env("VSBUILD_TEST_SWEEP_HERE", bench.path())
            .spawn()
            .unwrap();
        until("some points are done", || bench.starts("ended").iter().sum::<usize>() > 4);
        let pid = other.id().to_string();
        assert!(
            Command::new("kill").args([&format!("-{signal}"), &pid]).status().unwrap().success()
        );
        other.wait().unwrap();
        let running = || {
            let standings = survey(&bench.sweep(), &BTreeMap::new());
            standings.iter().filter(|standing| standing.state == State::Running).count()
        };
        until("its processes have ended", || running() == 0);
        let started = bench.starts("started");
        for pid in (0..20).filter_map(|number| {
            fs::read_to_string(bench.sweep().point(number).join("started")).ok()
        }) {
            // Whoever was killed before it wrote anything is in no list of processes either.
            let Some(pid) = pid.split_whitespace().next() else { continue };
            // Empty once it has ended, also where nobody has asked for its exit code yet.
            let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            assert!(!words.contains("stand-in"), "process {pid} is left");
        }
        let done: Vec<bool> = bench.starts("ended").iter().map(|count| *count > 0).collect();
        bench.tell("slow", "0");
        run(&bench, 4);
        assert_eq!(counts(&survey(&bench.sweep(), &BTreeMap::new())), [20, 0, 0, 0]);
        for (number, again) in bench.starts("started").into_iter().enumerate() {
            assert!(!done[number] || again == started[number], "point {number} was run again");
        }
    }
}

#[test]
fn a_directory_without_a_sweep_is_said_to_be_one() {
    let env = TestEnv::new();
    let stderr = env.run(&["sweep", "status", "."]).bad(2);
    assert!(stderr.contains("has no sweep.json"), "{stderr}");
}
