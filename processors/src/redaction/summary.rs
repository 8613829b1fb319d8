//! What was done to one message, and the attributes that say so, under the collector's names.

use pipeline::otlp::WireError;
use pipeline::otlp::edit::Attributes;
use pipeline::otlp::view::AnyValue;

use super::config::Summary;

/// What was done to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It was taken away.
    Redacted,
    /// It was masked, or parts of it.
    Masked,
    /// It stayed, because a rule allows such values.
    Allowed,
    /// It stayed, because its key is ignored.
    Ignored,
}

/// The attributes' names: for the keys, if there is one, and for the number; of attributes and of bodies.
const NAMES: [[(&str, &str); 4]; 2] = [
    [
        ("redaction.redacted.keys", "redaction.redacted.count"),
        ("redaction.masked.keys", "redaction.masked.count"),
        ("redaction.allowed.keys", "redaction.allowed.count"),
        ("", "redaction.ignored.count"),
    ],
    [
        ("redaction.body.redacted.keys", "redaction.body.redacted.count"),
        ("redaction.body.masked.keys", "redaction.body.masked.count"),
        ("redaction.body.allowed.keys", "redaction.body.allowed.count"),
        ("", "redaction.body.ignored.count"),
    ],
];

/// Whether an attribute is one of ours, which no list of allowed keys has to name.
pub fn is_key(key: &str) -> bool {
    key.starts_with("redaction.") && NAMES.iter().flatten().any(|(keys, count)| key == *keys || key == *count)
}

/// What was done to one message.
#[derive(Clone, Debug, Default)]
pub struct Deeds {
    counts: [u32; 4],
    /// Filled only where the keys are to be said.
    keys: [Vec<String>; 3],
}

impl Deeds {
    /// Notes that something was done to the value of a key.
    pub fn add(&mut self, summary: Summary, done: Done, key: impl FnOnce() -> String) {
        self.counts[done as usize] += 1;
        if summary == Summary::Debug
            && let Some(keys) = self.keys.get_mut(done as usize)
        {
            keys.push(key());
        }
    }

    /// How often that was done.
    pub fn count(&self, done: Done) -> u32 {
        self.counts[done as usize]
    }

    /// Whether nothing was done.
    pub fn are_none(&self) -> bool {
        self.counts == [0; 4]
    }

    /// Writes the attributes, added to what an earlier redaction wrote.
    ///
    /// # Errors
    /// When an attribute is malformed.
    pub fn write(mut self, summary: Summary, of_body: bool, attributes: &mut Attributes<'_>) -> Result<(), WireError> {
        if summary == Summary::Silent {
            return Ok(());
        }
        for (i, &(keys_name, count_name)) in NAMES[usize::from(of_body)].iter().enumerate() {
            if self.counts[i] == 0 {
                continue;
            }
            if summary == Summary::Debug
                && let Some(keys) = self.keys.get_mut(i)
            {
                if let Some(AnyValue::Text(before)) = attributes.find(keys_name)? {
                    keys.extend(before.split(',').filter(|key| !key.is_empty()).map(str::to_owned));
                }
                keys.sort();
                attributes.upsert(keys_name, AnyValue::Text(&keys.join(",")))?;
            }
            let before = if let Some(AnyValue::Int(before)) = attributes.find(count_name)? { before } else { 0 };
            attributes.upsert(count_name, AnyValue::Int(before.saturating_add(i64::from(self.counts[i]))))?;
        }
        Ok(())
    }
}
