//! Runs on gem5, with a stand-in that replays what a real one wrote: gem5 takes an hour to build and minutes to boot.
//! What a real one does is in `docs/measurements.md`, with the commands.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use vsbuild::{
    digest::Digest,
    project,
    run::{
        Call, Verdict, Wanted,
        gem5::{
            self, Course, Error, Files, Harness, Machine, Program, Run, Setup, Sign, StageName,
        },
    },
    store::Store,
};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gem5");

/// A store, an image of two small files, and a stand-in of its own.
struct Lab {
    dir: tempfile::TempDir,
    store: Store,
    harness: Harness,
    gem5: Program,
    files: Files,
    machine: Machine,
    call: Call,
    retries: u32,
    rerun: bool,
    timeout: Option<Duration>,
    log: PathBuf,
}

impl Lab {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let store = Store::open(&at("store")).unwrap();
        let harness = Harness::write(&project::shipped_harness(), at("harness"), &store).unwrap();
        fs::create_dir_all(at("gem5")).unwrap();
        let script = at("gem5/stand_in.py");
        fs::copy(format!("{RECORDED}/stand_in.py"), &script).unwrap();
        std::os::unix::fs::symlink(format!("{RECORDED}/recordings"), at("gem5/recordings"))
            .unwrap();
        let gem5 = Program::probe(&script, &harness, dir.path()).unwrap();
        fs::write(at("disk.img"), "a disk").unwrap();
        fs::write(at("vmlinux"), "a kernel").unwrap();
        fs::create_dir(at("log")).unwrap();
        let files = Files {
            disk: at("disk.img"),
            disk_digest: Digest::of("a disk"),
            kernel: at("vmlinux"),
            kernel_digest: Digest::of("a kernel"),
            cmdline: "console=ttyS0".to_owned(),
        };
        let machine = Machine::parse("settle = 1", &BTreeMap::new()).unwrap();
        let call = Call {
            function: "fibonacci-python".to_owned(),
            warm: 5,
            invocations: 3,
            input: None,
            generator: None,
            seed: None,
        };
        let (retries, rerun, timeout) = (0, false, Some(Duration::from_secs(60)));
        let log = at("log");
        Self { dir, store, harness, gem5, files, machine, call, retries, rerun, timeout, log }
    }

    fn goes_wrong(&self, how: &str) {
        fs::write(self.dir.path().join("gem5/behaviour"), how).unwrap();
    }

    fn goes_well(&self) {
        fs::remove_file(self.dir.path().join("gem5/behaviour")).unwrap();
    }

    fn try_run(&self) -> Result<Run, Error> {
        self.watched(&mut |_| {})
    }

    fn watched(&self, watch: &mut dyn FnMut(Sign<'_>)) -> Result<Run, Error> {
        gem5::run(&self.course(), watch)
    }

    fn course(&self) -> Course<'_> {
        Course {
            store: &self.store,
            gem5: &self.gem5,
            harness: &self.harness,
            files: &self.files,
            machine: &self.machine,
            call: Some(&self.call),
            timeout: self.timeout,
            retries: self.retries,
            rerun: self.rerun,
            log: &self.log,
        }
    }

    fn run(&self) -> Run {
        self.try_run().unwrap()
    }

    fn verdict(&self, run: &Run) -> String {
        match run.outcome.verdict(&Wanted::Function(&self.call)) {
            Verdict::Good => "good".to_owned(),
            Verdict::Bad(why) => why,
        }
    }
}

fn reused(run: &Run) -> Vec<bool> {
    run.stages.iter().map(|stage| stage.reused).collect()
}

#[test]
fn a_run_boots_warms_up_and_measures() {
    let lab = Lab::new();
    let run = lab.run();
    assert_eq!(lab.verdict(&run), "good");
    let names: Vec<_> = run.stages.iter().map(|stage| stage.stage).collect();
    assert_eq!(names, [StageName::Boot, StageName::Function, StageName::Measure]);
    assert_eq!(run.invocations.len(), 3);
    assert!(run.invocations.iter().all(|invocation| invocation.end_tick > invocation.begin_tick));
    let result = run.result.unwrap();
    let stats = result.content(&vsbuild::path::GuestPath::new("stats.txt").unwrap()).unwrap();
    let text = fs::read_to_string(lab.store.blob_path(&stats.digest)).unwrap();
    assert!(text.contains("simTicks") && !text.contains("hostSeconds"), "{text}");
}

#[test]
fn a_host_whose_kvm_gem5_cannot_use_boots_on_atomic_cores() {
    let mut lab = Lab::new();
    lab.gem5.kvm = true;
    for call in [Some(lab.call.clone()), None] {
        let course = Course { call: call.as_ref(), ..lab.course() };
        let run = gem5::run(&course, &mut |_| {}).unwrap();
        assert_eq!(run.stages[0].cpu, "atomic");
        assert!(run.result.is_some());
        assert!(
            run.warnings[0].ends_with("Failed to set guest CPUID2 (errno: 22) (exit status: 1)")
        );
    }
    lab.machine.setup = Setup::Kvm;
    assert!(lab.try_run().unwrap_err().to_string().contains("CPUID2"));
}

#[test]
fn nothing_is_simulated_twice() {
    let mut lab = Lab::new();
    assert_eq!(reused(&lab.run()), [false; 3]);
    assert_eq!(reused(&lab.run()), [true; 3]);
    lab.machine.cpu = gem5::Cpu::O3;
    assert_eq!(
        reused(&lab.run()),
        [true, true, false],
        "another machine measures the same warm function"
    );
    lab.call.function = "aes-go".to_owned();
    assert_eq!(
        reused(&lab.run()),
        [true, false, false],
        "another function begins at the same boot"
    );
    lab.machine.clock = "2GHz".to_owned();
    assert_eq!(reused(&lab.run()), [false; 3], "a kernel that knows another clock boots anew");
}

#[test]
fn another_gem5_shares_nothing() {
    let mut lab = Lab::new();
    lab.run();
    lab.gem5.sha256 = Digest::of("another one");
    assert_eq!(reused(&lab.run()), [false; 3]);
}

#[test]
fn a_rerun_compares() {
    let mut lab = Lab::new();
    lab.run();
    lab.rerun = true;
    assert_eq!(reused(&lab.run()), [true, true, false]);
    lab.goes_wrong("measure different");
    match lab.try_run().unwrap_err() {
        Error::Differs { statistic, .. } => assert_eq!(statistic, "simTicks"),
        other => panic!("{other}"),
    }
}

#[test]
fn a_panic_ends_the_run_with_its_lines() {
    let lab = Lab::new();
    lab.goes_wrong("function panic");
    let run = lab.run();
    assert!(lab.verdict(&run).contains("Kernel panic - not syncing: Fatal exception"));
    assert!(run.outcome.console.iter().any(|line| line.contains("BUG: what led to it")));
    assert_eq!(run.stages.len(), 1, "the boot stays");
    lab.goes_well();
    assert_eq!(reused(&lab.run()), [true, false, false]);
}

#[test]
fn a_guest_that_retires_nothing_is_stopped() {
    let lab = Lab::new();
    lab.goes_wrong("boot stuck");
    let begin = Instant::now();
    let run = lab.run();
    assert!(lab.verdict(&run).contains("no core retired an instruction"), "{}", lab.verdict(&run));
    assert!(begin.elapsed() < Duration::from_secs(50), "it was not the timeout that ended it");
}

#[test]
fn a_stage_that_takes_too_long_is_stopped_and_tried_again() {
    let mut lab = Lab::new();
    lab.timeout = Some(Duration::from_secs(1));
    lab.retries = 1;
    lab.goes_wrong("boot silent");
    let mut again = 0;
    let run = lab.watched(&mut |sign| again += u32::from(matches!(sign, Sign::Note(_)))).unwrap();
    assert!(run.outcome.timed_out && run.stages.is_empty());
    assert_eq!(again, 1);
}

#[test]
fn a_gem5_that_fails_says_what_it_said() {
    for (how, what) in
        [("measure killed", "signal: 9"), ("measure full", "No space left on device")]
    {
        let lab = Lab::new();
        lab.goes_wrong(how);
        let error = lab.try_run().unwrap_err().to_string();
        assert!(error.contains("measure") && error.contains(what), "{error}");
        assert!(lab.dir.path().join("log/gem5-measure.log").is_file());
        lab.goes_well();
        assert_eq!(reused(&lab.run()), [true, true, false], "what was done stays");
    }
}

#[test]
fn a_guest_that_ends_badly_is_no_result() {
    let lab = Lab::new();
    lab.goes_wrong("measure wrong");
    let run = lab.run();
    assert_eq!(lab.verdict(&run), "containerd died");
    lab.goes_well();
    assert_eq!(reused(&lab.run()), [true, true, false]);
}

#[test]
fn a_checkpoint_that_was_damaged_is_refused_by_name() {
    let mut lab = Lab::new();
    let run = lab.run();
    let tree = lab.store.tree(&run.stages[1].output).unwrap();
    let path = vsbuild::path::GuestPath::new("checkpoint/m5.cpt").unwrap();
    let blob = lab.store.blob_path(&tree.content(&path).unwrap().digest);
    fs::set_permissions(&blob, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(&blob, "[funktion]\n").unwrap();
    lab.machine.cpu = gem5::Cpu::O3;
    let error = lab.try_run().unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("checkpoint/m5.cpt"), "{error}");
}

#[test]
fn a_disk_that_is_not_the_images_is_refused() {
    let lab = Lab::new();
    fs::write(lab.dir.path().join("disk.img"), "another disk").unwrap();
    let error = lab.try_run().unwrap_err().to_string();
    assert!(error.starts_with("the disk is not what it was"), "{error}");
}

#[test]
fn two_at_once_boot_once() {
    let lab = Lab::new();
    let runs: Vec<Run> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| lab.run())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let boots = runs.iter().filter(|run| !run.stages[0].reused).count();
    assert_eq!(boots, 1);
}

#[test]
fn what_is_no_gem5_is_refused() {
    let lab = Lab::new();
    let probe = |path: &Path| Program::probe(path, &lab.harness, lab.dir.path()).unwrap_err();
    assert!(matches!(probe(Path::new("/bin/true")), Error::NotGem5 { .. }));
    assert!(matches!(probe(&PathBuf::from("/nowhere/gem5.opt")), Error::Start { .. }));
}
