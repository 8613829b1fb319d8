//! Rules for values, and values rewritten by them, however deep they are nested.

use pipeline::config::re2;
use pipeline::otlp::WireError;
use pipeline::otlp::fields::{any_value, key_value};
use pipeline::otlp::view::AnyValue;
use pipeline::otlp::wire::LEN;
use pipeline::otlp::write::Writer;
use regex::{Regex, RegexSet};

use super::config::{Config, Summary};
use super::content;
use super::json::{self, Change, Value};
use super::keys::{Known, Verdict};
use super::mask::Mask;
use super::summary::{Deeds, Done};
use crate::text;

/// How deep lists and maps are followed; what is deeper is taken away.
const DEEPEST: usize = 32;

/// Compiled rules for values.
#[derive(Debug)]
pub struct Values {
    blocked: Vec<Regex>,
    /// All of them in one, where they are several.
    any_blocked: Option<Regex>,
    /// One of these is in every text that is blocked.
    beginnings: Option<regex::bytes::Regex>,
    allowed: RegexSet,
    /// What stands in the place of what is masked.
    pub mask: Mask,
    /// Whether values of all types are looked at.
    pub all_types: bool,
    drops_content: bool,
    pub summary: Summary,
}

/// The whole of what is being rewritten: an attribute or a body.
pub struct Work<'w, 'k> {
    /// What is known about keys.
    pub keys: &'w mut Known<'k>,
    /// What was done.
    pub deeds: &'w mut Deeds,
    /// Whether keys that are on no list go, as they do in bodies.
    pub prunes: bool,
}

impl Values {
    /// Compiles a config that was checked.
    ///
    /// # Errors
    /// What the check finds too.
    pub fn new(config: &Config) -> Result<Values, String> {
        let set = |patterns: &[String]| re2::regex_set(patterns).map_err(|(_, why)| why);
        Ok(Values {
            blocked: config.blocked_values.iter().map(|pattern| re2::regex(pattern)).collect::<Result<_, _>>()?,
            any_blocked: (config.blocked_values.len() > 1).then(|| re2::any_of(&config.blocked_values)).transpose()?,
            beginnings: re2::beginnings(&config.blocked_values),
            allowed: set(&config.allowed_values)?,
            mask: Mask::new(config),
            all_types: config.redact_all_types,
            drops_content: config.drops_content(),
            summary: config.summary,
        })
    }

    /// Whether a text stays as it is.
    pub fn allow(&self, text: &str) -> bool {
        !self.allowed.is_empty() && self.allowed.is_match(text)
    }

    /// Whether one look at a message, be it an attribute or a whole request, tells that the rules for values find nothing
    /// in any text within.
    #[inline]
    pub fn pass(&self, message: &[u8]) -> bool {
        let may_be_blocked = || self.beginnings.as_ref().is_none_or(|beginnings| beginnings.is_match(message));
        self.allowed.is_empty() && !self.all_types && (self.blocked.is_empty() || !may_be_blocked())
    }

    /// A text with what is blocked in it masked; `None` when nothing is.
    pub fn masked(&self, text: &str) -> Option<String> {
        if self.any_blocked.as_ref().is_some_and(|any| !any.is_match(text)) {
            return None;
        }
        let mut out: Option<String> = None;
        for blocked in &self.blocked {
            out = self.masked_by(blocked, out.as_deref().unwrap_or(text)).or(out);
        }
        out.filter(|out| out != text)
    }

    fn masked_by(&self, blocked: &Regex, text: &str) -> Option<String> {
        let mut out: Option<String> = None;
        let mut copied = 0;
        // A pattern that matches nothing at all would write a mask between all letters.
        for found in blocked.find_iter(text).filter(|found| !found.is_empty()) {
            let out = out.get_or_insert_with(|| String::with_capacity(text.len()));
            out.push_str(&text[copied..found.start()]);
            out.push_str(&self.mask.of(found.as_str()));
            copied = found.end();
        }
        out.map(|out| out + &text[copied..])
    }

    /// The text of a log line by all rules that are about such texts: content, keys of JSON, values.
    pub fn line(&self, line: &str, is_row: bool, work: &mut Work<'_, '_>) -> Option<String> {
        let keys = work.keys.keys();
        let is_kept = |key: &str| keys.ignore(key);
        let content = if self.drops_content { content::without(line, is_row, &is_kept) } else { None };
        let text = content.as_deref().unwrap_or(line);
        let keyed = if keys.block() && text.trim_start().starts_with('{') {
            json::rewrite(text, &mut |_, key, value| match (keys.find_out(key), value) {
                (Verdict::Ignored, _) => Change::KeepWhole,
                (Verdict::Mask, Value::Text(inside) | Value::Word(inside) | Value::Nested(inside)) => {
                    Change::Text(self.mask.of(inside))
                }
                _ => Change::Keep,
            })
            .0
        } else {
            None
        };
        let text = keyed.as_deref().unwrap_or(text);
        self.masked(text).or_else(|| (content.is_some() || keyed.is_some()).then(|| text.to_owned()))
    }

    /// Writes the inside of an `AnyValue` as the rules have it; answers whether it is another one. `path` says where it
    /// stands.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn write(
        &self,
        value: AnyValue<'_>,
        path: &dyn Fn() -> String,
        depth: usize,
        work: &mut Work<'_, '_>,
        out: &mut Writer,
    ) -> Result<bool, WireError> {
        match value {
            AnyValue::Array(_) | AnyValue::Map(_) if depth == 0 => {
                work.deeds.add(self.summary, Done::Redacted, path);
                Ok(true)
            }
            AnyValue::Array(_) => {
                let mut changed = false;
                out.message(any_value::ARRAY, |out| {
                    for (i, element) in value.elements().enumerate() {
                        let element = element?;
                        let path = || below(&path(), &format!("[{i}]"));
                        let written =
                            out.message(any_value::VALUES, |out| self.write(element, &path, depth - 1, work, out));
                        changed |= written?;
                    }
                    Ok(())
                })?;
                Ok(changed)
            }
            AnyValue::Map(_) => {
                let mut changed = false;
                out.message(any_value::KVLIST, |out| {
                    for entry in value.entries() {
                        let entry = entry?;
                        changed |= self.entry(entry.key, entry.value, path, depth, work, out)?;
                    }
                    Ok(())
                })?;
                Ok(changed)
            }
            scalar => self.scalar(scalar, path, work, out),
        }
    }

    /// Writes an entry of a map, unless it goes.
    fn entry(
        &self,
        key: &str,
        value: AnyValue<'_>,
        path: &dyn Fn() -> String,
        depth: usize,
        work: &mut Work<'_, '_>,
        out: &mut Writer,
    ) -> Result<bool, WireError> {
        let path = || below(&path(), key);
        let verdict = work.keys.of(key.as_bytes())?;
        let before = out.len();
        let written = out.message(any_value::VALUES, |out| {
            out.text(key_value::KEY, key);
            out.message(key_value::VALUE, |out| match verdict {
                Verdict::Ignored => {
                    work.deeds.add(self.summary, Done::Ignored, path);
                    out.value(value);
                    Ok(Some(false))
                }
                Verdict::Delete if !work.prunes => self.write(value, &path, depth - 1, work, out).map(Some),
                Verdict::Content if is_plain(value) => {
                    out.value(value);
                    Ok(Some(false))
                }
                Verdict::Delete | Verdict::Content => Ok(None),
                Verdict::Mask => {
                    out.value(AnyValue::Text(&self.mask.of(&text::of(value)?)));
                    work.deeds.add(self.summary, Done::Masked, path);
                    Ok(Some(true))
                }
                Verdict::Pass | Verdict::Look | Verdict::Line => {
                    self.write(value, &path, depth - 1, work, out).map(Some)
                }
            })
        });
        match written? {
            Some(changed) => Ok(changed),
            None => {
                out.truncate(before);
                work.deeds.add(self.summary, Done::Redacted, path);
                Ok(true)
            }
        }
    }

    fn scalar(
        &self,
        value: AnyValue<'_>,
        path: &dyn Fn() -> String,
        work: &mut Work<'_, '_>,
        out: &mut Writer,
    ) -> Result<bool, WireError> {
        // In bodies the text form of every value is looked at, as the collector does.
        if !(matches!(value, AnyValue::Text(_)) || self.all_types || work.prunes) {
            out.value(value);
            return Ok(false);
        }
        let before = text::of(value)?;
        if self.allow(&before) {
            work.deeds.add(self.summary, Done::Allowed, path);
            out.value(value);
            return Ok(false);
        }
        let new =
            if matches!(value, AnyValue::Text(_)) { self.line(&before, false, work) } else { self.masked(&before) };
        if new.is_some() {
            work.deeds.add(self.summary, Done::Masked, path);
        }
        out.value(new.as_deref().map_or(value, AnyValue::Text));
        Ok(new.is_some())
    }

    /// The depth to begin with.
    pub const fn depth() -> usize {
        DEEPEST
    }
}

fn below(above: &str, name: &str) -> String {
    if above.is_empty() { name.to_owned() } else { format!("{above}.{name}") }
}

/// Whether a `KeyValue` may hold a list or a map. Says so of any unusual form, too.
#[inline]
pub fn may_be_nested(key: &[u8], attribute: &[u8]) -> bool {
    const VALUE: u8 = (key_value::VALUE << 3 | LEN) as u8;
    const ARRAY: u8 = (any_value::ARRAY << 3 | LEN) as u8;
    const KVLIST: u8 = (any_value::KVLIST << 3 | LEN) as u8;
    match attribute.get(2 + key.len()..) {
        Some([VALUE, 0]) => false,
        Some([VALUE, 1..0x80, kind, ..] | [VALUE, 0x80..=0xff, 0..0x80, kind, ..]) => matches!(*kind, ARRAY | KVLIST),
        _ => true,
    }
}

/// Whether a value can hold no content: a number, a boolean, nothing.
pub fn is_plain(value: AnyValue<'_>) -> bool {
    match value {
        AnyValue::Empty | AnyValue::Bool(_) | AnyValue::Int(_) | AnyValue::Double(_) | AnyValue::Text("") => true,
        AnyValue::Text(_) | AnyValue::Array(_) | AnyValue::Map(_) | AnyValue::Bytes(_) => false,
    }
}
