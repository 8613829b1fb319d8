//! Requests of remote write 2.0 (`io.prometheus.write.v2.Request`): series by symbols, with a table of just those that
//! they use.

use pipeline::otlp::write::Writer;

use super::body::{EXEMPLAR_TIMESTAMP, EXEMPLAR_VALUE};
use super::symbols::{Symbol, Symbols};
use super::timeseries::{Entry, LabelsOf, Sample, TimeSeries};

/// Fields of `Request`.
const SYMBOLS: u32 = 4;
const TIMESERIES: u32 = 5;
/// Fields of `TimeSeries`.
const LABELS_REFS: u32 = 1;
const EXEMPLARS: u32 = 4;
const METADATA: u32 = 5;
/// Fields of `Metadata`.
const TYPE: u32 = 1;
const HELP_REF: u32 = 3;
const UNIT_REF: u32 = 4;

/// Bytes that a reference takes, and a series, an exemplar or a symbol beside what is in it, at most.
const REFERENCE: usize = 5;
const AROUND: usize = 40;

/// Writes as many of the entries as fit, at least one; answers how many those are.
pub(super) fn write(series: &TimeSeries, numbers: &[u32], most_bytes: usize) -> (Vec<u8>, usize) {
    let mut table = Table::new(&series.texts.symbols);
    let mut out = Writer::new();
    let mut count = 0;
    for entry in series.entries(numbers) {
        let size = out.len() + table.bytes.len();
        if count > 0 && size + most_size(series, entry, &table) > most_bytes {
            break;
        }
        out.message(TIMESERIES, |out| write_series(out, series, entry, &mut table));
        count += 1;
    }
    let mut request = table.bytes.into_vec();
    request.extend_from_slice(out.as_slice());
    (request, count)
}

fn write_series(out: &mut Writer, series: &TimeSeries, entry: &Entry, table: &mut Table<'_>) {
    write_refs(out, refs(series, entry), table);
    out.raw(sample(series, entry));
    for exemplar in &series.exemplars[entry.exemplars.range()] {
        out.message(EXEMPLARS, |out| {
            write_refs(out, &series.refs[exemplar.labels.clone()], table);
            out.double(EXEMPLAR_VALUE, exemplar.value);
            out.int64(EXEMPLAR_TIMESTAMP, exemplar.time);
        });
    }
    let Some(family) = series.families.get(entry.family as usize) else { return };
    out.message(METADATA, |out| {
        for (field, value) in
            [(TYPE, family.kind), (HELP_REF, table.place(family.help)), (UNIT_REF, table.place(family.unit))]
        {
            if value != 0 {
                out.varint(field, value);
            }
        }
    });
}

fn write_refs(out: &mut Writer, refs: &[Symbol], table: &mut Table<'_>) {
    out.packed_varint(LABELS_REFS, refs.iter().map(|symbol| table.place(*symbol)));
}

fn refs<'a>(series: &'a TimeSeries, entry: &Entry) -> &'a [Symbol] {
    match entry.labels {
        LabelsOf::Refs(refs) => &series.refs[refs.range()],
        LabelsOf::Pieces(..) => &[],
    }
}

fn sample<'a>(series: &'a TimeSeries, entry: &Entry) -> &'a [u8] {
    match entry.sample {
        Sample::Written(bytes) => &series.bytes.as_slice()[bytes.range()],
        Sample::Number(_) => &[],
    }
}

/// The most bytes that an entry adds, symbols included.
fn most_size(series: &TimeSeries, entry: &Entry, table: &Table<'_>) -> usize {
    let cost = |refs: &[Symbol]| refs.iter().map(|symbol| REFERENCE + table.most_cost(*symbol)).sum::<usize>();
    let exemplars = &series.exemplars[entry.exemplars.range()];
    let family =
        series.families.get(entry.family as usize).map_or(0, |f| table.most_cost(f.help) + table.most_cost(f.unit));
    cost(refs(series, entry))
        + sample(series, entry).len()
        + exemplars.iter().map(|e| AROUND + cost(&series.refs[e.labels.clone()])).sum::<usize>()
        + family
        + AROUND
}

/// The symbols of one request.
struct Table<'a> {
    all: &'a Symbols,
    /// The place in the request of each symbol of the batch; 0 where it has none.
    places: Vec<u32>,
    used: u32,
    bytes: Writer,
}

impl<'a> Table<'a> {
    fn new(all: &'a Symbols) -> Table<'a> {
        let mut bytes = Writer::new();
        bytes.text(SYMBOLS, "");
        Table { all, places: vec![0; all.len()], used: 0, bytes }
    }

    fn place(&mut self, symbol: Symbol) -> u64 {
        let place = &mut self.places[symbol as usize];
        if *place == 0 && symbol != 0 {
            self.used += 1;
            *place = self.used;
            self.bytes.text(SYMBOLS, self.all.text(symbol));
        }
        u64::from(*place)
    }

    fn most_cost(&self, symbol: Symbol) -> usize {
        if self.places[symbol as usize] == 0 { self.all.text(symbol).len() + REFERENCE } else { 0 }
    }
}
