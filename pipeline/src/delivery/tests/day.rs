//! A day in paused time: outages of minutes to hours at random, in every manner in which a far side can be away. Everything
//! is delivered or has its reason, memory and disk stay within their bounds, and the books balance all the time.

use std::path::Path;

use super::*;
use crate::delivery::{FileStorage, Overflow, Recovery};
use crate::doors::Files;
use crate::testing::{VirtualFiles, count, series};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Between two batches.
const EVERY: Duration = Duration::from_secs(5);
/// Records of a batch.
const ITEMS: usize = 5;

/// Numbers that look random and are the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// What the far side does in turn: well for a while, then away for minutes to hours.
async fn weather(far: ScriptedExporter, seed: u64) {
    let mut random = Random(seed);
    loop {
        let mut taken = 0u64;
        far.rule(move |_| {
            taken += 1;
            // Also on a good day.
            match taken % 50 {
                17 => Answer::retry("http_503"),
                31 => Answer::retry_after("http_429", secs(3)),
                _ => Answer::Deliver.after(Duration::from_millis(40)),
            }
        });
        tokio::time::sleep(secs(600 + random.below(7200))).await;
        match random.below(4) {
            0 => far.always(Answer::retry("connect")),
            1 => far.always(Answer::Hang),
            2 => far.always(Answer::retry_after("http_429", secs(20))),
            _ => far.always(Answer::retry("http_503").after(secs(2))),
        };
        let lasts = if random.below(3) == 0 { 3600 + random.below(3 * 3600) } else { 120 + random.below(1800) };
        tokio::time::sleep(secs(lasts)).await;
    }
}

/// What a day has been like.
struct Outcome {
    taken: usize,
    refused: usize,
    delivered: usize,
    dropped: u64,
    /// The least time until a drop that was foretold.
    foretold: f64,
}

/// Sends for a day, then waits until everything is through.
async fn live(bench: &Bench, seed: u64, check: impl Fn()) -> Outcome {
    let stormy = bench.world.tasks.spawn(weather(bench.far.clone(), seed));
    let (mut taken, mut refused, mut foretold, mut n) = (0, 0, f64::INFINITY, 0u64);
    let begun = Instant::now();
    while begun.elapsed() < DAY {
        tokio::time::sleep(EVERY).await;
        let bodies: Vec<_> = (0..ITEMS).map(|i| format!("{n}-{i}")).collect();
        match bench.send(bodies).await {
            Ok(()) => taken += ITEMS,
            Err(_) => refused += ITEMS,
        }
        n += 1;
        // What each reading costs is not what is looked at here.
        if n.is_multiple_of(60) {
            crate::testing::assert_conserved(&bench.world.meter);
            let levels = series(&bench.world.meter, "slipring_exporter_time_until_drop_seconds");
            foretold = levels.iter().map(|level| level.value).fold(foretold, f64::min);
            check();
        }
    }
    stormy.abort();
    bench.far.always(Answer::Deliver);
    for _ in 0..3600 {
        if count(&bench.world.meter, "slipring_in_flight_items", &[]) == 0 {
            break;
        }
        tokio::time::sleep(secs(1)).await;
    }
    let delivered = bench.far.delivered_items();
    let dropped = bench.dropped().iter().map(|(_, items)| items).sum();
    Outcome { taken, refused, delivered, dropped, foretold }
}

#[tokio::test(start_paused = true)]
async fn a_day_with_outages_costs_a_queue_in_memory_what_is_given_up_or_refused_by_name() {
    let bench = bench(|s| {
        (s.queue.num_consumers, s.queue.queue_size, s.queue.max_bytes) = (4, 500, 1 << 20);
        s.retry.randomization_factor = 0.5;
    });
    let check = || {
        assert!(count(&bench.world.meter, "otelcol_exporter_queue_size", &[]) <= 500);
        assert!(count(&bench.world.meter, "slipring_exporter_queue_bytes", &[]) <= 1 << 20);
    };
    let outcome = live(&bench, 1, check).await;
    assert_eq!(bench.close(secs(60)).await, 0);
    let reasons: Vec<_> = bench.dropped().into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, ["retry_exhausted"], "five minutes are the default");
    assert_eq!(outcome.taken, outcome.delivered + usize::try_from(outcome.dropped).unwrap());
    assert!(outcome.delivered > outcome.taken / 2 && outcome.dropped > 0, "{} delivered", outcome.delivered);
    assert!(outcome.foretold < 301.0, "a drop was foretold at least {} s before", outcome.foretold);
}

/// A delivery with its queue on that disk.
async fn on(files: &VirtualFiles, change: impl FnOnce(&mut Settings)) -> Bench {
    let mut settings = settings();
    (settings.queue.num_consumers, settings.queue.queue_size) = (4, 100_000);
    (settings.retry.max_elapsed_time, settings.retry.randomization_factor) = (Duration::ZERO, 0.5);
    change(&mut settings);
    assert_eq!(settings.check(), []);
    let (world, far) = (World::new(), ScriptedExporter::new());
    let id = ComponentId::new("far", "");
    let storage = FileStorage { segment_size: 64 << 10, max_size: 1 << 20, ..FileStorage::default() };
    let journal = storage.journal(Path::new("/data"), &id, Signal::Logs);
    let delivery = Delivery::new(settings, id, Signal::Logs, far.exporter(), &world.meter);
    let (clock, max_bytes) = (world.doors.clock, storage.most_bytes());
    delivery.store_in(Storage { files: Arc::new(files.clone()), clock, journal, max_bytes });
    let front = delivery.front(None);
    delivery.open().await;
    delivery.start();
    Bench { world, far, delivery, front }
}

fn bytes_on(files: &VirtualFiles) -> usize {
    let folder = files.list(Path::new("/data/file_storage/exporter_far_logs")).unwrap();
    folder.iter().map(|path| files.contents(path).len()).sum()
}

#[tokio::test(start_paused = true)]
async fn a_day_with_outages_costs_a_queue_on_disk_nothing() {
    for recovery in [Recovery::FreshFirst, Recovery::InOrder] {
        let files = VirtualFiles::new(crate::doors::Clock::system());
        let bench = on(&files, |s| s.queue.recovery = recovery).await;
        // Headers, notes of what is done with, and segments that are not all done with.
        let outcome = live(&bench, 2, || assert!(bytes_on(&files) <= 3 << 20, "{} bytes", bytes_on(&files))).await;
        assert_eq!((outcome.refused, outcome.dropped), (0, 0));
        assert_eq!(outcome.delivered, outcome.taken);
        assert_eq!(bench.close(secs(60)).await, 0);
        // A few segments, of which the last are written to.
        assert!(bytes_on(&files) <= 4 * (64 << 10), "space is given back: {} bytes are left", bytes_on(&files));
    }
}

#[tokio::test(start_paused = true)]
async fn a_day_with_outages_costs_a_small_queue_on_disk_its_oldest_where_the_config_says_so() {
    let files = VirtualFiles::new(crate::doors::Clock::system());
    let bench = on(&files, |s| (s.queue.queue_size, s.queue.overflow) = (300, Overflow::DropOldest)).await;
    let check = || assert!(count(&bench.world.meter, "otelcol_exporter_queue_size", &[]) <= 300);
    let outcome = live(&bench, 3, check).await;
    assert_eq!(bench.close(secs(60)).await, 0);
    assert_eq!(bench.dropped().into_iter().map(|(reason, _)| reason).collect::<Vec<_>>(), ["overflow"]);
    assert_eq!((outcome.refused, outcome.taken), (0, outcome.delivered + usize::try_from(outcome.dropped).unwrap()));
}
