//! Loki's push endpoint: log records as lines of streams, straight from OTLP bytes to a snappy block of protobuf.
//! It never retries what Loki has refused for good.

mod adjusted;
mod alike;
mod answer;
mod config;
mod convert;
mod entry;
mod hints;
mod ids;
mod labels;
mod line;
mod listed;
mod metadata;
mod newest;
mod origin;
mod place;
mod preset;
mod streams;

#[cfg(test)]
mod tests;

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use pipeline::buffers::Buffers;
use pipeline::delivery::{self, BatchSettings, QueueSettings, Recovery, RetrySettings, Sizer};
use pipeline::doors::Clock;
use pipeline::{Batch, BoxFuture, Context, Error, Exported, Exporter, ExporterFactory, Signal};

use adjusted::Adjusted;
pub use config::Config;
use convert::convert;
use newest::{Newest, Times};
use streams::{Push, Streams};

use crate::http_push::{Pusher, compressed};
use crate::requests::{Answer, Cut, Progress, Requests};

/// `loki`.
pub struct Factory;

impl ExporterFactory for Factory {
    const TYPES: &'static [&'static str] = &["loki"];
    const SIGNALS: &'static [Signal] = &[Signal::Logs];
    const ABOUT: &'static str = "Pushes logs to Loki.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Box<dyn Exporter>, Error> {
        if config.max_labels > LOKIS_LABELS {
            tracing::warn!(
                component = %context.id,
                "max_labels is {}: Loki refuses streams with more than {LOKIS_LABELS} unless its limit is raised",
                config.max_labels
            );
        }
        Ok(Box::new(Loki {
            pusher: Pusher::new(&config.client, &context)?,
            adjusted: Adjusted::new(&context),
            clock: context.doors.clock,
            config,
            newest: Newest::default(),
            progress: Progress::default(),
            buffers: Buffers::default(),
        }))
    }

    /// Batches of 1 MiB or 1 s, as Promtail sends them.
    fn delivery() -> delivery::Settings {
        let batch = BatchSettings {
            flush_timeout: Duration::from_secs(1),
            min_size: 1 << 20,
            max_size: 1 << 20,
            sizer: Some(Sizer::Bytes),
            ..BatchSettings::default()
        };
        delivery::Settings {
            timeout: Duration::from_secs(10),
            retry: RetrySettings { initial_interval: Duration::from_millis(500), ..RetrySettings::default() },
            queue: QueueSettings { batch: Some(batch), recovery: Recovery::InOrder, ..QueueSettings::default() },
        }
    }
}

/// The exporter.
struct Loki {
    pusher: Pusher,
    adjusted: Adjusted,
    clock: Clock,
    config: Config,
    newest: Newest,
    /// With how far the streams had come at the first attempt: what goes to which stream stays so for a batch.
    progress: Progress<Times>,
    /// Those of entries and pushes.
    buffers: Buffers,
}

impl Exporter for Loki {
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Exported> {
        Box::pin(async move {
            let now = self.clock.now_unix_nanos();
            let times = self.progress.memo(batch).unwrap_or_else(|| self.newest.times());
            let buffer = self.buffers.take(batch.items().min(MOST_ROOM) * WRITTEN_BYTES);
            let (streams, dropped) = convert(&self.config, &self.adjusted, batch, now, &times, buffer)?;
            let pushes = Pushes { exporter: self, streams: &streams };
            let exported = self.progress.export_with(batch, times, &pushes, dropped).await;
            if exported.is_ok() {
                self.newest.sent(streams.newest(), now);
            }
            self.buffers.keep(streams.into_buffer());
            exported
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.pusher.close();
        Box::pin(async {})
    }
}

/// The labels of a stream that Loki takes by default.
const LOKIS_LABELS: usize = 15;
/// Entries for which there is room from the start.
const MOST_ROOM: usize = 1 << 14;
/// What is written of a record beside its body and its ids, where that is not what the one before has.
const WRITTEN_BYTES: usize = 64;
/// Bytes from which the size of a push may be why it fails at a gateway.
const HEAVY: usize = 64 << 10;

fn is_gateway(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
}

/// The streams of one batch on their way.
struct Pushes<'a> {
    exporter: &'a Loki,
    streams: &'a Streams<'a>,
}

impl Requests for Pushes<'_> {
    type Request = Push;

    fn lanes(&self) -> usize {
        1
    }

    fn cut(&self, _: usize, from: usize, most: usize) -> Option<Cut<Push>> {
        self.streams.cut(from, most, self.exporter.config.max_batch_size_bytes, &self.exporter.buffers)
    }

    async fn send(&self, push: Push, _: usize) -> Answer {
        let mut headers = HeaderMap::new();
        if !push.tenant.is_empty()
            && let Ok(tenant) = HeaderValue::from_str(&push.tenant)
        {
            headers.insert("x-scope-orgid", tenant);
        }
        let (pusher, bytes) = (&self.exporter.pusher, push.bytes);
        let body = match compressed(push.body) {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let response = match pusher.push_compressed(body, headers).await {
            Ok(response) => response,
            Err(answer) => return answer,
        };
        if response.status != StatusCode::BAD_REQUEST {
            return match pusher.answer(&response) {
                // A gateway before Loki says it so.
                Answer::Retry { after, reason, .. } if is_gateway(response.status) => {
                    Answer::Retry { after, reason, heavy: bytes >= HEAVY }
                }
                answer => answer,
            };
        }
        let reason = pusher.reason(&response);
        let streams: Vec<_> = push.streams.iter().map(|(labels, items)| (labels.as_str(), *items)).collect();
        match answer::dropped(&reason, &String::from_utf8_lossy(&response.body), &streams) {
            Some(dropped) => Answer::Taken(dropped),
            None => Answer::Reject(reason),
        }
    }
}
