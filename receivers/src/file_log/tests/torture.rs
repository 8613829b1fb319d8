//! Writers that rotate at random, a pipeline that refuses at random and delivers later what it has taken, an agent that is
//! killed at random: every line arrives, in the order of its file, and few arrive twice.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use pipeline::Signal;
use pipeline::component::{BoxFuture, Consumer, Outcome, Refused};
use tokio::time::Instant;

use super::*;

/// Rounds, unless `SLIPRING_TORTURE_ROUNDS` says another number.
const ROUNDS: u64 = 3000;
/// Rounds with the same files; then everything begins anew.
const ROUNDS_EACH: u64 = 125;

/// Operators for which each line begins a record, so that the next one ends it.
const HELD: &str = "operators: [{ type: recombine, combine_field: body, is_first_entry: 'true' }]";

/// xorshift64*.
pub struct Dice(pub u64);

impl Dice {
    /// One of the numbers from 0 on, so many of them.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % sides
    }
}

/// A pipeline: it takes its time, refuses often, has what it takes in a queue, and notes what has arrived and when.
struct Moody {
    dice: Mutex<Dice>,
    queue: Mutex<VecDeque<Batch>>,
    came: Notify,
    arrived: Mutex<Vec<(String, Instant)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Consumer for Moody {
    fn consume(&self, batch: Batch) -> BoxFuture<'_, Outcome> {
        let (wait, refuse) = {
            let mut dice = lock(&self.dice);
            (dice.roll(150), dice.roll(4) == 0)
        };
        Box::pin(async move {
            sleep(Duration::from_millis(wait)).await;
            if refuse {
                return Err(Refused::retry("moody", "not now"));
            }
            lock(&self.queue).push_back(batch);
            self.came.notify_one();
            Ok(())
        })
    }
}

impl Moody {
    /// Brings what is in the queue to the far side, one batch after the other.
    async fn deliver(&self) {
        loop {
            let wait = lock(&self.dice).roll(300);
            sleep(Duration::from_millis(wait)).await;
            let next = lock(&self.queue).pop_front();
            match next {
                Some(batch) => self.arrive(batch),
                None => self.came.notified().await,
            }
        }
    }

    fn arrive(&self, batch: Batch) {
        let now = Instant::now();
        lock(&self.arrived).extend(bodies(&[batch]).into_iter().map(|line| (line, now)));
    }

    /// The end of the process: some of what is in the queue arrives still.
    fn drain(&self) {
        let mut queue = std::mem::take(&mut *lock(&self.queue));
        while let Some(batch) = queue.pop_front() {
            if lock(&self.dice).roll(6) == 0 {
                // What comes behind would overtake it.
                queue.push_front(batch);
                break;
            }
            self.arrive(batch);
        }
        queue.iter().for_each(|batch| batch.fate().unwrap().miss());
    }
}

/// An agent: the receiver, and what delivers.
struct Agent {
    receiver: Running,
    delivers: JoinHandle<()>,
}

impl Agent {
    async fn start(rig: &Rig, next: &Arc<Moody>) -> Agent {
        let delivers = next.clone();
        let delivers = rig.world.tasks.spawn(async move { delivers.deliver().await });
        Agent { receiver: rig.start_into(Outputs::none().with(Signal::Logs, next.clone())).await, delivers }
    }

    async fn kill(self, next: &Moody) {
        self.delivers.abort();
        self.receiver.kill().await;
        lock(&next.queue).clear();
    }

    async fn stop(self, next: &Moody) {
        self.receiver.stop().await;
        self.delivers.abort();
        next.drain();
        // The receiver keeps what is known by now.
        sleep(Duration::from_millis(1)).await;
    }
}

/// A log and its rotated files. Lines say their log, their segment and their number in it.
struct Log {
    name: char,
    segment: usize,
    line: usize,
    rotated: usize,
    /// A line that is being written in pieces.
    open: String,
    written: Vec<String>,
}

impl Log {
    fn path(&self) -> String {
        format!("/logs/{}.log", self.name)
    }

    fn write(&mut self, files: &VirtualFiles, dice: &mut Dice) {
        for _ in 0..dice.roll(12) {
            self.line += 1;
            let pad = "x".repeat(usize::try_from(dice.roll(300)).unwrap());
            let line = format!("{} {:05} {:05} {pad}", self.name, self.segment, self.line);
            let cut = usize::try_from(dice.roll(line.len() as u64)).unwrap();
            files.append(self.path(), &line[..cut]);
            if dice.roll(10) == 0 {
                self.open = line[cut..].to_owned() + "\n";
                self.written.push(line);
                return;
            }
            files.append(self.path(), format!("{}\n", &line[cut..]));
            self.written.push(line);
        }
    }

    fn end_line(&mut self, files: &VirtualFiles) {
        if !self.open.is_empty() {
            files.append(self.path(), std::mem::take(&mut self.open));
        }
    }

    fn rotate(&mut self, files: &VirtualFiles, by_copy: bool) {
        self.end_line(files);
        if !files.exists(self.path()) || files.contents(self.path()).is_empty() {
            return;
        }
        let to = format!("{}.{}", self.path(), self.rotated);
        if by_copy {
            files.copy(self.path(), to);
            files.truncate(self.path(), 0);
        } else {
            files.mv(self.path(), to);
            files.put(self.path(), "");
        }
        self.rotated += 1;
        self.segment += 1;
        self.line = 0;
    }
}

async fn torture(seed: u64, rounds: u64) {
    let mut dice = Dice(seed);
    // With every other seed each line waits for the one behind it.
    let held = if seed.is_multiple_of(2) { HELD } else { "" };
    let rig = Rig::new(&format!(
        "include: ['/logs/*']\nforce_flush_period: 0\nmax_concurrent_files: 8\nfingerprint_size: 64\n\
         retry_on_failure: {{ initial_interval: 20ms, max_interval: 100ms }}\n{held}"
    ));
    let next = Arc::new(Moody {
        dice: Mutex::new(Dice(seed ^ 77)),
        queue: Mutex::default(),
        came: Notify::new(),
        arrived: Mutex::default(),
    });
    let mut logs: Vec<_> = ['a', 'b', 'c']
        .map(|name| Log { name, segment: 0, line: 0, rotated: 0, open: String::new(), written: Vec::new() })
        .into();
    let mut running = Some(Agent::start(&rig, &next).await);
    let mut deaths = Vec::new();
    for _ in 0..rounds {
        let log = &mut logs[usize::try_from(dice.roll(3)).unwrap()];
        match dice.roll(20) {
            0..12 => {
                log.end_line(&rig.files);
                log.write(&rig.files, &mut dice);
            }
            12..14 => log.rotate(&rig.files, false),
            14..16 => log.rotate(&rig.files, true),
            16 => {
                if let Some(running) = running.take() {
                    deaths.push(Instant::now());
                    running.kill(&next).await;
                }
            }
            17 => {
                if let Some(running) = running.take() {
                    running.stop(&next).await;
                }
            }
            _ => {}
        }
        if running.is_none() && dice.roll(3) == 0 {
            running = Some(Agent::start(&rig, &next).await);
        }
        sleep(Duration::from_millis(dice.roll(300))).await;
    }
    logs.iter_mut().for_each(|log| log.end_line(&rig.files));
    if running.is_none() {
        running = Some(Agent::start(&rig, &next).await);
    }
    sleep(Duration::from_secs(120)).await;
    if let Some(running) = running {
        running.stop(&next).await;
    }
    judge(seed, &logs, &lock(&next.arrived), &deaths);
}

fn judge(seed: u64, logs: &[Log], arrived: &[(String, Instant)], deaths: &[Instant]) {
    let mut first: HashMap<&str, Instant> = HashMap::new();
    let mut newest: BTreeMap<&str, &str> = BTreeMap::new();
    let mut again = 0;
    for (line, at) in arrived {
        if let Some(before) = first.get(line.as_str()) {
            again += 1;
            let near = |death: &&Instant| **death >= *before && **death - *before < Duration::from_millis(20);
            assert!(deaths.iter().any(|d| near(&d)), "seed {seed}: {line} came again without need");
            continue;
        }
        let (segment, number) = line.split_at(7);
        let newest = newest.entry(segment).or_default();
        assert!(*newest < number, "seed {seed}: {line} came after {newest}");
        *newest = number;
        first.insert(line, *at);
    }
    let written: Vec<_> = logs.iter().flat_map(|log| &log.written).collect();
    for line in &written {
        assert!(first.contains_key(line.trim_end()), "seed {seed}: {line} is lost");
    }
    assert_eq!(first.len(), written.len(), "seed {seed}: lines that nobody wrote");
    assert!(again < 50 * (deaths.len() + 1), "seed {seed}: {again} lines came again after {} deaths", deaths.len());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_lost_whatever_happens_to_files_pipeline_and_process() {
    let rounds = std::env::var("SLIPRING_TORTURE_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    for seed in 1..=rounds.div_ceil(ROUNDS_EACH) {
        torture(seed * 0x9e37_79b9, ROUNDS_EACH).await;
    }
}
