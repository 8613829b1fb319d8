//! `memory_limiter`: refuses batches, to be tried again, while the process uses too much memory. The collector's config;
//! exact in the bytes that wait for their answer behind it, and by the process' resident memory for the rest.

mod limiter;
mod machine;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use pipeline::Signal;
use pipeline::component::{Context, Error, Stage};
use pipeline::config::{GoDuration, Problem, Settings};
use pipeline::registry::ProcessorFactory;
use serde::Deserialize;

use limiter::{Limiter, Limits};

/// The config of `memory_limiter`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// How old a reading of the memory may be; required, 1s is a good choice.
    pub check_interval: GoDuration,
    /// The most that the process may use, in MiB.
    pub limit_mib: u32,
    /// What may come in between two readings, in MiB; a fifth of the limit when 0.
    pub spike_limit_mib: u32,
    /// The most that the process may use, in percent of the memory that it can have; `limit_mib` goes before.
    pub limit_percentage: u32,
    /// What may come in between two readings, in percent; a fifth of the limit when 0.
    pub spike_limit_percentage: u32,
    /// Accepted, no effect: there is no garbage collector; likewise below.
    pub min_gc_interval_when_soft_limited: GoDuration,
    /// See above.
    pub min_gc_interval_when_hard_limited: GoDuration,
    /// See above.
    pub max_gc_interval_when_soft_limited: GoDuration,
    /// See above.
    pub max_gc_interval_when_hard_limited: GoDuration,
}

const GC_DEFAULTS: [GoDuration; 4] =
    [GoDuration::from_secs(10), GoDuration::from_secs(0), GoDuration::from_secs(30), GoDuration::from_secs(30)];

impl Default for Config {
    fn default() -> Config {
        Config {
            check_interval: GoDuration::default(),
            limit_mib: 0,
            spike_limit_mib: 0,
            limit_percentage: 0,
            spike_limit_percentage: 0,
            min_gc_interval_when_soft_limited: GC_DEFAULTS[0],
            min_gc_interval_when_hard_limited: GC_DEFAULTS[1],
            max_gc_interval_when_soft_limited: GC_DEFAULTS[2],
            max_gc_interval_when_hard_limited: GC_DEFAULTS[3],
        }
    }
}

impl Settings for Config {
    fn check(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut wrong = |path: &str, message: String| problems.push(Problem::at(path, message));
        if self.check_interval.get().is_zero() {
            wrong("check_interval", "must be greater than zero, use 1s".to_owned());
        }
        if self.limit_mib == 0 && self.limit_percentage == 0 {
            wrong("", "needs limit_mib or limit_percentage, greater than zero".to_owned());
        }
        for (path, percent) in
            [("limit_percentage", self.limit_percentage), ("spike_limit_percentage", self.spike_limit_percentage)]
        {
            if percent > 100 {
                wrong(path, format!("is {percent}, the most is 100"));
            }
        }
        let spikes = [
            ("spike_limit_mib", self.spike_limit_mib, "limit_mib", self.limit_mib),
            ("spike_limit_percentage", self.spike_limit_percentage, "limit_percentage", self.limit_percentage),
        ];
        for (path, spike, limit_path, limit) in spikes {
            if limit > 0 && spike >= limit {
                wrong(path, format!("is {spike}, it must be smaller than {limit_path} ({limit})"));
            }
        }
        problems
    }
}

impl Config {
    /// The limits in bytes, where the process can have `total` bytes at most.
    fn limits(&self, total: Option<u64>) -> Result<Limits, String> {
        let (limit, spike) = if self.limit_mib > 0 {
            (u64::from(self.limit_mib) << 20, u64::from(self.spike_limit_mib) << 20)
        } else {
            let total = total.ok_or(
                "limit_percentage cannot be used here: neither the memory of the control group nor that of the \
                 machine can be read, use limit_mib",
            )?;
            let share = |percent: u32| total / 100 * u64::from(percent);
            (share(self.limit_percentage), share(self.spike_limit_percentage))
        };
        let spike = if spike == 0 { limit / 5 } else { spike };
        Ok(Limits { soft: limit.saturating_sub(spike), hard: limit, max_age: self.check_interval.get() })
    }

    fn tunes_garbage_collection(&self) -> bool {
        GC_DEFAULTS
            != [
                self.min_gc_interval_when_soft_limited,
                self.min_gc_interval_when_hard_limited,
                self.max_gc_interval_when_soft_limited,
                self.max_gc_interval_when_hard_limited,
            ]
    }
}

/// Makes the stage.
pub struct Factory;

impl ProcessorFactory for Factory {
    const TYPES: &'static [&'static str] = &["memory_limiter"];
    const SIGNALS: &'static [Signal] = &Signal::ALL;
    const ABOUT: &'static str = "Refuses data, to be sent again, while the process uses too much memory.";
    const README: &'static str = include_str!("README.md");
    type Config = Config;

    fn build(config: Config, context: Context) -> Result<Stage, Error> {
        let files = context.doors.files.clone();
        let limits = config.limits(machine::total_memory(&*files))?;
        if config.tunes_garbage_collection() {
            tracing::info!(component = %context.id, "the gc intervals have no effect: there is no garbage collector");
        }
        let resident: limiter::Resident = Arc::new(move || machine::resident_memory(&*files));
        if resident().is_none() {
            tracing::warn!(
                component = %context.id,
                "the memory of this process cannot be read: only batches that wait for their answer are limited"
            );
        }
        tracing::info!(component = %context.id, soft_bytes = limits.soft, hard_bytes = limits.hard, "memory limits");
        Ok(Stage::Holding(Box::new(move |next| Arc::new(Limiter::new(limits, resident, next, &context)))))
    }
}

/// The shortest time that a refused sender is asked to wait.
const LEAST_WAIT: Duration = Duration::from_millis(100);
