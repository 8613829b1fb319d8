//! Everything around a component in a test: fresh metrics and virtual doors.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::{Series, VirtualFiles, VirtualNet};
use crate::batch::Signal;
use crate::component::Context;
use crate::config::ComponentId;
use crate::doors::{Clock, Doors};
use crate::extensions::Extensions;
use crate::graph::Surroundings;
use crate::shared::Shared;
use crate::telemetry::{Drops, Health, Kind, Meter, Pages};

/// The wall time at which a virtual world starts: 2026-01-01T00:00:00Z.
pub const START: Duration = Duration::from_secs(1_767_225_600);

/// A virtual world: its clock runs with tokio's time, its sockets are in memory.
#[derive(Clone)]
pub struct World {
    /// Own metrics of everything in it.
    pub meter: Meter,
    /// Its sockets.
    pub net: VirtualNet,
    /// Its files.
    pub files: VirtualFiles,
    /// Pages of its components.
    pub pages: Pages,
    /// The extensions of its components.
    pub extensions: Extensions,
    /// The state of its components.
    pub health: Health,
    /// Its doors, for building components.
    pub doors: Doors,
    /// The tasks of its components.
    pub tasks: TaskTracker,
}

impl World {
    /// A new world.
    pub fn new() -> World {
        let clock = Clock::starting_at(START);
        let net = VirtualNet::new();
        let files = VirtualFiles::new(clock);
        let doors = Doors { clock, net: Arc::new(net.clone()), files: Arc::new(files.clone()) };
        World {
            meter: Meter::with_clock(clock),
            net,
            files,
            pages: Pages::new(),
            extensions: Extensions::new(),
            health: Health::new(clock),
            doors,
            tasks: TaskTracker::new(),
        }
    }

    /// The same world with the machine's own files, for what a test reads from the project's `tests/data`.
    #[must_use]
    pub fn with_real_files(mut self) -> World {
        self.doors.files = Doors::real().files;
        self
    }

    /// What a graph's components may use.
    pub fn surroundings(&self) -> Surroundings {
        Surroundings {
            doors: self.doors.clone(),
            meter: self.meter.clone(),
            pages: self.pages.clone(),
            health: self.health.clone(),
        }
    }

    /// The context of the component `type` or `type/name`, without a signal.
    pub fn context(&self, id: &str) -> Context {
        let (kind, name) = id.split_once('/').unwrap_or((id, ""));
        let id = ComponentId::new(kind, name);
        Context {
            drops: Drops::new(&self.meter, &id),
            // Whatever it is: a test that cares for the kind asks the health of its own.
            reporter: self.health.reporter(Kind::Receiver, &id, None),
            extensions: self.extensions.clone(),
            health: self.health.clone(),
            id,
            pipeline: Arc::from(""),
            signal: None,
            meter: self.meter.clone(),
            doors: self.doors.clone(),
            pages: self.pages.clone(),
            shared: Shared::default(),
            data_dir: PathBuf::from("/var/lib/slipring"),
            tasks: self.tasks.clone(),
        }
    }

    /// The context of a processor or exporter for one signal.
    pub fn context_for(&self, id: &str, signal: Signal) -> Context {
        let pipeline = Arc::from(signal.name());
        Context { signal: Some(signal), pipeline, ..self.context(id) }
    }

    /// What the drop ledger has counted for a component (`type/name`): signal name, reason code, items; sorted.
    pub fn dropped(&self, component: &str) -> Vec<(String, String, u64)> {
        let label = |series: &Series, name: &str| series.labels.get(name).cloned().unwrap_or_default();
        let mut drops: Vec<_> = super::series(&self.meter, "slipring_dropped_items_total")
            .into_iter()
            .filter(|s| label(s, "component") == component)
            .map(|s| (label(&s, "signal"), label(&s, "reason"), s.count()))
            .collect();
        drops.sort();
        drops
    }
}

impl Default for World {
    fn default() -> World {
        World::new()
    }
}

/// The context of the component `type` or `type/name` in a world of its own.
pub fn context(id: &str) -> Context {
    World::new().context(id)
}
