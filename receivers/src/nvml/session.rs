//! The thread that talks to the driver: it opens the library, and makes a pass over all GPUs for each question. Calls into
//! the driver block, sometimes for long, so no other thread makes any but the one that waits for XIDs.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use pipeline::doors::Files;
use tokio::sync::mpsc;

use super::catalogue::{Catalogue, Own, Place};
use super::config::Config;
use super::device::{Verdict, verdict};
use super::gpu::{Around, Gpu};
use super::labels::{Host, Identity, Labels};
use super::owners::Owners;
use super::pods::Pods;
use super::points::Points;
use super::processes::Processes;
use super::reading::{Number, Set};
use super::semconv::{self, State};
use super::users::{self, Users};
use super::xids::{self, Orders, Seen, StopAtEnd, Xid};

/// GPUs whose XIDs are remembered.
const MOST_GPUS: usize = 1024;

/// What the thread needs to know once.
pub struct Settings {
    /// The config.
    pub config: Config,
    /// The metrics.
    pub catalogue: Catalogue,
    /// The readings that these need.
    pub wanted: Set,
    /// The host's name.
    pub host: String,
    /// Where `/proc` is.
    pub files: Arc<dyn Files>,
}

/// One question: a pass over all GPUs.
pub struct Ask {
    /// The time of the pass, nanoseconds since 1970.
    pub at: u64,
    /// XIDs since the last pass.
    pub xids: Vec<Xid>,
    /// Who uses what, as the kubelet says, or why it says nothing.
    pub owners: Result<Arc<Owners>, String>,
    /// What the Kubernetes API says of pods, if it is asked.
    pub pods: Option<Arc<Pods>>,
    /// Where the answer goes.
    pub reply: SyncSender<Pass>,
}

/// What a pass has given.
#[derive(Debug, Default)]
pub struct Pass {
    /// A serialized export request.
    pub request: Vec<u8>,
    /// Its data points.
    pub items: usize,
    /// Why there is no driver, if there is none.
    pub down: Option<String>,
    /// The GPUs and instances that have answered at least once, and who uses them.
    pub gpus: Vec<(Identity, Users)>,
    /// The host, with its driver.
    pub host: Host,
}

/// The thread, as others see it.
pub struct Thread {
    asks: SyncSender<Ask>,
    handle: thread::JoinHandle<()>,
}

impl Thread {
    /// Starts it; XIDs go to `xids` as they happen.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub fn start(settings: Arc<Settings>, xids: mpsc::Sender<Xid>) -> io::Result<Thread> {
        let (asks, asked) = sync_channel(1);
        let serve = move || {
            let processes = Processes::new(settings.files.clone(), settings.config.dynamo);
            let (seen, series) = (HashMap::new(), Vec::new());
            Server { settings: &settings, xids, seen, series, processes }.serve(&asked);
        };
        let handle = thread::Builder::new().name("nvml".to_owned()).spawn(serve)?;
        Ok(Thread { asks, handle })
    }

    /// Where questions go.
    pub fn asks(&self) -> SyncSender<Ask> {
        self.asks.clone()
    }

    /// Ends it, and waits for it.
    pub fn join(self) {
        drop(self.asks);
        let _ = self.handle.join();
    }
}

/// What outlives the driver.
struct Server<'s> {
    settings: &'s Settings,
    xids: mpsc::Sender<Xid>,
    seen: HashMap<String, Seen>,
    /// The series of the last pass.
    series: Vec<(Place, Labels)>,
    processes: Processes,
}

impl Server<'_> {
    fn serve(mut self, asked: &Receiver<Ask>) {
        while let Ok(ask) = asked.recv() {
            let library = OsStr::new(&self.settings.config.library);
            match Nvml::builder().lib_path(library).init() {
                Ok(nvml) => self.session(&nvml, ask, asked),
                Err(error) => self.down(&ask, &error),
            }
        }
    }

    /// Answers questions as long as the driver does.
    fn session(&mut self, nvml: &Nvml, first: Ask, asked: &Receiver<Ask>) {
        let orders = Orders::default();
        let to = self.xids.clone();
        thread::scope(|scope| {
            let _stop = StopAtEnd(&orders);
            let listener = thread::Builder::new().name("nvml-events".to_owned());
            if let Err(error) = listener.spawn_scoped(scope, || xids::listen(nvml, &orders, &to)) {
                tracing::error!("XIDs are not waited for: {error}");
            }
            let driver = nvml.sys_driver_version().unwrap_or_default();
            let host = Host { name: self.settings.host.clone(), driver };
            let mut gpus = Vec::new();
            let mut next = Some(first);
            while let Some(ask) = next.take().or_else(|| asked.recv().ok()) {
                if let Err((ask, error)) = self.pass(nvml, &host, &mut gpus, &orders, ask) {
                    self.down(&ask, &error);
                    return;
                }
            }
        });
    }

    /// Reads all GPUs.
    fn pass<'nvml>(
        &mut self,
        nvml: &'nvml Nvml,
        host: &Host,
        gpus: &mut Vec<Slot<'nvml>>,
        orders: &Orders,
        ask: Ask,
    ) -> Result<(), (Ask, NvmlError)> {
        self.note(&ask.xids);
        let count = match nvml.device_count() {
            Ok(count) => count as usize,
            Err(error) => return Err((ask, error)),
        };
        if gpus.len() != count {
            gpus.clear();
            gpus.resize_with(count, Slot::default);
        }
        let settings = self.settings;
        let mut points = Points::new(&settings.catalogue, ask.at);
        let host_labels = Labels::new(&host.labels(settings.config.hostname_label));
        points.add(Own::Up.place(), &host_labels, Number::Int(1));
        let none = Owners::new();
        let (owners, no_kubelet) = match &ask.owners {
            Ok(owners) => (&**owners, None),
            Err(error) => (&none, Some(error.as_str())),
        };
        let users = users::Around { owners, kubelet: no_kubelet, pods: ask.pods.as_deref() };
        let around = Around { nvml, settings, host, users: &users, at: ask.at };
        for (index, slot) in (0..).zip(gpus.iter_mut()) {
            match slot.read(index, &around, &self.seen, orders, &mut self.processes, &mut points) {
                Ok(()) => {}
                Err(error) if verdict(&error) == Verdict::DriverGone => return Err((ask, error)),
                Err(error) => slot.missing(index, &error, &around, &mut points),
            }
        }
        self.processes.end_pass();
        let known = gpus.iter().filter_map(|slot| slot.gpu.as_ref()).flat_map(Gpu::users);
        let gpus = known.map(|(identity, users)| (identity.clone(), users.clone())).collect();
        self.answer(&ask, points, None, gpus, host.clone());
        Ok(())
    }

    /// Answers that there is no driver.
    fn down(&mut self, ask: &Ask, error: &NvmlError) {
        self.note(&ask.xids);
        let settings = self.settings;
        let host = Host { name: settings.host.clone(), driver: String::new() };
        let mut points = Points::new(&settings.catalogue, ask.at);
        points.add(Own::Up.place(), &Labels::new(&host.labels(settings.config.hostname_label)), Number::Int(0));
        self.answer(ask, points, Some(error.to_string()), Vec::new(), host);
    }

    fn answer(
        &mut self,
        ask: &Ask,
        points: Points<'_>,
        down: Option<String>,
        gpus: Vec<(Identity, Users)>,
        host: Host,
    ) {
        let (request, items, series) = points.write(&host.name, &self.series);
        self.series = series;
        // Whoever asked may have gone away meanwhile.
        let _ = ask.reply.send(Pass { request, items, down, gpus, host });
    }

    fn note(&mut self, xids: &[Xid]) {
        for xid in xids {
            if self.seen.len() < MOST_GPUS || self.seen.contains_key(&xid.uuid) {
                self.seen.entry(xid.uuid.clone()).or_default().add(xid.number);
            }
        }
    }
}

/// A GPU by its number, if it is known.
#[derive(Default)]
struct Slot<'nvml> {
    gpu: Option<Gpu<'nvml>>,
    /// Why it does not answer, if it does not.
    missing: Option<String>,
}

impl<'nvml> Slot<'nvml> {
    fn read(
        &mut self,
        index: u32,
        around: &Around<'_, 'nvml>,
        seen: &HashMap<String, Seen>,
        orders: &Orders,
        processes: &mut Processes,
        points: &mut Points<'_>,
    ) -> Result<(), NvmlError> {
        let known = if self.missing.is_some() { None } else { self.gpu.take() };
        let gpu = match known {
            Some(gpu) => gpu,
            None => {
                let gpu = Gpu::find(around.nvml, index)?;
                orders.devices_changed();
                gpu
            }
        };
        let gpu = self.gpu.insert(gpu);
        gpu.read(around, seen.get(&gpu.identity.uuid), processes, points)?;
        if self.missing.take().is_some() {
            tracing::info!(gpu = index, uuid = gpu.identity.uuid, "the GPU answers again");
        }
        Ok(())
    }

    /// The GPU has not answered; the others go on.
    fn missing(&mut self, index: u32, error: &NvmlError, around: &Around<'_, 'nvml>, points: &mut Points<'_>) {
        if self.missing.replace(error.to_string()).is_none() {
            tracing::error!(gpu = index, "the GPU does not answer: {error}");
        }
        let Around { settings, host, .. } = around;
        let nameless = Identity { index, ..Identity::default() };
        let identity = self.gpu.as_ref().map_or(&nameless, |gpu| &gpu.identity);
        let labels = Labels::new(&identity.dcgm(host, settings.config.hostname_label, None));
        points.add(Own::DeviceUp.place(), &labels, Number::Int(0));
        if settings.catalogue.has_semconv() {
            semconv::status(State::Failed, &Labels::new(&identity.semconv(host, None)), points);
        }
    }
}
