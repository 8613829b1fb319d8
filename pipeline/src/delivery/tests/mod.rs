//! Delivery against scripted far sides, in paused time.

mod answers;
mod batching;
mod day;
mod disk;
mod fates;
mod model;
mod queueing;
mod retrying;
mod stopping;
mod succession;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::*;
use crate::component::{Reason, Refused};
use crate::testing::{Answer, ScriptedExporter, World, logs, names};

/// A delivery before a scripted exporter, and one front of it.
struct Bench {
    world: World,
    far: ScriptedExporter,
    delivery: Delivery,
    front: Arc<dyn Consumer>,
}

/// Strict order, no jitter: what most tests want.
fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.retry.randomization_factor = 0.0;
    settings.queue.num_consumers = 1;
    settings
}

fn bench(change: impl FnOnce(&mut Settings)) -> Bench {
    bench_behind(None, change)
}

/// The same behind a `batch` processor.
fn bench_behind(batch: Option<BatchSettings>, change: impl FnOnce(&mut Settings)) -> Bench {
    let mut settings = settings();
    change(&mut settings);
    assert_eq!(settings.check(), []);
    let world = World::new();
    let far = ScriptedExporter::new();
    let id = ComponentId::new("far", "");
    let delivery = Delivery::new(settings, id, Signal::Logs, far.exporter(), &world.meter);
    let front = delivery.front(batch.map(|b| (ComponentId::new("batch", ""), b)));
    delivery.start();
    Bench { world, far, delivery, front }
}

impl Bench {
    async fn send(&self, bodies: impl IntoIterator<Item = impl std::fmt::Display>) -> Outcome {
        self.front.consume(logs(bodies)).await
    }

    /// Sends in a task of its own.
    fn sending(&self, bodies: &[&str]) -> JoinHandle<Outcome> {
        let front = self.front.clone();
        let batch = logs(bodies);
        self.world.tasks.spawn(async move { front.consume(batch).await })
    }

    /// What each attempt had in it.
    fn attempts(&self) -> Vec<String> {
        self.far.attempts().iter().map(|a| names(&a.batch).join(" ")).collect()
    }

    /// What was delivered, batch for batch.
    fn delivered(&self) -> Vec<String> {
        self.far.delivered().iter().map(|b| names(b).join(" ")).collect()
    }

    fn dropped(&self) -> Vec<(String, u64)> {
        self.world.dropped("far").into_iter().map(|(_, reason, items)| (reason, items)).collect()
    }

    /// Lets everything happen that can happen now.
    async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    async fn close(&self, within: Duration) -> u64 {
        let lost = self.delivery.close(Instant::now() + within).await.items;
        self.conserved(0);
        lost
    }

    fn conserved(&self, in_flight: u64) {
        crate::testing::assert_conserved(&self.world.meter);
        assert_eq!(crate::testing::count(&self.world.meter, "slipring_in_flight_items", &[]), in_flight);
    }
}

fn secs(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn queue_full(message: &'static str) -> Outcome {
    Err(Refused::retry("queue_full", message))
}
