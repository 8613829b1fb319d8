//! What attributes say about how their record goes to Loki: the hints of the collector's former exporter.

use pipeline::otlp::WireError;
use pipeline::otlp::view::{AnyValue, KeyValue};

use super::config::Format;
use crate::plain;

/// The hints of a record or of a resource.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// `loki.attribute.labels`: record attributes that are labels, with commas between them.
    pub attribute_labels: String,
    /// `loki.resource.labels`: resource attributes that are labels.
    pub resource_labels: String,
    /// `loki.format`.
    pub format: Option<Format>,
    /// `loki.tenant`: the attribute whose value is the tenant.
    pub tenant: String,
}

impl Hints {
    /// Takes the attribute in if it is a hint.
    ///
    /// # Errors
    /// When its value is malformed.
    pub fn take(&mut self, attribute: &KeyValue<'_>) -> Result<bool, WireError> {
        match attribute.key {
            "loki.attribute.labels" => write_list(&mut self.attribute_labels, attribute.value)?,
            "loki.resource.labels" => write_list(&mut self.resource_labels, attribute.value)?,
            "loki.format" => self.format = attribute.value.as_text().and_then(Format::from_name),
            "loki.tenant" => write_list(&mut self.tenant, attribute.value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// A record's hints together with its resource's: lists are joined, of the others the record's count.
    pub fn over(mut self, resource: &Hints) -> Hints {
        for (own, other) in [
            (&mut self.attribute_labels, &resource.attribute_labels),
            (&mut self.resource_labels, &resource.resource_labels),
        ] {
            if !own.is_empty() && !other.is_empty() {
                own.push(',');
            }
            own.push_str(other);
        }
        self.format = self.format.or(resource.format);
        if self.tenant.is_empty() {
            self.tenant.push_str(&resource.tenant);
        }
        self
    }

    /// Whether a record's attribute is a label.
    pub fn is_attribute_label(&self, key: &str) -> bool {
        contains(&self.attribute_labels, key)
    }

    /// Whether a resource's attribute is a label.
    pub fn is_resource_label(&self, key: &str) -> bool {
        contains(&self.resource_labels, key)
    }
}

/// Whether an attribute of that key can be a hint.
pub fn may_be(key: &[u8]) -> bool {
    key.starts_with(b"loki.")
}

fn contains(list: &str, key: &str) -> bool {
    !list.is_empty() && list.split(',').any(|name| name.trim() == key)
}

/// A list is an array, or text with commas.
fn write_list(out: &mut String, value: AnyValue<'_>) -> Result<(), WireError> {
    out.clear();
    if let AnyValue::Array(_) = value {
        for (i, element) in value.elements().enumerate() {
            if i > 0 {
                out.push(',');
            }
            plain::write_text(out, element?)?;
        }
        Ok(())
    } else {
        plain::write_text(out, value)
    }
}
