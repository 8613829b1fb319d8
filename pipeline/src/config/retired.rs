//! Components of the collector that a config may still name and that are not here: what to do instead.

/// What to say of a type that is not in the registry; `kind` is the section, such as `exporters`.
pub fn advice(kind: &str, name: &str) -> Option<String> {
    let removed = RETIRED.iter().find(|(k, names, _)| *k == kind && names.contains(&name));
    if let Some((_, _, advice)) = removed {
        return Some((*advice).to_owned());
    }
    let known = KNOWN.iter().find(|(k, names)| *k == kind && names.contains(&name));
    let instead =
        INSTEAD.iter().find(|(k, names, _)| *k == kind && names.contains(&name)).map(|(_, _, instead)| *instead);
    known.map(|_| {
        let missing = format!("`{name}` is a component of the collector that this build does not have");
        instead.map_or(missing.clone(), |instead| format!("{missing}: {instead}"))
    })
}

/// What does some of the same.
const INSTEAD: &[Retired] = &[
    ("receivers", &["host_metrics", "hostmetrics"], "scrape a node_exporter with `prometheus`"),
    ("receivers", &["kubelet_stats", "kubeletstats", "docker_stats"], "scrape cAdvisor with `prometheus`"),
    ("receivers", &["k8s_cluster"], "scrape kube-state-metrics with `prometheus`"),
    (
        "receivers",
        &["tcplog", "udplog", "syslog", "journald"],
        "read a file with `file_log`, or a pipe with `stdin_log`",
    ),
    (
        "processors",
        &["k8s_attributes", "k8sattributes"],
        "`file_log` with `format: container` and `kubernetes_sd_configs` name the pods of what they bring",
    ),
    ("processors", &["transform"], "`attributes` and `resource` insert, update, rename, hash and delete"),
    (
        "processors",
        &["resource_detection", "resourcedetection"],
        "`resource` takes facts from variables: value: ${env:NODE_NAME}",
    ),
    ("connectors", &["forward"], "name the same receivers in both pipelines"),
];

type Retired = (&'static str, &'static [&'static str], &'static str);

const RETIRED: &[Retired] = &[
    ("exporters", &["loki"], "use `otlp_http` with `endpoint: http://loki:3100/otlp`"),
    ("exporters", &["logging"], "the collector has removed it: use `debug`"),
    ("exporters", &["jaeger", "jaeger_thrift"], "the collector has removed it: use `otlp_grpc`, which Jaeger takes"),
    ("exporters", &["opencensus"], "the collector has removed it: use `otlp_grpc`"),
    ("receivers", &["opencensus"], "the collector has removed it: use `otlp`"),
    ("extensions", &["memory_ballast"], "the collector has removed it: leave it out, no ballast is needed here"),
    (
        "processors",
        &["spanmetrics"],
        "the collector has made it a connector, `span_metrics`, which this build does not have",
    ),
    (
        "processors",
        &["servicegraph"],
        "the collector has made it a connector, `service_graph`, which this build does not have",
    ),
    ("processors", &["queue_batch", "queuebatch"], "use `sending_queue` with its block `batch` in the exporter"),
];

/// What users of the collector are most likely to have, in old and new spelling.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "receivers",
        &[
            "cloud_foundry",
            "cloudfoundry",
            "docker_stats",
            "fluentforward",
            "host_metrics",
            "hostmetrics",
            "jaeger",
            "journald",
            "k8s_cluster",
            "k8s_events",
            "k8s_objects",
            "k8sobjects",
            "kafka",
            "kafka_metrics",
            "kafkametrics",
            "kubelet_stats",
            "kubeletstats",
            "nop",
            "otlp_json_file",
            "otlpjsonfile",
            "prometheus_remote_write",
            "prometheusremotewrite",
            "statsd",
            "syslog",
            "tcp_check",
            "tcpcheck",
            "tcplog",
            "udplog",
            "zipkin",
        ],
    ),
    (
        "processors",
        &[
            "cumulative_to_delta",
            "cumulativetodelta",
            "delta_to_cumulative",
            "deltatocumulative",
            "delta_to_rate",
            "deltatorate",
            "groupbyattrs",
            "groupbytrace",
            "interval",
            "k8s_attributes",
            "k8sattributes",
            "log_dedup",
            "logdedup",
            "metric_start_time",
            "metricstarttime",
            "metrics_transform",
            "metricstransform",
            "probabilistic_sampler",
            "redaction",
            "resource_detection",
            "resourcedetection",
            "span",
            "span_pruning",
            "spanpruning",
            "tail_sampling",
            "transform",
            "attributes",
            "batch",
            "filter",
            "memory_limiter",
            "resource",
        ],
    ),
    (
        "exporters",
        &[
            "clickhouse",
            "datadog",
            "elasticsearch",
            "kafka",
            "load_balancing",
            "loadbalancing",
            "nop",
            "prometheus",
            "splunk_hec",
            "zipkin",
        ],
    ),
    (
        "connectors",
        &[
            "count",
            "exceptions",
            "failover",
            "forward",
            "grafana_cloud",
            "grafanacloud",
            "otlp_json",
            "otlpjson",
            "round_robin",
            "roundrobin",
            "routing",
            "service_graph",
            "servicegraph",
            "signal_to_metrics",
            "signaltometrics",
            "span_metrics",
            "spanmetrics",
            "sum",
        ],
    ),
    (
        "extensions",
        &[
            "basicauth",
            "bearertokenauth",
            "file_storage",
            "headers_setter",
            "health_check",
            "k8s_observer",
            "oauth2client",
            "oidc",
            "opamp",
            "pprof",
            "sigv4auth",
            "zpages",
        ],
    ),
];
