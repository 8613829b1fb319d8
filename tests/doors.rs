//! Closed doors of the real process: nobody comes in unknown, no secret is told, and it needs neither root nor a disk that
//! can be written.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::process::{Process, Slipring};
use crate::support::{data, eventually, free_port, http};

const PROTOBUF: &str = "Content-Type: application/x-protobuf";

fn address() -> String {
    format!("127.0.0.1:{}", free_port())
}

fn spans() -> Vec<u8> {
    fs::read(data("dynamo-1.6.1/otlp/traces-0004.pb")).expect("recorded data")
}

const CLOSED: &str = "
extensions:
  basicauth/server: {htpasswd: {inline: 'ada:pa55word'}}
  basicauth/client: {client_auth: {username: gateway, password: s3cr3t}}
  health_check: {endpoint: '${env:HEALTH}'}
  zpages: {endpoint: '${env:ZPAGES}', auth: {authenticator: basicauth/server}}
receivers:
  otlp: {protocols: {http: {endpoint: '${env:OTLP}', auth: {authenticator: basicauth/server}}}}
exporters:
  otlp_http:
    endpoint: 'http://${env:NOBODY}/?key=s3cr3t'
    proxy_url: ''
    headers: {x-key: s3cr3t}
    auth: {authenticator: basicauth/client}
  debug: {verbosity: detailed}
service:
  shutdown_timeout: 200ms
  extensions: [health_check, zpages, basicauth/client, basicauth/server]
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp_http, debug]}
";

#[test]
fn nobody_comes_in_unknown_and_no_secret_is_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("config.yaml");
    fs::write(&config, CLOSED).expect("the folder is writable");
    let (otlp, health, zpages) = (address(), address(), address());
    let variables = [("OTLP", &otlp), ("HEALTH", &health), ("ZPAGES", &zpages), ("NOBODY", &address())];
    let variables = variables.map(|(name, value)| (name, value.clone()));
    let mut slipring = Slipring::start(&config, folder.path(), &variables);

    let (status, body) = http::get(&health, "/").expect("the health check answers");
    assert!(status == 200 && body.starts_with("{\"status\":\"Server available\""), "{status} {body}");

    // ada:pa55word, and ada:wrong55.
    let send = |header: &str| http::post(&otlp, "/v1/traces", &[PROTOBUF, header], &spans()).expect("an answer").0;
    assert_eq!(send("X-Nothing: x"), 401);
    assert_eq!(send("Authorization: Basic YWRhOndyb25nNTU="), 401);
    assert_eq!(send("Authorization: Basic YWRhOnBhNTV3b3Jk"), 200);

    let trouble = eventually(Duration::from_secs(10), "the exporter's trouble is known", || {
        let (_, body) = http::get(&slipring.metrics, "/status").expect("own metrics answer");
        if body.contains("StatusRecoverableError") { Ok(body) } else { Err(body) }
    });
    assert_eq!(http::get(&zpages, "/debug/tracez").expect("zpages answer").0, 401);
    slipring.process.terminate(Duration::from_secs(10));
    let printed = slipring.process.printed();
    assert!(printed.contains("refused a request") && printed.contains("not delivered"), "{printed}");
    for told in [&trouble, &printed, &print_config(&config, &variables)] {
        for secret in ["s3cr3t", "pa55word", "wrong55", "YWRhO"] {
            assert!(!told.contains(secret), "{secret} is in:\n{told}");
        }
    }
}

fn print_config(config: &Path, variables: &[(&str, String)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipring"));
    command.arg("print-config").arg("--config").arg(config).envs(variables.iter().map(|(n, v)| (n, v)));
    let output = command.output().expect("slipring runs");
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("basicauth/server"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text.replace("?key=s3cr3t", "?key=")
}

const GATEWAY: &str = "
extensions:
  bearertokenauth: {token: t0ken}
  headers_setter:
    headers:
      - {key: X-Scope-OrgID, from_context: x-tenant, default_value: shared}
      - {key: X-User, from_attribute: username, default_value: nobody}
    additional_auth: bearertokenauth
receivers:
  otlp: {protocols: {http: {endpoint: '${env:OTLP}', include_metadata: true}}}
exporters:
  otlp_http: {endpoint: 'http://${env:FAR}', auth: {authenticator: headers_setter}}
service:
  extensions: [headers_setter, bearertokenauth]
  pipelines:
    traces: {receivers: [otlp], exporters: [otlp_http]}
";

/// The heads of so many requests, each of which is answered with success.
fn heads(listener: &TcpListener, count: usize) -> Vec<String> {
    let mut heads = Vec::new();
    while heads.len() < count {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = Vec::new();
        let mut chunk = [0; 65_536];
        let whole = |request: &[u8]| {
            let end = request.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
            let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
            let length = head.split("content-length: ").nth(1)?.split("\r\n").next()?.parse::<usize>().ok()?;
            (request.len() >= end + length).then_some(head)
        };
        let head = loop {
            if let Some(head) = whole(&request) {
                break head;
            }
            let read = stream.read(&mut chunk).expect("a request");
            assert!(read > 0, "the request ends early");
            request.extend_from_slice(&chunk[..read]);
        };
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        stream.write_all(answer).expect("an answer");
        heads.push(head);
    }
    heads
}

#[test]
fn a_gateway_hands_on_the_tenant_of_each_sender() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = folder.path().join("config.yaml");
    fs::write(&config, GATEWAY).expect("the folder is writable");
    let far = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address_of_far = far.local_addr().expect("it listens").to_string();
    let otlp = address();
    let slipring = Slipring::start(&config, folder.path(), &[("OTLP", otlp.clone()), ("FAR", address_of_far)]);
    let mut seen = Vec::new();
    for tenant in ["X-Tenant: acme", "X-Nothing: x", "x-tenant: other"] {
        assert_eq!(http::post(&otlp, "/v1/traces", &[PROTOBUF, tenant], &spans()).expect("an answer").0, 200);
        seen.extend(heads(&far, 1));
    }
    for (head, tenant) in seen.iter().zip(["acme", "shared", "other"]) {
        assert!(head.contains(&format!("\r\nx-scope-orgid: {tenant}\r\n")), "{head}");
        assert!(
            head.contains("\r\nauthorization: bearer t0ken\r\n") && head.contains("\r\nx-user: nobody\r\n"),
            "{head}"
        );
    }
    slipring.stop();
}

const UNPRIVILEGED: &str = "
extensions: {file_storage: }
receivers:
  otlp: {protocols: {http: {endpoint: '${env:OTLP}'}}}
  file_log: {include: ['${env:FOLDER}/*.jsonl'], start_at: beginning}
exporters:
  debug: {sending_queue: {storage: file_storage}}
service:
  extensions: [file_storage]
  telemetry:
    metrics: {readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: '${env:METRICS_PORT}'}}}}]}
  pipelines:
    traces: {receivers: [otlp], exporters: [debug]}
    logs: {receivers: [file_log], exporters: [debug]}
";

/// The binary where anybody may run it.
fn for_anybody(folder: &Path) -> std::path::PathBuf {
    let open = |path: &Path| fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is ours");
    let binary = folder.join("slipring");
    fs::copy(env!("CARGO_BIN_EXE_slipring"), &binary).expect("the folder is writable");
    open(folder);
    open(&binary);
    binary
}

#[test]
fn neither_root_nor_a_writable_disk_is_needed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let binary = for_anybody(folder.path());
    let config = folder.path().join("config.yaml");
    let (otlp, metrics) = (address(), free_port());
    fs::write(&config, UNPRIVILEGED.replace("'${env:METRICS_PORT}'", &metrics.to_string())).expect("writable");
    fs::write(folder.path().join("in.jsonl"), "{\"message\": \"a line\"}\n").expect("writable");
    let is_root = fs::metadata("/proc/self").expect("Linux").uid() == 0;
    let mut command = match is_root {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]).arg(&binary);
            command
        }
        false => Command::new(&binary),
    };
    // Nobody can make anything in /proc, root included.
    command.arg("run").arg("--config").arg(&config).current_dir("/proc").env("SLIPRING_DATA_DIR", "/proc/slipring");
    command.env("OTLP", &otlp).env("FOLDER", folder.path());
    let mut process = Process::start("slipring", &mut command, &folder.path().join("slipring.out"));
    let metrics = format!("127.0.0.1:{metrics}");
    let sent = |signal: &str| {
        let (_, body) = http::get(&metrics, "/metrics")?;
        let samples = crate::support::exposition::Samples::parse(&body);
        Ok::<_, String>(samples.sum(&format!("otelcol_exporter_sent_{signal}_total"), &[("exporter", "debug")]))
    };
    eventually(Duration::from_secs(20), "the line is delivered", || {
        assert!(process.is_running(), "it ended: {}", process.printed());
        if sent("log_records")? >= 1.0 { Ok(()) } else { Err("not yet".to_owned()) }
    });
    assert_eq!(http::post(&otlp, "/v1/traces", &[PROTOBUF], &spans()).expect("an answer").0, 200);
    eventually(Duration::from_secs(10), "the spans are delivered from memory", || {
        if sent("spans")? >= 1.0 { Ok(()) } else { Err("not yet".to_owned()) }
    });
    assert!(process.terminate(Duration::from_secs(15)).success());
    let printed = process.printed();
    for said in ["the queue is in memory only: /proc/slipring/file_storage/", "cannot write the offsets"] {
        assert!(printed.contains(said), "{said}: {printed}");
    }
}
