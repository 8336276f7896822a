//! Takes what others have made, and makes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{
    CONNECTIONS, Error, Event, How, Realised, Watch, Work, fetch_of,
    schedule::{self, Lane, Lanes, Task},
    substitute::Others,
    survey::{self, Survey},
};
use crate::{
    cache::{Answers, Substituters},
    digest::Digest,
    plan::{Fetch, Plan, StepId},
    store::Store,
};

/// What is there, and what others had.
pub(super) struct Begun<'a> {
    pub(super) outputs: Vec<Option<Digest>>,
    /// What would have to be made.
    pub(super) missing: BTreeSet<StepId>,
    pub(super) substituted: usize,
    pub(super) others: Option<Others<'a>>,
}

/// Looks at what is there, and brings what caches have of the rest.
pub(super) fn begin<'a>(
    plan: &'a Plan,
    goals: &[StepId],
    store: &'a Store,
    from: Option<&'a Substituters>,
    watch: &'a dyn Watch,
) -> Result<Begun<'a>, Error> {
    let Survey { mut outputs, mut missing, used } = survey::survey(plan, goals, store)?;
    used.iter().try_for_each(|key| store.note_use(key))?;
    let (mut others, mut substituted) = (None, 0);
    if let Some(from) = from.filter(|_| !missing.is_empty()) {
        let asked = Others::ask(plan, goals, &outputs, from, store, watch)?;
        asked.judge(goals, &mut outputs)?;
        substituted = asked.pull(goals, &outputs)?.len();
        missing = survey::way(plan, goals, &outputs, store).missing;
        others = Some(asked);
    }
    Ok(Begun { outputs, missing, substituted, others })
}

/// What could be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What is known now.
    pub realised: Realised,
    /// The steps that would have to be made, since nobody who is believed has what came of them: those of goals, and what
    /// is below them. Nothing, if all goals are there.
    pub missing: BTreeSet<StepId>,
}

/// Brings `goals` from others, as far as they have them, and makes nothing.
pub fn take(
    plan: &Plan,
    goals: &[StepId],
    from: &Substituters,
    store: &Store,
    watch: &dyn Watch,
) -> Result<Taken, Error> {
    let Begun { outputs, missing, substituted, others } =
        begin(plan, goals, store, Some(from), watch)?;
    let answers = others.map_or_else(Answers::default, Others::into_answers);
    Ok(Taken { realised: Realised { outputs, made: 0, substituted, answers }, missing })
}

/// What came of asking for fetched files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inputs {
    /// How many were brought.
    pub brought: usize,
    /// Those that nobody has, by their steps.
    pub lacking: BTreeSet<StepId>,
}

/// Brings all files that `goals` are made from and that are not in the store, from caches alone.
pub fn take_inputs(
    plan: &Plan,
    goals: &[StepId],
    from: &Substituters,
    store: &Store,
    watch: &dyn Watch,
) -> Result<Inputs, Error> {
    let closure = plan.closure(goals.iter().copied());
    let wanted: BTreeMap<StepId, &Fetch> = closure
        .into_iter()
        .filter_map(|id| Some((id, fetch_of(plan, id)?)))
        .filter(|(_, fetch)| !store.has_blob(&fetch.sha256))
        .collect();
    let bytes = wanted.values().map(|fetch| fetch.size).sum();
    watch.see(Event::Begin { steps: wanted.len(), bytes });
    let task = |id: &StepId| (*id, Task { lane: Lane::Network, after: BTreeSet::new() });
    let lanes = Lanes { network: CONNECTIONS, cores: 1 };
    let (brought, lacking) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    schedule::run(wanted.keys().map(task).collect(), lanes, |id| {
        watch.see(Event::Start { id, work: Work::Fetch, name: &plan.step(id).name });
        let how = input(id, wanted[&id], from, store, watch)?;
        match how {
            How::Substituted => drop(brought.fetch_add(1, Ordering::Relaxed)),
            How::Absent => {
                lacking.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
            }
            How::Made | How::Found => (),
        }
        watch.see(Event::Done { id, how });
        Ok::<_, Error>(())
    })?;
    for trouble in from.troubles() {
        watch.see(Event::Note { text: trouble.to_string() });
    }
    let lacking = lacking.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(Inputs { brought: brought.into_inner(), lacking })
}

fn input(
    id: StepId,
    fetch: &Fetch,
    from: &Substituters,
    store: &Store,
    watch: &dyn Watch,
) -> Result<How, Error> {
    let _lease = store.lease(&fetch.sha256, &mut |pid| watch.see(Event::Waiting { id, pid }))?;
    if store.has_blob(&fetch.sha256) {
        return Ok(How::Found);
    }
    let partial = store.partial(&fetch.sha256)?;
    let reached = |now: u64| watch.see(Event::Bytes { id, now });
    if !from.input(&fetch.sha256, fetch.size, &partial, &reached)? {
        return Ok(How::Absent);
    }
    store.adopt(&partial, &fetch.sha256)?;
    Ok(How::Substituted)
}
