//! Jobs that stand in files of Prometheus' own: `config_file` and `scrape_config_files`. Nothing is expanded in them but
//! what Prometheus expands.

use std::path::{Path, PathBuf};

use pipeline::component::Error;
use pipeline::config::{Problem, Settings, Text, read_settings};
use pipeline::doors::{Files, Glob};
use serde::Deserialize;

use super::http::below;
use super::{Config, Prometheus, ScrapeConfig};

/// The most bytes of a file.
const MOST_FILE_BYTES: usize = 16 << 20;

/// A file of `scrape_config_files`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ScrapeFile {
    scrape_configs: Vec<ScrapeConfig>,
}

/// Checked with everything else, since it inherits from `global`.
impl Settings for ScrapeFile {}

/// A `prometheus.yml`.
impl Settings for Prometheus {
    fn check(&self) -> Vec<Problem> {
        let whole = Config { config: self.clone(), ..Config::default() };
        let (_, problems) = whole.jobs();
        let problems = problems.into_iter().filter(|problem| problem.path != "config" && !is_ignored(&problem.path));
        problems
            .map(|problem| Problem { path: problem.path.trim_start_matches("config.").to_owned(), ..problem })
            .collect()
    }
}

/// What is of no use here, and what to do for it.
const IGNORED: [(&str, &str); 4] = [
    ("config.alerting", "alerting: no alerts are sent"),
    ("config.rule_files", "rule_files: no rules are evaluated; leave them to the Prometheus that stores the samples"),
    ("config.remote_read", "remote_read: no queries are answered"),
    ("config.remote_write", "remote_write: samples go where the pipeline leads, such as to prometheus_remote_write"),
];

fn is_ignored(path: &str) -> bool {
    IGNORED.iter().any(|(ignored, _)| path == *ignored)
}

impl Config {
    /// The same with everything that stands in files. Reads them.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn with_files(&self, files: &dyn Files) -> Result<Config, Error> {
        let mut config = self.clone();
        if !self.config_file.is_empty() {
            config.config = prometheus_yml(&self.config_file, files)?;
            config.config_file.clear();
        }
        let own = config.config.scrape_configs.len();
        let patterns = std::mem::take(&mut config.config.scrape_config_files);
        let mut places = Vec::new();
        for path in matching(&patterns, files)? {
            let jobs = scrape_file(&path, files)?;
            places.extend((0..jobs.len()).map(|i| format!("{}: scrape_configs.{i}", path.display())));
            config.config.scrape_configs.extend(jobs);
        }
        let problems = config.jobs().1.into_iter().filter(|problem| {
            let may_be_empty = !self.config_file.is_empty() || !patterns.is_empty();
            let is_harmless = is_ignored(&problem.path) || may_be_empty && problem.path == "config";
            !is_harmless
        });
        let problems: Vec<String> = problems.map(|problem| shown(&problem, own, &places)).collect();
        if problems.is_empty() { Ok(config) } else { Err(problems.join("\n").into()) }
    }
}

/// A problem with the file that it is in, where it is in one of `scrape_config_files`.
fn shown(problem: &Problem, own: usize, places: &[String]) -> String {
    let in_file = problem.path.strip_prefix("config.scrape_configs.").and_then(|rest| {
        let (index, rest) = rest.split_once('.').unwrap_or((rest, ""));
        let place = places.get(index.parse::<usize>().ok()?.checked_sub(own)?)?;
        Some(if rest.is_empty() { place.clone() } else { format!("{place}.{rest}") })
    });
    format!("{}: {}", in_file.unwrap_or_else(|| problem.path.clone()), problem.message)
}

fn prometheus_yml(file: &str, files: &dyn Files) -> Result<Prometheus, Error> {
    let path = Path::new(file);
    let mut config: Prometheus = read_settings(file, "prometheus", &read(path, files)?)?;
    let used = [&config.alerting, &config.rule_files, &config.remote_read, &config.remote_write];
    for ((_, message), _) in IGNORED.iter().zip(used).filter(|(_, used)| used.is_some()) {
        tracing::warn!(file, "ignored {message}");
    }
    if config.scrape_configs.is_empty() && config.scrape_config_files.is_empty() {
        tracing::warn!(file, "there is nothing to scrape; scrape_configs has no job");
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    config.scrape_configs.iter_mut().for_each(|scrape| scrape.below(folder));
    below(&mut config.global.shared.scrape_failure_log_file, folder);
    config.scrape_config_files.iter_mut().for_each(|pattern| below(pattern, folder));
    for value in config.global.external_labels.values_mut() {
        *value = Text(expanded(&value.0, |name| std::env::var(name).ok()));
    }
    Ok(config)
}

fn scrape_file(path: &Path, files: &dyn Files) -> Result<Vec<ScrapeConfig>, Error> {
    let name = path.to_string_lossy();
    let mut file: ScrapeFile = read_settings(&name, "prometheus", &read(path, files)?)?;
    let folder = path.parent().unwrap_or(Path::new(""));
    file.scrape_configs.iter_mut().for_each(|scrape| scrape.below(folder));
    Ok(file.scrape_configs)
}

fn matching(patterns: &[String], files: &dyn Files) -> Result<Vec<PathBuf>, Error> {
    let mut paths = Vec::new();
    for pattern in patterns {
        let glob = Glob::new(pattern).map_err(|error| format!("scrape_config_files: {pattern:?}: {error}"))?;
        paths.extend(files.find_config(&glob).paths);
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn read(path: &Path, files: &dyn Files) -> Result<Vec<u8>, Error> {
    files.read_config(path, MOST_FILE_BYTES).map_err(|error| format!("cannot read {}: {error}", path.display()).into())
}

/// Fills in `$NAME` and `${NAME}`; `$$` is `$`. A variable that is not set is nothing.
fn expanded(text: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, behind) = match after.strip_prefix('{').and_then(|braced| braced.split_once('}')) {
            Some(parts) => parts,
            None => {
                after.split_at(after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(after.len()))
            }
        };
        rest = behind;
        if let Some(literal) = after.strip_prefix('$') {
            out.push('$');
            rest = literal;
        } else if name.is_empty() {
            out.push('$');
        } else {
            out.push_str(&variable(name).unwrap_or_default());
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::expanded;

    #[test]
    fn variables_are_filled_in_as_prometheus_does_it() {
        let variable = |name: &str| (name == "A_1").then(|| "x".to_owned());
        for (text, expected) in [
            ("$A_1-${A_1}y", "x-xy"),
            ("$$A_1", "$A_1"),
            ("a$", "a$"),
            ("$B.", "."),
            ("${A_1", "${A_1"),
            ("plain", "plain"),
        ] {
            assert_eq!(expanded(text, variable), expected, "{text}");
        }
    }
}
