//! Runs many steps at once, each after those it needs. The only file of this room with threads.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use crate::plan::StepId;

/// How many steps may run at once, by what they wait for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lanes {
    /// Steps that wait for the network.
    pub(super) network: usize,
    /// Steps that keep a core busy.
    pub(super) cores: usize,
}

/// What a step keeps busy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    /// A script that takes long; these start first, so that nothing waits for them in the end.
    Script,
    /// A core for a short while.
    Core,
    /// The network.
    Network,
}

/// A step to run.
#[derive(Debug, Clone)]
pub(super) struct Task {
    /// What it keeps busy.
    pub(super) lane: Lane,
    /// Tasks that must be done before.
    pub(super) after: BTreeSet<StepId>,
}

struct State<E> {
    waiting: BTreeMap<StepId, Task>,
    ready: BTreeSet<(Lane, StepId)>,
    failure: Option<E>,
}

impl<E> State<E> {
    fn promote(&mut self) {
        let free = |task: &Task| task.after.is_empty();
        let ready: Vec<StepId> =
            self.waiting.iter().filter(|(_, task)| free(task)).map(|(id, _)| *id).collect();
        for id in ready {
            if let Some(task) = self.waiting.remove(&id) {
                self.ready.insert((task.lane, id));
            }
        }
    }

    fn over(&self) -> bool {
        self.failure.is_some() || (self.ready.is_empty() && self.waiting.is_empty())
    }

    fn done(&mut self, id: StepId) {
        for task in self.waiting.values_mut() {
            task.after.remove(&id);
        }
        self.promote();
    }
}

/// Runs `work` on every task, and stops giving out more at the first failure, which it returns once all are quiet.
pub(super) fn run<E: Send>(
    tasks: BTreeMap<StepId, Task>,
    lanes: Lanes,
    work: impl Fn(StepId) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let mut state = State { waiting: tasks, ready: BTreeSet::new(), failure: None };
    state.promote();
    let shared = (Mutex::new(state), Condvar::new());
    let worker = |takes: &[Lane]| serve(&shared, takes, &work);
    thread::scope(|scope| {
        for _ in 0..lanes.network.max(1) {
            scope.spawn(|| worker(&[Lane::Network]));
        }
        for _ in 0..lanes.cores.max(1) {
            scope.spawn(|| worker(&[Lane::Script, Lane::Core]));
        }
    });
    let state = shared.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.failure.map_or(Ok(()), Err)
}

fn serve<E>(
    (state, changed): &(Mutex<State<E>>, Condvar),
    takes: &[Lane],
    work: &(impl Fn(StepId) -> Result<(), E> + Sync),
) {
    let lock =
        || -> MutexGuard<'_, State<E>> { state.lock().unwrap_or_else(PoisonError::into_inner) };
    loop {
        let mut guard = lock();
        let id = loop {
            if guard.over() {
                return;
            }
            let next = guard.ready.iter().find(|(lane, _)| takes.contains(lane)).copied();
            if let Some(next) = next {
                guard.ready.remove(&next);
                break next.1;
            }
            guard = changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        };
        drop(guard);
        let result = work(id);
        let mut guard = lock();
        match result {
            Ok(()) => guard.done(id),
            Err(error) => {
                guard.failure.get_or_insert(error);
            }
        }
        changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::StepId;

    fn ids(count: usize) -> Vec<StepId> {
        (0..count).map(StepId::for_test).collect()
    }

    const LANES: Lanes = Lanes { network: 3, cores: 2 };

    #[test]
    fn a_step_runs_once_and_after_what_it_needs() {
        let ids = ids(40);
        let tasks = ids.iter().enumerate().map(|(index, id)| {
            let after = ids[..index].iter().rev().step_by(3).copied().collect();
            let lane = [Lane::Network, Lane::Core, Lane::Script][index % 3];
            (*id, Task { lane, after })
        });
        let tasks: BTreeMap<StepId, Task> = tasks.collect();
        let done = Mutex::new(Vec::new());
        let result = run(tasks.clone(), LANES, |id| {
            let mut done = done.lock().unwrap();
            assert!(tasks[&id].after.iter().all(|need| done.contains(need)));
            done.push(id);
            Ok::<_, ()>(())
        });
        assert_eq!(result, Ok(()));
        let mut done = done.into_inner().unwrap();
        done.sort();
        assert_eq!(done, ids);
    }

    #[test]
    fn a_failure_stops_what_has_not_begun() {
        let ids = ids(3);
        let task =
            |after: &[StepId]| Task { lane: Lane::Core, after: after.iter().copied().collect() };
        let tasks = [(ids[0], task(&[])), (ids[1], task(&ids[..1])), (ids[2], task(&ids[..2]))];
        let begun = Mutex::new(Vec::new());
        let result = run(tasks.into(), LANES, |id| {
            begun.lock().unwrap().push(id);
            if id == ids[1] { Err("broken") } else { Ok(()) }
        });
        assert_eq!(result, Err("broken"));
        assert_eq!(begun.into_inner().unwrap(), ids[..2]);
    }
}
