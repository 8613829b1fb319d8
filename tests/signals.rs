//! The process and its signals: an orderly stop, an impatient one, and starts that fail.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::process::{Process, Slipring};
use crate::support::{data, eventually, free_port, http};

const CONFIG: &str = "
receivers:
  otlp: {protocols: {http: {endpoint: '${env:OTLP}'}}}
exporters:
  otlp_http: {endpoint: 'http://${env:NOBODY}', retry_on_failure: {initial_interval: 50ms}}
service:
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp_http]}
";

/// Runs with a far side that is nobody, and what it was given is in its queue.
fn holding_data(folder: &Path, shutdown_timeout: &str) -> Slipring {
    let otlp = format!("127.0.0.1:{}", free_port());
    let config = folder.join("config.yaml");
    let text = CONFIG.replace("service:\n", &format!("service:\n  shutdown_timeout: {shutdown_timeout}\n"));
    std::fs::write(&config, text).expect("the folder is writable");
    let nobody = format!("127.0.0.1:{}", free_port());
    let slipring = Slipring::start(&config, folder, &[("OTLP", otlp.clone()), ("NOBODY", nobody)]);
    let spans = std::fs::read(data("dynamo-1.6.1/otlp/traces-0004.pb")).expect("recorded data");
    let sent = http::post(&otlp, "/v1/traces", &["Content-Type: application/x-protobuf"], &spans).expect("an answer");
    assert_eq!(sent.0, 200, "{}", sent.1);
    slipring
}

#[test]
fn sigint_with_nothing_held_is_a_clean_end_and_sighup_is_none() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("config.yaml");
    std::fs::write(&config, CONFIG).expect("the folder is writable");
    let variables = [("OTLP", format!("127.0.0.1:{}", free_port())), ("NOBODY", format!("127.0.0.1:{}", free_port()))];
    let mut slipring = Slipring::start(&config, folder.path(), &variables);
    slipring.process.signal("HUP");
    eventually(Duration::from_secs(5), "it says what it makes of SIGHUP", || {
        let printed = slipring.process.printed();
        if printed.contains("SIGHUP") { Ok(()) } else { Err(printed) }
    });
    assert!(slipring.process.is_running());
    slipring.process.signal("INT");
    let status = slipring.process.wait(Duration::from_secs(5));
    assert_eq!(status.code(), Some(0), "{}", slipring.process.printed());
    assert!(slipring.process.printed().contains("shutdown complete"));
}

#[test]
fn what_is_not_delivered_in_time_is_told_and_is_exit_code_1() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut slipring = holding_data(folder.path(), "300ms");
    let status = slipring.process.terminate(Duration::from_secs(10));
    let printed = slipring.process.printed();
    assert_eq!(status.code(), Some(1), "{printed}");
    assert!(printed.contains("lost: not delivered before the shutdown deadline"), "{printed}");
    assert!(printed.contains("lost_items="), "{printed}");
}

#[test]
fn a_second_signal_ends_a_long_stop_at_once() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut slipring = holding_data(folder.path(), "10m");
    slipring.process.signal("TERM");
    eventually(Duration::from_secs(5), "the stop begins", || {
        let printed = slipring.process.printed();
        if printed.contains("shutdown begins") { Ok(()) } else { Err(printed) }
    });
    let status = slipring.process.terminate(Duration::from_secs(5));
    let printed = slipring.process.printed();
    assert_eq!(status.code(), Some(1), "{printed}");
    assert!(printed.contains("cut short by a second signal"), "{printed}");
}

/// Starts it where it cannot start, and answers its exit code and what it printed.
fn failing(folder: &Path, otlp: &str, metrics: &str) -> (Option<i32>, String) {
    let config = folder.join("config.yaml");
    std::fs::write(&config, CONFIG).expect("the folder is writable");
    let port = metrics.rsplit_once(':').map_or("", |(_, port)| port);
    let reader = format!(
        "service.telemetry.metrics.readers=[{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {port}}}}}}}}}]"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipring"));
    command.arg("--config").arg(&config).args(["--set", &reader]).env("OTLP", otlp).env("NOBODY", "127.0.0.1:1");
    let mut process = Process::start("slipring", &mut command, &folder.join("out"));
    (process.wait(Duration::from_secs(10)).code(), process.printed())
}

#[test]
fn a_port_that_is_taken_is_told_with_its_owner_and_is_exit_code_1() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let taken = taken.local_addr().map(|a| (taken, a.to_string())).expect("it listens");
    let free = format!("127.0.0.1:{}", free_port());
    let (code, printed) = failing(folder.path(), &taken.1, &free);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("receiver otlp") && printed.contains(&taken.1), "{printed}");
    let (code, printed) = failing(folder.path(), &free, &taken.1);
    assert_eq!(code, Some(1), "{printed}");
    assert!(printed.contains("service.telemetry.metrics") && printed.contains(&taken.1), "{printed}");
}
