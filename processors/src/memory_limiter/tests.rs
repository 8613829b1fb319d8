//! Admission by resident memory and by bytes in flight, and the collector's config.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use pipeline::component::{Consumer, Refused, Stage};
use pipeline::config::testing::decode;
use pipeline::registry::ProcessorFactory;
use pipeline::testing::{Sink, World};
use pipeline::{Batch, Signal};

use super::limiter::{Limiter, Limits};
use super::{Config, Factory};
use crate::testing::problems;

const MIB: u64 = 1 << 20;

/// A limiter of 10 MiB (soft) before a sink, in a process whose memory the test says.
struct Setup {
    world: World,
    sink: Sink,
    used: Arc<AtomicU64>,
    readings: Arc<AtomicUsize>,
    limiter: Limiter,
}

impl Setup {
    fn new() -> Setup {
        let (world, sink) = (World::new(), Sink::new());
        let (used, readings) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicUsize::new(0)));
        let resident = {
            let (used, readings) = (used.clone(), readings.clone());
            move || {
                readings.fetch_add(1, Ordering::Relaxed);
                Some(used.load(Ordering::Relaxed))
            }
        };
        let limits = Limits { soft: 10 * MIB, hard: 12 * MIB, max_age: Duration::from_secs(1) };
        let context = world.context_for("memory_limiter", Signal::Traces);
        let limiter = Limiter::new(limits, Arc::new(resident), sink.consumer(), &context);
        Setup { world, sink, used, readings, limiter }
    }

    fn uses(&self, bytes: u64) {
        self.used.store(bytes, Ordering::Relaxed);
    }

    async fn send(&self, bytes: u64) -> Result<(), Refused> {
        self.limiter.consume(batch(bytes)).await
    }
}

fn batch(bytes: u64) -> Batch {
    Batch::counted(Signal::Traces, Bytes::from(vec![0; usize::try_from(bytes).unwrap()]), 7)
}

fn asked_to_wait(outcome: &Result<(), Refused>) -> Option<Duration> {
    match outcome {
        Err(Refused::Retry { after, reason }) if reason.code == "memory_limit" => *after,
        other => panic!("{other:?} is not the limiter's refusal"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_above_the_soft_limit_refuses_until_it_is_below_again() {
    let setup = Setup::new();
    setup.uses(10 * MIB);
    assert_eq!(setup.send(100).await, Ok(()));
    setup.uses(10 * MIB + 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(asked_to_wait(&setup.send(100).await), Some(Duration::from_secs(1)));
    setup.uses(9 * MIB);
    assert!(setup.send(100).await.is_err(), "the reading is not old enough");
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(setup.send(100).await, Ok(()));
    assert_eq!(setup.sink.items(), 14);
    let count = |what: &str| {
        pipeline::testing::count(
            &setup.world.meter,
            &format!("otelcol_processor_memory_limiter_{what}_spans_total"),
            &[],
        )
    };
    assert_eq!((count("accepted"), count("refused")), (14, 14));
}

#[tokio::test(start_paused = true)]
async fn memory_is_read_once_an_interval_and_sooner_when_much_comes_in() {
    let setup = Setup::new();
    for _ in 0..100 {
        setup.send(100).await.unwrap();
    }
    assert_eq!(setup.readings.load(Ordering::Relaxed), 1);
    for _ in 0..6 {
        setup.send(MIB).await.unwrap();
    }
    assert_eq!(setup.readings.load(Ordering::Relaxed), 2);
    setup.uses(11 * MIB);
    let mut admitted = 0;
    while setup.send(MIB).await.is_ok() {
        admitted += 1;
    }
    assert!(admitted <= 4, "{admitted} MiB came in after the limit was passed");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_wait_for_their_answer_count_exactly() {
    let setup = Setup::new();
    setup.sink.hold();
    let (six, four) = (setup.send(6 * MIB), setup.send(4 * MIB));
    let third = async {
        tokio::task::yield_now().await;
        assert_eq!(setup.sink.waiting(), 2);
        assert!(setup.send(1).await.is_err());
        setup.sink.release();
    };
    let (six, four, ()) = tokio::join!(six, four, third);
    assert_eq!((six, four), (Ok(()), Ok(())));
    assert_eq!(setup.send(10 * MIB).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn bytes_of_a_caller_that_gives_up_are_free_again() {
    let setup = Setup::new();
    setup.sink.hold();
    let gives_up = tokio::time::timeout(Duration::from_secs(1), setup.send(10 * MIB)).await;
    assert!(gives_up.is_err());
    setup.sink.release();
    assert_eq!(setup.send(10 * MIB).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_can_never_fit_is_rejected() {
    let setup = Setup::new();
    match setup.send(10 * MIB + 1).await {
        Err(Refused::Reject { reason }) => assert!(reason.message.contains("send smaller ones"), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_answer_behind_it_and_close_pass_through() {
    let setup = Setup::new();
    let full = Err(Refused::retry("queue_full", "full"));
    setup.sink.then(full.clone());
    assert_eq!(setup.send(1).await, full);
    setup.limiter.close().await;
    assert_eq!(setup.sink.closed(), 1);
}

#[tokio::test]
async fn the_built_stage_admits_by_the_memory_of_process_and_control_group() {
    let world = World::new();
    world.files.put("/proc/self/status", "Name:\tslipring\nVmRSS:\t   81920 kB\n");
    world.files.put("/proc/meminfo", "MemTotal:       16384000 kB\n");
    world.files.put("/proc/self/cgroup", "0::/pod\n");
    world.files.put("/sys/fs/cgroup/pod/memory.max", "104857600\n");
    world.files.put("/sys/fs/cgroup/memory.max", "max\n");
    let stage = |yaml: &str| {
        let config = decode::<Config>(yaml).unwrap();
        let Ok(Stage::Holding(make)) = Factory::build(config, world.context_for("memory_limiter", Signal::Logs)) else {
            panic!("not a holding stage")
        };
        make(Sink::new().consumer())
    };
    // 80 MiB are in use, and the group may have 100 MiB.
    assert_eq!(stage("{check_interval: 1s, limit_mib: 101}").consume(batch(10)).await, Ok(()));
    assert!(stage("{check_interval: 1s, limit_mib: 99}").consume(batch(10)).await.is_err());
    assert_eq!(stage("{check_interval: 1s, limit_percentage: 100}").consume(batch(10)).await, Ok(()));
    assert!(stage("{check_interval: 1s, limit_percentage: 99}").consume(batch(10)).await.is_err());
}

#[test]
fn limits_are_computed_as_in_the_collector() {
    let limits = |yaml: &str, total| {
        let limits = decode::<Config>(yaml).unwrap().limits(total);
        limits.map(|l| (l.soft, l.hard))
    };
    assert_eq!(limits("{check_interval: 1s, limit_mib: 100}", None), Ok((80 * MIB, 100 * MIB)));
    assert_eq!(limits("{check_interval: 1s, limit_mib: 100, spike_limit_mib: 30}", None), Ok((70 * MIB, 100 * MIB)));
    let percent = "{check_interval: 1s, limit_percentage: 50, spike_limit_percentage: 10}";
    assert_eq!(limits(percent, Some(1000 * MIB)), Ok((400 * MIB, 500 * MIB)));
    assert_eq!(limits("{check_interval: 1s, limit_percentage: 50}", Some(1000 * MIB)), Ok((400 * MIB, 500 * MIB)));
    assert!(limits(percent, None).unwrap_err().contains("use limit_mib"));
}

#[test]
fn the_collectors_rules_are_checked() {
    assert_eq!(
        problems::<Config>("{}"),
        [
            "'::check_interval': must be greater than zero, use 1s",
            "'': needs limit_mib or limit_percentage, greater than zero"
        ]
    );
    assert_eq!(
        problems::<Config>("{check_interval: 1s, limit_mib: 5, spike_limit_mib: 5, limit_percentage: 101}"),
        [
            "'::spike_limit_mib': is 5, it must be smaller than limit_mib (5)",
            "'::limit_percentage': is 101, the most is 100"
        ]
    );
    let gc = "{check_interval: 1s, limit_mib: 5, min_gc_interval_when_soft_limited: 20s}";
    assert!(decode::<Config>(gc).unwrap().tunes_garbage_collection());
    assert!(!decode::<Config>("{check_interval: 1s, limit_mib: 5}").unwrap().tunes_garbage_collection());
}

#[tokio::test(start_paused = true)]
async fn it_conforms() {
    pipeline::testing::conformance::processor::<Factory>("{check_interval: 1s, limit_mib: 100}").await;
}
