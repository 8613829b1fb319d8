//! Where a record comes from, and what follows from that: the labels of its stream, and its tenant.

use pipeline::otlp::WireError;
use pipeline::otlp::view::{AnyValue, KeyValue, LogRecord};

use super::config::Config;
use super::hints::Hints;
use super::labels::{Added, Labels};
use crate::plain;

/// A record with all that decides about its stream.
pub struct Origin<'r, 'a> {
    /// The exporter's.
    pub config: &'r Config,
    /// Those of the record with its resource's.
    pub hints: &'r Hints,
    /// The record.
    pub record: &'r LogRecord<'a>,
    /// Its attributes, without hints.
    pub attributes: &'r [KeyValue<'a>],
    /// The resource's, likewise.
    pub resource: &'r [KeyValue<'a>],
}

impl<'a> Origin<'_, 'a> {
    /// Everything of the record that its labels and tenant depend on.
    ///
    /// # Errors
    /// When a value is malformed.
    pub fn write_key(&self, out: &mut String) -> Result<(), WireError> {
        let hints = self.hints;
        if self.config.default_labels_enabled.level {
            out.push_str(self.level().unwrap_or_default());
        }
        for text in [&hints.attribute_labels, &hints.resource_labels, &hints.tenant] {
            out.push('\0');
            out.push_str(text);
        }
        for attribute in self.attributes {
            let key = attribute.key;
            if is_attribute_label(self.config, hints, key) || key == hints.tenant {
                out.push('\0');
                out.push_str(key);
                out.push('\0');
                plain::write_text(out, attribute.value)?;
            }
        }
        Ok(())
    }

    /// The labels, put together with the most important first, and those for which there was no room.
    ///
    /// # Errors
    /// When a value is malformed.
    pub fn labels(&self) -> Result<(Labels, Vec<(String, String)>), WireError> {
        let (config, hints) = (self.config, self.hints);
        let mut labels = Labels::default();
        let mut moved = Vec::new();
        let mut add = |name: &str, value: &str| {
            if labels.add(name, value, config.max_labels) == Added::No {
                moved.push((name.to_owned(), value.to_owned()));
            }
        };
        for attribute in self.attributes {
            if is_attribute_label(config, hints, attribute.key) {
                add(attribute.key, &text(attribute.value)?);
            }
        }
        for attribute in self.resource {
            if is_resource_label(config, hints, attribute.key) {
                add(attribute.key, &text(attribute.value)?);
            }
        }
        for (label, attribute) in config.preset.iter().flat_map(|preset| preset.labels(self.resource)) {
            add(label, &text(attribute.value)?);
        }
        let service = |key: &str| self.resource.iter().rfind(|a| a.key == key).map(|a| text(a.value)).transpose();
        let name = service("service.name")?.unwrap_or_default();
        add("service_name", &name);
        for (name, value) in &config.labels {
            add(name, value);
        }
        let defaults = config.default_labels_enabled;
        if defaults.level {
            add("level", self.level().unwrap_or_default());
        }
        if defaults.job {
            match service("service.namespace")?.filter(|namespace| !namespace.is_empty()) {
                Some(namespace) if !name.is_empty() => add("job", &format!("{namespace}/{name}")),
                _ => add("job", &name),
            }
        }
        if defaults.instance {
            add("instance", &service("service.instance.id")?.unwrap_or_default());
        }
        if defaults.exporter {
            add("exporter", "OTLP");
        }
        Ok((labels, moved))
    }

    /// The resource's attributes that are no labels.
    pub fn resource_beside(&self) -> Vec<KeyValue<'a>> {
        let (config, hints) = (self.config, self.hints);
        let is_preset = |key: &str| config.preset.is_some_and(|preset| preset.is_label(key));
        let is_label = |key: &str| is_resource_label(config, hints, key) || is_preset(key);
        let is_other = |a: &&KeyValue<'_>| !is_label(a.key) && a.key != "service.name";
        self.resource.iter().filter(is_other).copied().collect()
    }

    /// The value of the attribute that names the tenant, the record's before the resource's.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn tenant(&self) -> Result<String, WireError> {
        let attribute = &self.hints.tenant;
        let named = |attributes: &[KeyValue<'_>]| {
            attributes.iter().rfind(|a| a.key == *attribute && !attribute.is_empty()).map(|a| text(a.value))
        };
        named(self.attributes).or_else(|| named(self.resource)).transpose().map(Option::unwrap_or_default)
    }

    /// The value of the label `level`, where it is wanted and known.
    fn level(&self) -> Option<&'a str> {
        if !self.config.default_labels_enabled.level {
            return None;
        }
        let own = self.attributes.iter().rfind(|a| a.key == "level").and_then(|a| a.value.as_text());
        let named = || Some(self.record.severity_text).filter(|text| !text.is_empty());
        own.or_else(|| severity(self.record.severity_number)).or_else(named)
    }
}

/// Whether a record's attribute is a label.
pub fn is_attribute_label(config: &Config, hints: &Hints, key: &str) -> bool {
    config.attribute_labels.iter().any(|label| label == key) || hints.is_attribute_label(key)
}

fn is_resource_label(config: &Config, hints: &Hints, key: &str) -> bool {
    config.resource_labels.iter().any(|label| label == key) || hints.is_resource_label(key)
}

fn text(value: AnyValue<'_>) -> Result<String, WireError> {
    let mut out = String::new();
    plain::write_text(&mut out, value)?;
    Ok(out)
}

/// Whether Loki takes a tenant of that name; the empty one is the config's own.
pub fn is_tenant(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!-_.*'()".contains(&byte);
    name.len() <= 150 && name.bytes().all(is_legal) && !matches!(name, "." | "..")
}

/// The name of a severity, as the collector's former exporter wrote it.
fn severity(number: u32) -> Option<&'static str> {
    const NAMES: [&str; 24] = [
        "TRACE", "TRACE2", "TRACE3", "TRACE4", "DEBUG", "DEBUG2", "DEBUG3", "DEBUG4", "INFO", "INFO2", "INFO3",
        "INFO4", "WARN", "WARN2", "WARN3", "WARN4", "ERROR", "ERROR2", "ERROR3", "ERROR4", "FATAL", "FATAL2", "FATAL3",
        "FATAL4",
    ];
    NAMES.get((number as usize).checked_sub(1)?).copied()
}
