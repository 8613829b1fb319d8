//! The twin test: one Prometheus scrapes targets itself, a second one has only what Slipring writes to it from the same
//! targets with the same scrape config. What the two know must be the same.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::standins::stage::Stage;
use crate::support::process::{Process, Slipring};
use crate::support::prometheus::{Labels, Prometheus};
use crate::support::{data, eventually, free_port, http};

/// Text without `version=`, as Dynamo sends it, is read as text all the same.
const TEXT: &str = "text/plain";
const TEXT_0_0_4: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Recorded expositions: the job, the file in `tests/data`, the content type.
const RECORDED: &[(&str, &str, &str)] = &[
    ("frontend-idle", "dynamo-1.6.1/frontend.idle.prom", TEXT),
    ("frontend", "dynamo-1.6.1/frontend.loaded.prom", TEXT),
    ("worker1-idle", "dynamo-1.6.1/worker1.idle.prom", TEXT),
    ("worker1", "dynamo-1.6.1/worker1.loaded.prom", TEXT),
    ("worker1-om", "dynamo-1.6.1/worker1.om.prom", TEXT),
    ("worker2", "dynamo-1.6.1/worker2.loaded.prom", TEXT),
    ("etcd", "expositions/etcd-3.4.23.prom", TEXT_0_0_4),
    ("node", "expositions/node-exporter-1.5.0.prom", TEXT_0_0_4),
    ("kvbm", "expositions/kvbm.prom", TEXT),
    ("operator", "expositions/operator.prom", TEXT_0_0_4),
    ("planner", "expositions/planner.prom", TEXT_0_0_4),
    ("llm-backend", "expositions/llm-backend.prom", TEXT_0_0_4),
];

/// What Prometheus and the collector agree on in OpenMetrics, in all its types.
const EVERY_TYPE: &str = "\
# TYPE blocks_total gauge
blocks_total 5
# HELP requests Requests, \\\"quoted\\\".
# TYPE requests counter
requests_total{path=\"/a\"} 17.0 # {trace_id=\"0af7651916cd43dd8448eb211c80319c\"} 1.0
requests_created{path=\"/a\"} 1.5e9
requests_total{path=\"/b\\n\\\"\\\\\"} 3
# TYPE size_bytes histogram
# UNIT size_bytes bytes
size_bytes_bucket{le=\"1.0\"} 1 # {trace_id=\"x\"} 0.5
size_bytes_bucket{le=\"+Inf\"} 2
size_bytes_count 2
size_bytes_sum 7.5
# TYPE delay_seconds summary
delay_seconds{quantile=\"0.5\"} 0.1
delay_seconds_count 10
delay_seconds_sum 1.25
# TYPE build info
build_info{version=\"1.6.1\"} 1
# TYPE mode stateset
mode{mode=\"on\"} 1
mode{mode=\"off\"} 0
# TYPE depth gaugehistogram
depth_bucket{le=\"4.0\"} 3
depth_bucket{le=\"+Inf\"} 5
depth_gcount 5
depth_gsum 20
# TYPE anything unknown
anything{a=\"\"} NaN
# TYPE extremes gauge
extremes{of=\"inf\"} +Inf
extremes{of=\"-inf\"} -Inf
extremes{of=\"large\"} 1.7976931348623157e308
extremes{of=\"small\"} 5e-324
# EOF
";

#[test]
fn recorded_expositions_are_stored_as_prometheus_stores_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let stage = Stage::start();
    let mut jobs = Vec::new();
    for (job, file, content_type) in RECORDED {
        let text = std::fs::read_to_string(data(file)).expect("the recorded text can be read");
        stage.say(&format!("/{job}"), content_type, &text);
        jobs.push((*job, &*stage.address, format!("/{job}")));
    }
    // More, for a person to test against what the project may not contain.
    for (job, text) in others() {
        stage.say(&format!("/{job}"), TEXT_0_0_4, &text);
        jobs.push((Box::leak(job.clone().into_boxed_str()), &*stage.address, format!("/{job}")));
    }
    stage.say("/every-type", OPEN_METRICS, EVERY_TYPE);
    jobs.push(("every-type", &*stage.address, "/every-type".to_owned()));
    let twins = Twins::start(folder.path(), &jobs);
    twins.become_equal("all targets are up", &format!("sum(up) == {}", jobs.len()));

    // Series vanish, a value changes, a label changes, a target dies, another one talks nonsense.
    stage.say("/frontend", TEXT, &stage.said("/frontend-idle"));
    stage.say("/every-type", OPEN_METRICS, &EVERY_TYPE.replace("1.6.1", "1.6.2").replace("17.0", "18.0"));
    stage.fall_silent("/etcd");
    stage.say("/operator", TEXT, "this is { no exposition\n");
    twins.become_equal("two targets are down", "count(up == 0) == 2 unless on () etcd_server_has_leader{job=\"etcd\"}");
    let changed = "count(build_info{version=\"1.6.2\"}) == 1 unless on () build_info{version=\"1.6.1\"}";
    twins.become_equal("a label has changed", changed);
    let gone = "sum(up) unless on () dynamo_frontend_time_to_first_token_seconds_count{job=\"frontend\"}";
    twins.become_equal("series are gone", gone);
    // And back.
    let text = std::fs::read_to_string(data(RECORDED[6].1)).expect("the recorded text can be read");
    stage.say("/etcd", TEXT_0_0_4, &text);
    twins.become_equal("one target is back", "count(up == 0) == 1");
    twins.slipring.stop();
}

#[test]
fn a_real_node_exporter_and_etcd_are_stored_as_prometheus_stores_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let node = format!("127.0.0.1:{}", free_port());
    let program =
        std::env::var("SLIPRING_TEST_NODE_EXPORTER").expect("cargo xtask test sets SLIPRING_TEST_NODE_EXPORTER");
    let mut command = Command::new(program);
    command.arg(format!("--web.listen-address={node}"));
    let _node = Process::start("node exporter", &mut command, &folder.path().join("node.out"));
    let [client, peer] = std::array::from_fn(|_| format!("127.0.0.1:{}", free_port()));
    let program = std::env::var("SLIPRING_TEST_ETCD").expect("cargo xtask test sets SLIPRING_TEST_ETCD");
    let mut command = Command::new(program);
    command.arg("--data-dir").arg(folder.path().join("etcd"));
    for (option, address) in
        [("listen-client-urls", &client), ("advertise-client-urls", &client), ("listen-peer-urls", &peer)]
    {
        command.arg(format!("--{option}")).arg(format!("http://{address}"));
    }
    let _etcd = Process::start("etcd", &mut command, &folder.path().join("etcd.out"));
    for (name, address) in [("node exporter", &node), ("etcd", &client)] {
        eventually(Duration::from_secs(30), &format!("{name} answers"), || http::get(address, "/metrics"));
    }
    agree_about(&[("node", &node), ("etcd", &client)]);
}

/// Scrapes living targets both ways until the two know the same series, with equal values where these stand still.
pub fn agree_about(targets: &[(&str, &str)]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let jobs: Vec<_> = targets.iter().map(|(job, address)| (*job, *address, "/metrics".to_owned())).collect();
    let twins = Twins::start(folder.path(), &jobs);
    let all_up = format!("sum(up) == {}", targets.len());
    let (mut first, mut moving) = (Known::new(), BTreeSet::new());
    eventually(Duration::from_secs(60), "the twins agree", || {
        if twins.alone.query(&all_up)?.is_empty() {
            return Err(format!("not yet: {all_up}"));
        }
        let (alone, fed) = (known(&twins.alone)?, known(&twins.fed)?);
        for (series, value) in &alone {
            if first.entry(series.clone()).or_insert_with(|| value.clone()) != value {
                moving.insert(series.clone());
            }
        }
        differences(&alone, &fed, &moving)
    });
    assert!(moving.len() * 3 < first.len(), "{} of {} series moved: nothing was compared", moving.len(), first.len());
    twins.slipring.stop();
}

/// A Prometheus that scrapes, one that is fed, and who feeds it.
struct Twins {
    alone: Prometheus,
    fed: Prometheus,
    slipring: Slipring,
}

impl Twins {
    /// Starts all three on these jobs: name, address and path.
    fn start(folder: &Path, jobs: &[(&str, &str, String)]) -> Twins {
        let mut scrape = String::from("global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n");
        for (job, address, path) in jobs {
            scrape.push_str(&format!(
                "- {{job_name: {job}, metrics_path: {path}, static_configs: [{{targets: ['{address}'], labels: {{twin: both}}}}]}}\n"
            ));
        }
        let fed = Prometheus::start("fed", folder, "global: {scrape_interval: 1h}\n");
        let config = folder.join("slipring.yaml");
        let indented = scrape.replace('\n', "\n      ");
        let text = format!(
            "receivers:\n  prometheus:\n    config:\n      {indented}
exporters:
  prometheus_remote_write: {{endpoint: 'http://{}/api/v1/write', tls: {{insecure: true}}}}
service:
  pipelines:
    metrics: {{receivers: [prometheus], exporters: [prometheus_remote_write]}}
",
            fed.address
        );
        std::fs::write(&config, text).expect("the folder is writable");
        let slipring = Slipring::start(&config, folder, &[]);
        let alone = Prometheus::start("alone", folder, &scrape);
        Twins { alone, fed, slipring }
    }

    /// Waits until the one that scrapes has `condition`, and both know the same.
    fn become_equal(&self, what: &str, condition: &str) {
        eventually(Duration::from_secs(60), what, || {
            if self.alone.query(condition)?.is_empty() {
                return Err(format!("not yet: {condition}"));
            }
            differences(&known(&self.alone)?, &known(&self.fed)?, &BTreeSet::new())
        });
    }
}

/// Series with their values.
type Known = BTreeMap<Labels, String>;

/// Everything that a Prometheus knows now. Bounds and quantiles are written as numbers are: Prometheus 3, whose form
/// Slipring sends, writes `1.0` where Prometheus 2 leaves `1`.
fn known(prometheus: &Prometheus) -> Result<Known, String> {
    let all = prometheus.series("{__name__=~\".+\"}")?;
    let normal = |mut labels: Labels| {
        for name in ["le", "quantile"] {
            let Some(value) = labels.get_mut(name) else { continue };
            *value = value.parse::<f64>().map_or_else(|_| value.clone(), |number| number.to_string());
        }
        labels
    };
    Ok(all.into_iter().map(|(labels, value)| (normal(labels), value)).collect())
}

fn differences(alone: &Known, fed: &Known, moving: &BTreeSet<Labels>) -> Result<(), String> {
    let mut out = Vec::new();
    out.extend(alone.keys().filter(|series| !fed.contains_key(*series)).map(|series| format!("missing {series:?}")));
    out.extend(fed.keys().filter(|series| !alone.contains_key(*series)).map(|series| format!("too many {series:?}")));
    for (series, value) in alone {
        // Two scrapes never take equally long.
        let compared = series["__name__"] != "scrape_duration_seconds" && !moving.contains(series);
        if let Some(other) = fed.get(series).filter(|other| compared && *other != value) {
            out.push(format!("{value} became {other} in {series:?}"));
        }
    }
    if out.is_empty() {
        return Ok(());
    }
    let shown: Vec<_> = out.iter().take(12).map(String::as_str).collect();
    Err(format!("{} of {} series differ:\n{}", out.len(), alone.len(), shown.join("\n")))
}

/// The expositions in the folder that `SLIPRING_TEST_EXPOSITIONS` names, if it names one: job and text.
fn others() -> Vec<(String, String)> {
    let Some(folder) = std::env::var_os("SLIPRING_TEST_EXPOSITIONS") else { return Vec::new() };
    let files = std::fs::read_dir(folder).expect("SLIPRING_TEST_EXPOSITIONS names a folder").flatten();
    let texts = files.filter(|file| file.path().extension().is_some_and(|e| e == "prom"));
    texts
        .map(|file| {
            let job = file.path().file_stem().unwrap_or_default().to_string_lossy().into_owned();
            (job, std::fs::read_to_string(file.path()).expect("an exposition is text"))
        })
        .collect()
}
