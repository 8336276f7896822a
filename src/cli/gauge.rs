//! How far one long piece of work is, that has no steps.

use std::{
    io::IsTerminal,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

use super::context::Context;

/// How often a plain log says how far it is.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Shows progress on standard error: a bar on a terminal, a line every few seconds elsewhere.
pub(super) struct Gauge<'c> {
    context: &'c Context,
    bar: Option<ProgressBar>,
    said: Mutex<Instant>,
}

impl<'c> Gauge<'c> {
    pub(super) fn new(context: &'c Context) -> Self {
        let shown = !context.global.quiet && std::io::stderr().is_terminal();
        let bar = shown.then(|| {
            let style =
                ProgressStyle::with_template("{elapsed:>6} [{bar:28}] {percent:>3} % {msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style)
        });
        Self { context, bar, said: Mutex::new(Instant::now()) }
    }

    /// Takes note of work: what it is, how much is done, and how much there is.
    pub(super) fn tell(&self, what: &str, done: u64, total: u64) {
        if let Some(bar) = &self.bar {
            bar.set_length(total);
            bar.set_position(done);
            bar.set_message(what.to_owned());
            return;
        }
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.elapsed() >= PLAIN_EVERY {
            *said = Instant::now();
            let percent = (done * 100).checked_div(total).unwrap_or_default();
            self.context.note(&format!("{what}: {percent} %"));
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
