//! The state of the process and of each component: what `/status`, `health_check` and `zpages` show.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Kind;
use crate::batch::Signal;
use crate::config::ComponentId;
use crate::doors::Clock;
use crate::plan::Pipeline;

/// Where a component, or the process, is in its life. The names are the collector's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It begins.
    Starting,
    /// It works.
    Ok,
    /// Something goes wrong that may heal, such as a far side that does not answer.
    Recoverable,
    /// Something is wrong that will not heal, such as credentials that are refused.
    Permanent,
    /// It has failed for good.
    Fatal,
    /// It ends.
    Stopping,
    /// It has ended.
    Stopped,
}

impl State {
    const ALL: [State; 7] = [
        State::Starting,
        State::Ok,
        State::Recoverable,
        State::Permanent,
        State::Fatal,
        State::Stopping,
        State::Stopped,
    ];

    /// As the collector's `/status` has it.
    pub const fn name(self) -> &'static str {
        match self {
            State::Starting => "StatusStarting",
            State::Ok => "StatusOK",
            State::Recoverable => "StatusRecoverableError",
            State::Permanent => "StatusPermanentError",
            State::Fatal => "StatusFatalError",
            State::Stopping => "StatusStopping",
            State::Stopped => "StatusStopped",
        }
    }

    fn of(number: u8) -> State {
        State::ALL.get(usize::from(number)).copied().unwrap_or(State::Starting)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which component: an exporter is there once for each signal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Who {
    /// Its kind.
    pub kind: Kind,
    /// Its id.
    pub id: ComponentId,
    /// Its signal, for exporters.
    pub signal: Option<Signal>,
}

/// The state of one component at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which one.
    pub who: Who,
    /// Its state.
    pub state: State,
    /// Since when, since 1970.
    pub since: Duration,
    /// The last thing that went wrong, though it may be over, and when.
    pub error: Option<(Arc<str>, Duration)>,
}

/// What is known of all components; clone is another handle on the same.
#[derive(Clone)]
pub struct Health {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    begun: Duration,
    process: Slot,
    components: Mutex<BTreeMap<Who, Arc<Slot>>>,
    pipelines: Mutex<Vec<Pipeline>>,
}

struct Slot {
    state: AtomicU8,
    more: Mutex<More>,
}

#[derive(Default)]
struct More {
    since: Duration,
    error: Option<(Arc<str>, Duration)>,
}

impl Slot {
    fn new(now: Duration) -> Slot {
        Slot { state: AtomicU8::new(State::Starting as u8), more: Mutex::new(More { since: now, error: None }) }
    }

    fn state(&self) -> State {
        State::of(self.state.load(Ordering::Relaxed))
    }

    fn more(&self) -> MutexGuard<'_, More> {
        self.more.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State, clock: Clock, error: Option<&str>) {
        let mut more = self.more();
        let now = clock.now();
        if self.state() != state {
            more.since = now;
            self.state.store(state as u8, Ordering::Relaxed);
        }
        if let Some(error) = error {
            more.error = Some((Arc::from(error), now));
        }
    }
}

impl Health {
    /// A process that begins now.
    pub fn new(clock: Clock) -> Health {
        let begun = clock.now();
        let (components, pipelines) = Default::default();
        Health { inner: Arc::new(Inner { clock, begun, process: Slot::new(begun), components, pipelines }) }
    }

    /// These are the pipelines of the process from now on.
    pub fn describe(&self, pipelines: Vec<Pipeline>) {
        *self.inner.pipelines.lock().unwrap_or_else(PoisonError::into_inner) = pipelines;
    }

    /// The pipelines.
    pub fn pipelines(&self) -> Vec<Pipeline> {
        self.inner.pipelines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The process is in that state from now on.
    pub fn process_is(&self, state: State) {
        self.inner.process.set(state, self.inner.clock, None);
    }

    /// The state of the process, and since when, since 1970.
    pub fn process(&self) -> (State, Duration) {
        (self.inner.process.state(), self.inner.process.more().since)
    }

    /// When the process began, since 1970.
    pub fn begun(&self) -> Duration {
        self.inner.begun
    }

    /// The clock of all times here.
    pub fn clock(&self) -> Clock {
        self.inner.clock
    }

    /// Where a component says how it is. It is listed from now on, as starting.
    pub fn reporter(&self, kind: Kind, id: &ComponentId, signal: Option<Signal>) -> Reporter {
        let now = self.inner.clock.now();
        let who = Who { kind, id: id.clone(), signal };
        let slot = self.components().entry(who.clone()).or_insert_with(|| Arc::new(Slot::new(now))).clone();
        Reporter { health: self.clone(), who, slot }
    }

    /// All components, sorted by kind and id.
    pub fn all(&self) -> Vec<Status> {
        let status = |(who, slot): (&Who, &Arc<Slot>)| {
            let more = slot.more();
            Status { who: who.clone(), state: slot.state(), since: more.since, error: more.error.clone() }
        };
        self.components().iter().map(status).collect()
    }

    fn components(&self) -> MutexGuard<'_, BTreeMap<Who, Arc<Slot>>> {
        self.inner.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says how one component is; clone says it of the same.
#[derive(Clone)]
pub struct Reporter {
    health: Health,
    who: Who,
    slot: Arc<Slot>,
}

impl Reporter {
    /// It begins.
    pub fn starting(&self) {
        self.set(State::Starting, None);
    }

    /// It works, or works again. Costs nothing where that is known.
    pub fn ok(&self) {
        if self.slot.state() != State::Ok {
            self.set(State::Ok, None);
        }
    }

    /// Something goes wrong that may heal. Nothing secret may be in the text.
    pub fn recoverable(&self, error: &str) {
        self.set(State::Recoverable, Some(error));
    }

    /// Something is wrong that will not heal.
    pub fn permanent(&self, error: &str) {
        self.set(State::Permanent, Some(error));
    }

    /// It has failed for good.
    pub fn fatal(&self, error: &str) {
        self.set(State::Fatal, Some(error));
    }

    /// It ends.
    pub fn stopping(&self) {
        self.set(State::Stopping, None);
    }

    /// It has ended.
    pub fn stopped(&self) {
        if self.slot.state() != State::Fatal {
            self.set(State::Stopped, None);
        }
    }

    /// Whether both speak of the same component.
    pub fn is_of_same(&self, other: &Reporter) -> bool {
        self.who == other.who
    }

    /// It is not there any more: a config without it has been loaded.
    pub fn gone(&self) {
        let mut all = self.health.components();
        if all.get(&self.who).is_some_and(|slot| Arc::ptr_eq(slot, &self.slot)) {
            all.remove(&self.who);
        }
    }

    fn set(&self, state: State, error: Option<&str>) {
        self.slot.set(state, self.health.inner.clock, error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_last_error_stays_when_all_is_well_again() {
        let health = Health::new(Clock::starting_at(Duration::from_secs(100)));
        let far = health.reporter(Kind::Exporter, &ComponentId::new("otlp", ""), Some(Signal::Logs));
        tokio::time::advance(Duration::from_secs(1)).await;
        far.ok();
        tokio::time::advance(Duration::from_secs(1)).await;
        far.recoverable("nobody is there");
        tokio::time::advance(Duration::from_secs(1)).await;
        far.recoverable("still nobody");
        let now = |health: &Health| health.all().pop().map(|s| (s.state, s.since.as_secs(), s.error)).unwrap();
        let error = Some((Arc::from("still nobody"), Duration::from_secs(103)));
        assert_eq!(now(&health), (State::Recoverable, 102, error.clone()));
        far.ok();
        assert_eq!(now(&health), (State::Ok, 103, error));
        far.gone();
        assert_eq!(health.all(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn the_process_has_a_state_of_its_own() {
        let health = Health::new(Clock::starting_at(Duration::from_secs(5)));
        assert_eq!(health.process(), (State::Starting, Duration::from_secs(5)));
        tokio::time::advance(Duration::from_secs(2)).await;
        health.process_is(State::Ok);
        assert_eq!(health.clone().process(), (State::Ok, Duration::from_secs(7)));
    }
}
