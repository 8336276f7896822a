//! Sweeps through a real Slurm: Debian's, started by `ci/slurm` on the loopback interface.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use vsbuild::run::sweep::{Resources, State, slurm, survey};

use crate::{Bench, counts, make, until};

/// A Slurm that ends with the test.
struct Cluster(PathBuf);

impl Cluster {
    /// None where Slurm is not installed.
    #[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
    fn start(bench: &Bench) -> Option<Self> {
        if Command::new("sbatch").arg("--version").output().is_err() {
            eprintln!("SKIPPED: slurm-wlm is not installed");
            return None;
        }
        let cluster = Self(bench.path().join("slurm"));
        cluster.ci("start", "4");
        Some(cluster)
    }

    fn ci(&self, verb: &str, more: &str) {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/slurm");
        let status = Command::new(program).arg(verb).arg(&self.0).arg(more).status().unwrap();
        assert!(status.success(), "ci/slurm {verb}");
    }

    /// One of Slurm's programs.
    fn ask(&self, program: &str, words: &[&str]) -> String {
        let conf = self.0.join("slurm.conf");
        let output = Command::new(program).args(words).env("SLURM_CONF", conf).output().unwrap();
        assert!(output.status.success(), "{program} {words:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Why points have failed, as a process of its own sees it: where this cluster is stands in the environment.
    fn failed(&self, bench: &Bench) -> Vec<String> {
        let mut process = self.submitter(bench);
        let output = process.env("VSBUILD_TEST_SWEEP_TELL", "").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = fs::read_to_string(bench.path().join("failed")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn submitter(&self, bench: &Bench) -> Command {
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--exact", "queue::as_another_process"])
            .env("VSBUILD_TEST_SWEEP_QUEUE", bench.path())
            .env("SLURM_CONF", self.0.join("slurm.conf"));
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("ci/slurm");
        let _ = Command::new(program).arg("stop").arg(&self.0).status();
    }
}

/// Not a test of its own: the process that submits and waits, with an environment of its own.
#[test]
fn as_another_process() {
    let Some(dir) = env::var_os("VSBUILD_TEST_SWEEP_QUEUE") else { return };
    let dir = Path::new(&dir);
    let sweep = make(&dir.join("sweep"));
    if env::var_os("VSBUILD_TEST_SWEEP_TELL").is_some() {
        let standings = survey(&sweep, &slurm::seats(&sweep).unwrap());
        let states = standings.into_iter().map(|standing| standing.state);
        let failed = states.filter_map(|state| match state {
            State::Failed(why) => Some(format!("{why}\n")),
            State::Done | State::Running | State::Waiting => None,
        });
        return fs::write(dir.join("failed"), failed.collect::<String>()).unwrap();
    }
    let time = env::var("VSBUILD_TEST_SWEEP_TIME").unwrap_or("10".to_owned());
    let resources = Resources { time: Some(time), ..Resources::default() };
    let program = dir.join("stand-in");
    let submission = slurm::Submission { program: &program, resources: &resources, jobs: None };
    slurm::submit(&sweep, &submission, &|_| ()).unwrap();
    if env::var_os("VSBUILD_TEST_SWEEP_DETACH").is_some() {
        return;
    }
    slurm::wait(&sweep, Duration::from_millis(500), &|_| ()).unwrap();
    let seats = slurm::seats(&sweep).unwrap();
    let states: Vec<_> =
        survey(&sweep, &seats).into_iter().map(|standing| standing.state).collect();
    assert!(!states.contains(&State::Running));
}

#[test]
fn a_sweep_ends_complete_although_nodes_and_the_submitting_shell_die() {
    let bench = Bench::new();
    let Some(cluster) = Cluster::start(&bench) else { return };
    bench.tell("slow", "3");
    let ended = || bench.starts("ended").iter().sum::<usize>();

    let mut shell = cluster.submitter(&bench).spawn().unwrap();
    until("some points are done", || ended() >= 4);
    shell.kill().unwrap();
    shell.wait().unwrap();
    cluster.ask("scontrol", &["update", "nodename=node1", "state=drain", "reason=test"]);
    // One that has just begun, so that it is not over before its node dies.
    let begun = || {
        let on = |number| fs::read_to_string(bench.sweep().point(number).join("started"));
        (0..20).filter_map(|number| on(number).ok()).filter(|text| text.contains("node2")).count()
    };
    let before = begun();
    until("a point begins on node2", || begun() > before);
    cluster.ci("kill", "node2");
    let done: Vec<bool> = bench.starts("ended").iter().map(|count| *count > 0).collect();

    // The same again, in a new shell: it submits nothing twice, and waits for what the first one submitted.
    let mut shell = cluster.submitter(&bench).spawn().unwrap();
    until("Slurm sees that node2 is dead and queues its point again", || {
        cluster.ask("squeue", &["--noheader", "--array", "--format=%r"]).contains("BeginTime")
    });
    // Slurm holds back for two minutes what it queues again; the test does not wait for that.
    for task in cluster.ask("squeue", &["--noheader", "--array", "--format=%A|%r"]).lines() {
        if let Some(job) = task.strip_suffix("|BeginTime") {
            cluster.ask("scontrol", &["update", &format!("jobid={job}"), "starttime=now"]);
        }
    }
    assert!(shell.wait().unwrap().success());

    let standings = survey(&bench.sweep(), &Default::default());
    assert_eq!(counts(&standings), [20, 0, 0, 0]);
    assert_eq!(bench.starts("ended"), [1; 20], "nothing that was done is run again");
    let started = bench.starts("started");
    assert_eq!(started.iter().sum::<usize>(), 21, "only what was on the dead node is: {started:?}");
    assert!(done.iter().zip(&started).all(|(done, started)| !done || *started == 1));
    let jobs = fs::read_to_string(bench.sweep().path().join("slurm/jobs.json")).unwrap();
    assert_eq!(
        jobs.matches("\"job\"").count(),
        2,
        "one array of leaders, one of the others: {jobs}"
    );
}

#[test]
fn what_was_cancelled_is_submitted_again_by_the_same_command() {
    let bench = Bench::new();
    let Some(cluster) = Cluster::start(&bench) else { return };
    bench.tell("slow", "1");
    let mut shell = cluster.submitter(&bench).spawn().unwrap();
    until("some points are done", || bench.starts("ended").iter().sum::<usize>() >= 4);
    cluster.ask("scancel", &["--me"]);
    assert!(shell.wait().unwrap().success(), "a cancelled sweep is no failure of the executor");
    let ended = bench.starts("ended");
    let [done, running, failed, waiting] = counts(&survey(&bench.sweep(), &Default::default()));
    assert_eq!((running, failed), (0, 0));
    assert!(done >= 4 && waiting > 0);

    bench.tell("slow", "0");
    assert!(cluster.submitter(&bench).status().unwrap().success());
    assert_eq!(counts(&survey(&bench.sweep(), &Default::default())), [20, 0, 0, 0]);
    for (before, after) in ended.iter().zip(bench.starts("ended")) {
        assert!(*before == 0 || *before == after, "nothing that was done is run again");
    }
}

#[test]
fn what_nobody_waits_for_ends_all_the_same() {
    let bench = Bench::new();
    let Some(cluster) = Cluster::start(&bench) else { return };
    bench.tell("slow", "1");
    let detached =
        || cluster.submitter(&bench).env("VSBUILD_TEST_SWEEP_DETACH", "").status().unwrap();
    assert!(detached().success());
    let [done, ..] = counts(&survey(&bench.sweep(), &Default::default()));
    assert!(done < 20, "it was not waited for");
    // Once more, while they are in the queue: nothing is submitted twice.
    assert!(detached().success());
    until("all points are done", || {
        counts(&survey(&bench.sweep(), &Default::default())) == [20, 0, 0, 0]
    });
    assert_eq!(bench.starts("started"), [1; 20]);
}

#[test]
fn points_that_fail_say_why_and_are_run_again_by_the_same_command() {
    let bench = Bench::new();
    let Some(cluster) = Cluster::start(&bench) else { return };
    bench.tell("stuck", "points/019");
    bench.tell("dies", "aes-go");
    // A minute is the shortest time that Slurm gives.
    let mut shell = cluster.submitter(&bench);
    let status = shell.env("VSBUILD_TEST_SWEEP_TIME", "1").status().unwrap();
    assert!(status.success(), "a point that failed is no failure of the executor");
    let mut failed = cluster.failed(&bench);
    assert_eq!(failed.pop().as_deref(), Some("Slurm says TIMEOUT"));
    assert_eq!(failed.len(), 10, "{failed:?}");
    let why = "the stand-in was told to die (it ended with code 1 and left no record, on node";
    assert!(failed.iter().all(|failed| failed.starts_with(why)), "{failed:?}");
    let [done, ..] = counts(&survey(&bench.sweep(), &Default::default()));
    assert_eq!(done, 9);

    bench.tell("stuck", "none");
    bench.tell("dies", "none");
    assert!(cluster.submitter(&bench).status().unwrap().success());
    assert_eq!(counts(&survey(&bench.sweep(), &Default::default())), [20, 0, 0, 0]);
    let started = bench.starts("started");
    assert_eq!(started.iter().sum::<usize>(), 31, "only those again: {started:?}");
}
