//! Progress on standard error: live on a terminal, plain lines elsewhere.

mod gauge;

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

use crate::{
    plan::StepId,
    realise::{Event, How, Watch, Work},
};

/// How often a plain log says how far it is.
const PLAIN_EVERY: Duration = Duration::from_secs(5);
/// Steps that took less are not worth a line.
const WORTH_A_LINE: Duration = Duration::from_secs(1);

/// Where progress is shown.
pub(super) struct Printer {
    show: Show,
    state: Mutex<State>,
}

enum Show {
    Nothing,
    Lines,
    Live { all: MultiProgress, total: ProgressBar },
}

#[derive(Default)]
struct State {
    steps: usize,
    done: usize,
    bytes: u64,
    arrived: BTreeMap<StepId, u64>,
    active: BTreeMap<StepId, Active>,
    said: Option<Instant>,
}

struct Active {
    work: Work,
    name: String,
    since: Instant,
    bar: Option<ProgressBar>,
}

impl Printer {
    /// Live if standard error is a terminal.
    pub(super) fn new(quiet: bool) -> Self {
        let show = if quiet {
            Show::Nothing
        } else if std::io::stderr().is_terminal() {
            let all = MultiProgress::new();
            let total = all.add(ProgressBar::hidden());
            Show::Live { all, total }
        } else {
            Show::Lines
        };
        Self { show, state: Mutex::default() }
    }

    /// A line for a person that stays.
    pub(super) fn say(&self, line: &str) {
        match &self.show {
            Show::Nothing => (),
            // Nobody reads the messages if standard error is closed.
            Show::Lines => drop(writeln!(std::io::stderr(), "{line}")),
            Show::Live { all, .. } => drop(all.println(line)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, steps: usize, bytes: u64) {
        let mut state = self.state();
        *state = State { steps, bytes, ..State::default() };
        if steps == 0 {
            return;
        }
        if let Show::Live { total, .. } = &self.show {
            let style = "{elapsed:>6} [{bar:28}] {pos}/{len} steps {msg}";
            total.set_draw_target(indicatif::ProgressDrawTarget::stderr());
            total.set_style(
                ProgressStyle::with_template(style)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            total.set_length(steps as u64);
            total.enable_steady_tick(Duration::from_millis(200));
        }
        if bytes > 0 {
            self.say(&format!("{} to do, {} to fetch", count(steps, "step"), HumanBytes(bytes)));
        } else {
            self.say(&format!("{} to do", count(steps, "step")));
        }
    }

    fn start(&self, id: StepId, work: Work, name: &str) {
        let bar = match &self.show {
            Show::Live { all, .. } => {
                let bar = all.add(ProgressBar::new_spinner());
                bar.set_message(format!("{} {name}", verb(work)));
                bar.enable_steady_tick(Duration::from_millis(200));
                Some(bar)
            }
            Show::Nothing | Show::Lines => None,
        };
        let active = Active { work, name: name.to_owned(), since: Instant::now(), bar };
        self.state().active.insert(id, active);
        if work == Work::Build && matches!(self.show, Show::Lines) {
            self.say(&format!("build {name}"));
        }
    }

    fn bytes(&self, id: StepId, now: u64) {
        let mut state = self.state();
        state.arrived.insert(id, now);
        self.tell(&mut state);
    }

    fn done(&self, id: StepId, how: How) {
        let mut state = self.state();
        state.done += 1;
        let active = state.active.remove(&id);
        self.tell(&mut state);
        drop(state);
        let Some(Active { work, name, since, bar }) = active else { return };
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let took = since.elapsed();
        let did = match how {
            How::Made => work != Work::Fetch,
            How::Substituted => work == Work::Substitute,
            How::Found | How::Absent => false,
        };
        if did && took >= WORTH_A_LINE {
            self.say(&format!("{} {name}: done in {}", verb(work), duration(took)));
        }
    }

    /// Brings the total up to date; in a plain log not more often than every few seconds.
    fn tell(&self, state: &mut State) {
        let arrived: u64 = state.arrived.values().sum();
        let share = format!("{} of {}", HumanBytes(arrived), HumanBytes(state.bytes));
        match &self.show {
            Show::Nothing => (),
            Show::Live { total, .. } => {
                total.set_position(state.done as u64);
                if state.bytes > 0 {
                    total.set_message(share);
                }
                if state.done == state.steps {
                    total.finish_and_clear();
                }
            }
            Show::Lines => {
                let due = state.said.is_none_or(|said| said.elapsed() >= PLAIN_EVERY);
                if due && state.said.replace(Instant::now()).is_some() {
                    let fetched =
                        if state.bytes > 0 { format!(", {share}") } else { String::new() };
                    self.say(&format!("{} of {} steps{fetched}", state.done, state.steps));
                }
            }
        }
    }

    fn name(&self, id: StepId) -> String {
        self.state().active.get(&id).map(|active| active.name.clone()).unwrap_or_default()
    }
}

impl Watch for Printer {
    fn see(&self, event: Event<'_>) {
        match event {
            Event::Begin { steps, bytes } => self.begin(steps, bytes),
            Event::Start { id, work, name } => self.start(id, work, name),
            Event::Bytes { id, now } => self.bytes(id, now),
            Event::Waiting { id, pid } => {
                let whom = pid
                    .map_or_else(|| "another vsbuild".to_owned(), |pid| format!("vsbuild {pid}"));
                self.say(&format!("{}: waiting for {whom}, which makes it", self.name(id)));
            }
            Event::Retry { id, why } => {
                self.say(&format!("{}: {why}; trying again", self.name(id)))
            }
            Event::Note { text } => self.say(&text),
            Event::Done { id, how } => self.done(id, how),
        }
    }
}

fn verb(work: Work) -> &'static str {
    match work {
        Work::Fetch => "fetch",
        Work::Unpack => "unpack",
        Work::Merge => "merge",
        Work::Build => "build",
        Work::Substitute => "take",
    }
}

/// A time for a person: `0.35 s`, `12 s`, `10 min 4 s`.
pub(super) fn duration(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.2} s", time.as_secs_f64()),
        10..60 => format!("{} s", time.as_secs()),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// A number of things for a person: `1 step`, `2 steps`.
pub(super) fn count(number: usize, thing: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{end}")
}

/// The first names of a list, at most `most`, and how many more there are.
pub(super) fn first<N: Into<String>>(
    names: impl ExactSizeIterator<Item = N>,
    most: usize,
) -> Vec<String> {
    let count = names.len();
    let mut names: Vec<String> = names.take(most).map(Into::into).collect();
    if count > names.len() {
        names.push(format!("and {} more", count - names.len()));
    }
    names
}

/// A size for a person: `1.50 MiB`.
pub(super) fn size(bytes: u64) -> String {
    HumanBytes(bytes).to_string()
}
