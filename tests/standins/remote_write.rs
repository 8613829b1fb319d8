//! A stand-in for Prometheus' remote write receiver, version 1.0, that keeps exemplars: snappy, protobuf, labels sorted and
//! unique, an exemplar only beside a series of that name.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use prost::Message;

/// `prometheus.WriteRequest`, as far as it is looked at.
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<WrittenExemplar>,
}

#[derive(Clone, PartialEq, Message)]
struct WrittenExemplar {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(int64, tag = "3")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// An exemplar that was written.
#[derive(Clone, Debug)]
pub struct Exemplar {
    /// The labels of its series.
    pub series: BTreeMap<String, String>,
    /// Its own labels.
    pub labels: BTreeMap<String, String>,
    /// The observation.
    pub value: f64,
}

#[derive(Default)]
struct Stored {
    exemplars: Vec<Exemplar>,
    refused: Vec<String>,
}

/// A running stand-in.
pub struct RemoteWrite {
    /// `host:port`.
    pub address: String,
    stored: Arc<Mutex<Stored>>,
    _runtime: tokio::runtime::Runtime,
}

impl RemoteWrite {
    /// Starts one on a free port.
    pub fn start() -> RemoteWrite {
        let stored = Arc::new(Mutex::new(Stored::default()));
        let runtime = super::super::support::runtime();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).expect("loopback has free ports");
        let address = listener.local_addr().expect("it listens").to_string();
        let state = stored.clone();
        runtime.spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let state = state.clone();
                let service = service_fn(move |request| write(state.clone(), request));
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                connections.spawn(connection);
            }
        });
        RemoteWrite { address, stored, _runtime: runtime }
    }

    /// The exemplars so far, and what was refused.
    pub fn stored(&self) -> (Vec<Exemplar>, Vec<String>) {
        let stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        (stored.exemplars.clone(), stored.refused.clone())
    }
}

async fn write(state: Arc<Mutex<Stored>>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let has = |name: &str, value: &str| request.headers().get(name).is_some_and(|v| v == value);
    let is_write = request.uri().path() == "/api/v1/write"
        && has("content-encoding", "snappy")
        && has("x-prometheus-remote-write-version", "0.1.0");
    #[allow(clippy::disallowed_methods, reason = "the body is limited")]
    let body = Limited::new(request.into_body(), 16 << 20).collect().await;
    let taken = match body {
        Ok(body) if is_write => take(&body.to_bytes()),
        Ok(_) => Err("not a remote write 1.0 request".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let mut stored = state.lock().unwrap_or_else(PoisonError::into_inner);
    let mut response = Response::new(Full::new(Bytes::new()));
    match taken {
        Ok(exemplars) => {
            stored.exemplars.extend(exemplars);
            *response.status_mut() = hyper::StatusCode::NO_CONTENT;
        }
        Err(why) => {
            stored.refused.push(why);
            *response.status_mut() = hyper::StatusCode::BAD_REQUEST;
        }
    }
    Ok(response)
}

#[allow(clippy::disallowed_methods, reason = "the length is looked at first")]
fn take(body: &[u8]) -> Result<Vec<Exemplar>, String> {
    let len = snap::raw::decompress_len(body).map_err(|error| error.to_string())?;
    if len > 64 << 20 {
        return Err(format!("{len} bytes"));
    }
    let plain = snap::raw::Decoder::new().decompress_vec(body).map_err(|error| error.to_string())?;
    let request = WriteRequest::decode(plain.as_slice()).map_err(|error| error.to_string())?;
    let mut exemplars = Vec::new();
    for series in request.timeseries {
        let labels = map(&series.labels)?;
        if !labels.contains_key("__name__") {
            return Err(format!("a series without a name: {labels:?}"));
        }
        for exemplar in series.exemplars {
            let own = map(&exemplar.labels)?;
            if exemplar.timestamp <= 0 {
                return Err(format!("an exemplar without a time: {own:?}"));
            }
            exemplars.push(Exemplar { series: labels.clone(), labels: own, value: exemplar.value });
        }
    }
    Ok(exemplars)
}

fn map(labels: &[Label]) -> Result<BTreeMap<String, String>, String> {
    if !labels.is_sorted_by(|a, b| a.name < b.name) {
        return Err(format!("labels are not sorted and unique: {labels:?}"));
    }
    Ok(labels.iter().map(|label| (label.name.clone(), label.value.clone())).collect())
}
