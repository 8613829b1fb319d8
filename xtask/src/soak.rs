//! The soak: the real binary under a steady load of all three signals, whose memory and file descriptors must not grow.
//!
//! OTLP requests, a scraped target of which 300 series a minute go and others come, and a log file that grows and is rotated
//! go in; a far side that takes everything, away for ten seconds in each minute, is where they go.
//!
//! Before that counts, the far side is away for half of five minutes: each outage takes memory, of which scratch buffers keep
//! some, so that a process grows until it has met enough of them. After that, what counts is the least reading of each whole
//! minute, when nothing waits. Growth is the median of the slopes between all pairs of these (Theil and Sen's), which single
//! ones do not move. Flat is growth by at most a twentieth of what there is, and what [`MOST_GROWTH`] and [`MOST_FDS`] say of
//! an hour. A leak too small for ten minutes shows in a longer run: the hourly part stays what it is.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use crate::run::cargo;

/// Lets the allocator give back at once what is free: it keeps some for later otherwise, after each peak more or less of it, in
/// which a leak would hide.
const KEEP_NOTHING: [(&str, &str); 3] =
    [("MIMALLOC_PURGE_DELAY", "0"), ("MIMALLOC_PAGE_FULL_RETAIN", "0"), ("MIMALLOC_GENERIC_COLLECT", "1000")];
/// Between two readings.
const EVERY: Duration = Duration::from_secs(2);
/// How long memory may still grow into what outages take; the far side is away for half of it.
const WARM_UP: Duration = Duration::from_secs(300);
/// What comes and goes with the load, as a part of what there is.
const NOISE: f64 = 0.05;
/// What memory may grow by in an hour beyond that, in KiB.
const MOST_GROWTH: f64 = 4096.0;
/// What file descriptors may grow by in an hour beyond that.
const MOST_FDS: f64 = 2.0;

const CONFIG: &str = "
receivers:
  otlp: {protocols: {http: {endpoint: 'OTLP'}}}
  prometheus: {config: {scrape_configs: [{job_name: soak, scrape_interval: 1s, static_configs: [{targets: ['TARGET']}]}]}}
  file_log: {include: ['FOLDER/*.log'], start_at: beginning, poll_interval: 200ms}
processors:
  memory_limiter: {check_interval: 1s, limit_mib: 256}
  resource: {attributes: [{key: soak, value: yes, action: insert}]}
extensions:
  file_storage: {directory: 'FOLDER/queues', create_directory: true}
exporters:
  otlp_http:
    endpoint: 'http://FAR'
    retry_on_failure: {initial_interval: 200ms, max_interval: 1s, max_elapsed_time: 0}
    sending_queue: {storage: file_storage, queue_size: 100000}
  prometheus_remote_write: {endpoint: 'http://FAR/api/v1/write', retry_on_failure: {max_elapsed_time: 0}}
  loki: {endpoint: 'http://FAR/loki/api/v1/push', retry_on_failure: {max_elapsed_time: 0}}
service:
  extensions: [file_storage]
  telemetry: {logs: {level: warn}, metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: PORT}}}}]}}
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, resource], exporters: [otlp_http]}
    metrics: {receivers: [otlp, prometheus], processors: [memory_limiter, resource], exporters: [prometheus_remote_write]}
    logs: {receivers: [otlp, file_log], processors: [memory_limiter, resource], exporters: [loki]}
";

/// Runs it for so many minutes after the warm-up, or another program instead.
pub fn soak(arguments: &[String]) -> Result<(), String> {
    let minutes = arguments.first().map_or("10", String::as_str);
    let minutes: f64 = minutes.parse().map_err(|_| format!("{minutes:?} is no number of minutes"))?;
    let program = match arguments.get(1) {
        Some(program) => PathBuf::from(program),
        None => {
            cargo(&["build", "--release"]).run()?;
            let target = std::env::var("CARGO_TARGET_DIR").unwrap_or_else(|_| "target".to_owned());
            PathBuf::from(target).join("release/slipring")
        }
    };
    let said = |error: std::io::Error| error.to_string();
    let folder = std::env::temp_dir().join(format!("slipring-soak-{}", std::process::id()));
    fs::create_dir_all(&folder).map_err(said)?;
    let result = run(&program, &folder, Duration::from_secs_f64(minutes * 60.0));
    let _ = fs::remove_dir_all(&folder);
    result
}

fn run(program: &Path, folder: &Path, lasts: Duration) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let (stop, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let far = serve(stop.clone(), taken.clone(), true)?;
    let target = serve(stop.clone(), Arc::default(), false)?;
    let (otlp, port) = (free_address()?, free_address()?);
    let port = port.rsplit(':').next().unwrap_or_default().to_owned();
    let mut config = CONFIG.replace("FOLDER", &folder.display().to_string());
    for (name, value) in [("OTLP", &otlp), ("TARGET", &target), ("FAR", &far), ("PORT", &port)] {
        config = config.replace(name, value);
    }
    let path = folder.join("soak.yaml");
    fs::write(&path, config).map_err(said)?;
    let output = File::create(folder.join("soak.out")).map_err(said)?;
    let process = Command::new(program)
        .args(["run", "--config"])
        .arg(&path)
        .env("SLIPRING_DATA_DIR", folder.join("data"))
        .envs(KEEP_NOTHING)
        .stdout(output.try_clone().map_err(said)?)
        .stderr(output)
        .stdin(Stdio::null())
        .spawn()
        .map_err(said)?;
    let mut process = Ended(process);
    let loads = load(folder, &otlp, &stop)?;
    let readings = read(&mut process, &port, lasts, folder);
    stop.store(true, Ordering::Relaxed);
    let sent: u64 = loads.into_iter().filter_map(|load| load.join().ok()).sum();
    let readings = readings?;
    let unaccounted = metric(&port, "slipring_unaccounted_items");
    println!("{sent} requests went in, {} came out", taken.load(Ordering::Relaxed));
    judge(&readings, unaccounted)
}

/// A child process that ends with us.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One look at the process.
struct Reading {
    seconds: f64,
    resident_kib: f64,
    fds: f64,
}

fn read(process: &mut Ended, port: &str, lasts: Duration, folder: &Path) -> Result<Vec<Reading>, String> {
    let (begun, mut readings) = (Instant::now(), Vec::new());
    let proc = PathBuf::from(format!("/proc/{}", process.0.id()));
    while begun.elapsed() < WARM_UP + lasts {
        sleep(EVERY);
        if let Ok(Some(status)) = process.0.try_wait() {
            let said = fs::read_to_string(folder.join("soak.out")).unwrap_or_default();
            return Err(format!("slipring ended with {status}:\n{said}"));
        }
        let status = fs::read_to_string(proc.join("status")).map_err(|error| error.to_string())?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let resident_kib = resident.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
        let fds = fs::read_dir(proc.join("fd")).map_err(|error| error.to_string())?.count() as f64;
        readings.push(Reading { seconds: begun.elapsed().as_secs_f64(), resident_kib, fds });
        if readings.len() % 15 == 1 {
            let in_flight = metric(port, "slipring_in_flight_items");
            let minutes = begun.elapsed().as_secs_f64() / 60.0;
            println!("{minutes:5.1} min  {resident_kib:8.0} KiB  {fds:4.0} fds  {in_flight:8.0} items in flight");
        }
    }
    Ok(readings)
}

/// Whether memory and descriptors stay where they are.
fn judge(readings: &[Reading], unaccounted: f64) -> Result<(), String> {
    let steady = &readings[readings.partition_point(|reading| reading.seconds < WARM_UP.as_secs_f64())..];
    let (memory, fds) = (floors(steady, |reading| reading.resident_kib), floors(steady, |reading| reading.fds));
    let most = steady.iter().map(|reading| reading.resident_kib).fold(0.0, f64::max);
    let hours = steady.last().map_or(0.0, |last| (last.seconds - steady[0].seconds) / 3600.0);
    let grows = |floors: &[(f64, f64)]| slope(floors) * 3600.0 * hours;
    let each: Vec<_> = memory.iter().map(|(_, kib)| format!("{kib:.0}")).collect();
    println!("the least of each minute, in KiB: {}", each.join(" "));
    let usual = |floors: &[(f64, f64)]| median(floors.iter().map(|(_, value)| *value));
    println!(
        "memory: {:.0} KiB when nothing waits, {:+.0} KiB in {:.0} minutes, {most:.0} KiB at most; descriptors: {:.0}, \
         {:+.1}; {unaccounted} items are unaccounted for",
        usual(&memory),
        grows(&memory),
        hours * 60.0,
        usual(&fds),
        grows(&fds)
    );
    let mut wrong = String::new();
    if grows(&memory) > MOST_GROWTH * hours + usual(&memory) * NOISE {
        let _ = writeln!(wrong, "memory grows");
    }
    if grows(&fds) > MOST_FDS * hours + usual(&fds) * NOISE {
        let _ = writeln!(wrong, "file descriptors grow");
    }
    if unaccounted != 0.0 {
        let _ = writeln!(wrong, "items are unaccounted for");
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// The least reading of each whole minute, with its second.
fn floors(readings: &[Reading], of: fn(&Reading) -> f64) -> Vec<(f64, f64)> {
    let mut floors: Vec<(f64, f64)> = Vec::new();
    let mut minute = f64::NEG_INFINITY;
    let last = readings.last().map_or(0.0, |last| last.seconds + EVERY.as_secs_f64());
    for reading in readings {
        if reading.seconds - minute >= 60.0 {
            // A part of a minute may have been an outage and nothing else.
            if reading.seconds + 60.0 > last {
                break;
            }
            minute = reading.seconds;
            floors.push((reading.seconds, of(reading)));
        } else if let Some(last) = floors.last_mut().filter(|last| of(reading) < last.1) {
            *last = (reading.seconds, of(reading));
        }
    }
    floors
}

/// The median of the slopes between all pairs, per second.
fn slope(readings: &[(f64, f64)]) -> f64 {
    let pairs = readings.iter().enumerate().flat_map(|(i, a)| readings[..i].iter().map(move |b| (a, b)));
    median(pairs.map(|((at, value), (before, was))| (value - was) / (at - before)))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The sum of a metric of ours.
fn metric(port: &str, name: &str) -> f64 {
    let ask = || {
        let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let of = |line: &str| line.strip_prefix(name)?.strip_prefix('{')?.rsplit(' ').next()?.parse::<f64>().ok();
        Some(text.lines().filter_map(of).sum())
    };
    ask().unwrap_or(f64::NAN)
}

type Load = std::thread::JoinHandle<u64>;

/// What goes in: recorded requests of all signals, and a log file.
fn load(folder: &Path, otlp: &str, stop: &Arc<AtomicBool>) -> Result<Vec<Load>, String> {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/dynamo-1.6.1/otlp");
    let bodies: Vec<(String, Vec<u8>)> = fs::read_dir(&recorded)
        .map_err(|error| format!("{}: {error}", recorded.display()))?
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let signal = name.split_once('-').filter(|_| name.ends_with(".pb"))?.0.to_owned();
            Some((signal, fs::read(entry.path()).ok()?))
        })
        .collect();
    let (otlp, stopped) = (otlp.to_owned(), stop.clone());
    let requests = spawn(move || {
        let mut sent = 0;
        for (signal, body) in bodies.iter().cycle() {
            if stopped.load(Ordering::Relaxed) || bodies.is_empty() {
                break;
            }
            sent += u64::from(post(&otlp, signal, body).is_some());
            sleep(Duration::from_millis(5));
        }
        sent
    });
    let (path, stopped) = (folder.join("soak.log"), stop.clone());
    let lines = spawn(move || {
        let mut written = 0u64;
        while !stopped.load(Ordering::Relaxed) {
            let Ok(mut file) = OpenOptions::new().create(true).append(true).open(&path) else { break };
            for _ in 0..20 {
                written += 1;
                let _ = writeln!(
                    file,
                    "{{\"time\":\"2026-01-01T00:00:00Z\",\"level\":\"INFO\",\"message\":\"line {written}\"}}"
                );
            }
            // As logrotate does.
            if written.is_multiple_of(20_000) {
                let _ = fs::rename(&path, path.with_extension("log.1"));
            }
            sleep(Duration::from_millis(20));
        }
        0
    });
    Ok(vec![requests, lines])
}

fn post(address: &str, signal: &str, body: &[u8]) -> Option<()> {
    let mut stream = TcpStream::connect(address).ok()?;
    let head = format!(
        "POST /v1/{signal} HTTP/1.0\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.contains(" 200 ").then_some(())
}

fn free_address() -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.to_string()).map_err(|error| error.to_string())
}

/// A server that takes what is posted and shows some metrics; with `outages` it answers 503 every now and then.
fn serve(stop: Arc<AtomicBool>, taken: Arc<AtomicU64>, outages: bool) -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?.to_string();
    let begun = Instant::now();
    spawn(move || {
        for connection in listener.incoming().flatten() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let taken = taken.clone();
            spawn(move || answer(&connection, begun, &taken, outages));
        }
    });
    Ok(address)
}

/// Whether the far side is away: half of the time while the process warms up, then for ten seconds in each minute.
fn is_away(since: Duration) -> bool {
    if since < WARM_UP { since.as_secs() % 20 >= 10 } else { since.as_secs() % 60 >= 50 }
}

fn answer(connection: &TcpStream, begun: Instant, taken: &AtomicU64, outages: bool) -> Option<()> {
    let (mut reader, mut writer) = (BufReader::new(connection), connection);
    loop {
        let (mut line, mut len) = (String::new(), 0);
        loop {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                len = value.trim().parse().ok()?;
            }
            if line == "\r\n" {
                break;
            }
        }
        std::io::copy(&mut reader.by_ref().take(len), &mut std::io::sink()).ok()?;
        let away = outages && is_away(begun.elapsed());
        let text = if outages { String::new() } else { exposition(begun) };
        let status = if away { "503 Service Unavailable" } else { "200 OK" };
        if !away {
            taken.fetch_add(1, Ordering::Relaxed);
        }
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        writer.write_all(head.as_bytes()).ok()?;
    }
}

/// Five hundred series, some of which come and go.
fn exposition(begun: Instant) -> String {
    let (mut out, second) = (String::from("# TYPE soak_total counter\n"), begun.elapsed().as_secs());
    for series in 0..500 {
        let generation = if series % 10 == 0 { second / 10 } else { 0 };
        let _ = writeln!(out, "soak_total{{series=\"{series}\",generation=\"{generation}\"}} {second}");
    }
    out
}
