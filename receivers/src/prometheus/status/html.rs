//! `/targets` for people: one document without scripts and without anything from elsewhere.

use std::fmt::Write;
use std::time::Duration;

use pipeline::telemetry::html::escaped;

use super::board::Asked;
use super::{Health, JobStatus, TargetStatus, secrets};
use crate::prometheus::config::duration;

const STYLE: &str = "
:root{color-scheme:light dark;--line:#8884;--dim:#777;--up:#1a7f37;--down:#cf222e;--unknown:#9a6700;--box:#8881}
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;padding:1.5rem;max-width:90rem}
h1{font-size:1.35rem;margin:0 0 .25rem}h2{font-size:1.05rem;margin:1.75rem 0 .4rem}
nav a{margin-right:.9rem}a{color:inherit}.dim{color:var(--dim)}
table{border-collapse:collapse;width:100%}th{font-weight:600;text-align:left;color:var(--dim);font-size:.85rem}
th,td{padding:.35rem .7rem .35rem 0;border-top:1px solid var(--line);vertical-align:top}
td.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
code,.label{font:.85em/1.5 ui-monospace,monospace}
.label{display:inline-block;background:var(--box);border-radius:3px;padding:0 .35rem;margin:0 .25rem .15rem 0;overflow-wrap:anywhere}
.up,.down,.unknown{font-weight:600;white-space:nowrap}.up{color:var(--up)}.down{color:var(--down)}.unknown{color:var(--unknown)}
.error{color:var(--down);overflow-wrap:anywhere}summary{cursor:pointer;color:var(--dim);font-size:.85rem}
";

/// The page.
pub fn page(jobs: &[(String, JobStatus)], asked: &Asked, now: Duration) -> String {
    let mut out = String::with_capacity(16 << 10);
    let wanted: Vec<_> = jobs.iter().filter(|(_, job)| asked.wants(&job.job)).collect();
    let targets: Vec<_> = wanted.iter().flat_map(|(_, job)| &job.active).collect();
    let down = targets.iter().filter(|target| health(target) == Health::Down).count();
    out.push_str("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Targets · Slipring</title>");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><style>");
    out.push_str(STYLE);
    let _ = write!(
        out,
        "</style></head><body><h1>Targets</h1><p class=\"dim\">{} in {}, {down} down</p><nav>",
        counted(targets.len(), "target"),
        counted(wanted.len(), "job"),
    );
    out.push_str("<a href=\"/targets\">all</a><a href=\"/targets?health=down\">only those that are down</a>");
    out.push_str("<a href=\"/api/v1/targets\">as JSON</a><a href=\"/metrics\">own metrics</a></nav>");
    if jobs.is_empty() {
        out.push_str("<p>There is no job.</p>");
    }
    let several = jobs.iter().any(|(id, _)| id != &jobs[0].0);
    for (receiver, job) in wanted {
        write_job(&mut out, several.then_some(receiver.as_str()), job, asked, now);
    }
    out.push_str("</body></html>\n");
    out
}

fn write_job(out: &mut String, receiver: Option<&str>, job: &JobStatus, asked: &Asked, now: Duration) {
    let up = job.active.iter().filter(|target| health(target) == Health::Up).count();
    let _ = write!(out, "<h2>{} <span class=\"dim\">{up}/{} up", escaped(&job.job), job.active.len());
    if let Some(receiver) = receiver {
        let _ = write!(out, " · {}", escaped(receiver));
    }
    out.push_str("</span></h2>");
    for (what, error) in &job.errors {
        let _ = write!(out, "<p class=\"error\">{what}: {}</p>", escaped(error));
    }
    let shown: Vec<_> = job
        .active
        .iter()
        .filter(|target| asked.active && (!asked.unhealthy || health(target) == Health::Down))
        .collect();
    if !shown.is_empty() {
        out.push_str("<table><tr><th>Endpoint<th>State<th>Labels<th>Last scrape<th>Took<th>Samples<th>Error</tr>");
        shown.iter().for_each(|target| write_target(out, target, now));
        out.push_str("</table>");
    }
    if asked.dropped && job.dropped_count > 0 {
        let count = job.dropped_count;
        let _ = write!(out, "<details><summary>{} dropped by relabelling", counted(count, "target"));
        if job.dropped.len() < count {
            let _ = write!(out, ", {} of them kept (keep_dropped_targets)", job.dropped.len());
        }
        out.push_str("</summary>");
        for labels in &job.dropped {
            out.push_str("<p>");
            write_labels(out, labels);
            out.push_str("</p>");
        }
        out.push_str("</details>");
    }
}

fn write_target(out: &mut String, status: &TargetStatus, now: Duration) {
    let (target, last) = (&status.target, status.last());
    let url = target.shown_url();
    let health = Health::of(last.as_ref()).name();
    let _ = write!(out, "<tr><td><code>{}</code>", escaped(&url));
    let (interval, timeout) = (duration(target.interval), duration(target.timeout));
    let _ = write!(out, "<br><span class=\"dim\">every {interval}, at most {timeout}</span>");
    let _ = write!(out, "<td class=\"{health}\">{}<td>", health.to_uppercase());
    write_labels(out, &target.labels);
    out.push_str("<details><summary>discovered labels</summary>");
    write_labels(out, &status.found().discovered);
    out.push_str("</details>");
    match last {
        Some(last) => {
            let ago = now.saturating_sub(last.at);
            let _ = write!(out, "<td class=\"n\">{} ago", short(ago));
            let _ = write!(out, "<td class=\"n\">{}<td class=\"n\">{}", short(last.took), last.samples);
            let _ = write!(out, "<td class=\"error\">{}</tr>", escaped(last.error.as_deref().unwrap_or_default()));
        }
        None => out.push_str("<td class=\"n dim\">not yet<td><td><td></tr>"),
    }
}

fn write_labels(out: &mut String, labels: &[(String, String)]) {
    for (name, value) in labels {
        let value = secrets::label(name, value);
        let _ = write!(out, "<span class=\"label\">{}=\"{}\"</span>", escaped(name), escaped(&value));
    }
}

fn health(target: &TargetStatus) -> Health {
    Health::of(target.last().as_ref())
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A time to the precision that a person wants.
fn short(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        1..=119 => format!("{:.1} s", time.as_secs_f64()),
        seconds => format!("{} min", seconds / 60),
    }
}
