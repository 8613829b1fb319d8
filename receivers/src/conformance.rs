//! What every receiver must do, checked by the kit.

use pipeline::Signal;
use pipeline::testing::conformance::receiver;
use pipeline::testing::{World, batch};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Posts one span over HTTP/1 and waits for the answer.
async fn post_a_span(world: &World) {
    let body = batch(Signal::Traces, ["a"]).to_bytes();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         content-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = world.doors.net.connect("localhost:4318").await.unwrap();
    stream.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test(start_paused = true)]
async fn otlp() {
    receiver::<crate::otlp::Factory>("protocols: {http: }", post_a_span).await;
}

/// A host without a driver has something to tell at each reading, too.
#[cfg(feature = "nvml")]
#[tokio::test(start_paused = true)]
async fn nvml() {
    let a_reading = async |_: &World| tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let config = "{library: /nowhere/libnvidia-ml.so.1, collection_interval: 1s}";
    receiver::<crate::nvml::Factory>(config, a_reading).await;
}
