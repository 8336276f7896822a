use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Error, Event, Harness, Leg, Machine, Program, Setup, Sign, Stop, Until,
    follow::{Followed, follow},
    leg::places,
    program::digest_of,
    stats,
    words::last_words,
};
use crate::{
    digest::Digest,
    path::GuestPath,
    run::{Call, Outcome, Said, console},
    store::{Realisation, Scratch, Store},
    tree::{Inode, Kind, Node, Time, Tree},
};

/// Version of what a stage leaves. A change makes every checkpoint anew.
const FORMAT: u32 = 1;
/// What every stage leaves beside its checkpoint or its statistics.
const CONSOLE: &str = "console.log";
const SUMMARY: &str = "stage.json";
const STATS: &str = "stats.txt";
const CONFIG: &str = "config.json";

/// The files of the image that go into gem5.
#[derive(Debug, Clone)]
pub struct Files {
    /// The raw disk.
    pub disk: PathBuf,
    /// Its digest.
    pub disk_digest: Digest,
    /// The kernel as an ELF file.
    pub kernel: PathBuf,
    /// Its digest.
    pub kernel_digest: Digest,
    /// The kernel's command line.
    pub cmdline: String,
}

/// A run to make.
#[derive(Debug)]
pub struct Course<'a> {
    /// Where stages are kept.
    pub store: &'a Store,
    /// The simulator.
    pub gem5: &'a Program,
    /// Its configuration.
    pub harness: &'a Harness,
    /// The image.
    pub files: &'a Files,
    /// The machine.
    pub machine: &'a Machine,
    /// The function to call; if there is none, the image's own container runs, on the setup's cores, to its end.
    pub call: Option<&'a Call>,
    /// How long each start of gem5 may take, in host time.
    pub timeout: Option<Duration>,
    /// How often a stage is tried again whose gem5 failed, hung, or took too long.
    pub retries: u32,
    /// Measure although the result is known, and compare.
    pub rerun: bool,
    /// Where the log of a failed gem5 goes.
    pub log: &'a Path,
}

/// The stages of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StageName {
    /// From power-on until containerd is ready.
    Boot,
    /// Until the function is warm.
    Function,
    /// To the end.
    Measure,
}

impl StageName {
    /// As a person calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Function => "function",
            Self::Measure => "measure",
        }
    }
}

/// One stage of a run that is over.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// Which.
    pub stage: StageName,
    /// The key that its output is kept under.
    pub key: Digest,
    /// The digest of what it left: a tree with its checkpoint or statistics, console and summary.
    pub output: Digest,
    /// Whether it was in the store already.
    pub reused: bool,
    /// The simulated time at its end, in ticks since power-on.
    pub ticks: u64,
    /// Instructions of all cores in this stage.
    pub instructions: u64,
    /// What it took of the host, in seconds; 0 if it was in the store.
    pub host_seconds: f64,
    /// The model that it ran on, or ended on.
    pub cpu: &'static str,
}

/// One measured invocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    /// Its number, from 0.
    pub n: u64,
    /// The tick at which it began.
    pub begin_tick: u64,
    /// The tick at which it ended.
    pub end_tick: u64,
    /// Instructions of all cores in between.
    pub instructions: u64,
}

/// A run that is over.
#[derive(Debug)]
pub struct Run {
    /// The stages, in order.
    pub stages: Vec<Stage>,
    /// The measured invocations.
    pub invocations: Vec<Invocation>,
    /// What the guest said in all of them.
    pub outcome: Outcome,
    /// All that was on the console.
    pub console: String,
    /// What should be known of the result.
    pub warnings: Vec<String>,
    /// What the last stage left, if it came to its end: statistics and configuration.
    pub result: Option<Tree>,
}

/// What a stage says of itself, `stage.json`. It follows from the key alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Summary {
    ticks: u64,
    instructions: u64,
    invocations: Vec<Invocation>,
}

/// A stage that came to its end.
struct Done {
    stage: Stage,
    summary: Summary,
    tree: Tree,
    console: String,
    said: Vec<Said>,
}

/// What came of a stage.
enum Came {
    Done(Done),
    /// The guest or the simulation ended otherwise.
    Else(Followed),
}

/// Makes the stages of a run that the store does not have, and gives all of them.
pub fn run(course: &Course<'_>, watch: &mut dyn FnMut(Sign<'_>)) -> Result<Run, Error> {
    verified("the disk", &course.files.disk, &course.files.disk_digest)?;
    verified("the kernel", &course.files.kernel, &course.files.kernel_digest)?;
    let mut run = Run {
        stages: Vec::new(),
        invocations: Vec::new(),
        outcome: Outcome::default(),
        console: String::new(),
        warnings: Vec::new(),
        result: None,
    };
    let until = if course.call.is_some() { Until::Booted } else { Until::End };
    let booted = boot(course, until, &mut run, watch)?;
    let (Some(call), Some((start, boot))) = (course.call, booted) else { return Ok(run) };
    let words = call.words();
    let leg = Leg { words: words.clone(), start, ..course.leg(Until::Warm) };
    let came = course.stage(StageName::Function, &leg, Some(&boot), watch)?;
    let Some(warm) = run.take(came) else { return Ok(run) };

    let machine = course.machine;
    let leg = Leg {
        words: format!("{words} vsbuild.settle={}", machine.settle),
        measure: Some(machine.cpu.name()),
        caches: machine.caches.clone(),
        o3: machine.o3.clone(),
        dram: machine.dram.clone(),
        stats: machine.stats,
        invocations: call.invocations,
        max_ticks: machine.max_ticks,
        ..course.leg(Until::End)
    };
    let came = course.stage(StageName::Measure, &leg, Some(&warm), watch)?;
    run.take(came);
    Ok(run)
}

/// What may boot, best first.
fn setups(course: &Course<'_>) -> &'static [&'static str] {
    match course.machine.setup {
        Setup::Atomic => &["atomic"],
        Setup::Kvm => &["kvm"],
        Setup::Auto if course.gem5.kvm => &["kvm", "atomic"],
        Setup::Auto => &["atomic"],
    }
}

/// Boots on the first processor model that works; whether KVM does, only a try can tell.
fn boot(
    course: &Course<'_>,
    until: Until,
    run: &mut Run,
    watch: &mut dyn FnMut(Sign<'_>),
) -> Result<Option<(&'static str, Tree)>, Error> {
    let mut setups = setups(course).iter().peekable();
    while let Some(start) = setups.next() {
        let leg = Leg { start, ..course.leg(until) };
        let came = course.stage(StageName::Boot, &leg, None, watch);
        let why = match &came {
            Ok(Came::Done(_)) => None,
            Ok(Came::Else(_)) => Some("the guest did not get far enough".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let (Some(why), Some(_)) = (why, setups.peek()) {
            let warning = format!("booted on atomic cores, since KVM does not work here: {why}");
            watch(Sign::Note(&warning));
            run.warnings.push(warning);
            continue;
        }
        return Ok(run.take(came?).map(|tree| (*start, tree)));
    }
    Ok(None)
}

impl Run {
    /// Takes in what came of a stage; gives what it left if the next one can go on from there.
    fn take(&mut self, came: Came) -> Option<Tree> {
        match came {
            Came::Done(Done { stage, summary, tree, console, said }) => {
                self.console.push_str(&console);
                self.outcome.host_seconds += stage.host_seconds;
                self.outcome.said.extend(said);
                self.invocations = summary.invocations;
                self.outcome.complete = stage.stage == StageName::Measure;
                self.stages.push(stage);
                self.result = Some(tree.clone());
                Some(tree)
            }
            Came::Else(followed) => {
                self.result = None;
                self.console.push_str(&followed.console);
                self.outcome.host_seconds += followed.seconds;
                self.outcome.said.extend(followed.said);
                match followed.stop {
                    Some(Stop::Panicked(line)) => {
                        self.outcome.panic = Some(line);
                        self.outcome.console = followed.last_lines;
                    }
                    Some(Stop::TimedOut) => self.outcome.timed_out = true,
                    Some(Stop::Silent) => {
                        self.outcome.stuck = Some("gem5 said nothing for ten minutes".to_owned());
                    }
                    Some(Stop::Stuck) => {
                        let what = "no core retired an instruction for a minute of simulated time";
                        self.outcome.stuck = Some(what.to_owned());
                    }
                    None => {}
                }
                None
            }
        }
    }
}

impl Course<'_> {
    /// What the legs of a run have in common.
    fn leg(&self, until: Until) -> Leg {
        let Machine { cores, clock, memory, dram, .. } = self.machine;
        let ask = if self.call.is_some() { " vsbuild.ask=m5" } else { "" };
        Leg {
            cmdline: format!("{}{ask}", self.files.cmdline),
            cores: *cores,
            clock: clock.clone(),
            memory: memory.clone(),
            dram: dram.clone(),
            ..Leg::new(until)
        }
    }

    /// The key of a leg: all that its result follows from.
    fn key(&self, name: StageName, leg: &Leg, before: Option<&Tree>) -> Digest {
        let mut leg = serde_json::to_value(leg).unwrap_or(Value::Null);
        if let (Value::Object(fields), true) = (&mut leg, name != StageName::Measure) {
            // Not in what a setup's gem5 is made of.
            fields.remove("dram");
        }
        let document = json!({
            "format": FORMAT,
            "stage": name.name(),
            "gem5": self.gem5.sha256,
            "harness": self.harness.digest,
            "disk": self.files.disk_digest,
            "kernel": self.files.kernel_digest,
            "before": before.map(Tree::digest),
            "leg": leg,
        });
        Digest::of(format!("vsbuild-gem5 {FORMAT}\n{document}"))
    }

    /// A stage from the store, or made.
    fn stage(
        &self,
        name: StageName,
        leg: &Leg,
        before: Option<&Tree>,
        watch: &mut dyn FnMut(Sign<'_>),
    ) -> Result<Came, Error> {
        let key = self.key(name, leg, before);
        let again = self.rerun && name == StageName::Measure;
        let _lease = self.store.lease(&key, &mut |process| {
            let who = process.map_or_else(String::new, |process| format!(" ({process})"));
            watch(Sign::Note(&format!("another vsbuild{who} makes stage {} now", name.name())));
        })?;
        let cpu = leg.measure.unwrap_or(leg.start);
        let known = self.known(&key)?;
        if let (Some(tree), false) = (&known, again) {
            watch(Sign::Stage(name, true));
            return Ok(Came::Done(self.done(name, key, tree.clone(), cpu, None)?));
        }
        watch(Sign::Stage(name, false));
        let (scratch, followed) = self.tried(name, leg, before, watch)?;
        let reached = match leg.until() {
            Until::End => followed.events.iter().any(|e| e.event == "ended" && e.code == Some(0)),
            Until::Booted | Until::Warm => followed.events.iter().any(|e| e.event == "checkpoint"),
        };
        if !reached || followed.stop.is_some() {
            return Ok(Came::Else(followed));
        }
        let tree = self.left(leg, &scratch, &followed)?;
        if let Some(before) = known {
            self.compare(&before, &tree)?;
        }
        let output = self.store.put_tree(&tree)?;
        let inputs = before.map(Tree::digest).into_iter().collect();
        let label = format!("gem5 {}", name.name());
        let realisation = Realisation { name: label, output, inputs, vouched: Vec::new() };
        self.store.record(&key, &realisation)?;
        Ok(Came::Done(self.done(name, key, tree, cpu, Some(followed.seconds))?))
    }

    /// What a key came to, if all of it is in the store.
    fn known(&self, key: &Digest) -> Result<Option<Tree>, Error> {
        let Some(realisation) = self.store.realisation(key)? else { return Ok(None) };
        if !self.store.has_tree(&realisation.output) {
            return Ok(None);
        }
        let tree = self.store.tree(&realisation.output)?;
        let whole = tree.contents().all(|content| self.store.has_blob(&content.digest));
        Ok(whole.then_some(tree))
    }

    /// A leg of gem5, tried again as often as it may be.
    fn tried(
        &self,
        name: StageName,
        leg: &Leg,
        before: Option<&Tree>,
        watch: &mut dyn FnMut(Sign<'_>),
    ) -> Result<(Scratch, Followed), Error> {
        let mut left = self.retries;
        loop {
            let result = self.once(name, leg, before, watch);
            let again = match &result {
                Ok((_, followed)) => {
                    matches!(followed.stop, Some(Stop::TimedOut | Stop::Silent | Stop::Stuck))
                }
                Err(Error::Failed { .. }) => true,
                Err(_) => false,
            };
            if !again || left == 0 {
                return result;
            }
            left -= 1;
            watch(Sign::Note(&format!("stage {} failed, and is tried again", name.name())));
        }
    }

    /// One start of gem5, in a directory of its own.
    fn once(
        &self,
        name: StageName,
        leg: &Leg,
        before: Option<&Tree>,
        watch: &mut dyn FnMut(Sign<'_>),
    ) -> Result<(Scratch, Followed), Error> {
        let scratch = self.store.scratch()?;
        let dir = scratch.path();
        let mut leg = leg.clone();
        symlink(std::path::absolute(&self.files.disk)?, dir.join(places::DISK))?;
        symlink(std::path::absolute(&self.files.kernel)?, dir.join(places::KERNEL))?;
        symlink(std::path::absolute(&self.harness.dir)?, dir.join(places::HARNESS))?;
        if let Some(tree) = before {
            self.verify(tree)?;
            self.store.materialise(tree, &dir.join(places::BEFORE))?;
            leg.restore = Some(Path::new(places::BEFORE).join(places::CHECKPOINT));
        }
        fs::write(dir.join(places::LEG), serde_json::to_vec_pretty(&leg).unwrap_or_default())?;
        let followed = follow(&self.gem5.path, dir, self.timeout, watch)?;
        let log = dir.join("gem5.log");
        let _ = fs::copy(&log, self.log.join(format!("gem5-{}.log", name.name())));
        let events = dir.join(places::OUT).join("events.jsonl");
        let _ = fs::copy(&events, self.log.join(format!("events-{}.jsonl", name.name())));
        let ended = followed.events.iter().any(|e| e.event == "ended" || e.event == "checkpoint");
        if followed.stop.is_none() && !(ended && followed.status.success()) {
            return Err(Error::Failed {
                stage: name.name(),
                complaint: complaint(&log, &followed),
                log: Some(self.log.join(format!("gem5-{}.log", name.name()))),
            });
        }
        Ok((scratch, followed))
    }

    /// Every byte of a checkpoint is what it was, or it is said what is not.
    fn verify(&self, tree: &Tree) -> Result<(), Error> {
        for (path, node) in tree.iter() {
            if let Node::Inode(Inode { kind: Kind::File(content), .. }) = node {
                let what = format!("{path} of the checkpoint");
                verified(&what, &self.store.blob_path(&content.digest), &content.digest)?;
            }
        }
        Ok(())
    }

    /// What a leg left, as a tree in the store, without what differs from host to host.
    fn left(&self, leg: &Leg, scratch: &Scratch, followed: &Followed) -> Result<Tree, Error> {
        let (out, left) = (scratch.path().join(places::OUT), scratch.path().join("left"));
        fs::create_dir_all(&left)?;
        fs::rename(out.join("board.pc.com_1.device"), left.join(CONSOLE))?;
        if leg.until() == Until::End {
            let text = fs::read_to_string(out.join(STATS)).unwrap_or_default();
            fs::write(left.join(STATS), stats::without_host(&text))?;
            fs::rename(out.join(CONFIG), left.join(CONFIG))?;
        } else {
            fs::rename(out.join(places::CHECKPOINT), left.join(places::CHECKPOINT))?;
            undated(&left.join(places::CHECKPOINT).join("m5.cpt"))?;
        }
        let summary = serde_json::to_vec_pretty(&summary(&followed.events)).unwrap_or_default();
        fs::write(left.join(SUMMARY), summary)?;
        Ok(self.store.import(&left, Time::from_seconds(0))?)
    }

    fn compare(&self, before: &Tree, now: &Tree) -> Result<(), Error> {
        let text = |tree: &Tree| self.text(StageName::Measure, tree, STATS);
        match stats::first_difference(&text(before)?, &text(now)?) {
            None => Ok(()),
            Some((statistic, before, now)) => Err(Error::Differs { statistic, before, now }),
        }
    }

    fn done(
        &self,
        name: StageName,
        key: Digest,
        tree: Tree,
        cpu: &'static str,
        seconds: Option<f64>,
    ) -> Result<Done, Error> {
        let summary: Summary = serde_json::from_str(&self.text(name, &tree, SUMMARY)?)
            .map_err(|error| Error::Unreadable { stage: name.name(), what: error.to_string() })?;
        let console = self.text(name, &tree, CONSOLE)?;
        let said = console.lines().filter_map(|line| console::read(line.as_bytes())).collect();
        let stage = Stage {
            stage: name,
            key,
            output: tree.digest(),
            reused: seconds.is_none(),
            ticks: summary.ticks,
            instructions: summary.instructions,
            host_seconds: seconds.unwrap_or_default(),
            cpu,
        };
        Ok(Done { stage, summary, tree, console, said })
    }

    /// A file of what a stage left.
    fn text(&self, stage: StageName, tree: &Tree, name: &str) -> Result<String, Error> {
        let content = tree.content(&GuestPath::new(name)?).ok_or_else(|| Error::Unreadable {
            stage: stage.name(),
            what: format!("there is no {name}"),
        })?;
        let bytes = fs::read(self.store.blob_path(&content.digest))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn verified(what: &str, path: &Path, expected: &Digest) -> Result<(), Error> {
    let now = digest_of(path)?;
    if now == *expected {
        return Ok(());
    }
    Err(Error::Damaged { what: what.to_owned(), expected: *expected, now })
}

/// The date is all that differs between two checkpoints of one state.
fn undated(cpt: &Path) -> Result<(), Error> {
    let text = fs::read_to_string(cpt)?;
    let kept: String =
        text.split_inclusive('\n').filter(|line| !line.starts_with("## checkpoint")).collect();
    fs::write(cpt, kept)?;
    Ok(())
}

fn summary(events: &[Event]) -> Summary {
    let mut invocations: Vec<Invocation> = Vec::new();
    let mut begun = None;
    for event in events {
        match (event.event.as_str(), event.n, begun) {
            ("work-begins", Some(_), _) => begun = Some((event.tick, event.insts)),
            ("work-ends", Some(n), Some((begin_tick, insts))) => invocations.push(Invocation {
                n,
                begin_tick,
                end_tick: event.tick,
                instructions: event.insts.saturating_sub(insts),
            }),
            _ => {}
        }
    }
    let last = events.iter().rev().find(|event| event.event != "heartbeat");
    let (ticks, instructions) = last.map_or((0, 0), |event| (event.tick, event.insts));
    Summary { ticks, instructions, invocations }
}

/// The last thing that a gem5 that failed said.
fn complaint(log: &Path, followed: &Followed) -> String {
    let unexpected = followed.events.iter().rev().find_map(|event| event.cause.clone());
    if let Some(cause) = unexpected {
        return format!("it stopped because of `{cause}`");
    }
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let words = last_words(&text).unwrap_or_else(|| "it said nothing".to_owned());
    format!("{words} ({})", followed.status)
}
