//! A stand-in for Tempo's OTLP/gRPC door: the generated tonic service, at most 4 MiB a message, ids of the right length.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tonic::codec::CompressionEncoding;
use tonic::{Request, Response, Status};

/// What arrived.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Spans.
    pub spans: usize,
    /// Their trace ids, hex.
    pub trace_ids: BTreeSet<String>,
    /// Names of spans.
    pub span_names: BTreeSet<String>,
    /// `key=value` of the resources' text attributes.
    pub resource_attributes: BTreeSet<String>,
    /// Requests.
    pub requests: usize,
}

/// A running stand-in.
pub struct Tempo {
    /// `host:port` for OTLP/gRPC.
    pub address: String,
    stored: Arc<Mutex<Stored>>,
    _runtime: tokio::runtime::Runtime,
}

impl Tempo {
    /// Starts one on a free port.
    pub fn start() -> Tempo {
        let stored = Arc::new(Mutex::new(Stored::default()));
        let service = TraceServiceServer::new(Service(stored.clone()))
            .max_decoding_message_size(4 << 20)
            .accept_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Zstd)
            // As grpc-go does: a gzip request gets a gzip answer, if the client takes it.
            .send_compressed(CompressionEncoding::Gzip);
        let runtime = super::super::support::runtime();
        let address = format!("127.0.0.1:{}", super::super::support::free_port());
        let listen = address.parse().expect("an address");
        runtime.spawn(tonic::transport::Server::builder().add_service(service).serve(listen));
        Tempo { address, stored, _runtime: runtime }
    }

    /// What arrived so far.
    pub fn stored(&self) -> Stored {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Service(Arc<Mutex<Stored>>);

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        let mut arrived = Stored { requests: 1, ..Stored::default() };
        for group in &request.resource_spans {
            for attribute in group.resource.iter().flat_map(|r| &r.attributes) {
                if let Some(text) = text(attribute) {
                    arrived.resource_attributes.insert(format!("{}={text}", attribute.key));
                }
            }
            for span in group.scope_spans.iter().flat_map(|s| &s.spans) {
                if span.trace_id.len() != 16 || span.span_id.len() != 8 {
                    return Err(Status::invalid_argument("a trace id has 16 bytes and a span id 8"));
                }
                arrived.spans += 1;
                arrived.trace_ids.insert(span.trace_id.iter().map(|b| format!("{b:02x}")).collect());
                arrived.span_names.insert(span.name.clone());
            }
        }
        let mut stored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stored.requests += 1;
        stored.spans += arrived.spans;
        stored.trace_ids.append(&mut arrived.trace_ids);
        stored.span_names.append(&mut arrived.span_names);
        stored.resource_attributes.append(&mut arrived.resource_attributes);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn text(attribute: &opentelemetry_proto::tonic::common::v1::KeyValue) -> Option<String> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
}
