//! What an exporter's body may say about delivery. Every field is optional, so that it lies over the factory's defaults.

use serde::{Deserialize, Deserializer};

use super::{BatchSettings, Overflow, QueueSettings, Recovery, RetrySettings, Settings, Sizer};
use crate::config::{ExtensionId, GoDuration, Problem};

/// `timeout`, `retry_on_failure` and `sending_queue` as an exporter's body has them, beside the exporter's own keys.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct DeliveryConfig {
    /// [`Settings::timeout`].
    pub timeout: Option<GoDuration>,
    /// [`Settings::retry`].
    pub retry_on_failure: Given<RetryConfig>,
    /// [`Settings::queue`].
    pub sending_queue: Given<QueueConfig>,
}

/// `retry_on_failure`; see [`RetrySettings`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "each field is the one of that name in the settings")]
pub struct RetryConfig {
    pub enabled: Option<bool>,
    pub initial_interval: Option<GoDuration>,
    pub randomization_factor: Option<f64>,
    pub multiplier: Option<f64>,
    pub max_interval: Option<GoDuration>,
    pub max_elapsed_time: Option<GoDuration>,
}

/// `sending_queue`; see [`QueueSettings`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "each field is the one of that name in the settings")]
pub struct QueueConfig {
    pub enabled: Option<bool>,
    pub num_consumers: Option<usize>,
    pub queue_size: Option<usize>,
    pub sizer: Option<Sizer>,
    pub max_bytes: Option<usize>,
    pub wait_for_result: Option<bool>,
    pub block_on_overflow: Option<bool>,
    /// The name of `block_on_overflow` before 0.126.
    pub blocking: Option<bool>,
    pub overflow: Option<Overflow>,
    pub storage: Option<ExtensionId>,
    pub recovery: Option<Recovery>,
    pub recovery_rate: Option<usize>,
    pub max_age: Option<GoDuration>,
    pub batch: Given<BatchConfig>,
}

/// `sending_queue.batch`; see [`BatchSettings`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "each field is the one of that name in the settings")]
pub struct BatchConfig {
    pub enabled: Option<bool>,
    pub flush_timeout: Option<GoDuration>,
    pub min_size: Option<usize>,
    pub max_size: Option<usize>,
    pub sizer: Option<Sizer>,
    pub partition: PartitionConfig,
}

/// `sending_queue.batch.partition`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PartitionConfig {
    /// [`BatchSettings::metadata_keys`].
    pub metadata_keys: Vec<String>,
    /// Accepted and without effect: a partition holds nothing once its data are sent.
    pub idle_timeout: Option<GoDuration>,
    /// Accepted and without effect: the queue's own bound holds for all partitions together.
    pub cache_size: Option<usize>,
}

/// A block that may be absent; `key:` with nothing behind it is the block with nothing in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Given<T> {
    /// The key is not there.
    #[default]
    Absent,
    /// The key is there.
    Present(T),
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Given<T>, D::Error> {
        Option::<T>::deserialize(deserializer).map(|block| Given::Present(block.unwrap_or_default()))
    }
}

impl DeliveryConfig {
    /// What contradicts itself, with paths below the exporter's body.
    pub fn check(&self) -> Vec<Problem> {
        let Given::Present(queue) = &self.sending_queue else { return Vec::new() };
        match (queue.blocks(), queue.overflow) {
            (Some(blocks), Some(overflow)) if blocks != (overflow == Overflow::Block) => vec![Problem::at(
                "sending_queue.overflow",
                format!("overflow and block_on_overflow: {blocks} contradict each other; leave out block_on_overflow"),
            )],
            _ => Vec::new(),
        }
    }
}

impl QueueConfig {
    fn blocks(&self) -> Option<bool> {
        self.block_on_overflow.or(self.blocking)
    }
}

impl Overflow {
    /// As the collector's `block_on_overflow` says it.
    fn of_blocking(blocks: bool) -> Overflow {
        if blocks { Overflow::Block } else { Overflow::Refuse }
    }
}

impl Settings {
    /// These settings with what `config` says in their place.
    #[must_use]
    pub fn overlaid(mut self, config: &DeliveryConfig) -> Settings {
        overlay(&mut self.timeout, config.timeout.map(GoDuration::get));
        if let Given::Present(retry) = &config.retry_on_failure {
            self.retry.overlay(retry);
        }
        if let Given::Present(queue) = &config.sending_queue {
            self.queue.overlay(queue);
        }
        self
    }
}

impl RetrySettings {
    fn overlay(&mut self, config: &RetryConfig) {
        overlay(&mut self.enabled, config.enabled);
        overlay(&mut self.initial_interval, config.initial_interval.map(GoDuration::get));
        overlay(&mut self.randomization_factor, config.randomization_factor);
        overlay(&mut self.multiplier, config.multiplier);
        overlay(&mut self.max_interval, config.max_interval.map(GoDuration::get));
        overlay(&mut self.max_elapsed_time, config.max_elapsed_time.map(GoDuration::get));
        overlay(&mut self.max_elapsed_of_kept, config.max_elapsed_time.map(GoDuration::get));
    }
}

impl QueueSettings {
    fn overlay(&mut self, config: &QueueConfig) {
        // As in the collector, naming the block turns on a queue that is off by default.
        self.enabled = config.enabled.unwrap_or(true);
        overlay(&mut self.num_consumers, config.num_consumers);
        overlay(&mut self.queue_size, config.queue_size);
        overlay(&mut self.sizer, config.sizer);
        overlay(&mut self.max_bytes, config.max_bytes);
        overlay(&mut self.wait_for_result, config.wait_for_result);
        overlay(&mut self.overflow, config.overflow.or(config.blocks().map(Overflow::of_blocking)));
        overlay(&mut self.recovery_rate, config.recovery_rate);
        overlay(&mut self.recovery, config.recovery);
        overlay(&mut self.max_age, config.max_age.map(GoDuration::get));
        if let Some(id) = &config.storage {
            self.storage = Some(id.0.clone());
        }
        if let Given::Present(batch) = &config.batch {
            if batch.enabled == Some(false) {
                self.batch = None;
            } else {
                self.batch.get_or_insert_default().overlay(batch);
            }
        }
    }
}

impl BatchSettings {
    fn overlay(&mut self, config: &BatchConfig) {
        overlay(&mut self.flush_timeout, config.flush_timeout.map(GoDuration::get));
        overlay(&mut self.min_size, config.min_size);
        overlay(&mut self.max_size, config.max_size);
        if config.sizer.is_some() {
            self.sizer = config.sizer;
        }
        if !config.partition.metadata_keys.is_empty() {
            self.metadata_keys = config.partition.metadata_keys.iter().map(|k| k.to_ascii_lowercase()).collect();
        }
    }
}

fn overlay<T: Copy>(field: &mut T, given: Option<T>) {
    if let Some(value) = given {
        *field = value;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn overlaid(defaults: Settings, body: Value) -> Settings {
        defaults.overlaid(&serde_json::from_value(body).unwrap())
    }

    fn problems(body: Value) -> Vec<String> {
        let problems = overlaid(Settings::default(), body).check();
        problems.into_iter().map(|p| format!("{}: {}", p.path, p.message)).collect()
    }

    #[test]
    fn an_empty_body_keeps_the_factorys_defaults() {
        assert_eq!(overlaid(Settings::default(), json!({})), Settings::default());
        assert_eq!(overlaid(Settings::direct(), json!({})), Settings::direct());
        assert_eq!(overlaid(Settings::direct(), json!({"retry_on_failure": null})), Settings::direct());
    }

    #[test]
    fn what_is_named_replaces_the_default_and_nothing_else_changes() {
        let settings = overlaid(Settings::default(), json!({"sending_queue": {"queue_size": 7, "sizer": "bytes"}}));
        let queue = QueueSettings { queue_size: 7, sizer: Sizer::Bytes, ..QueueSettings::default() };
        assert_eq!(settings, Settings { queue, ..Settings::default() });
    }

    #[test]
    fn naming_the_queue_turns_it_on_and_enabled_false_turns_it_off() {
        assert!(overlaid(Settings::direct(), json!({"sending_queue": null})).queue.enabled);
        assert!(overlaid(Settings::direct(), json!({"sending_queue": {}})).queue.enabled);
        assert!(!overlaid(Settings::default(), json!({"sending_queue": {"enabled": false}})).queue.enabled);
    }

    #[test]
    fn overflow_is_said_in_the_collectors_word_or_in_ours() {
        let overflow = |body: Value| overlaid(Settings::default(), json!({"sending_queue": body})).queue.overflow;
        assert_eq!(overflow(json!({})), Overflow::Refuse);
        assert_eq!(overflow(json!({"block_on_overflow": true})), Overflow::Block);
        assert_eq!(overflow(json!({"blocking": true})), Overflow::Block);
        assert_eq!(overflow(json!({"overflow": "drop_oldest"})), Overflow::DropOldest);
        assert_eq!(overflow(json!({"overflow": "drop_newest"})), Overflow::DropNewest);
        let check = |body: Value| {
            let config: DeliveryConfig = serde_json::from_value(json!({"sending_queue": body})).unwrap();
            config.check().into_iter().map(|p| format!("{}: {}", p.path, p.message)).collect::<Vec<_>>()
        };
        assert_eq!(check(json!({"block_on_overflow": true, "overflow": "block"})), [""; 0]);
        assert_eq!(
            check(json!({"block_on_overflow": true, "overflow": "drop_oldest"})),
            ["sending_queue.overflow: overflow and block_on_overflow: true contradict each other; \
              leave out block_on_overflow"]
        );
    }

    #[test]
    fn batching_is_off_until_its_block_is_named_even_if_with_nothing_in_it() {
        let batch = |body: Value| overlaid(Settings::default(), json!({"sending_queue": body})).queue.batch;
        assert_eq!(batch(json!({})), None);
        assert_eq!(batch(json!({"batch": null})), Some(BatchSettings::default()));
        assert_eq!(batch(json!({"batch": {}})), Some(BatchSettings::default()));
        assert_eq!(batch(json!({"batch": {"enabled": false}})), None);
        let with = |f: fn(&mut BatchSettings)| {
            let mut settings = BatchSettings::default();
            f(&mut settings);
            Some(settings)
        };
        assert_eq!(batch(json!({"batch": {"min_size": 5}})), with(|b| b.min_size = 5));
        assert_eq!(
            batch(json!({"batch": {"partition": {"metadata_keys": ["X-Tenant"]}}})),
            with(|b| b.metadata_keys = vec!["x-tenant".to_owned()])
        );
    }

    #[test]
    fn batches_count_in_the_queues_unit_unless_that_is_requests() {
        let sizer = |body: Value| {
            let queue = overlaid(Settings::default(), json!({"sending_queue": body})).queue;
            queue.batch.unwrap().sizer(queue.sizer)
        };
        assert_eq!(sizer(json!({"batch": null})), Sizer::Items);
        assert_eq!(sizer(json!({"batch": null, "sizer": "bytes"})), Sizer::Bytes);
        assert_eq!(sizer(json!({"batch": {"sizer": "items"}, "sizer": "bytes"})), Sizer::Items);
    }

    #[test]
    fn the_collectors_rules_are_checked_all_at_once() {
        assert_eq!(problems(json!({})), [""; 0]);
        assert_eq!(
            problems(json!({
                "retry_on_failure": {"randomization_factor": 1.5, "multiplier": -1.0},
                "sending_queue": {
                    "num_consumers": 0, "wait_for_result": true, "storage": "file_storage/q",
                    "batch": {"min_size": 10, "max_size": 5}
                }
            })),
            [
                "retry_on_failure.randomization_factor: randomization_factor is 1.5, it must be from 0 to 1",
                "retry_on_failure.multiplier: multiplier is -1, it must not be negative",
                "sending_queue.num_consumers: num_consumers is 0, the least is 1",
                "sending_queue.wait_for_result: wait_for_result does not go with storage: \
                 a stored batch is answered once it is on disk",
                "sending_queue.batch.max_size: max_size is 5, less than min_size (10); use 0 for no limit",
            ]
        );
        assert_eq!(
            problems(json!({"sending_queue": {"sizer": "items", "batch": {}}})),
            ["sending_queue.batch.min_size: min_size is 8192, more than queue_size (1000)"]
        );
        assert_eq!(problems(json!({"sending_queue": {"enabled": false, "queue_size": 0}})), [""; 0]);
        assert_eq!(
            problems(json!({"sending_queue": {
                "overflow": "drop_newest", "wait_for_result": true, "recovery": "in_order", "recovery_rate": 1
            }})),
            [
                "sending_queue.overflow: drop_newest does not go with wait_for_result, whose senders hear what became \
                 of their data; use refuse",
                "sending_queue.recovery_rate: recovery_rate does not go with recovery: in_order, where what is fresh \
                 stands behind the backlog",
            ]
        );
    }
}
