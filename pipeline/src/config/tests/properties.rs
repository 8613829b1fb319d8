//! What holds for every text: nothing panics, and what is printed reads back.

use proptest::prelude::*;

use super::components::{inputs, registry, surroundings};
use crate::config::parse::parse;
use crate::config::report::Style;
use crate::config::tree::{At, Entry, Map, Node, Value};
use crate::config::{Format, Redact, load, print};

/// A text that is often nearly a config.
fn texts() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "receivers",
        "exporters",
        "processors",
        "service",
        "pipelines",
        "traces",
        "logs",
        "otlp",
        "debug",
        "attributes",
        "actions",
        "headers",
        "endpoint",
        "tls",
        "batch",
        "sending_queue",
        "telemetry",
        "metrics",
        "readers",
        "protocols",
        "grpc",
        ":",
        ": ",
        ":\n",
        "\n",
        "\n  ",
        "\n    ",
        "\n      ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "<<: *a",
        "${env:PORT}",
        "${env:LOOP}",
        "${file:again.yaml}",
        "$$",
        "${",
        "5",
        "-1",
        "0x1",
        "1e9",
        "null",
        "~",
        "true",
        "'",
        "\"",
        "|\n",
        ">\n",
        "#",
        "---",
        "!!str ",
        "é",
        "\t",
        "5s",
        "5d",
        "::",
        "enabled: false",
    ]);
    prop_oneof![prop::collection::vec(words, 0..60).prop_map(|w| w.concat()), "\\PC{0,80}", any::<String>(),]
}

fn trees() -> impl Strategy<Value = Node> {
    let node = |value| Node::new(value, At::default());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|n| Value::Int(n.into())),
        prop_oneof![any::<String>(), "[ -~]{0,12}", Just("on".to_owned()), Just("1_0".to_owned())]
            .prop_map(Value::Text),
    ];
    leaf.prop_map(node).prop_recursive(4, 40, 5, move |inner| {
        let entry = ("\\PC{0,8}", inner.clone()).prop_map(|(key, value)| Entry { key, at: At::default(), value });
        prop_oneof![
            prop::collection::vec(inner, 0..5).prop_map(Value::List),
            prop::collection::vec(entry, 0..5).prop_map(|entries| Value::Map(Map::from_entries(entries))),
        ]
        .prop_map(node)
    })
}

/// The same tree without places and texts.
fn bare(node: &Node) -> Node {
    let value = match &node.value {
        Value::List(list) => Value::List(list.iter().map(bare).collect()),
        Value::Map(map) => {
            let entries =
                map.entries().iter().map(|e| Entry { key: e.key.clone(), at: At::default(), value: bare(&e.value) });
            Value::Map(Map::from_entries(entries))
        }
        other => other.clone(),
    };
    Node::new(value, At::default())
}

proptest! {
    #[test]
    fn no_text_makes_loading_panic(text in texts(), over in texts()) {
        let config = format!("yaml:{text}");
        let loaded = load(&inputs(&[&config, "file:base.yaml"], &[&over]), &registry(), &surroundings());
        prop_assert_eq!(loaded.plan.is_none(), loaded.report.errors() > 0);
        loaded.report.render(Style::Terminal);
    }

    #[test]
    fn a_printed_tree_reads_back(tree in trees()) {
        let text = print(&tree, Format::Yaml, Redact::Nothing);
        let back = parse(&text, 0);
        prop_assert!(back.is_ok(), "{:?} of {}", back, text);
        prop_assert_eq!(back.map(|n| bare(&n)), Ok(tree), "{}", text);
    }
}
