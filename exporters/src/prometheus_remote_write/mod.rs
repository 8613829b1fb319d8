//! Prometheus remote write 1.0: metrics as time series, straight from OTLP bytes to a snappy block of protobuf.
//! It keeps no series between batches and never converts delta metrics.

mod config;
mod convert;
mod exemplars;
mod labels;
mod metadata;
mod names;
mod native;
mod points;
mod timeseries;

#[cfg(test)]
mod tests;

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use pipeline::delivery::{self, BatchSettings, QueueSettings, RetrySettings, Sizer};
use pipeline::{Batch, BoxFuture, Context, Error, Exported, Exporter, ExporterFactory, Reason, Signal};

pub use config::Config;
use convert::{Conversion, convert};
use timeseries::{Most, TimeSeries};

use crate::http_push::Pusher;
use crate::requests::{Answer, Cut, Progress, Requests};

/// `prometheus_remote_write`.
pub struct Factory;

impl ExporterFactory for Factory {
    const TYPES: &'static [&'static str] = &["prometheus_remote_write", "prometheusremotewrite"];
    const SIGNALS: &'static [Signal] = &[Signal::Metrics];
    const ABOUT: &'static str = "Writes metrics to Prometheus and whatever else takes remote write 1.0.";
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Box<dyn Exporter>, Error> {
        Ok(Box::new(RemoteWrite {
            pusher: Pusher::new(config.http_client(), &context)?,
            conversion: config.conversion(),
            most: config.most(),
            progress: Progress::default(),
        }))
    }

    /// One batch at a time, so that the samples of a series stay in order; batches of 2,000 points or 5 s, as
    /// Prometheus sends them.
    fn delivery() -> delivery::Settings {
        let batch = BatchSettings {
            flush_timeout: Duration::from_secs(5),
            min_size: 2000,
            max_size: 2000,
            sizer: Some(Sizer::Items),
            ..BatchSettings::default()
        };
        delivery::Settings {
            retry: RetrySettings { initial_interval: Duration::from_millis(50), ..RetrySettings::default() },
            queue: QueueSettings {
                num_consumers: 1,
                queue_size: 10_000,
                batch: Some(batch),
                ..QueueSettings::default()
            },
            ..delivery::Settings::default()
        }
    }

    fn delivery_for(config: &Config) -> delivery::Settings {
        let mut settings = Factory::delivery();
        settings.queue.enabled = config.remote_write_queue.enabled.unwrap_or(settings.queue.enabled);
        settings.queue.queue_size = config.remote_write_queue.queue_size.unwrap_or(settings.queue.queue_size);
        settings
    }
}

/// What Prometheus 2.40 to 2.x says, as a 500, to a request with native histograms where the feature is off.
const NATIVE_DISABLED: &str = "native histograms are disabled";

/// The exporter.
struct RemoteWrite {
    pusher: Pusher,
    conversion: Conversion,
    most: Most,
    progress: Progress,
}

impl Exporter for RemoteWrite {
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Exported> {
        Box::pin(async move {
            let converted = convert(&self.conversion, batch)?;
            let requests = Series { exporter: self, series: &converted.series };
            let receipt = self.progress.export(batch, &requests, converted.dropped).await?;
            if let Some(metadata) = converted.metadata.into_request()
                && let Some(reason) = self.write(&metadata).await.reason()
            {
                tracing::warn!(%reason, "types and help texts were not taken");
            }
            Ok(receipt)
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.pusher.close();
        Box::pin(async {})
    }
}

impl RemoteWrite {
    /// One attempt at one request.
    async fn write(&self, request: &[u8]) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("x-prometheus-remote-write-version", HeaderValue::from_static("0.1.0"));
        match self.pusher.push(request, headers).await {
            Ok(response) => match self.pusher.answer(&response) {
                // The server has stored what it could and answers for the rest; which that is it does not say.
                Answer::Reject(reason) if reason.code == "http_400" => Answer::Spoiled(reason),
                Answer::Retry { reason, .. } if reason.message.contains(NATIVE_DISABLED) => {
                    Answer::Spoiled(Reason::new(
                        "native_histograms_disabled",
                        format!("{reason}; set send_native_histograms: false, or enable the feature there"),
                    ))
                }
                answer => answer,
            },
            Err(answer) => answer,
        }
    }
}

/// The series of one batch on their way.
struct Series<'a> {
    exporter: &'a RemoteWrite,
    series: &'a TimeSeries,
}

impl Requests for Series<'_> {
    type Request = Vec<u8>;

    fn lanes(&self) -> usize {
        self.exporter.conversion.lanes
    }

    fn cut(&self, lane: usize, from: usize, most: usize) -> Option<Cut<Vec<u8>>> {
        let limits = self.exporter.most;
        self.series.cut(lane, from, Most { samples: limits.samples.min(most), ..limits })
    }

    async fn send(&self, request: Vec<u8>) -> Answer {
        self.exporter.write(&request).await
    }
}
