//! The process takes on other configs while it is under load: by SIGHUP, by POST, by watching its files. What it was asked to
//! deliver arrives, and no request is refused.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::killed::{Far, Load, wait};
use crate::support::process::Slipring;
use crate::support::{eventually, free_port, http};

/// A config of which each version has another processor, another queue and another exporter beside what stays.
fn config(version: u32) -> String {
    let (storage, other) = match version % 3 {
        0 => ("", "file"),
        1 => ("storage: file_storage, ", "file"),
        _ => ("storage: file_storage, num_consumers: 1, ", "file/other"),
    };
    format!(
        "
receivers:
  otlp: {{protocols: {{http: {{endpoint: '${{env:OTLP}}'}}}}}}
extensions:
  file_storage:
processors:
  attributes: {{actions: [{{key: version, value: {version}, action: upsert}}]}}
  batch: {{timeout: 10ms, send_batch_size: 50}}
exporters:
  otlp_http:
    endpoint: 'http://${{env:FAR}}'
    compression: none
    headers: {{authorization: 'Bearer {version}-s3cr3t'}}
    retry_on_failure: {{initial_interval: 20ms, max_interval: 100ms, max_elapsed_time: 0}}
    sending_queue: {{{storage}queue_size: 10000{version}}}
  file: {{path: out.jsonl}}
  file/other: {{path: other.jsonl}}
service:
  extensions: [file_storage]
  pipelines:
    traces: {{receivers: [otlp], processors: [attributes, batch], exporters: [otlp_http, {other}]}}
    metrics: {{receivers: [otlp], processors: [batch], exporters: [otlp_http]}}
    logs: {{receivers: [otlp], exporters: [otlp_http, {other}]}}
"
    )
}

/// Under load, with a far side that is not always there.
struct Scene {
    folder: tempfile::TempDir,
    far: Far,
    load: Load,
    slipring: Slipring,
}

impl Scene {
    /// `config` is below the folder.
    fn start(prepare: impl FnOnce(&Path), config: &str, arguments: &[&str]) -> Scene {
        let folder = tempfile::tempdir().expect("a temporary folder");
        prepare(folder.path());
        let far = Far::start();
        let door = format!("127.0.0.1:{}", free_port());
        let variables = [("OTLP", door.clone()), ("FAR", far.address.clone())];
        let slipring = Slipring::start_with(&folder.path().join(config), folder.path(), &variables, arguments);
        Scene { far, load: Load::start(&door), slipring, folder }
    }

    fn reloads(&self) -> usize {
        self.slipring.process.printed().matches("the config is reloaded").count()
    }

    /// Waits until it was reloaded so often.
    fn reloaded(&self, times: usize) {
        eventually(Duration::from_secs(20), "the config is reloaded", || match self.reloads() {
            now if now >= times => Ok(()),
            _ => Err(self.slipring.process.printed()),
        });
    }

    fn successful(&self) -> f64 {
        self.slipring.own_metrics().sum("slipring_config_last_reload_successful", &[])
    }

    /// Ends everything; all that was acknowledged has arrived, and every request was.
    fn end(self) {
        let Scene { far, load, slipring, folder } = self;
        let failed = load.failed();
        let acknowledged = load.stop();
        far.be_kind();
        let arrived = eventually(Duration::from_secs(60), "everything that was acknowledged arrives", || {
            let arrived = far.arrived();
            let missing = acknowledged.iter().filter(|id| !arrived.contains_key(*id)).count();
            if missing == 0 { Ok(arrived) } else { Err(format!("{missing} of {} are missing", acknowledged.len())) }
        });
        let printed = slipring.stop();
        assert_eq!(failed, 0, "requests were refused: {printed}");
        assert!(acknowledged.len() > 100, "only {} requests were acknowledged", acknowledged.len());
        // The far side hangs up on every eighth request after it has taken it, or not.
        assert!(arrived.values().all(|times| *times < 10), "{arrived:?}");
        drop(folder);
    }
}

#[test]
fn reloads_by_signal_and_by_post_lose_and_refuse_nothing() {
    let write =
        |folder: &Path, text: &str| fs::write(folder.join("config.yaml"), text).expect("the folder is writable");
    let scene = Scene::start(|folder| write(folder, &config(0)), "config.yaml", &["--web.enable-lifecycle"]);
    let folder = scene.folder.path().to_owned();
    let post = || http::post(&scene.slipring.metrics, "/-/reload", &[], b"").expect("an answer");
    for version in 1..=12 {
        wait(Duration::from_millis(60));
        write(&folder, &config(version));
        if version % 2 == 0 {
            scene.slipring.process.signal("HUP");
        } else {
            let (status, said) = post();
            assert_eq!(status, 200, "{said}");
            assert!(said.contains("changed: ") && said.contains("exporter otlp_http"), "{said}");
        }
        scene.reloaded(version as usize);
        assert_eq!(scene.successful(), 1.0);
    }
    // What is wrong changes nothing and is said.
    write(&folder, &config(13).replace("action: upsert", "acton: upsert"));
    let (status, said) = post();
    assert_eq!(status, 500, "{said}");
    assert!(said.contains("acton") && said.contains("config.yaml:"), "{said}");
    assert_eq!(scene.successful(), 0.0);
    // What cannot start does not, either: the port of our own metrics is taken.
    let taken = format!("endpoint: '{}'", scene.slipring.metrics);
    write(&folder, &config(13).replace("endpoint: '${env:OTLP}'", &taken));
    let (status, said) = post();
    assert_eq!(status, 500, "{said}");
    assert!(said.contains("receiver otlp") && said.contains(&scene.slipring.metrics), "{said}");
    let before = scene.reloads();
    write(&folder, &config(14));
    scene.slipring.process.signal("HUP");
    scene.reloaded(before + 1);
    assert_eq!(scene.successful(), 1.0);
    let printed = scene.slipring.process.printed();
    assert!(!printed.contains("s3cr3t"), "{printed}");
    // The failed start stopped the receiver for a moment, as it was to be another one; nothing else may have failed.
    let Scene { load, far, slipring, folder } = scene;
    let acknowledged = load.stop();
    far.be_kind();
    eventually(Duration::from_secs(60), "everything that was acknowledged arrives", || {
        let arrived = far.arrived();
        let missing = acknowledged.iter().filter(|id| !arrived.contains_key(*id)).count();
        if missing == 0 { Ok(()) } else { Err(format!("{missing} of {} are missing", acknowledged.len())) }
    });
    slipring.stop();
    drop(folder);
}

/// As Kubernetes mounts a ConfigMap: the files are links through `..data`, which is turned as a whole.
fn turn(mount: &Path, version: u32, text: &str) {
    let data = format!("..2026_{version}");
    fs::create_dir_all(mount.join(&data)).expect("the folder is writable");
    fs::write(mount.join(&data).join("config.yaml"), text).expect("the folder is writable");
    let _ = fs::remove_file(mount.join("..data_tmp"));
    symlink(&data, mount.join("..data_tmp")).expect("the folder is writable");
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).expect("the folder is writable");
    if version == 0 {
        symlink("..data/config.yaml", mount.join("config.yaml")).expect("the folder is writable");
    }
}

#[test]
fn watched_files_are_taken_on_when_a_link_is_turned_and_when_one_is_renamed() {
    let text = |version| config(version).replace(&format!("value: {version},"), "value: '${file:value}',");
    let value = |folder: &Path, value: &str| {
        fs::write(folder.join("value.new"), value).expect("the folder is writable");
        fs::rename(folder.join("value.new"), folder.join("value")).expect("the folder is writable");
    };
    let prepare = |folder: &Path| {
        value(folder, "first");
        turn(&folder.join("mount"), 0, &text(0));
    };
    let scene = Scene::start(prepare, "mount/config.yaml", &["--watch"]);
    let folder = scene.folder.path().to_owned();
    for version in 1..=4 {
        turn(&folder.join("mount"), version, &text(version));
        scene.reloaded(version as usize);
    }
    value(&folder, "second");
    scene.reloaded(5);
    assert!(scene.slipring.process.printed().contains("changed: processor attributes; kept:"));
    turn(&folder.join("mount"), 5, "receivers: [");
    eventually(Duration::from_secs(20), "it says what is wrong", || match scene.successful() {
        0.0 => Ok(()),
        _ => Err(scene.slipring.process.printed()),
    });
    turn(&folder.join("mount"), 6, &text(6));
    scene.reloaded(6);
    assert_eq!(scene.successful(), 1.0);
    let (status, said) = http::post(&scene.slipring.metrics, "/-/reload", &[], b"").expect("an answer");
    assert!(status == 403 && said.contains("--web.enable-lifecycle"), "{status} {said}");
    scene.end();
}

#[test]
fn the_jobs_of_a_file_of_prometheus_are_taken_on_when_it_changes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| fs::write(path(name), text).expect("the folder is writable");
    let config = format!(
        "
receivers:
  prometheus: {{config_file: '{}'}}
exporters:
  debug: {{}}
service:
  pipelines:
    metrics: {{receivers: [prometheus], exporters: [debug]}}
",
        path("prometheus.yml").display()
    );
    let jobs = |job: &str| {
        format!(
            "scrape_config_files: ['jobs/*.yml']
scrape_configs: [{{job_name: {job}, static_configs: [{{targets: ['127.0.0.1:9']}}]}}]
"
        )
    };
    fs::create_dir(path("jobs")).expect("the folder is writable");
    write("prometheus.yml", &jobs("first"));
    write("config.yaml", &config);
    let slipring = Slipring::start_with(&path("config.yaml"), folder.path(), &[], &["--watch"]);
    let targets = |wanted: &[&str]| {
        eventually(Duration::from_secs(20), "the jobs are taken on", || {
            let (_, page) = http::get(&slipring.metrics, "/api/v1/targets").map_err(|error| format!("{error:?}"))?;
            let has = |job: &&str| page.contains(&format!("\"job\":\"{job}\""));
            if wanted.iter().all(has) { Ok(()) } else { Err(page) }
        });
    };
    targets(&["first"]);
    write("prometheus.yml", &jobs("second"));
    targets(&["second"]);
    write("jobs/more.yml", "scrape_configs: [{job_name: third, static_configs: [{targets: ['127.0.0.1:9']}]}]");
    targets(&["second", "third"]);
    // What is wrong there is said, and put right without more ado.
    write("prometheus.yml", "scrape_configs: [{job_nam: x}]");
    eventually(Duration::from_secs(20), "it says what is wrong", || {
        match slipring.own_metrics().sum("slipring_config_last_reload_successful", &[]) {
            0.0 => Ok(()),
            _ => Err(slipring.process.printed()),
        }
    });
    targets(&["second", "third"]);
    write("prometheus.yml", &jobs("fourth"));
    targets(&["fourth", "third"]);
    // Even where the file was new, and wrong from its first day.
    write("other.yml", "scrape_configs: [{job_nam: x}]");
    write("config.yaml", &config.replace("prometheus.yml", "other.yml"));
    eventually(Duration::from_secs(20), "it says what is wrong", || {
        let printed = slipring.process.printed();
        if printed.matches("job_nam").count() >= 2 { Ok(()) } else { Err(printed) }
    });
    write("other.yml", &jobs("fifth"));
    targets(&["fifth", "third"]);
    slipring.stop();
}

fn plan(folder: &Path, variables: &[(&str, String)], arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_slipring"));
    command.arg("plan").args(arguments).current_dir(folder).env("SLIPRING_DATA_DIR", folder.join("slipring-data"));
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    (status.code(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

#[test]
fn a_plan_says_what_a_reload_would_change_and_no_secret() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    let variables = [("OTLP", format!("127.0.0.1:{}", free_port())), ("FAR", "127.0.0.1:9".to_owned())];
    fs::write(path("old.yaml"), config(0)).expect("the folder is writable");
    let secret = config(0).replace("0-s3cr3t", "1-s3cr3t");
    fs::write(path("secret.yaml"), &secret).expect("the folder is writable");
    fs::write(path("new.yaml"), config(2).replace("[batch]", "[]")).expect("the folder is writable");
    let slipring = Slipring::start(&path("old.yaml"), folder.path(), &variables);
    let url = format!("http://{}", slipring.metrics);
    let (host, port) = slipring.metrics.split_once(':').expect("host:port");
    let reader = format!(
        "service.telemetry.metrics.readers=[{{pull: {{exporter: {{prometheus: {{host: {host}, port: {port}}}}}}}}}]"
    );
    let (status, page) = http::get(&slipring.metrics, "/api/v1/status/config").expect("an answer");
    assert!(status == 200 && page.contains("[REDACTED]") && !page.contains("s3cr3t"), "{page}");
    let against_running = |config: &str, arguments: &[&str]| {
        plan(
            folder.path(),
            &variables,
            &[&["--config", config, "--set", &reader, "--running", &url], arguments].concat(),
        )
    };
    let (code, said) = against_running("old.yaml", &["--detailed-exitcode"]);
    assert_eq!((code, said.contains("No changes")), (Some(0), true), "{said}");
    let (code, said) = against_running("secret.yaml", &["--detailed-exitcode"]);
    assert!(said.contains("~ exporter otlp_http\n    headers::authorization: another secret\n"), "{said}");
    assert_eq!((code, said.contains("s3cr3t")), (Some(2), false), "{said}");
    let (code, said) = against_running("new.yaml", &[]);
    let expected = [
        "+ exporter file/other\n",
        "- exporter file\n",
        "    sending_queue::num_consumers: 1 is added\n",
        "~ processor attributes\n    actions::0::value: 0 -> 2\n",
        "~ pipeline metrics\n    processors: [\"batch\"] -> []\n",
        "Components: 1 added, 2 changed, 1 removed, 3 kept.\n",
    ];
    for expected in expected {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    assert_eq!(code, Some(0));
    // Whoever has not the key sees that he cannot see.
    fs::remove_file(path("slipring-data/plan.key")).expect("it was made");
    let (code, said) = against_running("secret.yaml", &["--detailed-exitcode"]);
    assert_eq!((code, said.contains("cannot be seen")), (Some(0), true), "{said}");
    slipring.stop();
    let against = |old: &str, new: &str| {
        plan(folder.path(), &variables, &["--config", new, "--against", old, "--detailed-exitcode"])
    };
    assert_eq!(against("old.yaml", "old.yaml").0, Some(0));
    let (code, said) = against("old.yaml", "secret.yaml");
    assert_eq!((code, said.contains("another secret")), (Some(2), true), "{said}");
    assert_eq!(against("old.yaml", "nothing.yaml").0, Some(1));
    let (code, said) = plan(folder.path(), &variables, &["--config", "old.yaml", "--running", "http://127.0.0.1:9"]);
    assert!(code == Some(1) && said.contains("is a slipring running there"), "{said}");
}

/// A scrape target with one series; its address.
fn target() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it listens").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\nconnection: close";
            let _ = stream.write_all(format!("{head}\r\n\r\na 1\n").as_bytes());
        }
    });
    address
}

/// How many samples and how many staleness markers a target's resources have in the file.
fn scraped(file: &Path, target: &str) -> (usize, usize) {
    let text = fs::read_to_string(file).unwrap_or_default();
    let (mut samples, mut marks) = (0, 0);
    for line in text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        let resources = line["resourceMetrics"].as_array().cloned().unwrap_or_default();
        for resource in resources.iter().filter(|resource| resource["resource"].to_string().contains(target)) {
            let text = resource["scopeMetrics"].to_string();
            let stale = text.matches("\"flags\":1").count();
            (samples, marks) = (samples + text.matches("\"timeUnixNano\"").count() - stale, marks + stale);
        }
    }
    (samples, marks)
}

#[test]
fn a_target_that_stays_is_scraped_on_and_one_that_is_gone_is_marked_stale() {
    let (stays, goes) = (target(), target());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (path, out) = (folder.path().join("config.yaml"), folder.path().join("out.jsonl"));
    let write = |targets: &str| {
        let config = format!(
            "receivers:
  prometheus:
    stale_on_shutdown: true
    config:
      global: {{scrape_interval: 300ms, scrape_timeout: 300ms}}
      scrape_configs: [{{job_name: j, static_configs: [{{targets: [{targets}]}}]}}]
exporters: {{file: {{path: out.jsonl}}}}
service: {{pipelines: {{metrics: {{receivers: [prometheus], exporters: [file]}}}}}}
"
        );
        fs::write(&path, config).expect("the folder is writable");
    };
    write(&format!("'{stays}', '{goes}'"));
    let slipring = Slipring::start(&path, folder.path(), &[]);
    let samples = |target: &str, at_least: usize| {
        eventually(Duration::from_secs(20), "scrapes come", || match scraped(&out, target) {
            (samples, _) if samples >= at_least => Ok(()),
            other => Err(format!("{target}: {other:?}")),
        });
    };
    samples(&stays, 12);
    samples(&goes, 12);
    write(&format!("'{stays}'"));
    slipring.process.signal("HUP");
    eventually(Duration::from_secs(20), "the series and the five of the target are marked", || {
        let (_, marks) = scraped(&out, &goes);
        if marks == 6 { Ok(()) } else { Err(format!("{marks} marks\n{}", slipring.process.printed())) }
    });
    let (before, marks) = scraped(&out, &stays);
    assert_eq!(marks, 0, "it stays");
    samples(&stays, before + 12);
    assert_eq!((scraped(&out, &stays).1, scraped(&out, &goes).1), (0, 6));
    slipring.stop();
    assert_eq!((scraped(&out, &stays).1, scraped(&out, &goes).1), (6, 6), "at its end it marks what it was asked to");
}
