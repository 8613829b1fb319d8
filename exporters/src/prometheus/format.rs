//! Which format a reader gets: the best that it asks for and we have.

use super::escape::Escaping;
use super::store::Store;
use super::{open_metrics, protobuf, text};

/// A format with everything that is negotiated about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// The format itself.
    pub kind: Kind,
    /// What becomes of names.
    pub escaping: Escaping,
}

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Prometheus' text, 0.0.4.
    Text004,
    /// Prometheus' text, 1.0.0.
    Text100,
    /// OpenMetrics 0.0.1.
    OpenMetrics001,
    /// OpenMetrics 1.0.0.
    OpenMetrics100,
    /// `io.prometheus.client.MetricFamily`, each behind its length.
    Protobuf,
}

impl Kind {
    fn of(media: &str, parameter: impl Fn(&str) -> Option<String>, open_metrics: bool) -> Option<Kind> {
        let version = parameter("version").unwrap_or_default();
        match (media, version.as_str()) {
            ("application/vnd.google.protobuf", _) => {
                let is = |name, value: &str| parameter(name).is_some_and(|v| v == value);
                (is("proto", "io.prometheus.client.MetricFamily") && is("encoding", "delimited"))
                    .then_some(Kind::Protobuf)
            }
            ("application/openmetrics-text", "" | "0.0.1") if open_metrics => Some(Kind::OpenMetrics001),
            ("application/openmetrics-text", "1.0.0") if open_metrics => Some(Kind::OpenMetrics100),
            ("text/plain", "1.0.0") => Some(Kind::Text100),
            ("text/plain", "" | "0.0.4") | ("*/*" | "text/*", _) => Some(Kind::Text004),
            _ => None,
        }
    }

    fn takes_utf8(self) -> bool {
        matches!(self, Kind::Text100 | Kind::OpenMetrics100 | Kind::Protobuf)
    }
}

impl Format {
    /// By an `Accept` header; of equals the first, and the oldest text where nothing fits.
    pub fn negotiate(accept: &str, open_metrics: bool) -> Format {
        let mut best: Option<(f64, Format)> = None;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
            let parameter = |name: &str| {
                let (_, value) = parameters.iter().find(|(n, _)| n.trim().eq_ignore_ascii_case(name))?;
                Some(value.trim().trim_matches('"').to_owned())
            };
            let quality = parameter("q").map_or(1.0, |q| q.parse().unwrap_or(0.0));
            let Some(kind) = Kind::of(&media, parameter, open_metrics) else { continue };
            if quality <= 0.0 || best.as_ref().is_some_and(|(best, _)| *best >= quality) {
                continue;
            }
            let asked = parameter("escaping").and_then(|name| Escaping::of_name(&name)).unwrap_or_default();
            let escaping =
                if asked == Escaping::AllowUtf8 && !kind.takes_utf8() { Escaping::Underscores } else { asked };
            best = Some((quality, Format { kind, escaping }));
        }
        best.map_or(Format { kind: Kind::Text004, escaping: Escaping::default() }, |(_, format)| format)
    }

    /// What the answer says of itself.
    pub fn content_type(self) -> String {
        let kind = match self.kind {
            Kind::Text004 => "text/plain; version=0.0.4; charset=utf-8",
            Kind::Text100 => "text/plain; version=1.0.0; charset=utf-8",
            Kind::OpenMetrics001 => "application/openmetrics-text; version=0.0.1; charset=utf-8",
            Kind::OpenMetrics100 => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Kind::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        };
        format!("{kind}; escaping={}", self.escaping.name())
    }

    /// The answer itself.
    pub fn write(self, store: &mut Store, timestamps: bool) -> Vec<u8> {
        store.sweep(false);
        match self.kind {
            Kind::Text004 | Kind::Text100 => text::write(store, self.escaping, timestamps).into_bytes(),
            Kind::OpenMetrics001 | Kind::OpenMetrics100 => {
                open_metrics::write(store, self.escaping, timestamps).into_bytes()
            }
            Kind::Protobuf => protobuf::write(store, self.escaping, timestamps),
        }
    }
}

/// Whether an `Accept-Encoding` header names gzip.
pub fn accepts_gzip(accept: &str) -> bool {
    accept.split(',').any(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let refused = parameters.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
        matches!(name.trim(), "gzip" | "*") && !refused
    })
}
