//! Sends OTLP over gRPC. The batch's bytes are the message.

use ::http::HeaderMap;
use bytes::Bytes;
use pipeline::config::{Problem, Settings};
use pipeline::net::compress::Level;
use pipeline::net::config::{Compression, GrpcClientConfig};
use pipeline::net::grpc::{CallError, Client, ClientSettings, Code, Status};
use pipeline::{Batch, BoxFuture, Context, Error, Exported, Exporter, ExporterFactory, Reason, Refused, Signal};
use serde::Deserialize;

use crate::otlp_requests::{self, MOST_ANSWER, PartialSuccess};
use crate::requests::{Answer, Progress};

/// Builds the exporter.
pub struct Factory;

/// The exporter's body, without what delivery reads.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where to and how.
    #[serde(rename = "~client")]
    pub client: GrpcClientConfig,
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        self.client.check("")
    }
}

impl ExporterFactory for Factory {
    const TYPES: &'static [&'static str] = &["otlp_grpc", "otlp"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "Sends OTLP over gRPC.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Box<dyn Exporter>, Error> {
        let config = config.client;
        let coding = config.compression.unwrap_or(Compression::Gzip).coding();
        let settings = ClientSettings {
            target: config.target()?,
            compression: coding.map(|coding| (coding, Level::default())),
            most_answer_bytes: MOST_ANSWER,
        };
        let http = config.client(&context)?;
        let signal = context.signal.ok_or("an exporter is built for one signal")?;
        Ok(Box::new(OtlpGrpc {
            signal,
            address: config.endpoint,
            client: Client::new(http, settings),
            progress: Progress::default(),
        }))
    }
}

struct OtlpGrpc {
    signal: Signal,
    address: String,
    client: Client,
    progress: Progress,
}

impl Exporter for OtlpGrpc {
    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Exported> {
        Box::pin(otlp_requests::export(batch, &self.progress, self))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.client.close();
        Box::pin(async {})
    }
}

impl otlp_requests::Send for OtlpGrpc {
    async fn send(&self, parts: &[Bytes], items: usize) -> Answer {
        match self.client.call(method(self.signal), parts, HeaderMap::new(), None).await {
            // An answer that cannot be read is still a success.
            Ok(reply) => PartialSuccess::from_proto(&reply.message).unwrap_or_default().answer(self.signal, items),
            Err(CallError::Status(status)) => self.refusal(&status),
            Err(CallError::Send(error)) => match error.refused() {
                Refused::Retry { after, reason } => Answer::Retry { after, reason, heavy: false },
                Refused::Reject { reason } => Answer::Reject(reason),
            },
        }
    }
}

impl OtlpGrpc {
    /// By the table of the OTLP specification: what may be tried again, and `RESOURCE_EXHAUSTED` only if the far side
    /// says when.
    fn refusal(&self, status: &Status) -> Answer {
        let reason = Reason::new(reason_code(status.code), format!("{} answered {status}", self.address));
        let after = status.retry_after.filter(|wait| !wait.is_zero());
        match status.code {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => Answer::Retry { after, reason, heavy: false },
            Code::ResourceExhausted if status.retry_after.is_some() => Answer::Retry { after, reason, heavy: false },
            _ => Answer::Reject(reason),
        }
    }
}

fn method(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

fn reason_code(code: Code) -> &'static str {
    match code {
        Code::Ok => "grpc_ok",
        Code::Cancelled => "grpc_cancelled",
        Code::Unknown => "grpc_unknown",
        Code::InvalidArgument => "grpc_invalid_argument",
        Code::DeadlineExceeded => "grpc_deadline_exceeded",
        Code::NotFound => "grpc_not_found",
        Code::AlreadyExists => "grpc_already_exists",
        Code::PermissionDenied => "grpc_permission_denied",
        Code::ResourceExhausted => "grpc_resource_exhausted",
        Code::FailedPrecondition => "grpc_failed_precondition",
        Code::Aborted => "grpc_aborted",
        Code::OutOfRange => "grpc_out_of_range",
        Code::Unimplemented => "grpc_unimplemented",
        Code::Internal => "grpc_internal",
        Code::Unavailable => "grpc_unavailable",
        Code::DataLoss => "grpc_data_loss",
        Code::Unauthenticated => "grpc_unauthenticated",
    }
}

#[cfg(test)]
mod tests;
