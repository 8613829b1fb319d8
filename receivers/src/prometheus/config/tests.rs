//! What configs become, and what is said about those that cannot work.

use pipeline::config::testing;
use pipeline::net::secret::Secret;

use super::*;
use crate::prometheus::exposition::Format;
use crate::prometheus::labels::NameRule;

fn job(yaml: &str) -> Job {
    jobs(&format!("config:\n  scrape_configs:\n  - job_name: x\n{yaml}")).remove(0)
}

fn jobs(yaml: &str) -> Vec<Job> {
    let config: Config = testing::decode(yaml).unwrap_or_else(|error| panic!("{error}"));
    config.jobs().0
}

#[track_caller]
fn refused(yaml: &str, expected: &str) {
    match testing::decode::<Config>(yaml) {
        Ok(_) => panic!("{yaml} is accepted"),
        Err(error) => assert!(error.contains(expected), "{error}"),
    }
}

/// A scrape config with these lines.
#[track_caller]
fn bad(lines: &str, expected: &str) {
    refused(&format!("config:\n  scrape_configs:\n  - job_name: x\n    {lines}\n"), expected);
}

#[test]
fn defaults_are_prometheus_own() {
    let job = job("");
    assert_eq!((job.interval, job.timeout), (Duration::from_secs(60), Duration::from_secs(10)));
    assert_eq!((job.path.as_str(), job.scheme.as_str()), ("/metrics", "http"));
    assert!(job.compression && job.http.follow_redirects && job.http.enable_http2);
    assert!(job.rules.honor_timestamps && !job.rules.honor_labels && !job.rules.track_timestamps_staleness);
    assert_eq!((job.fallback, job.rules.names), (Some(Format::Text), NameRule::Utf8));
    assert_eq!((job.body_size_limit, job.most_body_bytes), (0, 64 << 20));
    assert!(!job.extra);
}

#[test]
fn jobs_inherit_from_global_what_they_do_not_say() {
    let yaml = "config:\n  global: {scrape_interval: 5s, sample_limit: 9, body_size_limit: 1MB, label_limit: 3, extra_scrape_metrics: true, scrape_protocols: [PrometheusText0.0.4], external_labels: {cluster: eu}}\n  \
        scrape_configs:\n  - job_name: a\n  - {job_name: b, scrape_interval: 1m30s, sample_limit: 1, body_size_limit: 10KB, extra_scrape_metrics: false}\n";
    let jobs = jobs(yaml);
    assert_eq!((jobs[0].interval, jobs[0].timeout), (Duration::from_secs(5), Duration::from_secs(5)));
    assert_eq!((jobs[1].interval, jobs[1].timeout), (Duration::from_secs(90), Duration::from_secs(5)));
    assert_eq!(jobs.iter().map(|j| j.rules.limits.samples).collect::<Vec<_>>(), [9, 1]);
    assert_eq!(jobs.iter().map(|j| j.body_size_limit).collect::<Vec<_>>(), [1 << 20, 10 << 10]);
    assert_eq!(jobs.iter().map(|j| j.extra).collect::<Vec<_>>(), [true, false]);
    assert_eq!(jobs[1].rules.limits.labels, 3);
    assert_eq!(jobs[1].accept, "text/plain;version=0.0.4;q=0.6,*/*;q=0.5");
    assert_eq!(jobs[1].rules.external_labels, [("cluster".to_owned(), "eu".to_owned())]);
}

#[test]
fn the_jobs_of_a_dynamo_stack_load() {
    let yaml = "
config:
  global:
    scrape_interval: 10s
    evaluation_interval: 10s
  scrape_configs:
    - job_name: 'nats-prometheus-exporter'
      scrape_interval: 2s
      static_configs:
        - targets: ['nats-prometheus-exporter:7777']
    - job_name: 'dcgm-exporter'
      scrape_interval: 5s
      static_configs:
        - targets: ['dcgm-exporter:9401']
    - job_name: 'dynamo-backend'
      scrape_interval: 6s
      static_configs:
        - targets: ['host.docker.internal:8081', 'host.docker.internal:8082']
";
    let jobs = jobs(yaml);
    assert_eq!(jobs.iter().map(|job| job.interval.as_secs()).collect::<Vec<_>>(), [2, 5, 6]);
    assert_eq!(jobs[0].timeout.as_secs(), 2);
    assert_eq!(jobs[2].discovery.static_configs[0].targets.len(), 2);
}

#[test]
fn escaping_follows_the_validation_scheme() {
    let accept = |lines: &str| job(lines).accept;
    assert!(accept("").contains("version=1.0.0;escaping=allow-utf-8;q=0.6"));
    assert!(accept("    metric_name_validation_scheme: legacy\n").contains("escaping=underscores"));
    assert!(accept("    metric_name_escaping_scheme: dots\n").contains("text/plain;version=1.0.0;escaping=dots;q=0.4"));
    bad(
        "metric_name_validation_scheme: legacy\n    metric_name_escaping_scheme: allow-utf-8",
        "allow-utf-8 needs the metric_name_validation_scheme utf8",
    );
    bad("metric_name_escaping_scheme: x", "\"x\" is not an escaping scheme");
    bad("metric_name_validation_scheme: x", "\"x\" is not a validation scheme");
}

#[test]
fn what_a_receiver_cannot_do_is_refused_with_what_to_do_instead() {
    let with = |lines: &str| format!("config:\n  scrape_configs: [{{job_name: x}}]\n  {lines}\n");
    refused(&with("alerting: {alertmanagers: []}"), "a receiver sends no alerts");
    refused(&with("rule_files: [a.yaml]"), "a receiver evaluates no rules");
    refused(&with("remote_read: []"), "a receiver answers no queries");
    refused(&with("remote_write: [{url: http://x}]"), "use the prometheus_remote_write exporter");
    refused(&with("scrape_config_files: [x]"), "must end in .json, .yml or .yaml");
    refused("config: {scrape_configs: [{job_name: x}]}\nconfig_file: p.yml", "give config or config_file, not both");
    refused(&with("rule_file: [a.yaml]"), "rule_file");
    refused("config: {scrape_configs: []}", "there is nothing to scrape");
    refused("", "there is nothing to scrape");
    refused("target_allocator: {endpoint: x}", "let kubernetes_sd_configs or http_sd_configs find the targets");
    refused(
        "config: {scrape_configs: [{job_name: x}]}\napi_server: {enabled: true}",
        "there is /api/v1/targets at the own metrics' address",
    );
    refused("config: {scrape_configs: [{job_name: x}]}\nuse_start_time_metric: true", "start times are not guessed");
    jobs(&with(
        "storage: {tsdb: {out_of_order_time_window: 5m}}\n  runtime: {gogc: 50}\n  otlp: {}\n  tracing: {endpoint: x}",
    ));
}

#[test]
fn discovery_that_is_not_available_is_named() {
    for name in ["consul_sd_configs", "ec2_sd_configs", "nomad_sd_configs"] {
        bad(
            &format!("{name}: [{{anything: [at, all]}}]"),
            &format!("{name} is not available; there are static_configs, file_sd_configs, http_sd_configs"),
        );
    }
    bad("file_sd_configs: [{files: []}]", "file_sd_configs needs files");
    bad("file_sd_configs: [{files: ['a/*/b.yaml']}]", "only its last part may hold *");
    bad("file_sd_configs: [{files: ['a.txt']}]", "must end in .json, .yml or .yaml");
    bad(
        "static_configs: [{targets: ['http://a:1/metrics']}]",
        "is not host:port; scheme and path stand in scheme and metrics_path",
    );
    bad("static_config: []", "static_config");
}

#[test]
fn values_that_cannot_work_are_refused() {
    bad("scrape_interval: 5s\n    scrape_timeout: 6s", "the timeout 6s is longer than the interval 5s");
    bad("scrape_interval: 5", "no Prometheus duration");
    bad("scheme: ftp", "\"ftp\" is not a scheme");
    bad(
        "scrape_protocols: [Protobuf]",
        "\"Protobuf\" is not a scrape protocol, there are PrometheusProto, OpenMetrics",
    );
    bad("scrape_protocols: [PrometheusText0.0.4, PrometheusText0.0.4]", "PrometheusText0.0.4 is there twice");
    bad("scrape_protocols: []", "scrape_protocols cannot be empty");
    bad("fallback_scrape_protocol: x", "\"x\" is not a scrape protocol");
    bad("body_size_limit: 10 apples", "is not a size");
    bad("relabel_configs: [{action: keep, regex: '('}]", "is not a regular expression");
    bad("metric_relabel_configs: [{action: x}]", "\"x\" is not an action");
    refused("config: {scrape_configs: [{}]}", "a scrape config needs a job_name");
    refused(
        "config: {scrape_configs: [{job_name: a}, {job_name: a}]}",
        "several scrape configs with the job_name \"a\"",
    );
    refused(
        "config: {global: {scrape_interval: 1s, scrape_timeout: 2s}, scrape_configs: [{job_name: a}]}",
        "the timeout 2s is longer",
    );
    assert_eq!(job("    always_scrape_classic_histograms: true\n    scrape_native_histograms: false\n").name, "x");
}

#[test]
fn credentials_come_from_one_place() {
    bad("basic_auth: {username: a}\n    bearer_token: b", "only one of basic_auth, bearer_token can be used");
    bad(
        "authorization: {credentials: a, credentials_file: b}",
        "give authorization.credentials or authorization.credentials_file, not both",
    );
    bad("authorization: {type: Basic}", "use basic_auth for the type Basic");
    bad("oauth2: {client_id: a}\n    basic_auth: {username: a}", "only one of basic_auth, oauth2 can be used");
    bad("oauth2: {client_id: a}", "oauth2 needs a token_url");
    bad("oauth2: {token_url: 'http://a'}", "oauth2 needs a client_id");
    bad("oauth2: {client_id: a, token_url: a}", "a has no scheme");
    bad(
        "oauth2: {client_id: a, token_url: 'http://a', client_secret: b, client_secret_file: c}",
        "give client_secret or client_secret_file, not both",
    );
    bad("http_headers: {Authorization: {values: [a]}}", "the header authorization cannot be set here");
    bad("tls_config: {max_version: TLS10}", "\"TLS10\" is not available, there are TLS12 and TLS13");
    bad("tls_config: {cert_file: a}", "a certificate needs its key");
    bad("tls_config: {ca: a, ca_file: b}", "give ca_file or ca, not both");
    let job = job(
        "    basic_auth: {username: u, password_file: /p}\n    tls_config: {insecure_skip_verify: true, server_name: n, min_version: TLS13}\n",
    );
    let tls = job.http.tls_config.client();
    assert!(tls.insecure_skip_verify);
    assert_eq!((tls.server_name_override.as_str(), tls.common.min_version.as_str()), ("n", "1.3"));
    assert!(matches!(job.http.credentials(), Credentials::Basic(Secret::Given(_), Secret::File(_))));
}

#[test]
fn proxies_are_named_in_one_way() {
    bad("proxy_url: socks5://p", "a proxy with the scheme \"socks5\" is not available");
    bad("proxy_url: http://p\n    proxy_from_environment: true", "give proxy_url or proxy_from_environment, not both");
    bad("no_proxy: a", "no_proxy needs a proxy_url");
    bad("no_proxy: a\n    proxy_from_environment: true", "the variable NO_PROXY says it");
    bad("proxy_connect_header: {a: [b]}", "proxy_connect_header needs proxy_url or proxy_from_environment");
    bad("proxy_url: p\n    proxy_connect_header: {'a b': [c]}", "cannot be a header's");
    let job =
        job("    proxy_url: http://u:p@proxy:3128\n    no_proxy: 10.0.0.0/8\n    proxy_connect_header: {X-A: [b]}\n");
    assert_eq!(job.http.proxy.proxies().unwrap().connect_headers["x-a"], "b");
    assert!(!format!("{job:?}").contains("u:p"));
}

#[test]
fn each_mechanism_says_what_it_needs() {
    bad("http_sd_configs: [{}]", "http_sd_configs needs a url");
    bad("http_sd_configs: [{url: 'ftp://x'}]", "use http or https");
    bad("http_sd_configs: [{url: 'http://a', refresh_interval: 0s}]", "refresh_interval must be above 0");
    bad("http_sd_configs: [{url: 'http://a', bearer_token: a, bearer_token_file: b}]", "only one of bearer_token");
    bad("dns_sd_configs: [{}]", "dns_sd_configs needs names");
    bad("dns_sd_configs: [{names: [a], type: TXT}]", "\"TXT\" is not a type of records");
    bad("dns_sd_configs: [{names: [a], type: a}]", "only SRV records have ports; set port");
    bad("kubernetes_sd_configs: [{}]", "kubernetes_sd_configs needs a role: pod, service");
    bad("kubernetes_sd_configs: [{role: pods}]", "\"pods\" is not a role");
    bad("kubernetes_sd_configs: [{role: pod, bearer_token: a}]", "credentials and TLS need an api_server");
    bad("kubernetes_sd_configs: [{role: pod, api_server: 'http://a', kubeconfig_file: b}]", "not both");
    bad("kubernetes_sd_configs: [{role: pod, kubeconfig_file: b, bearer_token: a}]", "remove credentials and TLS");
    bad(
        "kubernetes_sd_configs: [{role: pod, api_server: 'http://a', namespaces: {own_namespace: true}}]",
        "own_namespace is that of the pod",
    );
    bad("kubernetes_sd_configs: [{role: pod, selectors: [{role: node}]}]", "the role pod takes selectors of pod");
    bad(
        "kubernetes_sd_configs: [{role: endpoints, selectors: [{role: pod}, {role: pod}]}]",
        "there are several selectors of pod",
    );
    let found = job(
        "    http_sd_configs: [{url: 'http://a'}]\n    dns_sd_configs: [{names: [a]}]\n    file_sd_configs: [{files: ['x/a*b*.yml']}]\n",
    )
    .discovery;
    let seconds = |interval: PromDuration| interval.get().as_secs();
    assert_eq!(seconds(found.http_sd_configs[0].refresh_interval), 60);
    assert_eq!(seconds(found.dns_sd_configs[0].refresh_interval), 30);
    assert_eq!(seconds(found.file_sd_configs[0].refresh_interval), 300);
    assert_eq!(found.dns_sd_configs[0].records(), Some(RecordType::Srv));
}

/// The jobs of a `prometheus.yml` with files around it, or what is wrong.
fn from_files(files: &[(&str, &str)]) -> Result<Vec<Job>, String> {
    let world = pipeline::testing::World::new();
    files.iter().for_each(|(path, contents)| world.files.put(path, contents));
    let config: Config = testing::decode("config_file: /etc/p/prometheus.yml").unwrap();
    let config = config.with_files(&*world.doors.files).map_err(|error| error.to_string())?;
    Ok(config.jobs().0)
}

const XPU: &str = "# As it stands beside a fleet: with rules and alerts for the Prometheus that it was written for.
global:
  scrape_interval: 10s
  evaluation_interval: 10s
  external_labels: {cluster: '$${NOT_SET}eu'}
rule_files: [xpu-alert-rules.yml]
alerting: {alertmanagers: [{static_configs: [{targets: ['alerts:9093']}]}]}
remote_write: [{url: 'http://store/api/v1/write'}]
scrape_config_files: ['jobs/*.yml']
scrape_configs:
  - job_name: dynamo-backend
    scrape_interval: 6s
    static_configs:
      - targets: ['host.docker.internal:8081']
    basic_auth: {username: u, password_file: secrets/p}
    file_sd_configs: [{files: [targets/*.json]}]
    relabel_configs:
      - {source_labels: [__address__], target_label: instance, regex: '(.*):.*', replacement: '${1}'}
";

#[test]
fn a_prometheus_yml_is_taken_as_it_is() {
    let more = "scrape_configs: [{job_name: more, bearer_token_file: token, static_configs: [{targets: ['b:1']}]}]";
    let jobs = from_files(&[("/etc/p/prometheus.yml", XPU), ("/etc/p/jobs/more.yml", more)]).unwrap();
    assert_eq!(jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["dynamo-backend", "more"]);
    assert_eq!(jobs.iter().map(|job| job.interval.as_secs()).collect::<Vec<_>>(), [6, 10]);
    assert_eq!(jobs[0].discovery.file_sd_configs[0].files, ["/etc/p/targets/*.json"]);
    assert!(
        matches!(jobs[0].http.credentials(), Credentials::Basic(_, Secret::File(file)) if file == "/etc/p/secrets/p")
    );
    assert!(matches!(jobs[1].http.credentials(), Credentials::Token(_, Secret::File(f)) if f == "/etc/p/jobs/token"));
    assert_eq!(jobs[1].rules.external_labels, [("cluster".to_owned(), "${NOT_SET}eu".to_owned())]);
    assert_eq!(from_files(&[("/etc/p/prometheus.yml", "global: {scrape_interval: 15s}")]).unwrap().len(), 0);
}

#[test]
fn what_is_wrong_in_files_is_said_with_its_place() {
    let check = |files: &[(&str, &str)], parts: &[&str]| {
        let error = from_files(files).unwrap_err();
        parts.iter().for_each(|part| assert!(error.contains(part), "{part} in {error}"));
    };
    check(&[], &["cannot read /etc/p/prometheus.yml"]);
    let wrong = "global:\n  scrape_interval: 10\nscrape_configs:\n- job_name: a\n  scheme: ftp\n  metric_path: x\n";
    check(
        &[("/etc/p/prometheus.yml", wrong)],
        &["prometheus.yml:2:", "prometheus.yml:5:", "prometheus.yml:6:", "did you mean `metrics_path`"],
    );
    let both = "scrape_configs: [{job_name: dynamo-backend}, {job_name: b, scheme: ftp}]";
    check(
        &[("/etc/p/prometheus.yml", XPU), ("/etc/p/jobs/both.yml", both)],
        &[
            "/etc/p/jobs/both.yml: scrape_configs.0.job_name: there are several",
            "/etc/p/jobs/both.yml: scrape_configs.1.scheme: \"ftp\" is not a scheme",
        ],
    );
    check(&[("/etc/p/prometheus.yml", XPU), ("/etc/p/jobs/a.yml", "scrape_config: []")], &["jobs/a.yml:1:"]);
}

#[test]
fn external_labels_cannot_call_all_metrics_the_same() {
    let yaml = "config:\n  global: {external_labels: {__name__: x}}\n  scrape_configs: [{job_name: j}]\n";
    let error = testing::decode::<Config>(yaml).unwrap_err();
    assert!(error.contains("test.yaml:2:40") && error.contains("__name__ is what a metric is called"), "{error}");
}

#[test]
fn sizes_are_powers_of_1024() {
    for (text, bytes) in [
        ("0", 0),
        ("1B", 1),
        ("1KB", 1024),
        ("1KiB", 1024),
        ("2MB", 2 << 20),
        ("1GiB", 1 << 30),
        ("1MB512KB", 1536 << 10),
    ] {
        assert_eq!(job(&format!("    body_size_limit: {text}\n")).body_size_limit, bytes, "{text}");
    }
    bad("body_size_limit: 4GiB", "the most is below 4GiB");
}

#[test]
fn durations_are_written_as_prometheus_writes_them() {
    for (seconds, text) in
        [(0, "0s"), (15, "15s"), (60, "1m"), (90, "1m30s"), (3600, "1h"), (864_000, "10d"), (604_800, "1w")]
    {
        assert_eq!(duration(Duration::from_secs(seconds)), text);
        assert_eq!(PromDuration::parse(text).unwrap().get().as_secs(), seconds);
    }
    assert_eq!(duration(Duration::from_millis(1500)), "1s500ms");
}

#[test]
fn every_problem_is_said_with_its_place() {
    let yaml = "config:\n  rule_files: [a]\n  scrape_configs:\n  - job_name: x\n    scheme: ftp\n    metric_relabel_configs:\n    - action: keep\n      regex: '('\n";
    let error = testing::decode::<Config>(yaml).unwrap_err();
    for place in ["test.yaml:2:", "test.yaml:5:", "test.yaml:8:"] {
        assert!(error.contains(place), "{error}");
    }
}
