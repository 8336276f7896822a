//! Sweeps: on this machine and through a real Slurm, with a stand-in for what a point runs.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "../common/mod.rs"]
mod common;
mod here;
mod queue;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use vsbuild::run::sweep::{Counts, Directory, Plan, Standing, Sweep};

/// A sweep of 20 points in a directory of its own, and the stand-in that its points run.
pub(crate) struct Bench {
    dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let bench = Self { dir: TempDir::with_prefix("vsbuild-sweep-").unwrap() };
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sweep/stand-in");
        // A copy by another process: nobody may have it open for writing when it is started.
        let copied = std::process::Command::new("cp").arg(program).arg(bench.program()).status();
        assert!(copied.unwrap().success());
        bench
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.path().join("stand-in")
    }

    /// Tells the stand-in something.
    pub(crate) fn tell(&self, what: &str, text: &str) {
        fs::write(self.path().join(what), text).unwrap();
    }

    pub(crate) fn sweep(&self) -> Directory {
        make(&self.path().join("sweep"))
    }

    /// How often each point was started, and how often it came to its end.
    pub(crate) fn starts(&self, name: &str) -> Vec<usize> {
        let sweep = self.sweep();
        let count = |number| {
            fs::read_to_string(sweep.point(number).join(name))
                .map_or(0, |text| text.lines().count())
        };
        (0..sweep.plan().points.len()).map(count).collect()
    }
}

/// Two functions, two clocks, five sizes.
pub(crate) fn make(dir: &Path) -> Directory {
    let text = "image = \"functions\"\nfunctions = [\"aes-go\", \"fibonacci-go\"]\n\
                [machine]\npreset = \"skylake\"\n[grid]\nclock = [\"2GHz\", \"3GHz\"]\n\
                caches.l2.size = [\"256KiB\", \"512KiB\", \"1MiB\", \"2MiB\", \"4MiB\"]\n";
    let sweep = Sweep::parse(text, &|_| Ok(())).unwrap();
    let plan = Plan::new(&sweep, dir, &[]).unwrap();
    Directory::make(dir, &sweep, plan).unwrap()
}

pub(crate) fn counts(standings: &[Standing]) -> [usize; 4] {
    let Counts { done, running, failed, waiting } = Counts::of(standings);
    [done, running, failed, waiting]
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < Duration::from_secs(120), "still not: {what}");
        thread::sleep(Duration::from_millis(100));
    }
}
