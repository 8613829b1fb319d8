//! Prometheus remote write, 2.0 and 1.0: metrics as time series, straight from OTLP bytes to a snappy block of protobuf.
//! It keeps no series between batches and never converts delta metrics.

mod answer;
mod body;
mod config;
mod convert;
mod encoded;
pub(crate) mod fuzz;
mod hash;
mod metadata;
mod native;
mod own;
mod packed;
mod pieces;
mod points;
mod sets;
mod snappy;
mod symbols;
mod timeseries;
mod version_1;
mod version_2;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use pipeline::delivery::{self, BatchSettings, QueueSettings, Recovery, RetrySettings, Sizer};
use pipeline::doors::Clock;
use pipeline::{Batch, BoxFuture, Context, Error, Exported, Exporter, ExporterFactory, Reason, Refused, Signal};

pub use config::Config;
use config::LANES;
use convert::{Conversion, convert_into};
use metadata::{MetadataEntries, Told};
use timeseries::{Message, Most, Request, TimeSeries};

use crate::http_push::{self, Pusher};
use crate::requests::{Answer, Cut, Progress, Requests};

/// `prometheus_remote_write`.
pub struct Factory;

impl ExporterFactory for Factory {
    const TYPES: &'static [&'static str] = &["prometheus_remote_write", "prometheusremotewrite"];
    const SIGNALS: &'static [Signal] = &[Signal::Metrics];
    const ABOUT: &'static str = "Writes metrics to Prometheus and whatever else takes remote write 1.0 or 2.0.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Box<dyn Exporter>, Error> {
        Ok(Box::new(RemoteWrite {
            pusher: Pusher::new(config.http_client(), &context)?,
            conversion: config.conversion(),
            most: config.most(),
            age_limit: config.age_limit(),
            clock: context.doors.clock,
            speaks_2: AtomicBool::new(config.message() == Message::V2),
            spare: Mutex::default(),
            progress: Progress::default(),
            progress_2: Progress::default(),
            told: Told::default(),
            said_reduced: AtomicBool::new(false),
        }))
    }

    /// One batch at a time, so that the samples of a series stay in order; as soon as there are 2,000 points, or after 5 s,
    /// as Prometheus sends them. What comes together goes together, as far as the requests at the same time take it.
    fn delivery() -> delivery::Settings {
        let batch = BatchSettings {
            flush_timeout: Duration::from_secs(5),
            min_size: SAMPLES,
            max_size: SAMPLES * LANES,
            sizer: Some(Sizer::Items),
            ..BatchSettings::default()
        };
        delivery::Settings {
            retry: RetrySettings { initial_interval: Duration::from_millis(50), ..RetrySettings::default() },
            queue: QueueSettings {
                num_consumers: 1,
                recovery: Recovery::InOrder,
                queue_size: 10_000,
                batch: Some(batch),
                ..QueueSettings::default()
            },
            ..delivery::Settings::default()
        }
    }

    /// Where so many requests at the same time are asked for, a batch waits until it fills all of them.
    fn delivery_for(config: &Config) -> delivery::Settings {
        let mut settings = Factory::delivery();
        settings.queue.enabled = config.remote_write_queue.enabled.unwrap_or(settings.queue.enabled);
        settings.queue.queue_size = config.remote_write_queue.queue_size.unwrap_or(settings.queue.queue_size);
        if let Some(batch) = &mut settings.queue.batch {
            let points = |lanes: usize| config.max_samples_per_send.max(1).saturating_mul(lanes);
            batch.min_size = points(config.asked_lanes().unwrap_or(1));
            batch.max_size = points(config.lanes());
        }
        settings
    }
}

/// Points of a batch.
const SAMPLES: usize = 2000;

/// The exporter.
struct RemoteWrite {
    pusher: Pusher,
    conversion: Conversion,
    most: Most,
    age_limit: Option<Duration>,
    clock: Clock,
    /// Whether the far side is still believed to take 2.0.
    speaks_2: AtomicBool,
    /// The series of the last batch, for the room that they have.
    spare: Mutex<TimeSeries>,
    progress: Progress,
    progress_2: Progress,
    told: Told,
    /// Whether it was said that custom buckets become classic series.
    said_reduced: AtomicBool,
}

impl Exporter for RemoteWrite {
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Exported> {
        Box::pin(async move {
            if self.message() == Message::V2 {
                match self.export_as(Message::V2, batch).await {
                    Err(Refused::Retry { .. }) if self.message() == Message::V1 => self.progress_2.forget(),
                    exported => return exported,
                }
            }
            self.export_as(Message::V1, batch).await
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.pusher.close();
        Box::pin(async {})
    }
}

impl RemoteWrite {
    fn message(&self) -> Message {
        if self.speaks_2.load(Ordering::Relaxed) { Message::V2 } else { Message::V1 }
    }

    async fn export_as(&self, message: Message, batch: &Batch) -> Exported {
        let spare = std::mem::take(&mut *self.spare.lock().unwrap_or_else(PoisonError::into_inner));
        let converted = convert_into(&self.conversion, message, batch, spare)?;
        if converted.is_reduced && !self.said_reduced.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "remote write 1.0 has no custom buckets, histograms that ask for them are sent as classic series"
            );
        }
        let requests = Series { exporter: self, series: &converted.series };
        let progress = if message == Message::V1 { &self.progress } else { &self.progress_2 };
        let exported = progress.export(batch, &requests, converted.dropped).await;
        *self.spare.lock().unwrap_or_else(PoisonError::into_inner) = converted.series;
        let receipt = exported?;
        self.tell(&converted.metadata).await;
        Ok(receipt)
    }

    /// Sends types, help texts and units that are due; a refusal costs nothing.
    async fn tell(&self, entries: &MetadataEntries) {
        for due in self.told.due(entries) {
            let answer = match http_push::snappy(&due.body) {
                Ok(body) => self.send(body, Message::V1, 0).await,
                Err(answer) => Err(answer),
            };
            match answer {
                Ok(response) if response.status.is_success() => self.told.remember(&due),
                Ok(response) => {
                    let reason = self.pusher.reason(&response);
                    tracing::warn!(%reason, "types and help texts were not taken");
                    if !response.status.is_server_error() {
                        self.told.remember(&due);
                    }
                }
                Err(answer) => {
                    if let Some(reason) = answer.reason() {
                        tracing::warn!(%reason, "types and help texts were not taken");
                    }
                }
            }
        }
    }

    /// One attempt at one request.
    async fn write(&self, request: &Request, body: Bytes, series: &TimeSeries, attempt: usize) -> Answer {
        let response = match self.send(body, series.message(), attempt).await {
            Ok(response) => response,
            Err(answer) => return answer,
        };
        match series.message() {
            Message::V1 => answer::of_1(&self.pusher, &response),
            Message::V2 => match answer::of_2(&self.pusher, &response, request, || series.repeats(request)) {
                Ok(answer) => answer,
                Err(reason) => self.fall_back(reason),
            },
        }
    }

    /// Sends a compressed body, and says with it how often it was sent before, as Prometheus does.
    async fn send(
        &self,
        body: Bytes,
        message: Message,
        attempt: usize,
    ) -> Result<pipeline::net::http::Response, Answer> {
        let mut headers = HeaderMap::new();
        let version = match message {
            Message::V1 => "0.1.0",
            Message::V2 => {
                let proto = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(proto));
                "2.0.0"
            }
        };
        headers.insert("x-prometheus-remote-write-version", HeaderValue::from_static(version));
        if attempt > 0 {
            headers.insert("retry-attempt", HeaderValue::from(attempt));
        }
        self.pusher.push_compressed(body, headers).await
    }

    /// From now on 1.0 is written; the batch at hand begins anew.
    fn fall_back(&self, reason: Reason) -> Answer {
        if self.speaks_2.swap(false, Ordering::Relaxed) {
            tracing::warn!(%reason, "the far side does not take remote write 2.0, writing 1.0 from now on");
        }
        Answer::Retry { after: None, reason, heavy: false }
    }

    /// Samples before this are too old, milliseconds since 1970.
    fn oldest(&self) -> i64 {
        let oldest = self.age_limit.map(|limit| self.clock.now().saturating_sub(limit).as_millis());
        oldest.map_or(i64::MIN, |oldest| i64::try_from(oldest).unwrap_or(i64::MAX))
    }
}

/// The series of one batch on their way.
struct Series<'a> {
    exporter: &'a RemoteWrite,
    series: &'a TimeSeries,
}

/// What becomes of some samples of a lane.
enum Next {
    /// The request without its body, and that, compressed: what was not is large, and several are on their way.
    Send(Request, Result<Bytes, Answer>),
    /// They are too old.
    Expired,
}

impl Requests for Series<'_> {
    type Request = Next;

    fn lanes(&self) -> usize {
        self.series.lanes()
    }

    fn cut(&self, lane: usize, from: usize, most: usize) -> Option<Cut<Next>> {
        let (entries, items) = self.series.expired(lane, from, most, self.exporter.oldest());
        if entries > 0 {
            return Some(Cut { request: Next::Expired, entries, items });
        }
        let limits = self.exporter.most;
        let limits = Most { samples: limits.samples.min(most), ..limits };
        if let Some(Cut { mut request, entries, items }) = self.series.cut_packed(lane, from, limits) {
            let body = Ok(Bytes::from(std::mem::take(&mut request.body)));
            return Some(Cut { request: Next::Send(request, body), entries, items });
        }
        let Cut { mut request, entries, items } = self.series.cut(lane, from, limits)?;
        let body = http_push::snappy(&request.body);
        self.series.reuse(std::mem::take(&mut request.body));
        Some(Cut { request: Next::Send(request, body), entries, items })
    }

    fn name(&self, lane: usize, entry: usize) -> Option<String> {
        self.series.name(lane, entry)
    }

    async fn send(&self, request: Next, attempt: usize) -> Answer {
        match request {
            Next::Send(request, Ok(body)) => self.exporter.write(&request, body, self.series, attempt).await,
            Next::Send(_, Err(answer)) => answer,
            Next::Expired => Answer::Reject(Reason::new("too_old", "the sample is older than sample_age_limit")),
        }
    }
}
