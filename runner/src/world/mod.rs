//! The world around the components of a test: sockets, files and time that are not the operating system's. The components
//! are the real ones; what they listen on, connect to and write is known by who does it.

mod far_side;
mod fault;
mod files;
mod net;
mod pages;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pipeline::doors::simulated::VirtualFiles;
use pipeline::doors::{Clock, Doors, Owner};
use pipeline::telemetry::Kind;

pub use fault::{Effect, Fault};
pub use files::SimulatedFiles;
pub use net::SimulatedNet;
pub use pages::Page;

use crate::decode::{Item, Moments};

/// What outlives a process that is killed: its disk, the far sides, and what they were told to do.
pub struct World {
    /// When the test starts, since 1970.
    pub start: Duration,
    /// The disk.
    pub files: VirtualFiles,
    /// What is served at addresses that are not the config's own.
    pub pages: Vec<Page>,
    /// What goes wrong, by exporter.
    pub faults: BTreeMap<String, Vec<Fault>>,
    seen: Mutex<Seen>,
}

/// What was seen at the doors.
#[derive(Default)]
struct Seen {
    sent: BTreeMap<String, Sent>,
    listening: Vec<(Owner, String)>,
    written: Vec<(Owner, std::path::PathBuf)>,
}

/// What an exporter sent, or tried to.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    /// What was taken.
    pub items: Vec<Item>,
    /// Requests that were taken.
    pub taken: usize,
    /// Requests that were refused or not answered because of a fault.
    pub refused: usize,
    /// Requests that no far side would take, and why.
    pub malformed: Vec<String>,
}

impl World {
    /// A world that begins at that time.
    pub fn new(start: Duration, pages: Vec<Page>, faults: BTreeMap<String, Vec<Fault>>) -> World {
        let files = VirtualFiles::new(Clock::system());
        // What the kernel says of a process that is small, on a machine that is not.
        files.put("/proc/self/status", "Name:\tslipring\nVmRSS:\t   16384 kB\n");
        files.put("/proc/meminfo", "MemTotal:       16384000 kB\n");
        World { start, files, pages, faults, seen: Mutex::default() }
    }

    /// The doors of a process that starts now, so long after the start. Must be called inside a runtime.
    pub fn doors(self: &Arc<World>, since_start: Duration) -> (Doors, SimulatedNet) {
        let clock = Clock::starting_at(self.start + since_start);
        self.files.set_clock(clock);
        self.seen().listening.clear();
        let net = SimulatedNet::new(self.clone(), clock);
        let files = SimulatedFiles::new(self.clone());
        (Doors { clock, net: Arc::new(net.clone()), files: Arc::new(files) }, net)
    }

    /// Writes times of this world.
    pub fn moments(&self) -> Moments {
        Moments { start: self.start }
    }

    /// What an exporter sent over the network, or tried to.
    pub fn sent(&self, exporter: &str) -> Sent {
        self.seen().sent.get(exporter).cloned().unwrap_or_default()
    }

    /// Where a component listens.
    pub fn listening(&self, kind: Kind, id: &str) -> Vec<String> {
        let seen = self.seen();
        let of = seen.listening.iter().filter(|(owner, _)| owner.kind == kind && owner.id.to_string() == id);
        of.map(|(_, address)| address.clone()).collect()
    }

    /// The files that a component has written, each once.
    pub fn written(&self, kind: Kind, id: &str) -> Vec<std::path::PathBuf> {
        let seen = self.seen();
        let of = seen.written.iter().filter(|(owner, _)| owner.kind == kind && owner.id.to_string() == id);
        let mut paths: Vec<_> = of.map(|(_, path)| path.clone()).collect();
        paths.sort();
        paths.dedup();
        paths
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, exporter: &str, note: impl FnOnce(&mut Sent)) {
        note(self.seen().sent.entry(exporter.to_owned()).or_default());
    }

    /// The fault that an exporter meets now. One that lasts for so many requests is used up by being asked for.
    fn fault(&self, exporter: &str, now: Duration, is: impl Fn(&Effect) -> bool) -> Option<&Fault> {
        let since = now.saturating_sub(self.start);
        let faults = self.faults.get(exporter)?;
        faults.iter().find(|fault| is(&fault.effect) && fault.is_on(since) && fault.take())
    }
}
