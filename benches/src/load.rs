//! Load: connections that each send the next request as soon as the last is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

/// What was answered, and how.
#[derive(Default)]
pub struct Sent {
    /// Requests answered with success.
    pub good: AtomicU64,
    /// Requests answered with anything else.
    pub bad: AtomicU64,
}

/// Sends requests over one connection until `until`.
pub async fn connection(grpc: bool, address: String, pool: Vec<Bytes>, sent: Arc<Sent>, until: Instant) {
    let result = if grpc {
        over_grpc(&address, &pool, &sent, until).await
    } else {
        over_http(&address, &pool, &sent, until).await
    };
    if let Err(error) = result {
        eprintln!("a connection ended early: {error}");
    }
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

async fn over_http(address: &str, pool: &[Bytes], sent: &Sent, until: Instant) -> Result<(), Fault> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    for body in pool.iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        client.ready().await?;
        let request = Request::post("/v1/traces")
            .header("host", address)
            .header("content-type", "application/x-protobuf")
            .body(Full::<Bytes>::new(body.clone()))?;
        let response = client.send_request(request).await?;
        let good = response.status().is_success();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        count(sent, good);
    }
    Ok(())
}

async fn over_grpc(address: &str, pool: &[Bytes], sent: &Sent, until: Instant) -> Result<(), Fault> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut client, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(4 << 20)
        .initial_connection_window_size(8 << 20)
        .max_frame_size(1 << 20)
        .handshake::<_, Full<Bytes>>(TokioIo::new(stream))
        .await?;
    tokio::spawn(connection);
    let framed: Vec<Bytes> = pool.iter().map(frame).collect();
    for body in framed.iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        client.ready().await?;
        let request =
            Request::post(format!("http://{address}/opentelemetry.proto.collector.trace.v1.TraceService/Export"))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(Full::<Bytes>::new(body.clone()))?;
        let response = client.send_request(request).await?;
        let mut status = response.headers().get("grpc-status").cloned();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            if let Ok(trailers) = frame?.into_trailers() {
                status = trailers.get("grpc-status").cloned();
            }
        }
        count(sent, status.is_some_and(|status| status == "0"));
    }
    Ok(())
}

/// A message behind its five bytes of gRPC framing.
fn frame(message: &Bytes) -> Bytes {
    let mut framed = BytesMut::with_capacity(message.len() + 5);
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(message);
    framed.freeze()
}

fn count(sent: &Sent, good: bool) {
    if good { &sent.good } else { &sent.bad }.fetch_add(1, Ordering::Relaxed);
}
