//! XID errors: a thread that waits for the driver's events, what the numbers mean, and the log record of one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{EventSet, Nvml};
use pipeline::batch::{Batch, Signal};
use pipeline::otlp::fields::{log_record, request, resource, resource_group, scope, scope_group};
use pipeline::otlp::write::{Scalar, Writer};
use tokio::sync::mpsc;

/// How long one wait for events takes at most; as long a stop takes at most.
const WAIT: Duration = Duration::from_millis(200);
/// GPUs whose XIDs are waited for.
const MOST_GPUS: u32 = 256;
/// Different XIDs that are counted for a GPU.
const MOST_KINDS: usize = 256;

/// An XID that has happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xid {
    /// The GPU's id.
    pub uuid: String,
    /// Its number.
    pub number: u64,
}

/// The XIDs of one GPU since the receiver was started.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The latest.
    pub last: u64,
    /// How often each has happened.
    pub counts: BTreeMap<u64, u64>,
}

impl Seen {
    /// Counts one.
    pub fn add(&mut self, number: u64) {
        self.last = number;
        if self.counts.len() < MOST_KINDS || self.counts.contains_key(&number) {
            *self.counts.entry(number).or_default() += 1;
        }
    }
}

/// What the thread that waits is told.
#[derive(Debug, Default)]
pub struct Orders {
    stop: AtomicBool,
    generation: AtomicUsize,
}

impl Orders {
    /// GPUs have come or come back: their events must be asked for anew.
    pub fn devices_changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Stops when it is dropped, so that a panic does not leave the thread waiting.
pub struct StopAtEnd<'a>(pub &'a Orders);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// Waits for XIDs of all GPUs and hands them to `to`, until it is told to stop.
pub fn listen(nvml: &Nvml, orders: &Orders, to: &mpsc::Sender<Xid>) {
    let mut set = None;
    let mut of = None;
    while !orders.stop.load(Ordering::Acquire) {
        let generation = orders.generation.load(Ordering::Acquire);
        if of.replace(generation) != Some(generation) {
            set = register(nvml);
        }
        let Some(set) = &set else {
            thread::park_timeout(WAIT);
            continue;
        };
        match set.wait(u32::try_from(WAIT.as_millis()).unwrap_or(u32::MAX)) {
            Ok(event) => {
                let number = match event.event_data {
                    Some(XidError::Value(number)) => number,
                    Some(XidError::Unknown) => 999,
                    None => continue,
                };
                let uuid = event.device.uuid().unwrap_or_default();
                if to.try_send(Xid { uuid, number }).is_err() {
                    tracing::warn!("XID {number} is not recorded: too many at once");
                }
            }
            Err(NvmlError::Timeout) => {}
            // A lost GPU makes waiting fail at once, for the others as well.
            Err(error) => {
                tracing::debug!("waiting for XIDs: {error}");
                thread::park_timeout(WAIT);
            }
        }
    }
}

/// Asks for the XIDs of all GPUs that can tell them.
fn register(nvml: &Nvml) -> Option<EventSet<'_>> {
    let wanted = EventTypes::CRITICAL_XID_ERROR;
    let devices = (0..MOST_GPUS).map_while(|index| match nvml.device_by_index(index) {
        Err(NvmlError::InvalidArg) => None,
        answer => Some(answer),
    });
    let able = devices.flatten().filter(|device| device.supported_event_types().is_ok_and(|all| all.contains(wanted)));
    let mut set = None;
    for device in able {
        let so_far = match set.take() {
            Some(set) => set,
            None => nvml.create_event_set().ok()?,
        };
        match device.register_events(wanted, so_far) {
            Ok(more) => set = Some(more),
            // The set is gone with its GPUs; those that come now are better than none.
            Err(error) => tracing::warn!("XIDs of some GPUs cannot be waited for: {error}"),
        }
    }
    set
}

/// What an XID means, in a few words.
pub fn meaning(number: u64) -> &'static str {
    match number {
        8 => "GPU stopped processing",
        13 => "graphics engine exception",
        31 => "memory page fault",
        32 => "invalid or corrupted push buffer",
        38 => "driver firmware error",
        43 => "a program's channel was reset",
        45 => "a program was ended before its time",
        48 => "uncorrectable memory error",
        56..=58 => "display or memory programming error",
        61 | 62 => "halt of the GPU's internal controller",
        63 => "memory row or page marked for repair",
        64 => "memory row or page repair failed",
        68 | 69 => "video or graphics engine exception",
        74 => "NVLink error",
        79 => "GPU has fallen off the bus",
        92 => "many corrected memory errors",
        94 => "contained uncorrectable error",
        95 => "uncontained uncorrectable error",
        109 => "context switch timed out",
        119 | 120 => "GPU system processor does not answer",
        121 => "chip-to-chip link error",
        140 => "unrecovered memory error",
        143 => "GPU could not be initialised",
        _ => "see NVIDIA's list of XID errors",
    }
}

/// The log record of an XID, as a batch.
pub fn record(xid: &Xid, labels: &[(&'static str, String)], host: &str, at: u64) -> Batch {
    let (number, meaning) = (xid.number, meaning(xid.number));
    let mut w = Writer::new();
    w.message(request::RESOURCES, |w| {
        w.message(resource_group::RESOURCE, |w| {
            for (name, value) in [("service.name", "nvml"), ("service.instance.id", host), ("host.name", host)] {
                w.attribute(resource::ATTRIBUTES, name, value);
            }
        });
        w.message(resource_group::SCOPES, |w| {
            w.message(scope_group::SCOPE, |w| {
                w.text(scope::NAME, "slipring/nvml");
                w.text(scope::VERSION, env!("CARGO_PKG_VERSION"));
            });
            w.message(scope_group::ITEMS, |w| {
                w.fixed64(log_record::TIME, at);
                w.varint(log_record::SEVERITY_NUMBER, 17);
                w.text(log_record::SEVERITY_TEXT, "ERROR");
                w.any_value(log_record::BODY, Scalar::Text(&format!("XID {number} on {}: {meaning}", xid.uuid)));
                let number = i64::try_from(number).unwrap_or(i64::MAX);
                w.attribute(log_record::ATTRIBUTES, "xid", Scalar::Int(number));
                w.attribute(log_record::ATTRIBUTES, "xid.meaning", meaning);
                labels.iter().for_each(|(name, value)| w.attribute(log_record::ATTRIBUTES, name, value.as_str()));
                w.fixed64(log_record::OBSERVED_TIME, at);
                w.text(log_record::EVENT_NAME, "nvml.xid");
            });
        });
    });
    let bytes: Bytes = w.into_bytes();
    Batch::counted(Signal::Logs, bytes, 1)
}
