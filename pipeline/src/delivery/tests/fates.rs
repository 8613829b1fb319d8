//! Batches whose senders have the data still: they hear when nothing of a batch is on its way any more, and what the end of
//! the process leaves is theirs.

use tokio::sync::oneshot;

use super::*;
use crate::config::GoDuration;
use crate::delivery::config::{Given, RetryConfig};
use crate::fate::{Fate, Settled};

/// Sends a batch whose sender has the data still.
async fn send(bench: &Bench, body: &str, is_last: bool) -> oneshot::Receiver<Settled> {
    let (fate, told) = Fate::new(is_last);
    assert_eq!(bench.front.consume(logs([body]).with_fate(fate)).await, Ok(()));
    told
}

fn minutes() -> BatchSettings {
    BatchSettings { flush_timeout: secs(60), ..BatchSettings::default() }
}

#[tokio::test(start_paused = true)]
async fn a_sender_hears_of_a_batch_when_the_far_side_has_it_not_when_the_queue_has() {
    let bench = bench(|s| s.queue.batch = Some(BatchSettings { min_size: 2, ..minutes() }));
    bench.far.always(Answer::Deliver.after(secs(5)));
    let mut first = send(&bench, "a", false).await;
    tokio::time::sleep(secs(30)).await;
    assert!(first.try_recv().is_err(), "it waits to be merged");
    let second = send(&bench, "b", false).await;
    tokio::time::sleep(secs(4)).await;
    assert!(first.try_recv().is_err(), "it is on its way");
    assert_eq!((first.await, second.await), (Ok(Settled::Done), Ok(Settled::Done)));
    assert_eq!(bench.delivered(), ["a b"]);
    assert_eq!(bench.close(secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn the_last_batch_before_a_sender_waits_takes_what_waits_along_at_once() {
    let bench = bench(|s| s.queue.batch = Some(minutes()));
    let first = send(&bench, "a", false).await;
    let last = send(&bench, "b", true).await;
    let asked = Instant::now();
    assert_eq!((first.await, last.await), (Ok(Settled::Done), Ok(Settled::Done)));
    assert_eq!((asked.elapsed(), bench.delivered()), (Duration::ZERO, vec!["a b".to_owned()]));
    let mut next = send(&bench, "c", false).await;
    tokio::time::sleep(secs(30)).await;
    assert!(next.try_recv().is_err(), "later ones wait again");
    assert_eq!(bench.close(secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_its_sender_has_still_is_given_up_only_where_the_config_says_when() {
    const UNTIL: &str = "slipring_exporter_time_until_drop_seconds";
    for said in [false, true] {
        let limit = said.then(|| GoDuration::from_secs(300));
        let retry = RetryConfig { max_elapsed_time: limit, ..RetryConfig::default() };
        let config = DeliveryConfig { retry_on_failure: Given::Present(retry), ..DeliveryConfig::default() };
        let bench = bench(|s| *s = s.clone().overlaid(&config));
        bench.far.always(Answer::retry("http_503"));
        let mut told = send(&bench, "a", false).await;
        tokio::time::sleep(secs(200)).await;
        let until = crate::testing::series(&bench.world.meter, UNTIL)[0].value;
        assert_eq!(until <= 100.0, said, "{until}");
        tokio::time::sleep(secs(3600)).await;
        assert_eq!(told.try_recv().is_ok(), said);
        bench.far.always(Answer::Deliver);
        tokio::time::sleep(secs(60)).await;
        let (delivered, dropped) = (bench.delivered(), bench.dropped());
        match said {
            false => assert_eq!((delivered, dropped, told.await), (vec!["a".to_owned()], vec![], Ok(Settled::Done))),
            true => assert_eq!((delivered, dropped), (vec![], vec![("retry_exhausted".to_owned(), 1)])),
        }
        assert_eq!(bench.close(secs(1)).await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_dropped_with_a_reason_is_done() {
    let bench = bench(|_| {});
    bench.far.then(Answer::reject("http_400"));
    let told = send(&bench, "a", false).await;
    assert_eq!(told.await, Ok(Settled::Done));
    assert_eq!(bench.dropped(), [("http_400".to_owned(), 1)]);
    assert_eq!(bench.close(secs(1)).await, 0);
}

#[tokio::test(start_paused = true)]
async fn what_the_end_of_the_process_leaves_is_the_senders_and_not_lost() {
    let bench = bench(|_| {});
    bench.far.always(Answer::Hang);
    let on_its_way = send(&bench, "a", false).await;
    let waits = send(&bench, "b", false).await;
    assert_eq!(bench.send(["nobody's"]).await, Ok(()));
    bench.settle().await;
    let lost = bench.delivery.close(Instant::now() + secs(5)).await;
    assert_eq!((on_its_way.await, waits.await), (Ok(Settled::Missed), Ok(Settled::Missed)));
    assert_eq!((lost.items, bench.dropped()), (1, vec![("shutdown".to_owned(), 1)]));
    bench.conserved(2);
}
