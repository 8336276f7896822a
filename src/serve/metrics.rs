use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::http::Method;

use super::usage::Kept;
use crate::cache::Item;

/// What a file of a cache is: the directory that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Format,
    Packs,
    Indexes,
    Trees,
    Ways,
    Images,
    Inputs,
    Statements,
    Pins,
    Pushing,
}

impl Kind {
    pub(super) fn of(item: &Item) -> Self {
        match item {
            Item::Format => Self::Format,
            Item::Pack(_) => Self::Packs,
            Item::Index(_) => Self::Indexes,
            Item::Tree(_) => Self::Trees,
            Item::Way(_) => Self::Ways,
            Item::Image(_) => Self::Images,
            Item::Input(_) => Self::Inputs,
            Item::Statement { .. } => Self::Statements,
            Item::Pin(_) => Self::Pins,
            Item::Pushing(_) => Self::Pushing,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Packs => "packs",
            Self::Indexes => "indexes",
            Self::Trees => "trees",
            Self::Ways => "ways",
            Self::Images => "images",
            Self::Inputs => "inputs",
            Self::Statements => "statements",
            Self::Pins => "pins",
            Self::Pushing => "pushing",
        }
    }
}

/// What happened since the start.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    pub(super) received: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) turned_away: AtomicU64,
    pub(super) lines_lost: AtomicU64,
    pub(super) collected: AtomicU64,
}

impl Metrics {
    pub(super) fn request(&self, method: &Method, status: u16) {
        // A client must not make us count ever new words.
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            _ => "other",
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((method, status)).or_default() += 1;
    }

    pub(super) fn refused(&self, why: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(why).or_default() += 1;
    }

    /// All of it in Prometheus' text format, version 0.0.4.
    pub(super) fn text(&self, kept: &Kept, quota: Option<u64>) -> String {
        let mut text = Text(String::new());
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        text.head("requests_total", "counter", "Requests answered.");
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for ((method, status), count) in requests.iter() {
            text.line(
                &format!("requests_total{{method=\"{method}\",status=\"{status}\"}}"),
                *count,
            );
        }
        drop(requests);
        text.head("uploads_refused_total", "counter", "Uploads refused, by why.");
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        for (why, count) in refused.iter() {
            text.line(&format!("uploads_refused_total{{why=\"{why}\"}}"), *count);
        }
        drop(refused);
        text.one("received_bytes_total", "counter", "Bytes of uploads.", read(&self.received));
        text.one("sent_bytes_total", "counter", "Bytes of answers.", read(&self.sent));
        text.one("connections", "gauge", "Connections now.", read(&self.connections));
        let away = read(&self.turned_away);
        text.one("connections_refused_total", "counter", "Connections over the limit.", away);
        let lost = read(&self.lines_lost);
        text.one(
            "log_lines_lost_total",
            "counter",
            "Lines that the access log did not take.",
            lost,
        );
        let collected = read(&self.collected);
        text.one("collected_bytes_total", "counter", "Bytes of garbage removed.", collected);
        text.head("objects", "gauge", "Files kept, by kind.");
        for (kind, count) in &kept.kinds {
            text.line(&format!("objects{{kind=\"{}\"}}", kind.word()), count.files);
        }
        text.head("kept_bytes", "gauge", "Bytes kept, by kind.");
        for (kind, count) in &kept.kinds {
            text.line(&format!("kept_bytes{{kind=\"{}\"}}", kind.word()), count.bytes);
        }
        if let Some(quota) = quota {
            text.one("quota_bytes", "gauge", "Bytes that may be kept.", quota);
        }
        text.0
    }
}

/// Metrics as text. Writing to a String cannot fail.
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(
            self.0,
            "# HELP vsbuild_cache_{name} {help}\n# TYPE vsbuild_cache_{name} {kind}\n"
        );
    }

    fn line(&mut self, name: &str, value: u64) {
        let _ = writeln!(self.0, "vsbuild_cache_{name} {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        self.line(name, value);
    }
}
