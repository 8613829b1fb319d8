//! Scraping. `parse` times what becomes of one body on one thread; `scrape` runs the program between targets and a null
//! remote-write sink, and takes its CPU time for a million samples and its memory for a series.
#![allow(clippy::print_stdout, reason = "it prints its results")]

use std::convert::Infallible;
use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use pipeline::net::compress::{Coding, decompress};
use pipeline::otlp::wire::Fields;
use receivers::prometheus::cache::{Cache, Counts, Measures, Rules};
use receivers::prometheus::exposition::{Entry, Format, Parser};
use tokio::net::TcpListener;

use crate::process::{Slipring, Usage};
use crate::{Options, exposition};

/// Bodies that differ in their values.
const BODIES: usize = 8;
/// The most bytes of a remote-write request.
const MOST_BYTES: usize = 64 << 20;

/// Times reading and writing of one body.
pub fn parse(options: &Options) -> Result<(), String> {
    let series = options.number("series", 10_000);
    let bodies: Vec<String> = (0..BODIES).map(|round| exposition::body(series, round)).collect();
    println!("bodies          {series} samples of {} bytes", bodies[0].len() / series);
    let time = Duration::from_millis(options.number("milliseconds", 2000) as u64);
    let show = |name: &str, operation: &mut dyn FnMut(&str)| {
        let (start, cpu, mut rounds) = (Instant::now(), thread_cpu(), 0);
        while start.elapsed() < time {
            operation(&bodies[rounds % BODIES]);
            rounds += 1;
        }
        let samples = (rounds * series) as f64;
        // On a machine that is busy with other things, the clock on the wall says little.
        let seconds = (thread_cpu() - cpu).as_secs_f64();
        println!("{name:<44} {:>7.1} ns/sample {:>6.1} M samples/s", seconds / samples * 1e9, samples / seconds / 1e6);
    };
    show("parse, nothing expected", &mut |body| {
        let mut parser = Parser::new(body.as_bytes(), Format::Text);
        while let Some(entry) = parser.next(b"") {
            black_box(&entry);
        }
    });
    show("parse with every name and label", &mut |body| {
        let mut parser = Parser::new(body.as_bytes(), Format::Text);
        while let Some(entry) = parser.next(b"") {
            if let Ok(Entry::Sample(sample)) = entry {
                black_box((parser.name(), sample.value));
                parser.labels().for_each(|label| drop(black_box(label)));
            }
        }
    });
    let expected = series_texts(&bodies[0]);
    show("parse, every series expected", &mut |body| {
        let mut parser = Parser::new(body.as_bytes(), Format::Text);
        let mut at = 0;
        while let Some(entry) = parser.next(expected.get(at).map_or(&[], |text| text)) {
            at += usize::from(matches!(entry, Ok(Entry::Sample(_))));
            black_box(&entry);
        }
    });
    let mut at_ms = 1_700_000_000_000;
    let mut read = |cache: &mut Cache, body: &str| {
        at_ms += 1000;
        let mut counts = Counts::default();
        let up = cache.read(body.as_bytes(), Format::Text, at_ms, &mut counts).is_ok();
        (up, counts)
    };
    show("read into an empty memory", &mut |body| {
        let mut cache = cache();
        black_box(read(&mut cache, body));
    });
    let mut known = cache();
    show("read what is known", &mut |body| {
        black_box(read(&mut known, body));
        known.commit(true);
    });
    let mut known = cache();
    show("read what is known and write OTLP", &mut |body| {
        let (up, counts) = read(&mut known, body);
        black_box(known.write(&Measures::Scrape { up, seconds: 0.0, counts, extra: None }));
        known.commit(true);
    });
    Ok(())
}

/// How long this thread has had a core.
fn thread_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

/// What a scrape of so many series becomes, and the number of its points.
pub fn scraped(series: usize) -> (Vec<u8>, usize) {
    let (mut cache, mut counts) = (cache(), Counts::default());
    let up = cache.read(exposition::body(series, 0).as_bytes(), Format::Text, 1_790_000_000_000, &mut counts).is_ok();
    cache.write(&Measures::Scrape { up, seconds: 0.0, counts, extra: None })
}

fn cache() -> Cache {
    let rules = Rules { honor_timestamps: true, ..Rules::default() };
    let target = [("instance", "worker:8081"), ("job", "dynamo")];
    Cache::new(Arc::new(rules), target.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec(), "http")
}

fn series_texts(body: &str) -> Vec<&[u8]> {
    let mut parser = Parser::new(body.as_bytes(), Format::Text);
    let mut out = Vec::new();
    while let Some(Ok(entry)) = parser.next(b"") {
        if let Entry::Sample(sample) = entry {
            out.push(sample.series);
        }
    }
    out
}

/// What the sink has taken.
#[derive(Default)]
struct Taken {
    samples: AtomicU64,
    bytes: AtomicU64,
}

/// Runs the program between targets and sink.
pub fn run(options: &Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(scenario(options))
}

async fn scenario(options: &Options) -> Result<(), String> {
    let (targets, series) = (options.number("targets", 20), options.number("series", 10_000));
    let seconds = options.number("seconds", 30) as u64;
    let bodies: Arc<Vec<Bytes>> = Arc::new((0..BODIES).map(|round| exposition::body(series, round).into()).collect());
    let bytes_a_sample = bodies[0].len() / series;
    let taken = Arc::new(Taken::default());
    let sink = {
        let taken = taken.clone();
        serve(move |request| take(taken.clone(), request)).await?
    };
    let mut addresses = Vec::new();
    for _ in 0..targets {
        let (bodies, round) = (bodies.clone(), Arc::new(AtomicUsize::new(0)));
        let answer = move |_| {
            let body = bodies[round.fetch_add(1, Ordering::Relaxed) % BODIES].clone();
            async move { response("text/plain; version=0.0.4; charset=utf-8", body) }
        };
        addresses.push(serve(answer).await?);
    }
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let config = config(&addresses, &sink, options);
    // It listens nowhere; the sink's door opens at once, so that this does not wait.
    let program = options.text("slipring", "target/release/slipring");
    let slipring = Slipring::start(program, &config, folder.path(), &sink)?;
    // A few rounds fill its memory and are not counted.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = (slipring.usage()?, taken.samples.load(Ordering::Relaxed), taken.bytes.load(Ordering::Relaxed));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let after = (slipring.usage()?, taken.samples.load(Ordering::Relaxed), taken.bytes.load(Ordering::Relaxed));
    let samples = (after.1 - before.1) as f64;
    let expected = (targets * series) as f64 * seconds as f64;
    let Usage { cpu_seconds, rss_mib, peak_mib } = after.0;
    let cpu = cpu_seconds - before.0.cpu_seconds;
    println!("scenario        {targets} targets of {series} series each second, {bytes_a_sample} bytes a sample");
    // Without remote write nothing is counted; what was exposed is what there was.
    let all = if samples > 0.0 { samples } else { expected };
    println!("cpu             {:.3} CPU-seconds per million samples", cpu / all * 1e6);
    println!(
        "throughput      {:.0} samples/s, {:.1} % of a core",
        samples / seconds as f64,
        cpu / seconds as f64 * 100.0
    );
    println!("delivered       {:.1} % of what was exposed", samples / expected * 100.0);
    println!("sent            {:.1} bytes a sample", (after.2 - before.2) as f64 / samples);
    println!(
        "memory          {rss_mib:.1} MiB, {:.2} KB a series, peak {peak_mib:.1} MiB",
        rss_mib * 1024.0 * 1.024 / (targets * series) as f64
    );
    if samples >= expected * 0.95 { Ok(()) } else { Err("not everything arrived".to_owned()) }
}

fn config(addresses: &[String], sink: &str, options: &Options) -> String {
    let protobuf_message = options.text("message", "prometheus.WriteRequest");
    let mut out = String::from(
        "receivers:\n  prometheus:\n    config:\n      global: {scrape_interval: 1s, scrape_timeout: 1s}\n      scrape_configs:\n      - job_name: bench\n        static_configs:\n        - targets:\n",
    );
    for address in addresses {
        let _ = writeln!(out, "          - {address}");
    }
    let exporter = options.text("exporter", "prometheus_remote_write");
    let settings = match exporter {
        "prometheus_remote_write" => {
            format!("endpoint: 'http://{sink}/api/v1/write', protobuf_message: {protobuf_message}")
        }
        _ => String::new(),
    };
    let _ = write!(
        out,
        "exporters:
  {exporter}: {{{settings}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [prometheus], exporters: [{exporter}]}}
"
    );
    out
}

/// Takes a remote-write request: counts its series, each of which has one sample.
async fn take(taken: Arc<Taken>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let mut body = request.into_body();
    let mut whole = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            whole.extend_from_slice(&data);
        }
    }
    let message = decompress(Coding::Snappy, &whole, MOST_BYTES).unwrap_or_default();
    // `timeseries` is field 1 of 1.0 and field 5 of 2.0, where 4 is a symbol.
    let series = Fields::new(&message).flatten().filter(|field| matches!(field.number, 1 | 5)).count() as u64;
    taken.samples.fetch_add(series, Ordering::Relaxed);
    taken.bytes.fetch_add(whole.len() as u64, Ordering::Relaxed);
    let mut response = response("text/plain", Bytes::new());
    for name in ["samples", "histograms", "exemplars"] {
        let name = hyper::header::HeaderName::try_from(format!("x-prometheus-remote-write-{name}-written"));
        if let Ok(name) = name {
            response.headers_mut().insert(name, series.into());
        }
    }
    response
}

fn response(content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(content_type));
    response
}

/// Answers HTTP/1.1 on a free port of loopback; gives its `host:port`.
async fn serve<A, F>(answer: A) -> Result<String, String>
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Full<Bytes>>> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let answer = answer(request);
                    async { Ok::<_, Infallible>(answer.await) }
                });
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(address)
}
