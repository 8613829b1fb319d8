//! Hundreds of reloads between configs that chance makes, some of which cannot be built or started, under load: every item
//! that was taken arrives, none is refused, and all accounts balance.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::task::JoinSet;

use super::*;
use crate::delivery::FileStorage;

/// Chance that is the same each time (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most as u64).unwrap()
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    /// Some of them, at least one, joined by spaces.
    fn some(&mut self, of: &[&str]) -> String {
        let some: Vec<_> = of.iter().filter(|_| self.one_in(2)).copied().collect();
        if some.is_empty() { of[self.below(of.len())].to_owned() } else { some.join(" ") }
    }
}

const RECEIVERS: [&str; 3] = ["in/1", "in/2", "in/3"];
const PROCESSORS: [&str; 3] = ["plain", "hold/1", "hold/2"];
const EXPORTERS: [&str; 5] = ["direct", "queue", "order", "result", "stored"];

/// Holds what it may say yes to, and hands on what it may not.
struct Fair {
    early: bool,
    held: Mutex<Vec<Batch>>,
    next: Arc<dyn Consumer>,
}

impl Consumer for Fair {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        if !self.early {
            return self.next.consume(batch);
        }
        let mut held = self.held.lock().unwrap();
        held.push(batch);
        let out = if held.len() > 20 { std::mem::take(&mut *held) } else { Vec::new() };
        Box::pin(async move {
            for batch in out {
                self.next.consume(batch).await.unwrap();
            }
            Ok(())
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        let held = std::mem::take(&mut *self.held.lock().unwrap());
        Box::pin(async move {
            for batch in held {
                self.next.consume(batch).await.unwrap();
            }
        })
    }

    fn answers_from_memory(&self) -> bool {
        self.early
    }
}

fn fair(_: &Diary, _: &Context) -> Result<Stage, Error> {
    Ok(Stage::Holding(Box::new(|next| {
        Arc::new(Fair { early: next.answers_from_memory(), held: Mutex::default(), next })
    })))
}

/// Settings of an exporter by its name; another version has other bounds.
fn settings(name: &str, version: usize) -> delivery::Settings {
    let mut settings = if name == "direct" { delivery::Settings::direct() } else { delivery::Settings::default() };
    settings.retry.enabled = true;
    settings.retry.max_elapsed_time = Duration::ZERO;
    settings.retry.initial_interval = Duration::from_millis(20);
    settings.queue.queue_size = 10_000 + version;
    match name {
        "order" => settings.queue.num_consumers = 1,
        "result" => settings.queue.wait_for_result = true,
        // In memory from time to time, or in another folder.
        "stored" if version > 0 => settings.queue.storage = Some(id(["", "file_storage", "file_storage/2"][version])),
        _ => {}
    }
    settings
}

fn random(chance: &mut Chance, from: &Planned) -> Planned {
    let mut plan = from.next();
    // Enough for an exporter that is gone to bring out all it has, one batch at a time.
    plan.plan.shutdown_timeout = Duration::from_secs(600);
    let pipelines = 1 + chance.below(3);
    for n in 0..pipelines {
        let processors = if chance.one_in(3) { String::new() } else { chance.some(&PROCESSORS) };
        let (receivers, exporters) = (chance.some(&RECEIVERS), chance.some(&EXPORTERS));
        plan = plan.pipeline(&format!("logs/{n}"), &receivers, &processors, &exporters);
    }
    for name in RECEIVERS {
        plan = plan.receiver(name).changed(Kind::Receiver, name, u32::from(chance.one_in(4)));
    }
    for name in PROCESSORS {
        plan = if name == "plain" { plan.processor(name, |_, _| plain(Ok)) } else { plan.processor(name, fair) };
        plan = plan.changed(Kind::Processor, name, u32::from(chance.one_in(3)));
    }
    for name in EXPORTERS {
        let version = chance.below(3);
        plan = plan.exporter_with(name, settings(name, version));
        plan = plan.changed(Kind::Exporter, name, u32::try_from(version).unwrap());
    }
    for (name, folder) in [("file_storage", "/one"), ("file_storage/2", "/two")] {
        let storage = FileStorage { directory: folder.into(), create_directory: true, ..FileStorage::default() };
        let storage = Arc::new(storage);
        plan.plan.extensions.push((id(name), Arc::new(move |_| Ok(storage.clone()))));
        plan = plan.changed(Kind::Extension, name, 0);
    }
    match chance.below(12) {
        0 => {
            plan = plan.receiver_that("bad", |_, _| async { Err("port 4317 is taken".into()) });
            plan.plan.pipelines[0].receivers.push(id("bad"));
        }
        1 => {
            plan = plan.exporter("out/taken");
            plan.plan.pipelines[0].exporters.push(id("out/taken"));
        }
        2 => {
            plan = plan.exporter_that_fails("broken", "cannot read ca.pem");
            plan.plan.pipelines[0].exporters.push(id("broken"));
        }
        _ => {}
    }
    plan
}

async fn run(seed: u64, reloads: usize) {
    let mut chance = Chance(seed);
    let mut first = random(&mut chance, &Planned::new());
    while first.plan.pipelines[0]
        .exporters
        .iter()
        .chain(&first.plan.pipelines[0].receivers)
        .any(|e| ["bad", "out/taken", "broken"].contains(&e.to_string().as_str()))
    {
        first = random(&mut chance, &Planned::new());
    }
    for (n, far) in first.far.values().enumerate() {
        let mut chance = Chance(seed + n as u64);
        far.rule(move |_| match chance.below(8) {
            0 => Answer::retry("http_503"),
            1 | 2 => Answer::Deliver.after(Duration::from_millis(chance.next() % 300)),
            _ => Answer::Deliver,
        });
    }
    let mut running = first.start().await.unwrap();
    let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let refused = Arc::new(Mutex::new(Vec::new()));
    let mut senders = JoinSet::new();
    for receiver in RECEIVERS {
        for _ in 0..2 {
            let (over, sent, refused) = (over.clone(), sent.clone(), refused.clone());
            let near = first.near[receiver].clone();
            senders.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let number = sent.fetch_add(1, Ordering::Relaxed);
                    let (answer, outcome) = tokio::sync::oneshot::channel();
                    if near.send((logs([number]), answer)).await.is_err() {
                        return;
                    }
                    match outcome.await {
                        Ok(Ok(())) => {}
                        Ok(Err(refusal)) => refused.lock().unwrap().push((number, refusal.to_string())),
                        Err(_) => refused.lock().unwrap().push((number, "no answer".to_owned())),
                    }
                    tokio::time::sleep(Duration::from_millis(7)).await;
                }
            });
        }
    }
    let (mut reloaded, mut undone) = (0, 0);
    for _ in 0..reloads {
        tokio::time::sleep(Duration::from_millis(chance.next() % 60)).await;
        let next = random(&mut chance, &first);
        match next.reload(&mut running).await {
            Ok(_) => reloaded += 1,
            Err(_) => undone += 1,
        }
    }
    // All receivers, so that everybody gets an answer.
    let all = first.next();
    let all = RECEIVERS.iter().fold(all, |plan, name| plan.receiver(name)).exporter("queue");
    all.pipeline("logs", "in/1 in/2 in/3", "", "queue").reload(&mut running).await.unwrap();
    over.store(true, Ordering::Relaxed);
    while senders.join_next().await.is_some() {}
    for far in first.far.values() {
        far.always(Answer::Deliver);
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    stop_cleanly(running).await;
    assert_eq!(*refused.lock().unwrap(), [], "seed {seed}");
    let delivered: BTreeSet<usize> = first
        .far
        .values()
        .flat_map(ScriptedExporter::delivered)
        .flat_map(|batch| names(&batch))
        .map(|name| name.parse().unwrap())
        .collect();
    let missing: Vec<_> = (0..sent.load(Ordering::Relaxed)).filter(|number| !delivered.contains(number)).collect();
    assert_eq!(missing, [] as [usize; 0], "seed {seed}");
    assert_eq!(first.dropped(), 0, "seed {seed}");
    assert_conserved(&first.world.meter);
    assert_eq!(first.count("slipring_in_flight_items", &[]), 0, "seed {seed}");
    assert!(reloaded > undone && undone > 0, "seed {seed}: {reloaded} reloaded, {undone} undone");
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_random_reloads_under_load_lose_and_refuse_nothing() {
    for seed in 0..8 {
        run(seed, 50).await;
    }
}
