//! What became of a test: what went out and what was counted, against what is expected.

use std::collections::BTreeSet;
use std::sync::Arc;

use pipeline::telemetry::Kind as ComponentKind;

use crate::compare::{Line, Mismatch, compare, outside};
use crate::decode::{self, Item, Kind};
use crate::own_metrics::Drop;
use crate::prepare::Prepared;
use crate::rehearse::{Verdict, failed};
use crate::suite::Case;
use crate::world::World;

/// Compares what went out and what was counted with what is expected.
pub(crate) fn judge(case: &Case, prepared: &Prepared, reloads: &[Arc<Prepared>], world: &World, verdict: &mut Verdict) {
    let plans = reloads.iter().map(|reload| &reload.plan).chain([&prepared.plan]);
    let exporters: BTreeSet<_> = plans.flat_map(|plan| plan.exporters.keys()).map(ToString::to_string).collect();
    for id in exporters {
        let sent = world.sent(&id);
        for error in &sent.malformed {
            let message = format!("exporter {id} sent what no far side takes: {error}");
            verdict.mismatches.push(failed(case.at, message));
        }
        let items = verdict.sent.entry(id.clone()).or_default();
        items.extend(sent.items);
        for path in world.written(ComponentKind::Exporter, &id).iter().filter(|path| world.files.exists(path)) {
            items.extend(decode::file(&world.files.contents(path), &world.moments()));
        }
        items.extend(verdict.log.iter().filter_map(|line| said_by(line, &id)));
    }
    for (id, expected) in &case.expected {
        let items = verdict.sent.get(id).map(Vec::as_slice).unwrap_or_default();
        let about =
            |mismatch: Mismatch| Mismatch { message: format!("exporter {id}: {}", mismatch.message), ..mismatch };
        verdict.mismatches.extend(compare(expected, items).into_iter().map(about));
    }
    ledger(case, verdict);
    verdict.mismatches.extend(
        case.assertions.iter().filter_map(|assertion| Some(failed(assertion.at, assertion.check(&verdict.metrics)?))),
    );
    verdict.log.retain(|line| ["\"level\":\"warn\"", "\"level\":\"error\""].iter().any(|level| line.contains(level)));
}

/// A line that an exporter wrote to the own log because that is what it is for.
fn said_by(line: &str, exporter: &str) -> Option<Item> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let is_it = line["exporter"] == exporter && line["level"] == "info";
    let words = line["msg"].as_str().filter(|_| is_it)?;
    Some(Item { kind: Kind::Line, fields: [("line".to_owned(), words.into())].into_iter().collect() })
}

/// The whole drop ledger where the test gives it; otherwise only processors may drop, which do so on purpose.
fn ledger(case: &Case, verdict: &mut Verdict) {
    let drops = verdict.metrics.drops();
    let Some(expected) = &case.dropped else {
        for drop in drops.iter().filter(|drop| drop.kind != "processor") {
            let Drop { kind, component, reason, items } = drop;
            let message =
                format!("{kind} {component} dropped {items} items: {reason}; say so under `dropped` if they may go");
            verdict.mismatches.push(failed(case.at, message));
        }
        return;
    };
    let fits = |component: &str, reason: &str, drop: &Drop| {
        (component.is_empty() || drop.component == component) && drop.reason == reason
    };
    for (component, reason, number) in expected {
        let count = drops.iter().filter(|drop| fits(component, reason, drop)).map(|drop| drop.items).sum();
        if let Some(message) = outside(number, count) {
            verdict.mismatches.push(Mismatch {
                at: number.at,
                message: format!("dropped for {reason}: {message}"),
                nearest: drops
                    .iter()
                    .map(|d| Line::About(format!("{}: {{{}: {}}}", d.component, d.reason, d.items)))
                    .collect(),
            });
        }
    }
    for drop in &drops {
        if !expected.iter().any(|(component, reason, _)| fits(component, reason, drop)) {
            let message =
                format!("{} dropped {} items, which is not expected: {}", drop.component, drop.items, drop.reason);
            verdict.mismatches.push(failed(case.at, message));
        }
    }
}
