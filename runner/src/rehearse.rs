//! Runs one test: the config's real components in a world of its own, with time that passes only while everything waits.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use pipeline::config::tree::At;
use pipeline::doors::Doors;
use pipeline::graph::{Running, Surroundings};
use pipeline::plan::{LogEncoding, TelemetryPlan};
use pipeline::telemetry::{Endpoint, Kind as ComponentKind, logs};
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::compare::Mismatch;
use crate::decode::{self, Item};
use crate::input::{Change, Input, What};
use crate::judge::judge;
use crate::own_metrics::Metrics;
use crate::play::Player;
use crate::prepare::Prepared;
use crate::suite::Case;
use crate::world::{Fault, World};

/// What became of a test.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What is not as expected; nothing where the test passed.
    pub mismatches: Vec<Mismatch>,
    /// What each exporter sent.
    pub sent: BTreeMap<String, Vec<Item>>,
    /// Own metrics of all its processes.
    pub metrics: Metrics,
    /// Own log lines from `warn` on, as one JSON object each.
    pub log: Vec<String>,
    /// How long it ran, in its own time.
    pub virtual_time: Duration,
}

/// A test goes on for so long at most, for pages that nobody has asked for yet.
const MOST_WAIT: Duration = Duration::from_secs(600);
/// And so long after all has come in.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// A request that is answered at once is waited for; others go on by themselves.
const AT_ONCE: Duration = Duration::from_millis(1);
/// How long the last answers are waited for.
const LAST_ANSWERS: Duration = Duration::from_secs(60);

/// Runs a test.
pub fn run(case: &Case, prepared: &Prepared, reloads: &[Arc<Prepared>]) -> Verdict {
    let mut faults = BTreeMap::<String, Vec<Fault>>::new();
    for (exporter, _, text) in &case.faults {
        let left = text.times.into();
        let fault = Fault { from: text.from, until: text.until, left, effect: text.effect.clone() };
        faults.entry(exporter.clone()).or_default().push(fault);
    }
    let pages = case.pages.iter().map(crate::suite::PageText::page).collect();
    let world = Arc::new(World::new(case.start, pages, faults));
    for (path, contents) in &case.files {
        world.files.put(path, contents);
    }
    let mut verdict = Verdict::default();
    // One run of a test at a time has its driver, which plays its first script before anything starts.
    let _driver = case.driver.as_ref().map(|driver| driver.in_use.lock().unwrap_or_else(PoisonError::into_inner));
    for input in case.inputs.iter().filter(|input| input.at.is_zero()) {
        play(case, input, &mut verdict);
    }
    let log = Log::default();
    let mut inputs = &case.inputs[..];
    let mut from = Duration::ZERO;
    for kill in case.kills.iter().map(Some).chain([None]) {
        let count = kill.map_or(inputs.len(), |kill| inputs.iter().filter(|input| input.at < *kill).count());
        let (now, later) = inputs.split_at(count);
        inputs = later;
        let life = Life { case, prepared, reloads, world: &world, from, kill: kill.copied(), inputs: now };
        let went_on = life.run(&mut verdict, &log);
        verdict.virtual_time = verdict.virtual_time.max(went_on.unwrap_or_default());
        from = kill.copied().unwrap_or(from);
        if went_on.is_none() {
            break;
        }
    }
    verdict.log = log.lines();
    judge(case, prepared, reloads, &world, &mut verdict);
    verdict
}

/// One process of a test, from its start until it is stopped or killed.
struct Life<'a> {
    case: &'a Case,
    prepared: &'a Prepared,
    reloads: &'a [Arc<Prepared>],
    world: &'a Arc<World>,
    from: Duration,
    kill: Option<Duration>,
    inputs: &'a [Input],
}

impl Life<'_> {
    /// Runs it; answers when it ended, since the start, or nothing where it did not even start.
    fn run(&self, verdict: &mut Verdict, log: &Log) -> Option<Duration> {
        let runtime = match Builder::new_current_thread().enable_time().start_paused(true).build() {
            Ok(runtime) => runtime,
            Err(error) => {
                verdict.mismatches.push(failed(self.case.at, format!("there is no runtime: {error}")));
                return None;
            }
        };
        let telemetry = TelemetryPlan { log_encoding: LogEncoding::Json, ..self.prepared.plan.telemetry.clone() };
        let writer = log.clone();
        let _guard = tracing::subscriber::set_default(logs::subscriber(&telemetry, move || writer.clone()));
        let left = runtime.block_on(self.live(verdict));
        // What is killed does not say goodbye: its tasks are gone before anything is told to stop.
        drop(runtime);
        left.map(|(_, end)| end)
    }

    /// The process, where it was killed, and when that was.
    async fn live(&self, verdict: &mut Verdict) -> Option<(Option<Running>, Duration)> {
        let Life { case, prepared, world, from, .. } = self;
        let (doors, _net) = world.doors(*from);
        let surroundings = Surroundings::new(doors.clone());
        let (meter, pages) = (surroundings.meter.clone(), surroundings.pages.clone());
        let began = Instant::now();
        let mut running = match Running::start(&prepared.plan, &surroundings).await {
            Ok(running) => running,
            Err(failures) => {
                let all = failures.iter().map(|failure| failed(case.at, format!("it does not start: {failure}")));
                verdict.mismatches.extend(all);
                return None;
            }
        };
        let endpoint = match &prepared.plan.telemetry.metrics_address {
            Some(address) => Endpoint::start(address, &*doors.net, meter.clone(), pages).await.ok(),
            None => None,
        };
        let mut player = match Player::new(doors.clone(), prepared.tree.clone()) {
            Ok(player) => player,
            Err(error) => {
                verdict.mismatches.push(failed(case.at, error));
                return None;
            }
        };
        let mut sending = Sending {
            player: player.clone(),
            answers: JoinSet::new(),
            stdin: None,
            world: self.world,
            case: self.case,
        };
        let at = |since: Duration| began + since.saturating_sub(*from);
        let mut reloads =
            case.reloads.iter().zip(self.reloads).filter(|((when, ..), _)| self.lives_at(*when)).peekable();
        for input in self.inputs {
            while let Some(((when, ..), _)) = reloads.peek().filter(|((when, ..), _)| *when <= input.at) {
                sleep_until(at(*when)).await;
                let Some(((.., place), next)) = reloads.next() else { break };
                player = reload(&mut running, next, &doors, *place, verdict).await.unwrap_or(player);
                sending.player = player.clone();
            }
            sleep_until(at(input.at)).await;
            sending.input(input, verdict).await;
        }
        for ((when, _, place), next) in reloads {
            sleep_until(at(*when)).await;
            player = reload(&mut running, next, &doors, *place, verdict).await.unwrap_or(player);
        }
        if let Some(kill) = self.kill {
            sleep_until(at(kill)).await;
            verdict.metrics.add(&meter);
            return Some((Some(running), kill));
        }
        self.run_on(at).await;
        sending.last_answers(verdict).await;
        for (id, _) in &case.expected {
            for address in world.listening(ComponentKind::Exporter, id) {
                let Some(page) = player.page(&address, "/metrics").await else { continue };
                match decode::scraped(&page, &world.moments()) {
                    Ok(items) => verdict.sent.entry(id.clone()).or_default().extend(items),
                    Err(error) => verdict.mismatches.push(failed(case.at, format!("exporter {id}: {error}"))),
                }
            }
        }
        player.close();
        let end = *from + began.elapsed();
        drop(sending);
        let report = running.stop(Instant::now() + prepared.plan.shutdown_timeout).await;
        if let Some(endpoint) = endpoint {
            endpoint.stop().await;
        }
        let unfinished = report.unfinished.iter();
        let unfinished = unfinished.map(|what| failed(case.at, format!("it did not end when it was stopped: {what}")));
        verdict.mismatches.extend(unfinished);
        verdict.metrics.add(&meter);
        let own = Metrics::from(&meter);
        let unbalanced = own.unbalanced().into_iter();
        verdict.mismatches.extend(unbalanced.map(|what| failed(case.at, format!("items are unaccounted for: {what}"))));
        Some((None, end))
    }

    /// Whether this process is the one that runs at that time.
    fn lives_at(&self, when: Duration) -> bool {
        when >= self.from && self.kill.is_none_or(|kill| when < kill)
    }

    /// Waits until the test is over: so long as it says, or until all that is served outside was asked for.
    async fn run_on(&self, at: impl Fn(Duration) -> Instant) {
        if let Some(run) = self.case.run {
            return sleep_until(at(run)).await;
        }
        let last = self.case.pages.iter().map(|page| page.from).chain(self.case.kills.iter().copied()).max();
        sleep_until(at(last.unwrap_or_default())).await;
        let until = Instant::now() + MOST_WAIT;
        while !self.world.all_served() && Instant::now() < until {
            sleep(AFTERWARDS).await;
        }
        sleep(AFTERWARDS).await;
    }
}

/// Lets the process read another config; answers who sends to it from then on.
async fn reload(
    running: &mut Running,
    next: &Prepared,
    doors: &Doors,
    place: At,
    verdict: &mut Verdict,
) -> Option<Player> {
    if let Err(failures) = running.reload(&next.plan).await {
        let all = failures.iter().map(|failure| failed(place, format!("the other config does not start: {failure}")));
        verdict.mismatches.extend(all);
        return None;
    }
    Player::new(doors.clone(), next.tree.clone()).ok()
}

/// Whoever sends, with the answers that are not there yet.
struct Sending<'a> {
    player: Player,
    answers: JoinSet<(At, Result<(), String>)>,
    stdin: Option<mpsc::Sender<io::Result<Bytes>>>,
    world: &'a World,
    case: &'a Case,
}

impl Sending<'_> {
    async fn input(&mut self, input: &Input, verdict: &mut Verdict) {
        let (player, place) = (self.player.clone(), input.place);
        match &input.what {
            What::Otlp(otlp) => {
                let otlp = otlp.clone();
                self.answers.spawn(async move { (place, player.otlp(&otlp).await) });
                self.at_once(verdict).await;
            }
            What::Http(http) => {
                let http = http.clone();
                self.answers.spawn(async move { (place, player.http(&http).await) });
                self.at_once(verdict).await;
            }
            What::File { path, change } => {
                let files = &self.world.files;
                if !matches!(change, Change::Append(_)) && !files.exists(path) {
                    let message = format!("there is no file {} at that time", path.display());
                    return verdict.mismatches.push(failed(place, message));
                }
                match change {
                    Change::Append(more) => files.append(path, more),
                    Change::Rename(to) => files.mv(path, to),
                    Change::CopyTruncate(to) => {
                        files.copy(path, to);
                        files.truncate(path, 0);
                    }
                    Change::Truncate => files.truncate(path, 0),
                    Change::Remove => files.rm(path),
                }
            }
            What::Stdin(bytes) => {
                if self.stdin.is_none() {
                    self.stdin = self.world.files.take_input();
                }
                match &self.stdin {
                    Some(stdin) => _ = stdin.send(Ok(bytes.clone())).await,
                    None => verdict.mismatches.push(failed(place, "nobody reads standard input".to_owned())),
                }
            }
            What::Script(_) => play(self.case, input, verdict),
            What::EndOfStdin => {
                self.stdin = None;
                drop(self.world.files.take_input());
            }
        }
    }

    /// Waits for answers that come at once.
    async fn at_once(&mut self, verdict: &mut Verdict) {
        while let Ok(Some(answer)) = timeout(AT_ONCE, self.answers.join_next()).await {
            if let Ok((place, Err(error))) = answer {
                verdict.mismatches.push(failed(place, error));
            }
        }
    }

    async fn last_answers(&mut self, verdict: &mut Verdict) {
        let until = Instant::now() + LAST_ANSWERS;
        while let Ok(Some(answer)) = tokio::time::timeout_at(until, self.answers.join_next()).await {
            if let Ok((place, Err(error))) = answer {
                verdict.mismatches.push(failed(place, error));
            }
        }
        if !self.answers.is_empty() {
            let message = format!("{} requests were never answered", self.answers.len());
            verdict.mismatches.push(failed(At::default(), message));
        }
    }
}

/// Lets the test's driver play what an input says.
fn play(case: &Case, input: &Input, verdict: &mut Verdict) {
    if let (What::Script(script), Some(driver)) = (&input.what, &case.driver)
        && let Err(error) = driver.play(script)
    {
        verdict.mismatches.push(failed(input.place, format!("the driver's script cannot be written: {error}")));
    }
}

pub(crate) fn failed(at: At, message: String) -> Mismatch {
    Mismatch { at, message, nearest: Vec::new() }
}

/// The own log of a test's processes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

/// No more of it is kept.
const MOST_LOG_BYTES: usize = 4 << 20;

impl Log {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() < MOST_LOG_BYTES {
            held.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
