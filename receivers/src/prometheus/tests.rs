//! The receiver as a whole, in a virtual world: targets that behave and targets that do not, and time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use pipeline::batch::Signal;
use pipeline::component::{Life, Receiver, Refused};
use pipeline::doors::Net;
use pipeline::net::compress::{Coding, Level, compress};
use pipeline::testing::{Sink, World, count};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::cache::tests::flatten::{Flat, flatten};
use super::status::Targets;
use super::*;

mod bad_input;
mod reload;

/// A receiver that runs in a world of its own.
pub(super) struct Bench {
    pub(super) world: World,
    pub(super) sink: Sink,
    pub(super) targets: Targets,
    stop: CancellationToken,
    ending: Arc<OnceLock<Ending>>,
    running: JoinSet<Result<(), Error>>,
    started: Instant,
}

/// What targets answer, and what they were asked.
#[derive(Clone, Default)]
pub(super) struct Far {
    state: Arc<Mutex<FarState>>,
}

#[derive(Default)]
struct FarState {
    answer: Vec<u8>,
    first: VecDeque<Vec<u8>>,
    requests: Vec<String>,
    trickle: Option<Duration>,
}

impl Far {
    pub(super) fn answer(&self, answer: impl Into<Vec<u8>>) {
        self.state.lock().unwrap().answer = answer.into();
    }

    /// Answers the next request so, before it answers all alike again.
    pub(super) fn answer_once(&self, answer: impl Into<Vec<u8>>) {
        self.state.lock().unwrap().first.push_back(answer.into());
    }

    /// What it was asked: heads with their bodies.
    pub(super) fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }
}

pub(super) fn http(head: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut answer = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
    answer.extend_from_slice(body);
    answer
}

/// A good answer as Dynamo gives it.
fn text(body: &str) -> Vec<u8> {
    http("200 OK\r\ncontent-type: text/plain; charset=utf-8", body)
}

/// Listens at an address and answers every request alike.
pub(super) async fn far(world: &World, address: &str) -> Far {
    let far = Far::default();
    far.answer(text("a 1\n"));
    let mut listener = world.net.listen(address).await.unwrap();
    let shared = far.clone();
    world.tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let far = shared.clone();
            connections.spawn(async move {
                loop {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else { return };
                        head.push(byte);
                    }
                    let mut request = String::from_utf8(head).unwrap();
                    let length = request.lines().find_map(|line| line.strip_prefix("content-length: "));
                    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
                    stream.read_exact(&mut body).await.unwrap();
                    request.push_str(std::str::from_utf8(&body).unwrap());
                    let (answer, trickle) = {
                        let mut state = far.state.lock().unwrap();
                        state.requests.push(request);
                        (state.first.pop_front().unwrap_or_else(|| state.answer.clone()), state.trickle)
                    };
                    if answer.is_empty() {
                        return std::future::pending().await;
                    }
                    for piece in answer.chunks(if trickle.is_some() { 1 } else { 4096 }) {
                        if stream.write_all(piece).await.is_err() {
                            return;
                        }
                        if let Some(pause) = trickle {
                            sleep(pause).await;
                        }
                    }
                }
            });
        }
    });
    far
}

pub(super) fn start(world: World, yaml: &str) -> Bench {
    let config: Config = pipeline::config::testing::decode(yaml).unwrap_or_else(|error| panic!("{error}"));
    let receiver = Prometheus::new(&config, world.context("prometheus")).unwrap();
    let (targets, sink, stop) = (receiver.targets(), Sink::new(), CancellationToken::new());
    let ending = Arc::<OnceLock<Ending>>::default();
    let life = Life::new(stop.clone(), Arc::new(Notify::new())).with_ending(ending.clone());
    let outputs = sink.outputs();
    let mut running = JoinSet::new();
    running.spawn(Box::new(receiver).run(outputs, life));
    Bench { world, sink, targets, stop, ending, running, started: Instant::now() }
}

/// A receiver with one job and one target at `worker:8081`, and that target.
async fn one(more: &str) -> (Bench, Far) {
    let world = World::new();
    let far = far(&world, "worker:8081").await;
    let yaml = format!(
        "config:\n  scrape_configs:\n  - job_name: dynamo\n    scrape_interval: 10s\n    scrape_timeout: 4s\n    static_configs: [{{targets: ['worker:8081']}}]\n{more}"
    );
    (start(world, &yaml), far)
}

impl Bench {
    /// The samples of the next scrape, without those of the target itself, and its `up`.
    async fn next(&self) -> (Vec<Flat>, f64) {
        let flat = self.all().await;
        let up = flat.iter().find(|flat| flat.series.starts_with("up{")).unwrap().value.unwrap();
        let own = |flat: &Flat| flat.series.starts_with("up{") || flat.series.starts_with("scrape_");
        (flat.into_iter().filter(|flat| !own(flat)).collect(), up)
    }

    /// All samples of the next scrape.
    async fn all(&self) -> Vec<Flat> {
        let wait = async {
            loop {
                if let Some(batch) = self.sink.take().into_iter().next() {
                    assert_eq!(batch.signal(), Signal::Metrics);
                    return flatten(&batch.to_bytes());
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(60), wait).await.expect("a scrape comes")
    }

    /// Why the last scrape failed.
    fn error(&self) -> Option<String> {
        self.targets.jobs()[0].active[0].last().unwrap().error
    }

    pub(super) async fn end(self) -> (World, Sink) {
        self.end_as(Ending::Shutdown).await
    }

    async fn end_as(mut self, ending: Ending) -> (World, Sink) {
        self.ending.set(ending).unwrap();
        self.stop.cancel();
        let ended = timeout(Duration::from_secs(5), self.running.join_next()).await.expect("it stops");
        ended.unwrap().unwrap().unwrap();
        (self.world, self.sink)
    }
}

fn series(flat: &[Flat]) -> Vec<&str> {
    flat.iter().map(|flat| flat.series.as_str()).collect()
}

const A: &str = "a{instance=\"worker:8081\",job=\"dynamo\"}";

#[tokio::test(start_paused = true)]
async fn a_target_is_scraped_within_one_interval_and_then_each_interval() {
    let (bench, far) = one("").await;
    let (first, up) = bench.next().await;
    assert!(bench.started.elapsed() <= Duration::from_secs(10));
    assert_eq!((series(&first), up), (vec![A], 1.0));
    for round in 1..4 {
        far.answer(text(&format!("a {round}\n")));
        let (flat, _) = bench.next().await;
        assert_eq!(flat[0].ms - first[0].ms, round * 10_000, "times are evenly spaced");
        assert_eq!(flat[0].value, Some(round as f64));
    }
    assert_eq!(bench.world.net.connections("worker:8081"), 1, "the connection is kept");
    let (world, _) = bench.end().await;
    let labels = &[("receiver", "prometheus"), ("scraper", "dynamo")];
    assert_eq!(count(&world.meter, "otelcol_scraper_scraped_metric_points_total", labels), 4 * 6);
}

#[tokio::test(start_paused = true)]
async fn the_synthetic_series_tell_about_the_scrape() {
    let (bench, _) = one("    extra_scrape_metrics: true\n    sample_limit: 7\n").await;
    let flat = bench.all().await;
    let value =
        |name: &str| flat.iter().find(|flat| flat.series.starts_with(&format!("{name}{{"))).unwrap().value.unwrap();
    assert_eq!(value("up"), 1.0);
    assert!(value("scrape_duration_seconds") < 1.0);
    assert_eq!(value("scrape_samples_scraped"), 1.0);
    assert_eq!(value("scrape_samples_post_metric_relabeling"), 1.0);
    assert_eq!(value("scrape_series_added"), 1.0);
    assert_eq!(value("scrape_timeout_seconds"), 4.0);
    assert_eq!(value("scrape_sample_limit"), 7.0);
    assert_eq!(value("scrape_body_size_bytes"), 4.0);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_request_looks_as_prometheus_sends_it() {
    let more = "    params: {'match[]': ['{job=\"x\"}', b c], module: [m]}\n    metrics_path: /fede rate\n    http_headers: {X-Team: {values: [llm]}}\n";
    let (bench, far) = one(more).await;
    bench.next().await;
    let request = &far.requests()[0];
    assert!(
        request.starts_with("GET /fede%20rate?match%5B%5D=%7Bjob%3D%22x%22%7D&match%5B%5D=b+c&module=m HTTP/1.1\r\n"),
        "{request}"
    );
    for line in [
        "accept: application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        "accept-encoding: gzip",
        "x-prometheus-scrape-timeout-seconds: 4",
        concat!("user-agent: Slipring/", env!("CARGO_PKG_VERSION")),
        "host: worker:8081",
        "x-team: llm",
    ] {
        assert!(request.contains(&format!("{line}\r\n")), "{line} in {request}");
    }
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn credentials_are_sent_and_files_are_read_anew() {
    let (bench, far) = one("    basic_auth: {username: u, password: p}\n").await;
    bench.next().await;
    assert!(far.requests()[0].contains("authorization: Basic dTpw\r\n"));
    bench.end().await;

    let (bench, far) = one("    authorization: {credentials_file: /run/token}\n").await;
    let (_, up) = bench.next().await;
    assert_eq!(up, 0.0);
    assert!(bench.error().unwrap().contains("cannot read /run/token"));
    for token in ["one", "two"] {
        bench.world.files.put("/run/token", format!("{token}\n"));
        bench.next().await;
        assert!(far.requests().last().unwrap().contains(&format!("authorization: Bearer {token}\r\n")));
    }
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn gzip_is_unpacked_and_limited() {
    let (bench, far) = one("    body_size_limit: 2KB\n").await;
    let gzip = |body: &[u8]| {
        let packed = compress(Coding::Gzip, Level::default(), body).unwrap();
        http("200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: gzip", packed)
    };
    far.answer(gzip(b"a 1\n"));
    assert_eq!(bench.next().await.1, 1.0);
    far.answer(gzip(&[b'#'; 2048]));
    assert_eq!(bench.next().await.1, 0.0);
    assert_eq!(bench.error().unwrap(), "the body is larger than 2048 bytes; body_size_limit sets how much it may have");
    far.answer(http("200 OK\r\ncontent-type: text/plain\r\ncontent-encoding: gzip", "a 1\n"));
    assert_eq!(bench.next().await.1, 0.0);
    assert!(bench.error().unwrap().starts_with("the body is not gzip"));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_target_that_nobody_answers_for_is_down() {
    let world = World::new();
    let bench = start(world, "config: {scrape_configs: [{job_name: x, static_configs: [{targets: ['nobody:1']}]}]}");
    let flat = timeout(Duration::from_secs(120), bench.all()).await.unwrap();
    assert_eq!(flat.iter().find(|f| f.series == "up{instance=\"nobody:1\",job=\"x\"}").unwrap().value, Some(0.0));
    assert!(bench.error().unwrap().contains("cannot connect to nobody:1"));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_content_type_decides_and_the_fallback_helps() {
    let (bench, far) = one("").await;
    far.answer(http(
        "200 OK\r\ncontent-type: application/openmetrics-text; version=1.0.0; charset=utf-8",
        "a 1\n# EOF\n",
    ));
    assert_eq!(bench.next().await.1, 1.0);
    far.answer(http("200 OK", "a 1\n"));
    assert_eq!(bench.next().await.1, 1.0, "text 0.0.4 is the receiver's fallback");
    far.answer(http("200 OK\r\ncontent-type: text/html", "<html>"));
    assert_eq!(bench.next().await.1, 0.0);
    far.answer(http("200 OK", ""));
    assert_eq!(bench.next().await.1, 1.0, "an empty body is one without samples");
    bench.end().await;

    let (bench, far) = one("    fallback_scrape_protocol: ''\n").await;
    for (answer, expected) in [
        (http("200 OK", "a 1\n"), "the body has no content type, and there is no fallback_scrape_protocol"),
        (http("200 OK\r\ncontent-type: text/html", "a 1\n"), "the body has the content type \"text/html\""),
    ] {
        far.answer(answer);
        assert_eq!(bench.next().await.1, 0.0);
        assert!(bench.error().unwrap().contains(expected));
    }
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn redirects_are_followed_if_the_config_says_so() {
    for (follow, up) in [(true, 1.0), (false, 0.0)] {
        let world = World::new();
        let (from, to) = (far(&world, "worker:8081").await, far(&world, "other:80").await);
        from.answer(http("307 Temporary Redirect\r\nlocation: http://other/m", ""));
        let yaml = format!(
            "config: {{scrape_configs: [{{job_name: x, scrape_interval: 10s, follow_redirects: {follow}, static_configs: [{{targets: ['worker:8081']}}]}}]}}"
        );
        let bench = start(world, &yaml);
        assert_eq!(bench.next().await.1, up);
        assert_eq!(to.requests().len(), usize::from(follow));
        bench.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_pipeline_refuses_is_dropped_with_its_reason_and_marked_stale_later_all_the_same() {
    let (bench, far) = one("").await;
    bench.next().await;
    far.answer(text("b 1\n"));
    bench.sink.then(Err(Refused::retry("queue_full", "no room")));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.sink.refused().len(), 1);
    assert_eq!(bench.world.dropped("prometheus"), [("metrics".to_owned(), "scrape_refused".to_owned(), 7)]);
    let (flat, _) = bench.next().await;
    assert_eq!(flat.iter().map(|f| f.value).collect::<Vec<_>>(), [None, Some(1.0)]);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_series_twice_is_counted_as_dropped() {
    let (bench, far) = one("").await;
    far.answer(text("a 1\na 2\na 3\n"));
    let (flat, up) = bench.next().await;
    assert_eq!((flat.len(), flat[0].value, up), (1, Some(1.0), 1.0));
    assert_eq!(bench.world.dropped("prometheus"), [("metrics".to_owned(), "duplicate_sample".to_owned(), 2)]);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn scrapes_do_not_overlap_when_the_pipeline_is_slow() {
    let (bench, far) = one("").await;
    let first = bench.next().await.0[0].ms;
    bench.sink.hold();
    sleep(Duration::from_secs(35)).await;
    assert_eq!((far.requests().len(), bench.sink.waiting()), (2, 1));
    bench.sink.release();
    let times = [bench.next().await, bench.next().await, bench.next().await].map(|(flat, _)| flat[0].ms - first);
    assert_eq!(times[0], 10_000);
    assert!(times[1] > 35_000 && times[1] < 46_000, "what was missed is made up for once: {times:?}");
    assert_eq!(times[2] % 10_000, 0, "and then the times are even again: {times:?}");
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_receiver_without_a_pipeline_for_metrics_asks_nobody() {
    let world = World::new();
    let config: Config = pipeline::config::testing::decode("config: {scrape_configs: [{job_name: x}]}").unwrap();
    let receiver = Prometheus::new(&config, world.context("prometheus")).unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    Box::new(receiver).run(Outputs::none(), Life::new(stop, Arc::new(Notify::new()))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_a_scrape_does_not_wait_for_the_target() {
    let (bench, far) = one("").await;
    far.answer("");
    sleep(Duration::from_secs(11)).await;
    let at = Instant::now();
    let (_, sink) = bench.end().await;
    assert!(at.elapsed() < Duration::from_secs(1));
    assert!(sink.batches().len() <= 2);
}

#[tokio::test(start_paused = true)]
async fn a_last_scrape_is_made_on_shutdown_when_asked_for() {
    let (bench, _) = one("scrape_on_shutdown: true\n").await;
    bench.next().await;
    sleep(Duration::from_secs(3)).await;
    let (_, sink) = bench.end().await;
    assert_eq!(sink.take().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stop_marks_everything_stale_when_asked_to() {
    for (more, rounds) in
        [("", 0), ("stale_on_shutdown: true\n", 1), ("stale_on_shutdown: true\nscrape_on_shutdown: true\n", 2)]
    {
        let (bench, _) = one(more).await;
        let (first, _) = bench.next().await;
        let (_, sink) = bench.end().await;
        let batches = sink.take();
        assert_eq!(batches.len(), rounds, "{more}");
        if let Some(last) = batches.last() {
            let flat = flatten(&last.to_bytes());
            assert_eq!(flat.len(), 6, "its series and the five of the target");
            assert!(flat.iter().all(|flat| flat.value.is_none() && flat.ms > first[0].ms), "{more}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stop_before_the_first_scrape_marks_nothing() {
    let (bench, _) = one("stale_on_shutdown: true\n").await;
    let (_, sink) = bench.end().await;
    assert_eq!(sink.take().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_scrape_can_be_put_off() {
    let (bench, _) = one("initial_scrape_offset: 30s\n").await;
    bench.next().await;
    let after = bench.started.elapsed();
    assert!(after >= Duration::from_secs(30) && after <= Duration::from_secs(41), "{after:?}");
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn more_targets_than_target_limit_fail_all_scrapes() {
    let world = World::new();
    let (one, two) = (far(&world, "a:1").await, far(&world, "b:1").await);
    let yaml = "config: {scrape_configs: [{job_name: x, scrape_interval: 10s, target_limit: 1, static_configs: [{targets: ['a:1', 'b:1']}]}]}";
    let bench = start(world, yaml);
    assert_eq!(bench.next().await.1, 0.0);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.error().unwrap(), "job x has 2 targets, target_limit is 1");
    assert_eq!(one.requests().len() + two.requests().len(), 0);
    bench.end().await;
}

const FILES: &str = "config: {scrape_configs: [{job_name: x, scrape_interval: 10s, file_sd_configs: [{files: ['/sd/*.yaml', '/sd/more.json']}]}]}";

async fn with_files(contents: &str) -> (Bench, Far, Far) {
    let world = World::new();
    let (one, two) = (far(&world, "a:1").await, far(&world, "b:1").await);
    world.files.put("/sd/x.yaml", contents);
    (start(world, FILES), one, two)
}

#[tokio::test(start_paused = true)]
async fn targets_come_from_files_and_follow_them() {
    let (bench, one, two) = with_files("- targets: ['a:1']\n  labels: {zone: z1}\n").await;
    let (flat, up) = bench.next().await;
    assert_eq!((series(&flat), up), (vec!["a{instance=\"a:1\",job=\"x\",zone=\"z1\"}"], 1.0));
    bench.world.files.put("/sd/more.json", "[{\"targets\": [\"b:1\"]}]");
    sleep(Duration::from_secs(16)).await;
    assert!(!two.requests().is_empty());

    bench.world.files.put("/sd/x.yaml", "- targets: [\n");
    let asked = one.requests().len();
    sleep(Duration::from_secs(30)).await;
    assert!(one.requests().len() >= asked + 2, "a broken file keeps its targets");

    bench.world.files.put("/sd/x.yaml", "[]");
    sleep(Duration::from_secs(6)).await;
    let asked = one.requests().len();
    bench.sink.take();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(one.requests().len(), asked);
    let flat: Vec<_> = bench.sink.take().iter().flat_map(|batch| flatten(&batch.to_bytes())).collect();
    let of_one: Vec<_> = flat.iter().filter(|flat| flat.series.contains("a:1")).collect();
    assert_eq!(of_one.len(), 6, "its series and the five of the target");
    assert!(of_one.iter().all(|flat| flat.value.is_none() && flat.ms == of_one[0].ms));
    let jobs = bench.targets.jobs();
    assert_eq!(jobs[0].active.len(), 1);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_marks_what_is_gone_but_not_marked_yet() {
    let world = World::new();
    let _far = far(&world, "a:1").await;
    world.files.put("/sd/x.yaml", "- targets: ['a:1']\n");
    let bench = start(world, &format!("{FILES}\nstale_on_shutdown: true\n"));
    bench.next().await;
    bench.world.files.put("/sd/x.yaml", "[]");
    sleep(Duration::from_secs(8)).await;
    bench.sink.take();
    let (_, sink) = bench.end().await;
    let flat: Vec<_> = sink.take().iter().flat_map(|batch| flatten(&batch.to_bytes())).collect();
    assert!(flat.len() == 6 && flat.iter().all(|flat| flat.value.is_none()), "{flat:?}");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_comes_back_is_not_marked_stale() {
    let (bench, one, _) = with_files("- targets: ['a:1']\n").await;
    bench.next().await;
    bench.world.files.put("/sd/x.yaml", "[]");
    sleep(Duration::from_secs(8)).await;
    bench.world.files.put("/sd/x.yaml", "- targets: ['a:1']\n");
    sleep(Duration::from_secs(60)).await;
    let flat: Vec<_> = bench.sink.take().iter().flat_map(|batch| flatten(&batch.to_bytes())).collect();
    assert!(flat.iter().all(|flat| flat.value.is_some()));
    assert!(one.requests().len() > 5);
    bench.end().await;
}
