//! Reads NVIDIA GPUs through the driver's own library and hands on what dcgm-exporter would have exposed, OpenTelemetry's
//! hardware metrics, or both. See the README beside this file.
//!
//! Calls into the driver block, so a thread of its own makes them (`session`), one pass at a time, and another waits for
//! XID errors (`xids`); the receiver's task asks, hands on, and waits. A pass is asked for through `spawn_blocking`, which
//! keeps a paused clock still until it is answered.

mod catalogue;
pub mod check;
mod config;
pub mod counters;
mod device;
pub mod fuzz;
mod gpm;
mod gpu;
pub mod kubelet;
mod labels;
mod owners;
mod page;
mod pods;
mod points;
pub mod processes;
mod raw;
mod reading;
mod semconv;
mod session;
mod users;
mod xids;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use bytes::Bytes;
use pipeline::batch::{Batch, Signal};
use pipeline::component::{BoxFuture, Context, Error, Life, Outputs, Reason, Receiver, Refused};
use pipeline::registry::ReceiverFactory;
use pipeline::telemetry::Drops;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};

use self::catalogue::Catalogue;
pub use self::config::Config;
use self::counters::Counter;
use self::kubelet::Kubelet;
use self::labels::{Host, Identity};
use self::owners::Owners;
use self::page::Page;
use self::pods::Pods;
use self::session::{Ask, Pass, Settings, Thread};
use self::users::Users;
use self::xids::Xid;

/// XIDs that have happened and are not yet taken up.
const MOST_XIDS: usize = 256;
/// Log records that were refused and are offered again.
const MOST_RECORDS: usize = 64;
/// Passes without an answer of the kubelet after which its last one counts no more.
const MOST_SILENT: u32 = 12;
/// How long a stop waits for the driver, and the first reading for the Kubernetes API.
const PATIENCE: Duration = Duration::from_secs(2);
const MOST_FILE_BYTES: usize = 1 << 20;

/// Builds `nvml` receivers.
pub struct Factory;

impl ReceiverFactory for Factory {
    const TYPES: &'static [&'static str] = &["nvml"];
    const SIGNALS: &'static [Signal] = &[Signal::Metrics, Signal::Logs];
    const ABOUT: &'static str = "Reads NVIDIA GPUs, with dcgm-exporter's names or OpenTelemetry's.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Box<dyn Receiver>, Error> {
        let counters = counters(&config, &context)?;
        let catalogue = Catalogue::new(&config, counters.as_deref());
        let wanted = catalogue.wanted();
        let host = if config.hostname.is_empty() { host_name(&context) } else { config.hostname.clone() };
        let files = context.doors.files.clone();
        let socket = &config.kubelet_socket;
        let kubelet = if socket.is_empty() { None } else { Some(Kubelet::new(socket, &context)?) };
        Ok(Box::new(Nvml { kubelet, settings: Arc::new(Settings { config, catalogue, wanted, host, files }), context }))
    }
}

/// The counters of `metrics_file`.
fn counters(config: &Config, context: &Context) -> Result<Option<Vec<Counter>>, Error> {
    if config.metrics_file.is_empty() {
        return Ok(None);
    }
    let path = &config.metrics_file;
    let bytes = context.doors.files.read_config(Path::new(path), MOST_FILE_BYTES);
    let bytes = bytes.map_err(|error| format!("metrics_file {path}: {error}"))?;
    let file = counters::read(&String::from_utf8_lossy(&bytes)).map_err(|e| format!("metrics_file {path}: {e}"))?;
    if !file.unknown.is_empty() {
        let fields = file.unknown.join(", ");
        tracing::warn!(receiver = %context.id, "{path} asks for fields that NVML does not give: {fields}");
    }
    Ok(Some(file.counters))
}

fn host_name(context: &Context) -> String {
    const KERNEL: &str = "/proc/sys/kernel/hostname";
    let bytes = context.doors.files.read_small(Path::new(KERNEL), 1 << 10).unwrap_or_default();
    String::from_utf8_lossy(&bytes).trim().to_owned()
}

struct Nvml {
    kubelet: Option<Kubelet>,
    settings: Arc<Settings>,
    context: Context,
}

impl Receiver for Nvml {
    fn run(self: Box<Self>, next: Outputs, life: Life) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let (to, mut happened) = mpsc::channel(MOST_XIDS);
            let mut running = Running {
                thread: Thread::start(self.settings.clone(), to.clone())?,
                to,
                next,
                drops: self.context.drops.clone(),
                settings: self.settings,
                context: self.context,
                xids: Vec::new(),
                unsent: VecDeque::new(),
                kubelet: self.kubelet,
                silent: 0,
                pods: None,
                owners: Err("no kubelet is asked: kubelet_socket is empty".to_owned()),
                gpus: Vec::new(),
                page: Page::default(),
                host: Host::default(),
                is_down: None,
            };
            let mut following = JoinSet::new();
            if running.settings.config.dynamo {
                let (known, pods) = watch::channel(Pods::unknown());
                let (config, host) = (running.settings.config.clone(), running.settings.host.clone());
                following.spawn(pods::follow(config, host, running.context.clone(), known));
                running.pods = Some(pods);
            }
            // Series begin with the labels that they will have, if the API answers at once.
            if let Some(pods) = &mut running.pods {
                let _ = timeout(PATIENCE, pods.wait_for(Pods::are_settled)).await;
            }
            let _shown = running.page.show(&running.context.pages);
            life.ready();
            let mut ticks = interval_at(Instant::now(), running.settings.config.collection_interval.get());
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    biased;
                    () = life.stopped() => break,
                    Some(xid) = happened.recv() => running.log(xid).await,
                    _ = ticks.tick() => tokio::select! {
                        () = life.stopped() => break,
                        pass = running.ask() => running.hand_on(pass?).await,
                    },
                }
            }
            if let Some(kubelet) = &running.kubelet {
                kubelet.close();
            }
            let thread = running.thread;
            // A driver that hangs is not waited for; its thread ends with the process.
            if let Ok(joined) = timeout(PATIENCE, spawn_blocking(|| thread.join())).await {
                joined?;
            }
            Ok(())
        })
    }
}

struct Running {
    settings: Arc<Settings>,
    context: Context,
    thread: Thread,
    to: mpsc::Sender<Xid>,
    next: Outputs,
    /// Without the component's kind: the frame accounts for what crosses the receiver's edge.
    drops: Drops,
    /// XIDs since the last pass.
    xids: Vec<Xid>,
    /// Log records that will be offered again.
    unsent: VecDeque<Batch>,
    kubelet: Option<Kubelet>,
    /// Passes since the kubelet has answered.
    silent: u32,
    /// Who uses what, or why the kubelet does not say.
    owners: Result<Arc<Owners>, String>,
    /// What the Kubernetes API says of pods, if it is asked.
    pods: Option<watch::Receiver<Pods>>,
    gpus: Vec<(Identity, Users)>,
    page: Page,
    host: Host,
    /// Whether the driver was missing in the last pass; `None` before the first.
    is_down: Option<bool>,
}

impl Running {
    /// One pass over the GPUs; `None` where the thread has ended, which is replaced then.
    async fn ask(&mut self) -> Result<Option<Pass>, Error> {
        self.ask_kubelet().await;
        let at = self.context.doors.clock.now_unix_nanos();
        let (reply, answer) = sync_channel(1);
        let pods = self.pods.as_ref().map(|pods| Arc::new(pods.borrow().clone()));
        let ask = Ask { at, xids: std::mem::take(&mut self.xids), owners: self.owners.clone(), pods, reply };
        let asks = self.thread.asks();
        let pass = spawn_blocking(move || {
            asks.send(ask).ok()?;
            answer.recv().ok()
        });
        let pass = pass.await?;
        if pass.is_none() {
            tracing::error!(receiver = %self.context.id, "the thread that reads the GPUs has failed and is replaced");
            self.thread = Thread::start(self.settings.clone(), self.to.clone())?;
        }
        Ok(pass)
    }

    async fn ask_kubelet(&mut self) {
        let Some(kubelet) = &self.kubelet else { return };
        let socket = &self.settings.config.kubelet_socket;
        let owners =
            kubelet.owners().await.map_err(|error| format!("the kubelet does not answer on {socket}: {error}"));
        match (&self.owners, &owners) {
            (Ok(_), Err(error)) if self.silent == 0 => tracing::warn!(receiver = %self.context.id, "{error}"),
            (Err(_), Ok(_)) => {
                tracing::info!(receiver = %self.context.id, "the kubelet on {socket} says who uses the GPUs");
            }
            _ => {}
        }
        // A kubelet that restarts is silent for a while; its devices stay with their pods meanwhile.
        self.silent = if owners.is_ok() { 0 } else { self.silent.saturating_add(1) };
        if owners.is_ok() || self.owners.is_err() || self.silent > MOST_SILENT {
            self.owners = owners.map(Arc::new);
        }
    }

    async fn hand_on(&mut self, pass: Option<Pass>) {
        let Some(pass) = pass else { return };
        self.say(pass.down.as_deref(), &pass.host);
        if pass.down.is_none() {
            (self.gpus, self.host) = (pass.gpus, pass.host);
            self.page.set(&self.gpus);
        }
        for _ in 0..self.unsent.len() {
            if let Some(record) = self.unsent.pop_front() {
                self.offer(record).await;
            }
        }
        let Some(next) = self.next.signal(Signal::Metrics).cloned() else { return };
        let batch = Batch::counted(Signal::Metrics, Bytes::from(pass.request), pass.items);
        if let Err(refused) = next.consume(batch.clone()).await {
            let message = format!("a reading of the GPUs was not taken: {refused}");
            self.drops.record_batch(&batch, batch.items(), &Reason::new("reading_refused", message));
        }
    }

    /// Says once that there is no driver, and once that there is one.
    fn say(&mut self, down: Option<&str>, host: &Host) {
        let before = self.is_down.replace(down.is_some());
        let (receiver, library) = (&self.context.id, &self.settings.config.library);
        match down {
            Some(error) if before != Some(true) => {
                tracing::warn!(%receiver, "no NVIDIA driver: {library}: {error}; it is looked for at each collection_interval");
            }
            None if before != Some(false) => tracing::info!(%receiver, "NVIDIA driver {} answers", host.driver),
            _ => {}
        }
    }

    /// Hands on the log record of an XID, and remembers it for the next pass.
    async fn log(&mut self, xid: Xid) {
        let gpu = self.gpus.iter().find(|(gpu, _)| gpu.uuid == xid.uuid && gpu.instance.is_none());
        let nameless = || vec![("UUID", xid.uuid.clone())];
        let label = self.settings.config.hostname_label;
        let labels = gpu.map_or_else(nameless, |(gpu, users)| gpu.dcgm(&self.host, label, users.owners.first()));
        let at = self.context.doors.clock.now_unix_nanos();
        let record = xids::record(&xid, &labels, &self.settings.host, at);
        tracing::warn!(receiver = %self.context.id, uuid = xid.uuid, "XID {}: {}", xid.number, xids::meaning(xid.number));
        if self.xids.len() < MOST_XIDS {
            self.xids.push(xid);
        }
        self.offer(record).await;
    }

    async fn offer(&mut self, record: Batch) {
        let Some(next) = self.next.signal(Signal::Logs).cloned() else { return };
        let refused = match next.consume(record.clone()).await {
            Ok(()) => return,
            Err(refused) => refused,
        };
        if matches!(refused, Refused::Retry { .. }) && self.unsent.len() < MOST_RECORDS {
            self.unsent.push_back(record);
        } else {
            let message = format!("the log record of an XID was not taken: {refused}");
            self.drops.record_batch(&record, record.items(), &Reason::new("xid_refused", message));
        }
    }
}
