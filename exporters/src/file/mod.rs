//! Writes requests into a file: OTLP JSON lines, or protobuf behind its length. What was answered is with the operating
//! system; it is synced to the disk when the exporter closes.

mod config;
mod encode;
mod group;
mod rotate;
mod sink;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use pipeline::delivery;
use pipeline::{Batch, BoxFuture, Context, Error, Exported, Exporter, ExporterFactory, Receipt, Refused, Signal};

pub use config::Config;
use sink::Sink;

/// `file`.
pub struct Factory;

impl ExporterFactory for Factory {
    const TYPES: &'static [&'static str] = &["file"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "Writes OTLP into a file, as JSON lines or protobuf.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Box<dyn Exporter>, Error> {
        Ok(Box::new(File { sink: config.sink.clone().of(&config, &context) }))
    }

    fn delivery() -> delivery::Settings {
        delivery::Settings::direct()
    }
}

/// The sink of one config: its instances for traces, metrics and logs write into the same file.
#[derive(Clone, Debug, Default)]
pub struct SharedSink(Arc<Mutex<Weak<Sink>>>);

impl SharedSink {
    fn of(self, config: &Config, context: &Context) -> Arc<Sink> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let sink = Arc::new(Sink::new(config.clone(), context));
            *shared = Arc::downgrade(&sink);
            sink
        })
    }
}

/// The exporter.
struct File {
    sink: Arc<Sink>,
}

impl Exporter for File {
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Exported> {
        Box::pin(async move {
            let (sink, batch) = (Arc::clone(&self.sink), batch.clone());
            // Encoding and writing may both take their time.
            match tokio::task::spawn_blocking(move || sink.write(&batch)).await {
                Ok(written) => written.map(|()| Receipt::default()),
                Err(error) => Err(Refused::reject("panic", format!("the exporter has a bug: {error}"))),
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let sink = Arc::clone(&self.sink);
        Box::pin(async move {
            if tokio::task::spawn_blocking(move || sink.sync()).await.is_err() {
                tracing::error!("a bug: syncing a file panicked");
            }
        })
    }
}
