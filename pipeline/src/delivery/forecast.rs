//! Levels of a queue that are worth knowing only when somebody reads own metrics: how long its oldest batch waits, and when
//! the first drop comes if all goes on as of late.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Settings;
use super::courier::Courier;
use super::disk::Disk;
use super::queue::Queue;
use crate::telemetry::{ExporterCounts, Look};

/// Sets the levels of one delivery.
pub(super) struct Watch {
    counts: ExporterCounts,
    queue: Arc<Queue>,
    courier: Arc<Courier>,
    disk: Arc<OnceLock<Arc<Disk>>>,
    max_age: Duration,
    forecast: Mutex<Forecast>,
}

impl Watch {
    pub(super) fn new(
        settings: &Settings,
        counts: ExporterCounts,
        queue: Arc<Queue>,
        courier: Arc<Courier>,
        disk: Arc<OnceLock<Arc<Disk>>>,
    ) -> Watch {
        let forecast = Mutex::new(Forecast::default());
        let watch = Watch { counts, queue, courier, disk, max_age: settings.queue.max_age, forecast };
        watch.look();
        watch
    }

    fn levels(&self) -> [Level; LEVELS] {
        let disk = self.disk.get();
        let now = Instant::now();
        let since = |since: Option<Instant>| since.map_or(Duration::ZERO, |since| now - since);
        let (used, capacity) = disk.map_or((self.queue.used(), self.queue.bounds().capacity), |disk| disk.level());
        let retried = since(self.courier.retries_since());
        let given_up = since(self.courier.limited_retries_since());
        let age = disk.map_or_else(|| since(self.queue.waits_since()).max(retried), |disk| disk.age());
        self.counts.queue_age.set(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        [
            Level::new(used.units as f64, capacity.units as f64),
            Level::new(used.bytes as f64, capacity.bytes as f64),
            Level::new(age.as_secs_f64(), limit(self.max_age)),
            Level::new(given_up.as_secs_f64(), limit(self.courier.retry.max_elapsed_time)),
        ]
    }
}

impl Look for Watch {
    fn look(&self) {
        let levels = self.levels();
        let until = self.forecast.lock().unwrap_or_else(PoisonError::into_inner).until_over(Instant::now(), levels);
        self.counts.until_drop.set(until);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.counts.queue_age.set(0);
        self.counts.until_drop.set(f64::INFINITY);
    }
}

/// Zero is no limit.
fn limit(limit: Duration) -> f64 {
    if limit.is_zero() { f64::INFINITY } else { limit.as_secs_f64() }
}

/// Units, bytes, and the seconds that the oldest waits and is tried.
const LEVELS: usize = 4;
/// Over how much time a rate is taken.
const WINDOW: Duration = Duration::from_secs(60);
/// Readings that follow each other faster are one.
const APART: Duration = Duration::from_secs(1);

/// How high something is, and how high it may become.
#[derive(Clone, Copy, Debug)]
struct Level {
    now: f64,
    most: f64,
}

impl Level {
    fn new(now: f64, most: f64) -> Level {
        Level { now, most }
    }
}

/// The levels of the last minute.
#[derive(Default)]
struct Forecast {
    readings: VecDeque<(Instant, [f64; LEVELS])>,
}

impl Forecast {
    /// Seconds until the first level is as high as it may be, if all rise as they did within the last minute (or since
    /// the reading before, if that is older).
    fn until_over(&mut self, now: Instant, levels: [Level; LEVELS]) -> f64 {
        while self.readings.get(1).is_some_and(|(at, _)| now - *at >= WINDOW) {
            self.readings.pop_front();
        }
        let until = self.readings.front().map_or(f64::INFINITY, |(at, then)| {
            let seconds = (now - *at).as_secs_f64();
            let of = levels.iter().zip(then).map(|(level, then)| until_full(*level, (level.now - then) / seconds));
            of.fold(f64::INFINITY, f64::min)
        });
        if self.readings.back().is_none_or(|(at, _)| now - *at >= APART) {
            self.readings.push_back((now, levels.map(|level| level.now)));
        }
        until
    }
}

/// At a rate per second, which is no number where no time has passed.
fn until_full(level: Level, rate: f64) -> f64 {
    if level.now >= level.most {
        0.0
    } else if rate > 0.0 {
        (level.most - level.now) / rate
    } else {
        f64::INFINITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(units: f64, age: f64) -> [Level; LEVELS] {
        let never = Level::new(0.0, f64::INFINITY);
        [Level::new(units, 100.0), never, Level::new(age, 600.0), never]
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_drop_is_foretold_from_the_last_minute() {
        let mut forecast = Forecast::default();
        let begin = Instant::now();
        let mut at = |seconds: u64, units: f64, age: f64| {
            forecast.until_over(begin + Duration::from_secs(seconds), levels(units, age))
        };
        assert_eq!(at(0, 0.0, 0.0), f64::INFINITY);
        assert_eq!(at(10, 10.0, 0.0), 90.0, "a unit a second");
        assert_eq!(at(20, 10.0, 10.0), 180.0, "half a unit a second");
        assert_eq!(at(60, 10.0, 50.0), 540.0, "by units 540, by age 660");
        assert_eq!(at(70, 10.0, 60.0), 540.0, "nothing comes any more, but all grows older");
        assert_eq!(at(130, 5.0, 1.0), f64::INFINITY, "it drains");
        assert_eq!(at(140, 100.0, 1.0), 0.0);
    }
}
