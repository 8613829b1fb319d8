//! The message of remote write 2.0, decoded by prost and held against everything that its specification says.

use std::collections::HashSet;

use prost::Message;

use super::prompb;

#[derive(Clone, PartialEq, Message)]
pub struct Request {
    #[prost(string, repeated, tag = "4")]
    pub symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    pub timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
pub struct TimeSeries {
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<prompb::Sample>,
    #[prost(message, repeated, tag = "3")]
    pub histograms: Vec<prompb::Histogram>,
    #[prost(message, repeated, tag = "4")]
    pub exemplars: Vec<Exemplar>,
    #[prost(message, optional, tag = "5")]
    pub metadata: Option<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Exemplar {
    #[prost(uint32, repeated, tag = "1")]
    pub labels_refs: Vec<u32>,
    #[prost(double, tag = "2")]
    pub value: f64,
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(uint32, tag = "3")]
    pub help_ref: u32,
    #[prost(uint32, tag = "4")]
    pub unit_ref: u32,
}

/// What a strict receiver reads: the series in the shape of 1.0, and type, help and unit of each.
pub struct Received {
    pub series: prompb::WriteRequest,
    pub said: Vec<(i32, String, String)>,
}

/// Reads a request, and fails on whatever a receiver could complain about.
pub fn receive(body: &[u8]) -> Result<Received, String> {
    let request = Request::decode(body).map_err(|e| e.to_string())?;
    if request.symbols.first().is_none_or(|first| !first.is_empty()) {
        return Err("the first symbol is not empty".to_owned());
    }
    let distinct: HashSet<_> = request.symbols.iter().collect();
    if distinct.len() != request.symbols.len() {
        return Err("a symbol is there twice".to_owned());
    }
    let mut used = HashSet::from([0]);
    let mut text = |symbol: u32| {
        used.insert(symbol);
        request.symbols.get(symbol as usize).cloned().ok_or(format!("no symbol {symbol}"))
    };
    let mut labels = |refs: &[u32]| -> Result<Vec<prompb::Label>, String> {
        if !refs.len().is_multiple_of(2) {
            return Err("an odd number of references".to_owned());
        }
        let pairs = refs.chunks(2).map(|pair| Ok(prompb::Label { name: text(pair[0])?, value: text(pair[1])? }));
        let labels: Vec<_> = pairs.collect::<Result<_, String>>()?;
        if labels.windows(2).any(|pair| pair[0].name >= pair[1].name) || labels.iter().any(|l| l.value.is_empty()) {
            return Err(format!("labels {labels:?}"));
        }
        Ok(labels)
    };
    let mut series = prompb::WriteRequest::default();
    let mut said = Vec::new();
    for one in &request.timeseries {
        if one.samples.is_empty() == one.histograms.is_empty() {
            return Err("neither samples nor histograms, or both".to_owned());
        }
        let exemplar = |e: &Exemplar, labels| prompb::Exemplar { labels, value: e.value, timestamp: e.timestamp };
        let metadata = one.metadata.clone().ok_or("a series without metadata")?;
        series.timeseries.push(prompb::TimeSeries {
            labels: labels(&one.labels_refs)?,
            samples: one.samples.clone(),
            exemplars: one
                .exemplars
                .iter()
                .map(|e| {
                    if e.timestamp == 0 { Err("no time".to_owned()) } else { Ok(exemplar(e, labels(&e.labels_refs)?)) }
                })
                .collect::<Result<_, String>>()?,
            histograms: one.histograms.clone(),
        });
        said.push((metadata.kind, metadata.help_ref, metadata.unit_ref));
    }
    let said = said.into_iter().map(|(kind, help, unit)| Ok((kind, text(help)?, text(unit)?)));
    let said = said.collect::<Result<_, String>>()?;
    if used.len() != request.symbols.len() {
        return Err("a symbol that nobody uses".to_owned());
    }
    Ok(Received { series, said })
}
