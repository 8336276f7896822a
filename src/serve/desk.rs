use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock, atomic::Ordering},
};

use axum::{
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use tokio::sync::Semaphore;

use super::{
    access::{self, Caller, Refusal, Right},
    config::{Config, Reading},
    log::Log,
    metrics::Metrics,
    tokens::Tokens,
    usage::Usage,
};
use crate::{remote::Directory, trust::Keys};

/// What every request is answered from.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) dir: PathBuf,
    pub(super) files: Directory,
    pub(super) config: Config,
    pub(super) keys: Keys,
    pub(super) tokens: RwLock<Arc<Tokens>>,
    pub(super) usage: Arc<Usage>,
    pub(super) metrics: Metrics,
    pub(super) log: Log,
    /// Uploads that are checked at once: each unpacks, which takes a core and some memory.
    pub(super) checks: Semaphore,
    /// Lists that are made at once: each walks the directory in a thread.
    pub(super) lists: Arc<Semaphore>,
}

impl Desk {
    /// Whose token a request shows.
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Refusal> {
        let Some(token) = access::shown(headers) else { return Ok(Caller::nobody()) };
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner).clone();
        tokens.find(token).ok_or(Refusal::WrongToken)
    }

    /// Whether somebody may read.
    pub(super) fn may_read(&self, caller: &Caller) -> Result<(), Refusal> {
        match self.config.read {
            Reading::Anyone => Ok(()),
            Reading::Token => caller.must(Right::Read),
        }
    }

    /// A line for the log.
    pub(super) fn say(&self, line: &str) {
        if !self.log.line(line) {
            self.metrics.lines_lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A refusal as an answer. What is our own fault is told to the log and not to the client.
    pub(super) fn refuse(&self, refusal: Refusal) -> Response {
        if let Refusal::Fault(error) = &refusal {
            self.say(&format!("fault: {error}"));
        }
        refusal.into_response()
    }
}
