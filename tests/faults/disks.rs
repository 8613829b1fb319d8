//! Disks: full, read-only, and used by two processes. Where this machine does not let a test mount a small file system, a
//! limit for the size of files takes its place, and the test says so.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::far::{Far, Fault};
use crate::killed::request;
use crate::support::process::Process;
use crate::support::{eventually, exposition::Samples, free_port, http};

const CONFIG: &str = "
receivers:
  otlp: {protocols: {http: {endpoint: '${env:OTLP}'}}}
extensions:
  file_storage: {directory: '${env:FOLDER}', segment_size: 50000}
exporters:
  otlp_http:
    endpoint: 'http://${env:FAR}'
    compression: none
    retry_on_failure: {initial_interval: 20ms, max_interval: 100ms, max_elapsed_time: 0}
    sending_queue: {storage: file_storage, queue_size: 100000}
service:
  telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: '${env:PORT}'}}}}]}}
  extensions: [file_storage]
  pipelines:
    logs: {receivers: [otlp], exporters: [otlp_http]}
";

/// A process whose queue is in that folder.
struct Bench {
    process: Process,
    otlp: String,
    metrics: String,
    sent: usize,
}

impl Bench {
    /// `limit` is the most bytes of a file, where there is one.
    fn start(name: &str, folder: &Path, queues: &Path, far: &Far, limit: Option<u64>) -> Bench {
        let config = folder.join(format!("{name}.yaml"));
        std::fs::write(&config, CONFIG).expect("the folder is writable");
        let (otlp, port) = (format!("127.0.0.1:{}", free_port()), free_port());
        let mut command = match limit {
            None => Command::new(env!("CARGO_BIN_EXE_slipring")),
            Some(bytes) => {
                let mut shell = Command::new("sh");
                let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", bytes / 512);
                shell.args(["-c", &limited, env!("CARGO_BIN_EXE_slipring")]);
                shell
            }
        };
        command.arg("run").arg("--config").arg(&config).current_dir(folder);
        command.env("OTLP", &otlp).env("FAR", &far.address).env("FOLDER", queues).env("PORT", port.to_string());
        command.env("SLIPRING_DATA_DIR", folder.join(format!("{name}-data")));
        let mut process = Process::start(name, &mut command, &folder.join(format!("{name}.out")));
        let metrics = format!("127.0.0.1:{port}");
        eventually(Duration::from_secs(20), "slipring is ready", || {
            assert!(process.is_running(), "{name} ended: {}", process.printed());
            http::get(&metrics, "/metrics").map(|_| ())
        });
        Bench { process, otlp, metrics, sent: 0 }
    }

    /// Sends a request of one record with so long a name; the answer.
    fn send(&mut self, bytes: usize) -> (u16, String) {
        self.sent += 1;
        let (path, body) = request(&format!("l{}{}", self.sent, "x".repeat(bytes)));
        http::post(&self.otlp, path, &["Content-Type: application/x-protobuf"], &body).expect("an answer")
    }

    fn own(&self, name: &str) -> f64 {
        let (_, text) = http::get(&self.metrics, "/metrics").expect("own metrics answer");
        Samples::parse(&text).sum(name, &[("kind", "exporter")])
    }

    fn delivered(&self, items: usize) {
        eventually(Duration::from_secs(30), "what was taken is delivered", || {
            let delivered = self.own("slipring_delivered_items_total");
            if delivered == items as f64 { Ok(()) } else { Err(format!("{delivered} of {items}")) }
        });
    }
}

/// A small file system, for as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where it is not allowed.
    fn new(at: PathBuf, options: &str) -> Option<Mounted> {
        std::fs::create_dir_all(&at).expect("a folder");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&at).output().ok()?;
        if output.status.success() {
            return Some(Mounted(at));
        }
        eprintln!("this machine does not let a test mount a file system: {}", String::from_utf8_lossy(&output.stderr));
        None
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_and_takes_again_and_loses_nothing_that_was_taken() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let queues = folder.path().join("queues");
    let mounted = Mounted::new(queues.clone(), "size=1m");
    let limit = mounted.is_none().then_some(40_960);
    let far = Far::start();
    far.does(Fault::Refuse);
    let mut bench = Bench::start("slipring", folder.path(), &queues, &far, limit);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..200 {
        match bench.send(10_000) {
            (200, _) => taken += 1,
            (503, answer) => {
                refused += 1;
                assert!(answer.contains("the queue's disk does not take it"), "{answer}");
            }
            other => panic!("{other:?}"),
        }
        if refused > 5 {
            break;
        }
    }
    assert!(taken > 5 && refused > 0, "{taken} taken, {refused} refused");
    far.does(Fault::Kind);
    bench.delivered(taken);
    eventually(Duration::from_secs(20), "it takes again", || match bench.send(1000) {
        (200, _) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    bench.delivered(taken + 1);
    assert_eq!((bench.own("slipring_dropped_items_total"), bench.own("slipring_unaccounted_items")), (0.0, 0.0));
    assert!(bench.process.terminate(Duration::from_secs(15)).success());
}

#[test]
fn on_a_read_only_disk_the_queue_is_in_memory_and_says_so() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let queues = folder.path().join("queues");
    let mounted = Mounted::new(queues.clone(), "size=1m,ro");
    if mounted.is_none() {
        // Root may write wherever files can be, but not into what is no folder.
        std::fs::create_dir_all(&queues).expect("a folder");
        std::fs::write(queues.join("exporter_otlp_http_logs"), "no folder").expect("the folder is writable");
    }
    let far = Far::start();
    let mut bench = Bench::start("slipring", folder.path(), &queues, &far, None);
    assert_eq!(bench.send(10).0, 200);
    bench.delivered(1);
    let printed = bench.process.printed();
    assert!(printed.contains("the queue is in memory only"), "{printed}");
    assert!(bench.process.terminate(Duration::from_secs(15)).success());
}

#[test]
fn of_two_processes_on_one_folder_the_second_has_its_queue_in_memory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let queues = folder.path().join("queues");
    std::fs::create_dir_all(&queues).expect("a folder");
    let far = Far::start();
    let mut first = Bench::start("first", folder.path(), &queues, &far, None);
    let mut second = Bench::start("second", folder.path(), &queues, &far, None);
    assert!(!first.process.printed().contains("the queue is in memory only"));
    assert!(second.process.printed().contains("the queue is in memory only"), "{}", second.process.printed());
    for bench in [&mut first, &mut second] {
        assert_eq!(bench.send(10).0, 200);
        bench.delivered(1);
        assert!(bench.process.terminate(Duration::from_secs(15)).success());
    }
}
