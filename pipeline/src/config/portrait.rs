//! A config as it may be shown, and still be compared: secrets are masked, and sealed with a key that is not shown, so that
//! whoever has the key can see that one has changed, and nobody else can try guesses.

use std::collections::BTreeMap;

use ring::hmac;
use serde::{Deserialize, Serialize};

use super::load::Loaded;
use super::print::{Redact, json};
use super::prints::canonical;
use super::tree::{Node, Value};

/// The key of seals; 32 bytes that chance has made.
pub struct SealingKey(hmac::Key);

impl SealingKey {
    /// From its bytes.
    pub fn new(bytes: &[u8]) -> SealingKey {
        SealingKey(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// What tells keys apart.
    pub fn name(&self) -> String {
        self.seal("key", b"")[..16].to_owned()
    }

    fn seal(&self, place: &str, what: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&place.len().to_le_bytes());
        context.update(place.as_bytes());
        context.update(what);
        context.sign().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A config, merged and expanded, without its secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Portrait {
    /// The config, its secrets masked.
    pub config: serde_json::Value,
    /// The name of the key that everything below is sealed with.
    pub key: String,
    /// Each component that is used, `receiver otlp`: what it is built from.
    pub components: BTreeMap<String, String>,
    /// Each secret by its path, keys and indices joined with `::`.
    pub secrets: BTreeMap<String, String>,
    /// Where state is kept, though the config may not say it.
    pub data_dir: String,
}

impl Portrait {
    /// Of a config that is right; `None` of one that is not.
    pub fn of(loaded: &Loaded, key: &SealingKey) -> Option<Portrait> {
        let plan = loaded.plan.as_ref()?;
        let mut secrets = BTreeMap::new();
        each(&loaded.tree, "", &mut |path, node| {
            if loaded.secrets.contains(&node.id) {
                let mut value = Vec::new();
                canonical(&mut value, node);
                secrets.insert(path.to_owned(), key.seal(path, &value));
            }
        });
        let components = plan.prints.iter().map(|((kind, id), print)| {
            let name = format!("{kind} {id}");
            let seal = key.seal(&name, print.as_ref());
            (name, seal)
        });
        Some(Portrait {
            config: json(&loaded.tree, Redact::Secrets(&loaded.secrets)),
            key: key.name(),
            components: components.collect(),
            secrets,
            data_dir: plan.data_dir.display().to_string(),
        })
    }
}

/// Every node with its path.
fn each(node: &Node, path: &str, see: &mut impl FnMut(&str, &Node)) {
    see(path, node);
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}::{key}") };
    match &node.value {
        Value::List(list) => list.iter().enumerate().for_each(|(n, node)| each(node, &below(&n.to_string()), see)),
        Value::Map(map) => map.entries().iter().for_each(|entry| each(&entry.value, &below(&entry.key), see)),
        _ => {}
    }
}
