//! Files written through virtual doors.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use pipeline::config::testing::{decode, decode_exporter};
use pipeline::delivery;
use pipeline::net::compress::{Coding, decompress};
use pipeline::otlp::fields::{log_record, resource, resource_group, scope_group, span};
use pipeline::otlp::write::{Scalar, Writer};
use pipeline::testing::{World, conformance};
use pipeline::{Batch, Exporter, ExporterFactory, Receipt, Signal};

use super::{Config, Factory};

const PATH: &str = "/out/telemetry.jsonl";

fn exporters(world: &World, yaml: &str) -> Vec<Box<dyn Exporter>> {
    let config = decode::<Config>(&format!("path: {PATH}\n{yaml}")).unwrap();
    Signal::ALL.map(|signal| Factory::build(config.clone(), world.context_for("file", signal)).unwrap()).into()
}

fn exporter(world: &World, yaml: &str) -> Box<dyn Exporter> {
    exporters(world, yaml).remove(2)
}

/// A request with one record of a resource.
fn record(team: &str, body: &str) -> Bytes {
    let mut w = Writer::new();
    w.message(1, |w| {
        w.message(resource_group::RESOURCE, |w| {
            if !team.is_empty() {
                w.attribute(resource::ATTRIBUTES, "team", Scalar::Text(team));
            }
        });
        w.message(resource_group::SCOPES, |w| {
            w.message(scope_group::ITEMS, |w| w.any_value(log_record::BODY, Scalar::Text(body)));
        });
    });
    w.into_bytes()
}

fn logs(bodies: &[&str]) -> Batch {
    Batch::from_parts(Signal::Logs, bodies.iter().map(|body| record("", body)), bodies.len())
}

fn text(world: &World, path: &str) -> String {
    String::from_utf8(world.files.contents(path)).unwrap()
}

/// The lines of the file, with what the test can recognise of each.
fn bodies(world: &World, path: &str) -> Vec<String> {
    let line = |line: &str| {
        let json: serde_json::Value = serde_json::from_str(line).unwrap();
        json["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["body"]["stringValue"].as_str().unwrap().to_owned()
    };
    text(world, path).lines().map(line).collect()
}

/// The messages of a file in which each stands behind its length.
fn messages(world: &World, path: &str) -> Vec<Vec<u8>> {
    let mut rest = world.files.contents(path);
    let mut out = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        out.push(rest[4..4 + length].to_vec());
        rest.drain(..4 + length);
    }
    out
}

#[tokio::test]
async fn every_request_is_a_line_of_otlp_json() {
    let world = World::new();
    let exporter = exporter(&world, "");
    assert_eq!(exporter.export(&logs(&["one", "two\nlines"])).await, Ok(Receipt::default()));
    exporter.export(&logs(&["three"])).await.unwrap();
    exporter.close().await;
    assert_eq!(bodies(&world, PATH), ["one", "two\nlines", "three"]);
}

#[tokio::test]
async fn the_signals_of_one_exporter_share_its_file() {
    let world = World::new();
    let exporters = exporters(&world, "");
    let mut spans = Writer::new();
    spans.message(1, |w| {
        w.message(resource_group::SCOPES, |w| w.message(scope_group::ITEMS, |w| w.text(span::NAME, "GET")));
    });
    let spans = Batch::new(Signal::Traces, spans.into_bytes()).unwrap();
    exporters[0].export(&spans).await.unwrap();
    exporters[2].export(&logs(&["hello"])).await.unwrap();
    exporters[0].export(&spans).await.unwrap();
    let text = text(&world, PATH);
    let kinds: Vec<_> = text.lines().map(|line| line.contains("resourceSpans")).collect();
    assert_eq!(kinds, [true, false, true]);
    assert_eq!(world.files.open_files(), 1);
}

#[tokio::test]
async fn protobuf_stands_behind_its_length() {
    let world = World::new();
    exporter(&world, "format: proto").export(&logs(&["one", "two"])).await.unwrap();
    assert_eq!(messages(&world, PATH), [record("", "one"), record("", "two")]);
}

#[tokio::test]
async fn every_request_is_compressed_on_its_own() {
    let world = World::new();
    exporter(&world, "format: proto\ncompression: zstd").export(&logs(&["one", "two"])).await.unwrap();
    let plain = |message: &Vec<u8>| decompress(Coding::Zstd, message, 1000).unwrap();
    assert_eq!(messages(&world, PATH).iter().map(plain).collect::<Vec<_>>(), [record("", "one"), record("", "two")]);
}

#[tokio::test]
async fn a_file_is_emptied_at_first_unless_told_to_append() {
    for (yaml, expected) in [("", vec!["new"]), ("append: true", vec!["old", "new"])] {
        let world = World::new();
        exporter(&world, "").export(&logs(&["old"])).await.unwrap();
        exporter(&world, yaml).export(&logs(&["new"])).await.unwrap();
        assert_eq!(bodies(&world, PATH), expected);
    }
}

#[tokio::test]
async fn a_reload_that_changes_the_exporter_does_not_empty_its_file_again() {
    let world = World::new();
    let context = world.context_for("file", Signal::Logs);
    for (yaml, body) in [("", "one"), ("format: json", "two")] {
        let config = decode::<Config>(&format!("path: {PATH}\n{yaml}")).unwrap();
        let exporter = Factory::build(config, context.clone()).unwrap();
        exporter.export(&logs(&[body])).await.unwrap();
    }
    assert_eq!(bodies(&world, PATH), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn a_full_file_is_kept_under_another_name_and_the_oldest_removed() {
    let world = World::new();
    let exporter = exporter(&world, "rotation: {max_megabytes: 1, max_backups: 2}\nformat: proto");
    let large = "x".repeat(700_000);
    for _ in 0..5 {
        exporter.export(&logs(&[&large])).await.unwrap();
        tokio::time::advance(Duration::from_secs(60)).await;
    }
    let backup = |minute| format!("/out/telemetry-2026-01-01T00-{minute:02}-00.000.jsonl");
    let exists: Vec<_> = (1..5).map(|minute| world.files.exists(backup(minute))).collect();
    assert_eq!(exists, [false, false, true, true]);
    for path in [backup(3).as_str(), PATH] {
        assert_eq!(messages(&world, path).len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn old_files_are_removed_after_so_many_days() {
    let world = World::new();
    let exporter = exporter(&world, "rotation: {max_megabytes: 1, max_days: 1}\nformat: proto");
    let large = "x".repeat(700_000);
    for _ in 0..4 {
        exporter.export(&logs(&[&large])).await.unwrap();
        tokio::time::advance(Duration::from_secs(50_000)).await;
    }
    let backups = ["01T13-53-20", "02T03-46-40", "02T17-40-00"];
    let exists = backups.map(|time| world.files.exists(format!("/out/telemetry-2026-01-{time}.000.jsonl")));
    assert_eq!(exists, [false, false, true]);
}

#[tokio::test]
async fn rotation_goes_on_behind_what_the_file_holds() {
    let world = World::new();
    world.files.put(PATH, vec![0; 4]);
    exporter(&world, "rotation:\nformat: proto").export(&logs(&["new"])).await.unwrap();
    assert_eq!(messages(&world, PATH), [Bytes::new(), record("", "new")]);
}

#[tokio::test]
async fn each_value_of_an_attribute_can_have_its_file() {
    let world = World::new();
    let yaml = "path: /out/*/logs.bin\nformat: proto\ncreate_directory: true\n\
                group_by: {enabled: true, resource_attribute: team, max_open_files: 2}";
    let config = decode::<Config>(yaml).unwrap();
    let exporter = Factory::build(config, world.context_for("file", Signal::Logs)).unwrap();
    let both = [record("a", "1"), record("b/c", "2"), record("a", "3")].concat();
    let parts = [Bytes::from(both), record("../../etc", "4"), record("", "5"), record("a", "6")];
    exporter.export(&Batch::from_parts(Signal::Logs, parts, 6)).await.unwrap();
    exporter.export(&Batch::from_parts(Signal::Logs, [record("b/c", "7")], 1)).await.unwrap();
    let at = |segment: &str| messages(&world, &format!("/out/{segment}/logs.bin"));
    assert_eq!(at("a"), [[record("a", "1"), record("a", "3")].concat(), record("a", "6").to_vec()]);
    assert_eq!(at("b/c"), [record("b/c", "2"), record("b/c", "7")]);
    assert_eq!(at("etc"), [record("../../etc", "4")]);
    assert_eq!(at("MISSING"), [record("", "5")]);
    assert_eq!(world.files.open_files(), 2);
}

#[tokio::test]
async fn a_file_that_cannot_be_written_is_a_retry_that_names_it_and_heals() {
    let world = World::new();
    let exporter = exporter(&world, "");
    world.files.fail(PATH, io::ErrorKind::PermissionDenied);
    let refused = exporter.export(&logs(&["one"])).await.unwrap_err();
    assert_eq!(refused.reason().code, "file");
    assert!(
        refused.reason().message.starts_with("cannot write to /out/telemetry.jsonl: permission denied"),
        "{refused}"
    );
    world.files.heal(PATH);
    exporter.export(&logs(&["one"])).await.unwrap();
    assert_eq!(bodies(&world, PATH), ["one"]);
}

#[tokio::test]
async fn a_malformed_batch_is_rejected_and_nothing_written() {
    let world = World::new();
    let batch = Batch::counted(Signal::Logs, Bytes::from_static(&[10, 200]), 1);
    assert_eq!(exporter(&world, "").export(&batch).await.unwrap_err().reason().code, "malformed");
    assert!(!world.files.exists(PATH));
}

#[tokio::test(start_paused = true)]
async fn it_does_what_every_exporter_does() {
    conformance::exporter::<Factory>("path: /out/telemetry.jsonl", async |_| {}).await;
}

#[test]
fn delivery_is_direct_and_a_config_that_cannot_work_says_what_would() {
    let (_, delivery) = decode_exporter::<Factory>("path: /a").unwrap();
    assert_eq!(delivery, delivery::Settings::direct());
    let refused = |yaml: &str, expected: &str| {
        let error = decode::<Config>(yaml).unwrap_err();
        assert!(error.contains(expected), "{error}");
    };
    refused("{}", "a path is needed");
    refused("{path: a, rotation: {}, append: true}", "append does not go with rotation");
    refused("{path: a, compression: zstd, append: true}", "append does not go with compression");
    refused("{path: a, encoding: otlp_json}", "use format: json or proto");
    refused("{path: a, compression: gzip}", "zstd");
    refused("{path: a, compression: zstd, compression_params: {level: 40}}", "levels 1 to 19");
    refused("{path: a, create_directory: true, directory_permissions: '99'}", "octal digits");
    refused("{path: a, group_by: {enabled: true}}", "needs one *");
    refused("{path: a, rotation: {max_megabytes: 0}}", "the least is 1");
}
