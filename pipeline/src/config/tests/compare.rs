//! What a reload would change, and what tells that a component has changed.

use super::components::{inputs, registry, surroundings};
use crate::config::report::Style;
use crate::config::{Comparison, Effect, Loaded, Portrait, SealingKey, load};
use crate::telemetry::Kind;

const BASE: &str = "yaml:
receivers: {otlp: , otlp/unused: }
processors: {attributes: {actions: [{key: a, value: 1, action: insert}]}}
exporters: {debug: , otlp_grpc: {endpoint: 'host:1', headers: {token: one}}}
service:
  pipelines:
    logs: {receivers: [otlp], processors: [attributes], exporters: [debug, otlp_grpc]}
";

fn loaded(sets: &[&str]) -> Loaded {
    let loaded = load(&inputs(&[BASE], sets), &registry(), &surroundings());
    assert_eq!(loaded.report.errors(), 0, "{}", loaded.report.render(Style::Plain));
    loaded
}

fn between(before: &[&str], after: &[&str]) -> Comparison {
    let key = SealingKey::new(b"a key of this test");
    let portrait = |sets| Portrait::of(&loaded(sets), &key).unwrap();
    Comparison::between(&portrait(before), &portrait(after))
}

/// What differs when these settings are laid over the base.
fn check(sets: &[&str], expected: &str) {
    let said = between(&[], sets).to_string();
    assert_eq!(said.trim(), expected.trim(), "{sets:?}");
}

#[test]
fn a_comparison_names_what_differs_and_masks_what_is_secret() {
    check(&[], "No changes: a reload would leave everything as it is.");
    check(
        &["receivers.otlp={}", "receivers.otlp/unused.protocols.grpc="],
        "No changes: a reload would leave everything as it is.",
    );
    check(
        &[
            "processors.attributes.actions=[{key: a, value: 2, action: insert}]",
            "exporters.otlp_grpc.headers.token=two",
        ],
        "
~ processor attributes
    actions::0::value: 1 -> 2
~ exporter otlp_grpc
    headers::token: another secret

Components: 0 added, 2 changed, 0 removed, 2 kept.",
    );
    check(
        &[
            "service.pipelines.logs.exporters=[debug]",
            "service.pipelines.traces={receivers: [otlp/unused], exporters: [debug]}",
        ],
        "
+ receiver otlp/unused
- exporter otlp_grpc
~ pipeline logs
    exporters: [\"debug\",\"otlp_grpc\"] -> [\"debug\"]
+ pipeline traces

Components: 1 added, 0 changed, 1 removed, 3 kept.",
    );
    check(
        &["service.telemetry.logs.level=debug", "service.data_dir=/elsewhere"],
        "
~ service::telemetry::logs::level: debug is added
! service::data_dir: /state -> /elsewhere (needs a restart)

Components: 0 added, 0 changed, 0 removed, 4 kept.",
    );
    let restart = between(&[], &["service.data_dir=/elsewhere"]);
    assert_eq!(restart.service[0].1, Effect::NeedsRestart);
    assert!(!restart.is_empty());
}

#[test]
fn the_order_of_keys_and_the_way_of_writing_do_not_make_another_component() {
    let print = |sets: &[&str], kind, id: &str| {
        let prints = loaded(sets).plan.unwrap().prints;
        *prints.iter().find(|((k, i), _)| *k == kind && i.to_string() == id).unwrap().1
    };
    let exporter = |set: &str| print(&[set], Kind::Exporter, "otlp_grpc");
    let one = exporter("exporters.otlp_grpc={endpoint: 'host:1', headers: {token: one}}");
    assert_eq!(exporter("exporters.otlp_grpc={headers: {token: \"one\"}, endpoint: \"host:1\"}"), one);
    assert_ne!(exporter("exporters.otlp_grpc={endpoint: 'host:1', headers: {token: two}}"), one);
    assert_ne!(exporter("exporters.otlp_grpc={endpoint: 'host:1', headers: {token: ''}}"), one);
    let receiver = |set: &str| print(&[set], Kind::Receiver, "otlp");
    assert_eq!(receiver("receivers.otlp={}"), receiver("receivers.otlp="));
}

#[test]
fn seals_are_the_keys_and_the_places() {
    let (one, other) = (SealingKey::new(b"one"), SealingKey::new(b"other"));
    let portrait = |key| Portrait::of(&loaded(&["exporters.otlp_grpc.headers.again=one"]), key).unwrap();
    let (ours, theirs) = (portrait(&one), portrait(&other));
    let secrets: std::collections::BTreeSet<_> = ours.secrets.values().chain(theirs.secrets.values()).collect();
    assert_eq!(secrets.len(), 4, "the same secret is sealed differently at each place and by each key");
    assert!(!serde_json::to_string(&ours).unwrap().contains("\"one\""));
    let blind = Comparison::between(&ours, &theirs);
    assert!(blind.is_empty() && blind.to_string().contains("cannot be seen"), "{blind}");
}
