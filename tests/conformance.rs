//! The conformance test against the processor that runs this, and against stand-ins for gem5: shell scripts that run the
//! test's program on this processor, and fail as gem5 can. They simulate nothing.

#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use tempfile::TempDir;
use vsbuild::fitness::{
    Faults,
    conformance::{Answers, Report},
    trial::{Error, Trial, Tried},
};

/// The programs, made as the recipes make them, but with the compiler and the Python of this machine.
fn programs() -> &'static Path {
    static MADE: OnceLock<TempDir> = OnceLock::new();
    let dir = MADE.get_or_init(|| {
        let dir = TempDir::new().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes/conformance");
        let [cases, work] = ["cases", "work"].map(|name| dir.path().join(name));
        fs::create_dir(&cases).unwrap();
        fs::create_dir(&work).unwrap();
        let scripts =
            [("cases.sh", cases.as_path()), ("build.sh", dir.path()), ("state.sh", dir.path())];
        for (script, out) in scripts {
            let status = Command::new("sh")
                .arg(source.join(script))
                .current_dir(&work)
                .env("SOURCE", &source)
                .env("CASES", &cases)
                .env("out", out)
                .status();
            assert!(status.unwrap().success(), "{script}");
        }
        dir
    });
    dir.path()
}

/// The one that tries instructions.
fn program() -> PathBuf {
    programs().join("conformance")
}

/// A stand-in for gem5: says its version as gem5 does, and then what the body says; `$program`, `$from` and `$to` are
/// what the harness was asked for.
fn stand_in(dir: &Path, body: &str) -> PathBuf {
    let path = dir.join("gem5");
    let head = "#!/bin/sh\necho 'gem5 version 24.0.0.1'\nprogram=$4 from=$5 to=$6\n";
    fs::write(&path, format!("{head}{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn tried(body: &str, only: &str) -> Result<Tried, Error> {
    let dir = TempDir::new().unwrap();
    let gem5 = stand_in(dir.path(), body);
    let patience = Duration::from_secs(5);
    let trial = Trial { gem5: &gem5, program: &program(), jobs: 2, patience };
    let wanted = |case: &str| only.is_empty() || case.starts_with(only);
    trial.run(&Answers::of_instructions(), &wanted, &|_| ())
}

#[test]
fn this_processor_gives_the_recorded_answers() {
    let output = Command::new(program()).output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.ends_with("\nend\n"));
    let here = Answers::parse(&text).unwrap();
    let recorded = Answers::of_instructions();
    assert_eq!(here.cases().len(), recorded.cases().len());
    for (here, recorded) in here.cases().iter().zip(recorded.cases()) {
        assert_eq!(here, recorded);
    }
}

#[test]
fn this_processor_keeps_registers_over_switches_and_signals() {
    let recorded = Answers::of_state();
    // Clocks tick elsewhere every time.
    for _ in 0..20 {
        let output = Command::new(programs().join("state")).output().unwrap();
        assert!(output.status.success(), "{}", output.status);
        let here = Answers::parse(&String::from_utf8(output.stdout).unwrap()).unwrap();
        assert_eq!(here, recorded);
    }
}

#[test]
fn one_case_of_registers_can_be_tried_alone() {
    let name = "signal by-fault of ud2";
    let output = Command::new(programs().join("state")).arg(name).output().unwrap();
    let here = Answers::parse(&String::from_utf8(output.stdout).unwrap()).unwrap();
    let [answer] = here.cases() else { panic!("{here:?}") };
    assert!(answer.name == name && Answers::of_state().cases().contains(answer));
}

#[test]
fn a_simulator_that_computes_as_a_processor_is_clean() {
    let tried = tried("exec $program $from $to", "").unwrap();
    assert_eq!(tried.version.as_deref(), Some("24.0.0.1"));
    let known = Faults::of_version("24.0.0.1").unwrap();
    let report = Report::new(&Answers::of_instructions(), &tried.seen, Some(&known));
    assert!(report.is_clean(), "{:?}", report.wrong.first());
    assert_eq!(report.not_shown.len(), known.faults.len());
}

#[test]
fn a_case_that_ends_the_simulator_costs_only_itself() {
    let body = "\"$program\" $from $to | sed '/^xchg r9,rax/{s/\\t.*//;q}' > $2.out\n\
        cat $2.out\n\
        tail -n 1 $2.out | grep -q '^xchg' && { echo 'faults.cc:1: panic: oh' >&2; kill -ABRT $$; }";
    let tried = tried(body, "xchg").unwrap();
    let report = Report::new(&Answers::of_instructions().only("xchg"), &tried.seen, None);
    assert_eq!(report.crashed.len(), 1, "{:?}", report.crashed);
    assert_eq!(report.crashed[0].name, "xchg r9,rax [49 91]");
    assert_eq!(report.crashed[0].crash.as_deref(), Some("faults.cc:1: panic: oh"));
    assert_eq!((report.agree + 1, report.missing.len()), (report.cases, 0));
}

#[test]
fn a_case_that_never_ends_is_one_that_failed() {
    let body = "echo 'xlat [d7]'; sleep 1000";
    let tried = tried(body, "xlat").unwrap();
    let report = Report::new(&Answers::of_instructions().only("xlat"), &tried.seen, None);
    assert_eq!(report.crashed[0].crash.as_deref(), Some("it said nothing for 5 s"));
}

#[test]
fn a_simulator_that_does_not_start_the_test_is_an_error_with_its_words() {
    let error = tried("echo 'ImportError: no SEWorkload' >&2; exit 1", "xlat").unwrap_err();
    assert_eq!(error.to_string(), "gem5 did not run the test: ImportError: no SEWorkload");
}
