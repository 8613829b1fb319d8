use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::config::{
    Block as Switch, ByteSize, GoDuration, Headers, Opaque, PromDuration, StringList, Tagged, Text, TextOr,
};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(dead_code, reason = "only its shape is looked at")]
struct Everything {
    on: bool,
    port: u16,
    ratio: f64,
    name: Option<String>,
    plain: Text,
    token: Opaque,
    wait: GoDuration,
    every: PromDuration,
    size: ByteSize,
    headers: Headers,
    names: StringList,
    labels: BTreeMap<String, Text>,
    level: Option<Level>,
    inner: Option<Inner>,
    block: Switch<Inner>,
    steps: Vec<Tagged<Step>>,
    value: Option<serde_json::Value>,
    #[serde(rename = "~more")]
    more: More,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Level {
    Low,
    #[serde(alias = "tall")]
    High,
}

#[derive(Clone, Debug, Deserialize)]
#[allow(dead_code, reason = "only its shape is looked at")]
struct Inner {
    needed: PromDuration,
    from: Option<TextOr<More>>,
    last: Vec<u8>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[allow(dead_code, reason = "only its shape is looked at")]
struct More {
    more: i64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "only its shape is looked at")]
enum Step {
    First(Inner),
    Second { of: Level },
    Noop,
}

#[test]
fn a_type_tells_its_keys_and_what_each_takes() {
    let shape = shape::<Everything>();
    let said: Vec<String> = shape.block().unwrap().keys.iter().map(|k| format!("{}: {}", k.name, k.shape)).collect();
    let expected = "on: true or false|port: whole number|ratio: number|name: text|plain: text|token: secret text|\
                    wait: duration|every: duration|size: size in bytes|headers: map of secret texts|\
                    names: list of texts|labels: map of texts|level: word|inner: map|block: map|steps: list of maps|\
                    value: any|more: whole number";
    assert_eq!(said.join("|"), expected);
}

#[test]
fn every_way_down_is_walked_even_where_values_are_refused() {
    let shape = shape::<Everything>();
    let said = |path: &str| {
        let path: Vec<&str> = path.split('.').collect();
        shape.at(&path).map(ToString::to_string)
    };
    assert_eq!(said("inner.needed").as_deref(), Some("duration"));
    assert_eq!(said("inner.from").as_deref(), Some("text or map"));
    assert_eq!(said("inner.from.more").as_deref(), Some("whole number"));
    assert_eq!(said("inner.last").as_deref(), Some("list of whole numbers"));
    assert_eq!(said("block.enabled").as_deref(), Some("true or false"));
    assert_eq!(said("steps.[].first.needed").as_deref(), Some("duration"));
    assert_eq!(said("steps.second.of").as_deref(), Some("word"));
    assert_eq!(said("inner.nothing"), None);
    assert_eq!(shape.at(&["level"]).map(|s| s.kind.clone()), Some(Kind::Words(vec!["low", "high", "tall"])));
    assert_eq!(shape.at(&["port"]).map(|s| s.kind.clone()), Some(Kind::Integer(0, 65535)));
    assert!(shape.at(&["name"]).unwrap().optional && !shape.at(&["on"]).unwrap().optional);
}
