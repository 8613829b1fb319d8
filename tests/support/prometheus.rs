//! Debian's Prometheus as a peer: what it stored, by its query API.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::process::Process;
use super::{eventually, free_port, http};

/// A running Prometheus that takes remote write.
pub struct Prometheus {
    /// `host:port`.
    pub address: String,
    _process: Process,
}

/// The labels of a series, its name among them.
pub type Labels = BTreeMap<String, String>;

impl Prometheus {
    /// Starts one called `name` in `folder` with that config, and waits until it is ready.
    pub fn start(name: &str, folder: &Path, config: &str) -> Prometheus {
        Prometheus::start_with(name, folder, config, &[])
    }

    /// The same with more arguments.
    pub fn start_with(name: &str, folder: &Path, config: &str, arguments: &[&str]) -> Prometheus {
        let program =
            std::env::var("SLIPRING_TEST_PROMETHEUS").expect("cargo xtask test sets SLIPRING_TEST_PROMETHEUS");
        let address = format!("127.0.0.1:{}", free_port());
        let file = folder.join(format!("{name}.yml"));
        fs::write(&file, config).expect("the folder is writable");
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join(format!("{name}-tsdb")).display()));
        command.arg(format!("--web.listen-address={address}")).arg("--web.enable-remote-write-receiver");
        command.args(arguments);
        let process = Process::start(name, &mut command, &folder.join(format!("{name}.out")));
        eventually(Duration::from_secs(30), "prometheus is ready", || match http::get(&address, "/-/ready") {
            Ok((200, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        Prometheus { address, _process: process }
    }

    /// The result of an instant query.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let (_, body) = http::get(&self.address, &format!("/api/v1/query?query={}", http::encode(expression)))?;
        let answer: Value = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        answer["data"]["result"].as_array().cloned().ok_or(body)
    }

    /// The single value of an expression.
    pub fn value(&self, expression: &str) -> Result<f64, String> {
        let result = self.query(expression)?;
        let text = result.first().and_then(|series| series["value"][1].as_str());
        text.and_then(|text| text.parse().ok()).ok_or_else(|| format!("{expression}: {result:?}"))
    }

    /// Every series that an expression has now, with its value as Prometheus prints it.
    pub fn series(&self, expression: &str) -> Result<BTreeMap<Labels, String>, String> {
        let labels = |series: &Value| {
            let labels = series["metric"].as_object().into_iter().flatten();
            labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
        };
        let value = |series: &Value| series["value"][1].as_str().unwrap_or_default().to_owned();
        Ok(self.query(expression)?.iter().map(|series| (labels(series), value(series))).collect())
    }
}
