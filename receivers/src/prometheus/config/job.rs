//! A scrape config with everything that `global` and Prometheus' defaults say filled in.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use pipeline::config::{Problem, PromDuration, Text};

use super::discovery::Discovery;
use super::http::HttpConfig;
use super::scrape::{ScrapeConfig, Shared};
use super::{Config, duration};
use crate::prometheus::cache::{Histograms, Limits, Rules};
use crate::prometheus::exposition::Format;
use crate::prometheus::labels::NameRule;
use crate::prometheus::relabel::Rule;
use crate::prometheus::relabel::config::compile;

/// The most bytes of a body where the config sets no limit.
const DEFAULT_BODY_BYTES: u64 = 64 << 20;
/// The most that a config can allow.
const MOST_BODY_BYTES: u64 = (4 << 30) - 1;

/// A format that targets can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScrapeProtocol {
    /// Protobuf, the only one with native histograms.
    PrometheusProto,
    /// Text 0.0.4.
    PrometheusText0_0_4,
    /// Text 1.0.0, which may quote names.
    PrometheusText1_0_0,
    /// OpenMetrics 0.0.1.
    OpenMetricsText0_0_1,
    /// OpenMetrics 1.0.0.
    OpenMetricsText1_0_0,
}

impl ScrapeProtocol {
    const ALL: [ScrapeProtocol; 5] = [
        ScrapeProtocol::PrometheusProto,
        ScrapeProtocol::OpenMetricsText1_0_0,
        ScrapeProtocol::OpenMetricsText0_0_1,
        ScrapeProtocol::PrometheusText1_0_0,
        ScrapeProtocol::PrometheusText0_0_4,
    ];

    const fn name(self) -> &'static str {
        match self {
            ScrapeProtocol::PrometheusProto => "PrometheusProto",
            ScrapeProtocol::PrometheusText0_0_4 => "PrometheusText0.0.4",
            ScrapeProtocol::PrometheusText1_0_0 => "PrometheusText1.0.0",
            ScrapeProtocol::OpenMetricsText0_0_1 => "OpenMetricsText0.0.1",
            ScrapeProtocol::OpenMetricsText1_0_0 => "OpenMetricsText1.0.0",
        }
    }

    /// The media type in `accept`, and whether an escaping scheme can be asked for.
    const fn media_type(self) -> (&'static str, bool) {
        match self {
            ScrapeProtocol::PrometheusProto => {
                ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", false)
            }
            ScrapeProtocol::PrometheusText0_0_4 => ("text/plain;version=0.0.4", false),
            ScrapeProtocol::PrometheusText1_0_0 => ("text/plain;version=1.0.0", true),
            ScrapeProtocol::OpenMetricsText0_0_1 => ("application/openmetrics-text;version=0.0.1", false),
            ScrapeProtocol::OpenMetricsText1_0_0 => ("application/openmetrics-text;version=1.0.0", true),
        }
    }

    /// What bodies of it are read as.
    pub const fn format(self) -> Format {
        match self {
            ScrapeProtocol::PrometheusProto => Format::Protobuf,
            ScrapeProtocol::PrometheusText0_0_4 | ScrapeProtocol::PrometheusText1_0_0 => Format::Text,
            ScrapeProtocol::OpenMetricsText0_0_1 | ScrapeProtocol::OpenMetricsText1_0_0 => Format::OpenMetrics,
        }
    }

    fn parse(text: &str) -> Result<ScrapeProtocol, String> {
        let known = ScrapeProtocol::ALL.into_iter().find(|protocol| protocol.name() == text);
        known.ok_or_else(|| {
            let all = ScrapeProtocol::ALL.map(ScrapeProtocol::name).join(", ");
            format!("{text:?} is not a scrape protocol, there are {all}")
        })
    }
}

/// A job, ready to run.
#[derive(Clone, Debug)]
pub struct Job {
    /// `job_name`.
    pub name: String,
    /// Between two scrapes of a target, unless relabelling changes it.
    pub interval: Duration,
    /// From connecting to the last byte, unless relabelling changes it.
    pub timeout: Duration,
    /// `metrics_path`.
    pub path: String,
    /// `scheme`.
    pub scheme: String,
    /// `params`.
    pub params: BTreeMap<String, Vec<String>>,
    /// The value of `accept`.
    pub accept: String,
    /// What bodies of unknown type are.
    pub fallback: Option<Format>,
    /// Take gzip.
    pub compression: bool,
    /// `body_size_limit`, 0 for none.
    pub body_size_limit: usize,
    /// The most bytes that are read and decompressed.
    pub most_body_bytes: usize,
    /// `target_limit`, 0 for none.
    pub target_limit: usize,
    /// `keep_dropped_targets`, 0 for all.
    pub keep_dropped_targets: usize,
    /// `extra_scrape_metrics`.
    pub extra: bool,
    /// How samples become series.
    pub rules: Arc<Rules>,
    /// `relabel_configs`.
    pub relabel: Vec<Rule>,
    /// Where targets come from.
    pub discovery: Discovery,
    /// `scrape_failure_log_file`.
    pub failure_log: Option<PathBuf>,
    /// How targets are asked.
    pub http: HttpConfig,
    /// `initial_scrape_offset`.
    pub initial_offset: Duration,
    /// `scrape_on_shutdown`.
    pub scrape_on_shutdown: bool,
    /// `stale_on_shutdown`.
    pub stale_on_shutdown: bool,
}

/// What a scrape config inherits.
pub(super) struct Defaults<'a> {
    pub config: &'a Config,
    pub interval: Duration,
    pub timeout: Duration,
}

impl ScrapeConfig {
    /// The job, if something can be made of it; what is wrong goes to `problems`.
    pub(super) fn job(&self, defaults: &Defaults<'_>, path: &str, problems: &mut Vec<Problem>) -> Option<Job> {
        let global = &defaults.config.config.global.shared;
        let before = problems.len();
        let (interval, timeout) = self.times(defaults, path, problems);
        let names = self.name_rule(global, path, problems);
        let accept = self.accept(global, names, path, problems);
        let fallback = match &*self.fallback_scrape_protocol {
            "" => None,
            text => ScrapeProtocol::parse(text).map_or_else(
                |message| {
                    problems.push(Problem::at(format!("{path}.fallback_scrape_protocol"), message));
                    None
                },
                |protocol| Some(protocol.format()),
            ),
        };
        let relabel = compile(&self.relabel_configs, names, &format!("{path}.relabel_configs"), problems);
        let metric_relabel =
            compile(&self.metric_relabel_configs, names, &format!("{path}.metric_relabel_configs"), problems);
        self.discovery.check(path, names, !self.relabel_configs.is_empty(), problems);
        self.http.check(path, problems);
        if !matches!(&*self.scheme, "http" | "https") && self.relabel_configs.is_empty() {
            let message = format!("{:?} is not a scheme, there are http and https", &*self.scheme);
            problems.push(Problem::at(format!("{path}.scheme"), message));
        }
        let body_size_limit = self.body_size_limit(global, path, problems);
        let limit = |own: u64, global: u64| to_usize(if own == 0 { global } else { own });
        let own = &self.shared;
        let rules = Rules {
            honor_labels: self.honor_labels,
            honor_timestamps: self.honor_timestamps,
            track_timestamps_staleness: self.track_timestamps_staleness,
            metric_relabel,
            names,
            limits: Limits {
                samples: limit(own.sample_limit, global.sample_limit),
                labels: limit(own.label_limit, global.label_limit),
                label_name_length: limit(own.label_name_length_limit, global.label_name_length_limit),
                label_value_length: limit(own.label_value_length_limit, global.label_value_length_limit),
            },
            histograms: self.histograms(global),
            external_labels: owned(&defaults.config.config.global.external_labels),
            trim_suffixes: defaults.config.trim_metric_suffixes,
        };
        let job = Job {
            name: self.job_name.0.clone(),
            interval,
            timeout,
            path: self.metrics_path.0.clone(),
            scheme: self.scheme.0.clone(),
            params: self.params.iter().map(|(k, v)| (k.clone(), v.iter().map(|v| v.0.clone()).collect())).collect(),
            accept,
            fallback,
            compression: self.enable_compression,
            body_size_limit: to_usize(body_size_limit),
            most_body_bytes: to_usize(if body_size_limit == 0 { DEFAULT_BODY_BYTES } else { body_size_limit }),
            target_limit: limit(own.target_limit, global.target_limit),
            keep_dropped_targets: limit(own.keep_dropped_targets, global.keep_dropped_targets),
            extra: own.extra_scrape_metrics.or(global.extra_scrape_metrics).unwrap_or(false),
            rules: Arc::new(rules),
            relabel,
            discovery: self.discovery.clone(),
            failure_log: [&own.scrape_failure_log_file, &global.scrape_failure_log_file]
                .into_iter()
                .find(|file| !file.is_empty())
                .map(PathBuf::from),
            http: self.http.clone(),
            initial_offset: defaults.config.initial_scrape_offset.get(),
            scrape_on_shutdown: defaults.config.scrape_on_shutdown,
            stale_on_shutdown: defaults.config.stale_on_shutdown,
        };
        (problems.len() == before).then_some(job)
    }

    fn times(&self, defaults: &Defaults<'_>, path: &str, problems: &mut Vec<Problem>) -> (Duration, Duration) {
        let set = |value: Option<PromDuration>| value.map(PromDuration::get).filter(|time| !time.is_zero());
        let interval = set(self.scrape_interval).unwrap_or(defaults.interval);
        let timeout = set(self.scrape_timeout);
        if let Some(timeout) = timeout.filter(|timeout| *timeout > interval) {
            let (timeout, interval) = (duration(timeout), duration(interval));
            let message = format!("the timeout {timeout} is longer than the interval {interval}");
            problems.push(Problem::at(format!("{path}.scrape_timeout"), message));
        }
        (interval, timeout.unwrap_or(defaults.timeout).min(interval))
    }

    fn name_rule(&self, global: &Shared, path: &str, problems: &mut Vec<Problem>) -> NameRule {
        match &*first(&self.shared.metric_name_validation_scheme, &global.metric_name_validation_scheme) {
            "" | "utf8" => NameRule::Utf8,
            "legacy" => NameRule::Legacy,
            other => {
                let message = format!("{other:?} is not a validation scheme, there are utf8 and legacy");
                problems.push(Problem::at(format!("{path}.metric_name_validation_scheme"), message));
                NameRule::Utf8
            }
        }
    }

    /// What becomes of histograms.
    fn histograms(&self, global: &Shared) -> Histograms {
        let is_set = |key: fn(&Shared) -> Option<bool>| key(&self.shared).or(key(global)).unwrap_or(false);
        Histograms {
            native: is_set(|shared| shared.scrape_native_histograms),
            always_classic: is_set(|shared| shared.always_scrape_classic_histograms),
            custom_buckets: is_set(|shared| shared.convert_classic_histograms_to_nhcb),
            bucket_limit: to_usize(self.native_histogram_bucket_limit),
            finest_schema: finest_schema(self.native_histogram_min_bucket_factor),
        }
    }

    /// The `accept` header, as Prometheus writes it.
    fn accept(&self, global: &Shared, names: NameRule, path: &str, problems: &mut Vec<Problem>) -> String {
        let mut problem = |key: &str, message: String| problems.push(Problem::at(format!("{path}.{key}"), message));
        let written = self.shared.scrape_protocols.as_ref().or(global.scrape_protocols.as_ref());
        // Protobuf comes first where native histograms are wanted, as in Prometheus; else it is not asked for.
        let wants_native = self.histograms(global).native;
        let mut protocols = ScrapeProtocol::ALL[usize::from(!wants_native)..].to_vec();
        if let Some(written) = written {
            protocols.clear();
            if written.is_empty() {
                problem("scrape_protocols", "scrape_protocols cannot be empty; leave it out for all".to_owned());
            }
            for (i, text) in written.iter().enumerate() {
                match ScrapeProtocol::parse(text) {
                    Ok(again) if protocols.contains(&again) => {
                        problem(&format!("scrape_protocols.{i}"), format!("{} is there twice", again.name()));
                    }
                    Ok(protocol) => protocols.push(protocol),
                    Err(message) => problem(&format!("scrape_protocols.{i}"), message),
                }
            }
        }
        let default = if names == NameRule::Legacy { "underscores" } else { "allow-utf-8" };
        let own_rule = &*self.shared.metric_name_validation_scheme;
        let inherited = if own_rule.is_empty() { &*global.metric_name_escaping_scheme } else { "" };
        let escaping = [&*self.shared.metric_name_escaping_scheme, inherited, default];
        let escaping = escaping.into_iter().find(|scheme| !scheme.is_empty()).unwrap_or(default);
        if !matches!(escaping, "allow-utf-8" | "underscores" | "dots" | "values") {
            problem(
                "metric_name_escaping_scheme",
                format!("{escaping:?} is not an escaping scheme, there are allow-utf-8, underscores, dots and values"),
            );
        } else if escaping == "allow-utf-8" && names == NameRule::Legacy {
            problem(
                "metric_name_escaping_scheme",
                "allow-utf-8 needs the metric_name_validation_scheme utf8".to_owned(),
            );
        }
        let mut accept = String::new();
        let mut weight = ScrapeProtocol::ALL.len() + 1;
        for protocol in protocols {
            let (media_type, escapes) = protocol.media_type();
            let escaping = if escapes { format!(";escaping={escaping}") } else { String::new() };
            let _ = write!(accept, "{media_type}{escaping};q=0.{weight},");
            weight -= 1;
        }
        let _ = write!(accept, "*/*;q=0.{weight}");
        accept
    }

    fn body_size_limit(&self, global: &Shared, path: &str, problems: &mut Vec<Problem>) -> u64 {
        let text = first(&self.shared.body_size_limit, &global.body_size_limit);
        match bytes(&text) {
            Some(limit) if limit <= MOST_BODY_BYTES => limit,
            Some(_) => {
                problems.push(Problem::at(format!("{path}.body_size_limit"), "the most is below 4GiB"));
                0
            }
            None => {
                let message =
                    format!("{:?} is not a size; a size looks like 10MB (units B, KB, MB, GB of 1024)", &*text);
                problems.push(Problem::at(format!("{path}.body_size_limit"), message));
                0
            }
        }
    }
}

/// The finest resolution in which each bucket is at least `factor` times as wide as the one before.
#[allow(clippy::cast_possible_truncation, reason = "a float saturates")]
fn finest_schema(factor: f64) -> i32 {
    let factor = if factor > 1.0 { factor } else { 1.0 };
    ((-factor.log2().log2()).floor() as i32).clamp(-4, 8)
}

fn first(own: &Text, global: &Text) -> Text {
    if own.is_empty() { global.clone() } else { own.clone() }
}

fn owned(labels: &BTreeMap<String, Text>) -> Vec<(String, String)> {
    labels.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect()
}

fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}

/// A size as Prometheus reads it: every unit is a power of 1024, with or without the `i`.
fn bytes(text: &str) -> Option<u64> {
    if matches!(text, "" | "0") {
        return Some(0);
    }
    let (mut total, mut rest) = (0u64, text);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let power = match unit {
            "B" => 0,
            "KB" | "KiB" => 1,
            "MB" | "MiB" => 2,
            "GB" | "GiB" => 3,
            "TB" | "TiB" => 4,
            _ => return None,
        };
        total = number.parse::<u64>().ok()?.checked_mul(1024u64.pow(power))?.checked_add(total)?;
        rest = after;
    }
    Some(total)
}
