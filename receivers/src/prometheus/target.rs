//! From a discovered address to a target: its labels, its URL, its times. As Prometheus 3 does it: no port is added.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use pipeline::config::PromDuration;

use super::config::{Job, duration};
use super::discovery::{Found, LabelSet};
use super::labels::Labels;
use super::relabel;
use super::status::secrets;

/// What a path keeps as it is.
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// What a query keeps as it is.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

/// Something to scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its labels, sorted: those that its series get.
    pub labels: Vec<(String, String)>,
    /// What was known of it before relabelling.
    pub discovered: Vec<(String, String)>,
    /// Where it is.
    pub url: String,
    /// `http` or `https`.
    pub scheme: String,
    /// Between two scrapes.
    pub interval: Duration,
    /// From connecting to the last byte.
    pub timeout: Duration,
}

/// What relabelling makes of a discovered address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// A target.
    Target(Arc<Target>),
    /// It is dropped; what was known of it.
    Dropped(Arc<LabelSet>),
    /// It cannot be scraped, and why.
    Invalid(String),
}

impl Target {
    /// Its URL without what may be secret in it, for logs and pages.
    pub fn shown_url(&self) -> Cow<'_, str> {
        secrets::url(&self.url)
    }

    /// What tells targets apart, and where in the interval they are scraped.
    pub fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.labels, &self.url, self.interval, self.timeout).hash(&mut hasher);
        hasher.finish()
    }

    /// What tells its series apart from those of others: a target that comes in place of another with the same labels
    /// goes on with its series.
    pub fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.labels.hash(&mut hasher);
        hasher.finish()
    }

    /// How long from `now` (since 1970) to the target's next moment: each has its own within the interval.
    pub fn offset(&self, now: Duration) -> Duration {
        let interval = self.interval.as_nanos().max(1);
        let own = u128::from(self.hash()) % interval;
        let wait = (interval - now.as_nanos() % interval + own) % interval;
        Duration::from_nanos(u64::try_from(wait).unwrap_or(0))
    }
}

/// What becomes of everything that was found together, in its order.
pub fn resolve(job: &Job, found: &Found) -> Vec<Resolved> {
    found.targets.iter().map(|own| resolve_one(job, own, &found.common)).collect()
}

fn resolve_one(job: &Job, own: &LabelSet, common: &LabelSet) -> Resolved {
    let mut labels = Labels::default();
    for (name, value) in own.iter().chain(common) {
        labels.set_if_absent(name.as_str(), value.as_str());
    }
    for (name, value) in [
        ("job", job.name.clone()),
        ("__scrape_interval__", duration(job.interval)),
        ("__scrape_timeout__", duration(job.timeout)),
        ("__metrics_path__", job.path.clone()),
        ("__scheme__", job.scheme.clone()),
    ] {
        labels.set_if_absent(name, value);
    }
    for (name, values) in &job.params {
        if let Some(first) = values.first() {
            labels.set_if_absent(format!("__param_{name}"), first.as_str());
        }
    }
    labels.sort();
    let discovered = labels.clone().into_owned();
    if !relabel::apply(&job.relabel, &mut labels) {
        return Resolved::Dropped(Arc::new(discovered));
    }
    match finish(job, labels, discovered) {
        Ok(target) => Resolved::Target(Arc::new(target)),
        Err(reason) => {
            let address = own.iter().find(|(name, _)| name == "__address__").map_or("", |(_, value)| value);
            Resolved::Invalid(format!("target {address:?} of job {:?}: {reason}", job.name))
        }
    }
}

/// Checks the labels after relabelling and makes the target of them.
fn finish(job: &Job, mut labels: Labels<'_>, discovered: Vec<(String, String)>) -> Result<Target, String> {
    let address = labels.value("__address__").to_owned();
    if address.is_empty() {
        return Err("it has no __address__ after relabelling".to_owned());
    }
    if address.contains('/') {
        return Err(format!("{address:?} is not host:port"));
    }
    let time = |name: &str| {
        let time = PromDuration::parse(labels.value(name)).map_err(|message| format!("{name} {message}"))?.get();
        if time.is_zero() { Err(format!("{name} is 0, it must be more")) } else { Ok(time) }
    };
    let (interval, timeout) = (time("__scrape_interval__")?, time("__scrape_timeout__")?);
    if timeout > interval {
        return Err(format!("the timeout {} is longer than the interval {}", duration(timeout), duration(interval)));
    }
    let scheme = labels.value("__scheme__").to_owned();
    if !matches!(&*scheme, "http" | "https") {
        return Err(format!("{scheme:?} is not a scheme, there are http and https"));
    }
    let url = url(job, &labels, &scheme, &address);
    labels.set_if_absent("instance", address);
    labels.retain(|name, _| !name.starts_with("__"));
    labels.sort();
    Ok(Target { labels: labels.into_owned(), discovered, url, scheme, interval, timeout })
}

fn url(job: &Job, labels: &Labels<'_>, scheme: &str, address: &str) -> String {
    let mut params: BTreeMap<&str, Vec<&str>> =
        job.params.iter().map(|(name, values)| (name.as_str(), values.iter().map(String::as_str).collect())).collect();
    for (name, value) in labels.iter() {
        if let Some(param) = name.strip_prefix("__param_") {
            let values = params.entry(param).or_default();
            match values.first_mut() {
                Some(first) => *first = value,
                None => values.push(value),
            }
        }
    }
    let quoted = |text: &str| utf8_percent_encode(text, QUERY).to_string().replace(' ', "+");
    let pairs = params.iter().flat_map(|(name, values)| values.iter().map(move |value| (*name, *value)));
    let query: Vec<String> = pairs.map(|(name, value)| format!("{}={}", quoted(name), quoted(value))).collect();
    let path = utf8_percent_encode(labels.value("__metrics_path__"), PATH).to_string();
    let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
    let question = if query.is_empty() { "" } else { "?" };
    format!("{scheme}://{address}{slash}{path}{question}{}", query.join("&"))
}

#[cfg(test)]
mod tests {
    use pipeline::config::testing;

    use super::*;
    use crate::prometheus::Config;

    /// What becomes of the targets of a scrape config with these lines.
    fn resolved(lines: &str) -> Vec<Resolved> {
        let yaml = format!("config:\n  scrape_configs:\n  - job_name: j\n{lines}");
        let config: Config = testing::decode(&yaml).unwrap_or_else(|error| panic!("{error}"));
        let job = config.jobs().0.remove(0);
        let found = job.discovery.static_configs.iter().map(|group| Found::listed(group, &[("__meta_source", "s")]));
        found.flat_map(|found| resolve(&job, &found)).collect()
    }

    fn target(lines: &str) -> Target {
        match resolved(lines).remove(0) {
            Resolved::Target(target) => Target::clone(&target),
            other => panic!("{other:?}"),
        }
    }

    fn shown(labels: &[(String, String)]) -> String {
        labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    }

    const STATIC: &str = "    static_configs: [{targets: ['worker'], labels: {zone: z1, __meta_x: y}}]\n";

    #[test]
    fn labels_are_the_groups_and_the_jobs() {
        let target = target(STATIC);
        assert_eq!(shown(&target.labels), "instance=worker job=j zone=z1", "no port is added, and nothing of __ stays");
        assert_eq!(target.url, "http://worker/metrics");
        assert_eq!(
            shown(&target.discovered),
            "__address__=worker __meta_source=s __meta_x=y __metrics_path__=/metrics __scheme__=http \
             __scrape_interval__=1m __scrape_timeout__=10s job=j zone=z1"
        );
    }

    #[test]
    fn relabelling_can_change_everything() {
        let rules = "    params: {module: [a, b]}\n    relabel_configs:
    - {target_label: __address__, replacement: 'blackbox:9115'}
    - {target_label: __scheme__, replacement: https}
    - {target_label: __metrics_path__, replacement: probe}
    - {target_label: __param_module, replacement: 'x&y'}
    - {target_label: __param_target, source_labels: [zone]}
    - {target_label: __scrape_interval__, replacement: 5s}
    - {target_label: __scrape_timeout__, replacement: 1s}
    - {target_label: instance, source_labels: [zone]}
    - {target_label: job, replacement: other}
    - {action: labelmap, regex: __meta_(.+)}\n";
        let target = target(&format!("{rules}{STATIC}"));
        assert_eq!(target.url, "https://blackbox:9115/probe?module=x%26y&module=b&target=z1");
        assert_eq!(shown(&target.labels), "instance=z1 job=other source=s x=y zone=z1");
        assert_eq!((target.interval, target.timeout), (Duration::from_secs(5), Duration::from_secs(1)));
    }

    #[test]
    fn targets_are_dropped_or_found_invalid() {
        let drop = "    relabel_configs: [{action: drop, source_labels: [zone], regex: z1}]\n";
        assert!(matches!(&resolved(&format!("{drop}{STATIC}"))[..], [Resolved::Dropped(labels)] if labels.len() == 9));
        for (rule, expected) in [
            ("{target_label: __address__, replacement: ''}", "it has no __address__ after relabelling"),
            ("{target_label: __address__, replacement: 'a/b'}", "\"a/b\" is not host:port"),
            ("{target_label: __scheme__, replacement: htt s}", "\"htt s\" is not a scheme"),
            ("{target_label: __scrape_interval__, replacement: x}", "no Prometheus duration"),
            ("{target_label: __scrape_timeout__, replacement: 0s}", "__scrape_timeout__ is 0"),
            ("{target_label: __scrape_timeout__, replacement: 2m}", "the timeout 2m is longer than the interval 1m"),
        ] {
            match &resolved(&format!("    relabel_configs: [{rule}]\n{STATIC}"))[..] {
                [Resolved::Invalid(reason)] => assert!(reason.contains(expected), "{reason}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn each_target_has_its_moment_in_the_interval() {
        let target = target(STATIC);
        let now = Duration::from_millis(1_700_000_012_345);
        let wait = target.offset(now);
        assert!(wait < target.interval);
        let moment = now + wait;
        assert_eq!(target.offset(moment), Duration::ZERO);
        assert_eq!(target.offset(moment + Duration::from_secs(1)), target.interval - Duration::from_secs(1));
    }
}
