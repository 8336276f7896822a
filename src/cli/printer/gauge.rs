use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{PLAIN_EVERY, Printer, Show, WORTH_A_LINE};

/// How far one thing is that is counted in bytes: a bar on a terminal, elsewhere a line now and then.
pub(in crate::cli) struct Gauge<'p> {
    printer: &'p Printer,
    what: String,
    bar: Option<ProgressBar>,
    /// When the next line is due.
    due: Mutex<Instant>,
}

impl Printer {
    /// Begins to show how far something is. `what` stands before the numbers.
    pub(in crate::cli) fn gauge(&self, what: &str) -> Gauge<'_> {
        let bar = match &self.show {
            Show::Live { all, .. } => {
                let bar = all.add(ProgressBar::new(0));
                bar.set_draw_target(ProgressDrawTarget::stderr());
                let style = "{elapsed:>6} [{bar:28}] {msg}";
                bar.set_style(
                    ProgressStyle::with_template(style)
                        .unwrap_or_else(|_| ProgressStyle::default_bar()),
                );
                bar.set_message(what.to_owned());
                bar.enable_steady_tick(std::time::Duration::from_millis(200));
                Some(bar)
            }
            Show::Nothing | Show::Lines => None,
        };
        let due = Mutex::new(Instant::now() + WORTH_A_LINE);
        Gauge { printer: self, what: what.to_owned(), bar, due }
    }
}

impl Gauge<'_> {
    /// So many bytes of so many are done.
    pub(in crate::cli) fn reach(&self, now: u64, total: u64) {
        let words = || format!("{}: {} of {}", self.what, HumanBytes(now), HumanBytes(total));
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(now);
            bar.set_message(words());
            return;
        }
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if Instant::now() >= *due {
            *due = Instant::now() + PLAIN_EVERY;
            drop(due);
            if matches!(self.printer.show, Show::Lines) {
                self.printer.say(&words());
            }
        }
    }
}

impl Drop for Gauge<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
