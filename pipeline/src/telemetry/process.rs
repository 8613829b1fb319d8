//! The process in own metrics: uptime, CPU time, memory, and what it is (`target_info`).

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, IntGauge, Opts};
use tokio::time::Instant;

use super::Meter;
use crate::doors::Files;

/// Adds the process' metrics, read from `/proc/self` whenever they are asked for; those that cannot be read are left out.
pub fn register(meter: &Meter, files: Arc<dyn Files>) {
    // Where it is already there it belongs to the graph before a reload, and goes on.
    let _ = meter.registry().register(Box::new(Process::new(files)));
}

/// Shows what this process is: `service.name`, `service.version` and the config's resource attributes. What is described
/// may change.
pub fn describe(meter: &Meter, resource: &[(String, String)]) -> Description {
    let description = Description { info: Arc::new(Mutex::new(info(resource))) };
    // Where it is already there it is another graph's in the same process.
    let _ = meter.registry().register(Box::new(description.clone()));
    description
}

/// The metric `target_info`; clone is another handle on it.
#[derive(Clone)]
pub struct Description {
    info: Arc<Mutex<IntGauge>>,
}

impl Description {
    /// The config has these resource attributes now.
    pub fn change(&self, resource: &[(String, String)]) {
        *self.info() = info(resource);
    }

    fn info(&self) -> MutexGuard<'_, IntGauge> {
        self.info.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Description {
    /// None of its labels stays for ever, so that nothing can be said about it.
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.info().collect()
    }
}

/// One series with these attributes as labels.
fn info(resource: &[(String, String)]) -> IntGauge {
    let mut labels = HashMap::from([
        ("service_name".to_owned(), "slipring".to_owned()),
        ("service_version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
    ]);
    for (name, value) in resource {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        labels.insert(name, value.clone());
    }
    labels.retain(|name, _| name.starts_with(|c: char| !c.is_ascii_digit()));
    let info = IntGauge::with_opts(Opts::new("target_info", "What this process is.").const_labels(labels));
    let info = info.expect("names are letters, digits and underscores, and do not begin with a digit");
    info.set(1);
    info
}

/// Ticks a second of the times in `/proc/self/stat` (`USER_HZ`, 100 on every Linux platform).
const TICKS: f64 = 100.0;
/// The most that is read of a file in `/proc/self`.
const MOST: usize = 16 << 10;

struct Process {
    files: Arc<dyn Files>,
    started: Instant,
    uptime: Counter,
    cpu: Counter,
    rss: Gauge,
}

impl Process {
    fn new(files: Arc<dyn Files>) -> Process {
        let valid = "names are constants";
        Process {
            files,
            started: Instant::now(),
            uptime: Counter::new("otelcol_process_uptime_total", "Seconds since the start.").expect(valid),
            cpu: Counter::new("otelcol_process_cpu_seconds_total", "CPU seconds, user and system.").expect(valid),
            rss: Gauge::new("otelcol_process_memory_rss", "Bytes of physical memory.").expect(valid),
        }
    }

    fn read(&self, name: &str) -> Option<String> {
        let bytes = self.files.read_small(&Path::new("/proc/self").join(name), MOST).ok()?;
        String::from_utf8(bytes).ok()
    }
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        [self.uptime.desc(), self.cpu.desc(), self.rss.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut families = set(&self.uptime, self.started.elapsed().as_secs_f64());
        if let Some(seconds) = self.read("stat").as_deref().and_then(cpu_seconds) {
            families.extend(set(&self.cpu, seconds));
        }
        if let Some(bytes) = self.read("status").as_deref().and_then(rss_bytes) {
            self.rss.set(bytes);
            families.extend(self.rss.collect());
        }
        families
    }
}

fn set(counter: &Counter, value: f64) -> Vec<MetricFamily> {
    counter.reset();
    counter.inc_by(value);
    counter.collect()
}

/// The 14th and 15th field of `stat`; the second is a name in parentheses that may hold anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

/// `VmRSS` of `status`, in kibibytes there.
fn rss_bytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_and_memory_are_read_from_proc() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 4 0 5 6 7";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(rss_bytes("Name:\ta\nVmRSS:\t   12288 kB\nThreads:\t4\n"), Some(12_582_912.0));
        assert_eq!((cpu_seconds("garbage"), rss_bytes("VmRSS: much")), (None, None));
    }

    #[test]
    fn the_process_is_described_by_its_resource() {
        let meter = Meter::new();
        let resource = [("service.name", "edge"), ("k8s.pod.name", "p-1"), ("9lives", "no")];
        let described = describe(&meter, &[("host.name".to_owned(), "old".to_owned())]);
        assert!(meter.text().contains("target_info{host_name=\"old\","));
        described.change(&resource.map(|(k, v)| (k.to_owned(), v.to_owned())));
        let text = meter.text();
        let line = text.lines().find(|l| l.starts_with("target_info")).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        let expected =
            format!("target_info{{k8s_pod_name=\"p-1\",service_name=\"edge\",service_version=\"{version}\"}} 1");
        assert_eq!(line, expected);
    }
}
