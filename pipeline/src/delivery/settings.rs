//! How delivery behaves, all defaults filled in, and what the collector's rules forbid.

use std::time::Duration;

use serde::Deserialize;

use crate::config::{ComponentId, Problem};

/// What stands before one exporter: its `timeout`, `retry_on_failure` and `sending_queue`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The longest that one attempt may take; zero is no limit.
    pub timeout: Duration,
    /// When and how often a batch is tried again.
    pub retry: RetrySettings,
    /// What waits for the exporter.
    pub queue: QueueSettings,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { timeout: Duration::from_secs(5), retry: RetrySettings::default(), queue: QueueSettings::default() }
    }
}

impl Settings {
    /// Delivery in the caller: one attempt at a time, no queue, no retry, no timeout. For exporters that write locally.
    pub fn direct() -> Settings {
        Settings {
            timeout: Duration::ZERO,
            retry: RetrySettings { enabled: false, ..RetrySettings::default() },
            queue: QueueSettings { enabled: false, ..QueueSettings::default() },
        }
    }

    /// What the collector's rules forbid, with paths below the exporter's body.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.retry.check(&mut problems);
        self.queue.check(&mut problems);
        problems
    }
}

/// `retry_on_failure`: exponential backoff with jitter.
#[derive(Clone, Debug, PartialEq)]
pub struct RetrySettings {
    /// Whether a batch that may be accepted later is tried again at all.
    pub enabled: bool,
    /// The wait after the first refusal.
    pub initial_interval: Duration,
    /// Each wait is drawn from the interval ± this share of it; 0 is no jitter.
    pub randomization_factor: f64,
    /// The interval grows by this factor.
    pub multiplier: f64,
    /// The interval grows no further; zero is no limit.
    pub max_interval: Duration,
    /// A batch that is not delivered so long after its first attempt is dropped; zero is never.
    pub max_elapsed_time: Duration,
    /// The same for what its sender has still, such as the lines of a file: zero unless the config says a limit.
    pub max_elapsed_of_kept: Duration,
}

impl Default for RetrySettings {
    fn default() -> RetrySettings {
        RetrySettings {
            enabled: true,
            initial_interval: Duration::from_secs(5),
            randomization_factor: 0.5,
            multiplier: 1.5,
            max_interval: Duration::from_secs(30),
            max_elapsed_time: Duration::from_secs(300),
            max_elapsed_of_kept: Duration::ZERO,
        }
    }
}

impl RetrySettings {
    fn check(&self, problems: &mut Vec<Problem>) {
        let mut wrong = |key: &str, message: String| {
            problems.push(Problem::at(format!("retry_on_failure.{key}"), message));
        };
        if !self.enabled {
            return;
        }
        if !(0.0..=1.0).contains(&self.randomization_factor) {
            wrong(
                "randomization_factor",
                format!("randomization_factor is {}, it must be from 0 to 1", self.randomization_factor),
            );
        }
        if !(self.multiplier >= 0.0 && self.multiplier.is_finite()) {
            wrong("multiplier", format!("multiplier is {}, it must not be negative", self.multiplier));
        }
        let elapsed = self.max_elapsed_time;
        if elapsed.is_zero() {
            return;
        }
        for (name, interval) in [("initial_interval", self.initial_interval), ("max_interval", self.max_interval)] {
            if elapsed < interval {
                wrong(
                    "max_elapsed_time",
                    format!("max_elapsed_time is {elapsed:?}, less than {name} ({interval:?}); use 0 for no limit"),
                );
            }
        }
    }
}

/// `sending_queue`: what waits for the exporter, in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueSettings {
    /// Whether there is a queue; without one the caller waits for the delivery itself, retries included.
    pub enabled: bool,
    /// Exports at the same time; 1 keeps strict order.
    pub num_consumers: usize,
    /// Its bound, in `sizer` units; what is being exported counts until it is answered.
    pub queue_size: usize,
    /// What `queue_size` counts.
    pub sizer: Sizer,
    /// Its second bound, in bytes of serialized OTLP, whatever `sizer` counts (ours).
    pub max_bytes: usize,
    /// Whether the caller gets its answer only after the delivery.
    pub wait_for_result: bool,
    /// What happens where there is no room.
    pub overflow: Overflow,
    /// The storage extension that keeps it on disk.
    pub storage: Option<ComponentId>,
    /// What is sent first after an outage, where it is kept on disk (ours).
    pub recovery: Recovery,
    /// The most bytes of the backlog that go beside what is fresh in each second; zero is no limit (ours).
    pub recovery_rate: usize,
    /// What has waited longer on disk is dropped; zero is no limit (ours).
    pub max_age: Duration,
    /// How batches are merged and split; `None` leaves them as they came.
    pub batch: Option<BatchSettings>,
}

impl Default for QueueSettings {
    fn default() -> QueueSettings {
        QueueSettings {
            enabled: true,
            num_consumers: 10,
            queue_size: 1000,
            sizer: Sizer::Requests,
            max_bytes: 256 << 20,
            wait_for_result: false,
            overflow: Overflow::Refuse,
            storage: None,
            recovery: Recovery::FreshFirst,
            recovery_rate: 0,
            max_age: Duration::ZERO,
            batch: None,
        }
    }
}

impl QueueSettings {
    fn check(&self, problems: &mut Vec<Problem>) {
        let mut wrong = |key: &str, message: String| {
            problems.push(Problem::at(format!("sending_queue.{key}"), message));
        };
        if !self.enabled {
            return;
        }
        for (key, value) in
            [("num_consumers", self.num_consumers), ("queue_size", self.queue_size), ("max_bytes", self.max_bytes)]
        {
            if value == 0 {
                wrong(key, format!("{key} is 0, the least is 1"));
            }
        }
        if self.storage.is_some() && self.wait_for_result {
            wrong(
                "wait_for_result",
                "wait_for_result does not go with storage: a stored batch is answered once it is on disk".to_owned(),
            );
        }
        if self.overflow == Overflow::DropNewest && self.wait_for_result {
            wrong(
                "overflow",
                "drop_newest does not go with wait_for_result, whose senders hear what became of their data; \
                 use refuse"
                    .to_owned(),
            );
        }
        if self.recovery == Recovery::InOrder && self.recovery_rate > 0 {
            wrong(
                "recovery_rate",
                "recovery_rate does not go with recovery: in_order, where what is fresh stands behind the backlog"
                    .to_owned(),
            );
        }
        if let Some(batch) = &self.batch {
            batch.check(self, problems);
        }
    }
}

/// How small batches are merged and large ones split before an export (`sending_queue.batch`, the `batch` processor).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchSettings {
    /// The longest that data wait for more; zero is not at all.
    pub flush_timeout: Duration,
    /// Send as soon as so much is there, in `sizer` units.
    pub min_size: usize,
    /// Split what is larger, in `sizer` units; 0 is no limit.
    pub max_size: usize,
    /// What the sizes count: the queue's own unit where that is items or bytes and the config says nothing, else items.
    pub sizer: Option<Sizer>,
    /// Batches that differ in these request headers are not merged; lower-case names.
    pub metadata_keys: Vec<String>,
}

impl Default for BatchSettings {
    fn default() -> BatchSettings {
        BatchSettings {
            flush_timeout: Duration::from_millis(200),
            min_size: 8192,
            max_size: 0,
            sizer: None,
            metadata_keys: Vec::new(),
        }
    }
}

impl BatchSettings {
    /// What the sizes count in a queue that counts `queue`.
    pub fn sizer(&self, queue: Sizer) -> Sizer {
        match self.sizer.unwrap_or(queue) {
            Sizer::Requests => Sizer::Items,
            unit => unit,
        }
    }

    fn check(&self, queue: &QueueSettings, problems: &mut Vec<Problem>) {
        let mut wrong = |key: &str, message: String| {
            problems.push(Problem::at(format!("sending_queue.batch.{key}"), message));
        };
        let &BatchSettings { flush_timeout, min_size, max_size, sizer, ref metadata_keys } = self;
        if flush_timeout.is_zero() {
            wrong("flush_timeout", "flush_timeout is 0, it must be more".to_owned());
        }
        if sizer == Some(Sizer::Requests) {
            wrong("sizer", "batch counts items or bytes, not requests".to_owned());
        }
        if max_size != 0 && max_size < min_size {
            wrong("max_size", format!("max_size is {max_size}, less than min_size ({min_size}); use 0 for no limit"));
        }
        let same = self.sizer(queue.sizer) == queue.sizer;
        if same && min_size > queue.queue_size {
            wrong("min_size", format!("min_size is {min_size}, more than queue_size ({})", queue.queue_size));
        }
        for (i, key) in metadata_keys.iter().enumerate() {
            if metadata_keys[..i].iter().any(|k| k.eq_ignore_ascii_case(key)) {
                wrong(&format!("partition.metadata_keys.{i}"), format!("{key} is listed twice"));
            }
        }
    }
}

/// What happens to a batch for which the queue has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overflow {
    /// Its sender is told to come again.
    Refuse,
    /// Its sender waits.
    Block,
    /// It is dropped, and its sender told that it was taken.
    DropNewest,
    /// What waits longest is dropped for it. What is being exported stays.
    DropOldest,
}

/// What is sent first where data wait on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// What is fresh, and the backlog beside it on at most half of the consumers.
    FreshFirst,
    /// Everything in its order.
    InOrder,
}

/// What a size counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sizer {
    /// Batches as they came.
    Requests,
    /// Spans, data points, log records.
    Items,
    /// Bytes of serialized OTLP.
    Bytes,
}

impl Sizer {
    /// The unit's name in the config and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Sizer::Requests => "requests",
            Sizer::Items => "items",
            Sizer::Bytes => "bytes",
        }
    }
}
