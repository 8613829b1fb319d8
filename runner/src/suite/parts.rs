//! Faults and the drop ledger, as a test file says them.

use std::time::Duration;

use pipeline::config::GoDuration;
use pipeline::config::report::{Diagnostic, Report};
use pipeline::config::tree::{At, Node};
use serde::Deserialize;

use super::{FaultText, entries, part};
use crate::expected::{self, Number};
use crate::world::Effect;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct OneFault {
    at: GoDuration,
    #[serde(rename = "for")]
    lasts: Option<GoDuration>,
    times: Option<usize>,
    status: Option<u16>,
    retry_after: Option<GoDuration>,
    body: String,
    hang: bool,
    reset: bool,
    refuse: bool,
    delay: Option<GoDuration>,
    partial: Option<PartialText>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PartialText {
    rejected: u64,
    message: String,
}

pub(super) fn fault(at: At, node: &Node, report: &mut Report) -> Option<FaultText> {
    let text: OneFault = part("faults", at, node, report)?;
    let mut effects = Vec::new();
    if let Some(status) = text.status {
        let retry_after = text.retry_after.map(GoDuration::get);
        effects.push(Effect::Answer { status, retry_after, body: text.body.clone() });
    }
    let flags = [(text.hang, Effect::Hang), (text.reset, Effect::Reset), (text.refuse, Effect::Refuse)];
    effects.extend(flags.into_iter().filter(|(on, _)| *on).map(|(_, effect)| effect));
    effects.extend(text.delay.map(|delay| Effect::Delay(delay.get())));
    effects.extend(text.partial.map(|p| Effect::Partial { rejected: p.rejected, message: p.message }));
    let [effect] = &effects[..] else {
        let message = format!("a fault does one thing, this one {}", effects.len());
        report.push(Diagnostic::error(at, message).help("one of: status, hang, reset, refuse, delay, partial"));
        return None;
    };
    let from = text.at.get();
    let until = text.lasts.map_or(Duration::MAX, |lasts| from + lasts.get());
    Some(FaultText { from, until, times: text.times.unwrap_or(usize::MAX), effect: effect.clone() })
}

/// `{reason: count}`, or `{component: {reason: count}}`.
pub(super) fn dropped(node: &Node, at: At, report: &mut Report) -> Vec<(String, String, Number)> {
    let mut out = Vec::new();
    for entry in entries(node, at, "components, or by reasons", report) {
        match entry.value.as_map().filter(|map| map.value("least").or(map.value("most")).is_none()) {
            Some(reasons) => {
                for reason in reasons.entries() {
                    out.push((entry.key.clone(), reason.key.clone(), expected::number(&reason.value, report)));
                }
            }
            None => out.push((String::new(), entry.key.clone(), expected::number(&entry.value, report))),
        }
    }
    out
}
