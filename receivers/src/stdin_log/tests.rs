//! What comes in by standard input, and the records that come out.

use std::sync::Arc;

use pipeline::component::Refused;
use pipeline::config::testing;
use pipeline::otlp::view::{LogRecord, resources};
use pipeline::testing::{Sink, World, conformance};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::*;

struct Running {
    world: World,
    sink: Sink,
    input: mpsc::Sender<io::Result<Bytes>>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

async fn start(settings: &str) -> Running {
    let world = World::new();
    let config: Config = testing::decode(settings).unwrap_or_else(|e| panic!("{e}"));
    let receiver = Factory::build(config, world.context("stdin_log")).unwrap();
    let (sink, stop, ready) = (Sink::new(), CancellationToken::new(), Arc::new(Notify::new()));
    let task = world.tasks.spawn(receiver.run(sink.outputs(), Life::new(stop.clone(), ready.clone())));
    ready.notified().await;
    let input = world.files.take_input().expect("somebody reads");
    Running { world, sink, input, stop, task }
}

impl Running {
    async fn write(&self, text: &str) {
        self.input.send(Ok(Bytes::copy_from_slice(text.as_bytes()))).await.unwrap();
    }

    /// What has come out by now.
    fn records(&self) -> Vec<String> {
        records(&self.sink)
    }

    /// Ends the input. Answers what comes out then.
    async fn end(self) -> (World, Vec<String>) {
        drop(self.input);
        self.task.await.unwrap().unwrap();
        (self.world, records(&self.sink))
    }
}

/// What has come out by now, each record by its severity and body.
fn records(sink: &Sink) -> Vec<String> {
    let mut out = Vec::new();
    for part in sink.take().iter().flat_map(|b| b.parts().to_vec()) {
        for scope in resources(&part).flat_map(|r| r.unwrap().scopes()).map(Result::unwrap) {
            assert_eq!(scope.name_and_version().unwrap().0, SCOPE);
            for record in scope.items::<LogRecord<'_>>().map(Result::unwrap) {
                out.push(format!("{} {}", record.severity_number, record.body.as_text().unwrap_or_default()));
            }
        }
    }
    out
}

#[tokio::test(start_paused = true)]
async fn it_is_a_receiver_as_every_other() {
    let held = std::cell::RefCell::new(None);
    conformance::receiver::<Factory>("", async |world: &World| {
        if let Some(input) = world.files.take_input() {
            *held.borrow_mut() = Some(input);
        }
        let input = held.borrow().clone();
        if let Some(input) = input {
            _ = input.send(Ok(Bytes::from_static(b"line\n"))).await;
        }
        sleep(COLLECT * 2).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn lines_become_records_soon_and_a_preset_reads_them() {
    let running = start("format: dynamo_jsonl").await;
    running.write("{\"level\":\"WARN\",\"message\":\"a\"}\nINFO pl").await;
    sleep(COLLECT * 2).await;
    assert_eq!(running.records(), ["13 {\"level\":\"WARN\",\"message\":\"a\"}"]);
    running.write("ain\n").await;
    sleep(COLLECT * 2).await;
    assert_eq!(running.records(), ["9 INFO plain"]);
    let (_, rest) = running.end().await;
    assert_eq!(rest, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_open_line_is_taken_after_the_flush_period_and_at_the_end() {
    let running = start("").await;
    running.write("one").await;
    sleep(Duration::from_millis(400)).await;
    assert_eq!(running.records(), [""; 0]);
    sleep(Duration::from_millis(250)).await;
    assert_eq!(running.records(), ["0 one"]);
    running.write("two").await;
    let (_, rest) = running.end().await;
    assert_eq!(rest, ["0 two"]);
}

#[tokio::test(start_paused = true)]
async fn many_lines_make_bounded_batches_in_order() {
    let running = start("").await;
    let text: String = (0..20_000).map(|i| format!("{i} {}\n", "x".repeat(100))).collect();
    for piece in text.as_bytes().chunks(50_000) {
        running.input.send(Ok(Bytes::copy_from_slice(piece))).await.unwrap();
    }
    sleep(COLLECT * 2).await;
    let sizes: Vec<_> = running.sink.batches().iter().map(pipeline::Batch::byte_len).collect();
    assert!(sizes.len() < 10 && sizes.iter().all(|s| *s < 600_000), "{sizes:?}");
    let got = running.records().iter().map(|r| r[2..].to_owned() + "\n").collect::<String>();
    assert!(got == text);
    running.end().await;
}

#[tokio::test(start_paused = true)]
async fn while_a_batch_is_refused_nothing_is_read_and_in_the_end_it_is_dropped() {
    let running = start("retry_on_failure: { max_elapsed_time: 10s }").await;
    running.sink.always(Err(Refused::retry("queue_full", "the queue is full")));
    running.write("one\n").await;
    sleep(COLLECT * 2).await;
    for piece in ["two\n", "three\n"] {
        running.write(piece).await;
    }
    assert!(running.input.try_send(Ok(Bytes::new())).is_err());
    sleep(Duration::from_secs(14)).await;
    assert_eq!(running.world.dropped("stdin_log"), [("logs".to_owned(), "queue_full".to_owned(), 1)]);
    running.stop.cancel();
    let (world, _) = running.end().await;
    let stopped = ("logs".to_owned(), "stopped".to_owned(), 2);
    assert!(world.dropped("stdin_log").contains(&stopped), "{:?}", world.dropped("stdin_log"));
}

#[tokio::test(start_paused = true)]
async fn lines_that_wait_for_others_are_handed_on_when_their_time_is_over_or_at_the_end() {
    let yaml = "preserve_leading_whitespaces: true
operators: [{ type: recombine, combine_field: body, is_first_entry: 'body not startsWith \" \"' }]";
    let running = start(yaml).await;
    running.write("one\n 1\n").await;
    sleep(Duration::from_secs(4)).await;
    assert_eq!(running.records(), [""; 0]);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(running.records(), ["0 one\n 1"]);
    running.write("two\n").await;
    let (_, rest) = running.end().await;
    assert_eq!(rest, ["0 two"]);
}

#[test]
fn everything_wrong_with_the_settings_is_said() {
    let errors = testing::decode::<Config>("include: [/x]\nformat: yaml\nencoding: x\nmax_log_size: 0").unwrap_err();
    for want in ["include", "dynamo_jsonl", "encodings are", "the least is 1 byte"] {
        assert!(errors.contains(want), "{want} is not in:\n{errors}");
    }
}
