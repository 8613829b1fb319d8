//! Receives OTLP over gRPC and HTTP. Requests stay the bytes they came as: they are decompressed, checked and handed on,
//! never decoded into objects.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use pipeline::net::auth::Identity;
use pipeline::net::config::header_map;
use pipeline::net::http::{Admission, Handler, ServerOptions, serve};
use pipeline::{BoxFuture, Context, Error, Life, Metadata, Outputs, Receiver, ReceiverFactory, Signal};

mod config;
mod grpc_door;
mod http_door;
mod intake;
mod telemetry;

pub use config::{Config, HttpConfig, Protocols, Validation};

use grpc_door::GrpcHandler;
use http_door::HttpHandler;
use intake::Intake;
use telemetry::Refusals;

const GRPC_ENDPOINT: &str = "localhost:4317";
const HTTP_ENDPOINT: &str = "localhost:4318";

/// How long a message may pause while it is read, where the config does not say.
const READ_PAUSE: Duration = Duration::from_secs(30);
/// The slowest sender that is waited for, beyond a minute, in bytes a second.
const SLOWEST_BYTES_PER_SECOND: usize = 100 * 1024;

/// Builds the receiver.
pub struct Factory;

impl ReceiverFactory for Factory {
    const TYPES: &'static [&'static str] = &["otlp"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "Receives OTLP over gRPC and HTTP (protobuf and JSON).";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Box<dyn Receiver>, Error> {
        let files = &context.doors.files;
        let grpc = config.protocols.grpc.as_ref().map(|c| c.options(files)).transpose()?;
        let http = config.protocols.http.as_ref().map(|c| c.server.options(files)).transpose()?;
        let admission = (
            config.protocols.grpc.as_ref().map(|c| c.admission(&context)).transpose()?.unwrap_or_default(),
            config.protocols.http.as_ref().map(|c| c.server.admission(&context)).transpose()?.unwrap_or_default(),
        );
        Ok(Box::new(OtlpReceiver { config, context, grpc, http, admission }))
    }
}

struct OtlpReceiver {
    config: Config,
    context: Context,
    grpc: Option<ServerOptions>,
    http: Option<ServerOptions>,
    /// Over gRPC and over HTTP.
    admission: (Admission, Admission),
}

impl Receiver for OtlpReceiver {
    fn run(self: Box<Self>, next: Outputs, life: Life) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move {
            let OtlpReceiver { config, context, grpc, http, admission } = *self;
            let room = usize::try_from(config.max_in_flight_bytes.get()).unwrap_or(usize::MAX);
            let intake = Intake::new(&context, config.validation, room);
            let door = Door { context: &context, life: &life };
            let mut servers = Vec::with_capacity(2);
            if let (Some(config), Some(options)) = (config.protocols.grpc.into_option(), grpc) {
                let handler = GrpcHandler {
                    intake: intake.hands_on_to(next.over("grpc")),
                    refusals: Refusals::new(&context, "grpc"),
                    most_bytes: config.most_message_bytes(),
                    include_metadata: config.include_metadata,
                    admission: admission.0,
                };
                servers.push(door.open(config.endpoint_or(GRPC_ENDPOINT), "gRPC", options, Arc::new(handler)).await?);
            }
            if let (Some(config), Some(options)) = (config.protocols.http.into_option(), http) {
                let handler = HttpHandler {
                    intake: intake.hands_on_to(next.over("http")),
                    refusals: Refusals::new(&context, "http"),
                    paths: config.paths(),
                    response_headers: header_map(&config.server.response_headers),
                    server: config.server.clone(),
                    admission: admission.1,
                };
                let address = config.server.endpoint_or(HTTP_ENDPOINT);
                servers.push(door.open(address, "HTTP", options, Arc::new(handler)).await?);
            }
            life.ready();
            let mut servers = servers.into_iter();
            match (servers.next(), servers.next()) {
                (Some(one), Some(other)) => drop(tokio::join!(one, other)),
                (Some(one), None) => one.await,
                _ => life.stopped().await,
            }
            Ok(())
        })
    }
}

struct Door<'a> {
    context: &'a Context,
    life: &'a Life,
}

impl Door<'_> {
    /// Listens, and answers with what serves there until the receiver is stopped.
    async fn open(
        &self,
        address: &str,
        protocol: &'static str,
        options: ServerOptions,
        handler: Arc<dyn Handler>,
    ) -> Result<BoxFuture<'static, ()>, Error> {
        let listener = self.context.doors.net.listen(address).await;
        let listener =
            listener.map_err(|error| format!("cannot listen on {address} for OTLP over {protocol}: {error}"))?;
        tracing::info!(component = %self.context.id, address = listener.local_address(), "listening for OTLP over {protocol}");
        Ok(Box::pin(serve(listener, options, handler, self.context.tasks.clone(), self.life.token().clone())))
    }
}

/// What is known about a request's sender.
fn metadata(headers: &HeaderMap, peer: &str, identity: Identity, include_headers: bool) -> Metadata {
    let mut meta = Metadata { headers: Vec::new(), peer: Some(peer.to_owned()), identity };
    if include_headers {
        meta.headers.extend(
            headers.iter().map(|(name, value)| {
                (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            }),
        );
    }
    meta
}

/// How long a message of that size may take to come.
fn read_time(bytes: usize) -> Duration {
    Duration::from_secs(60 + (bytes / SLOWEST_BYTES_PER_SECOND) as u64)
}

#[cfg(test)]
mod tests;
