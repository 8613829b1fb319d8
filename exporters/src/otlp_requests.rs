//! What the OTLP exporters share: requests below 4 MiB, and what is in the far side's answers.

use std::future::Future;

use bytes::Bytes;
use pipeline::otlp::split;
use pipeline::otlp::wire::{Fields, WireError};
use pipeline::{Batch, Exported, Parts, Reason, Receipt, Signal};

use crate::dropped::Dropped;
use crate::requests::{Answer, Cut, Progress, Requests};

/// The most bytes of a request before compression. Tempo and the collector refuse gRPC messages above 4 MiB for good.
pub const MOST_REQUEST: usize = (4 << 20) - 4096;

/// The most bytes of an answer, before and after decompression (OTLP specification 1.10).
pub const MOST_ANSWER: usize = 4 << 20;

/// Sends one request.
pub trait Send: Sync {
    /// One attempt at one request that consists of `parts` and has `items` items.
    fn send(&self, parts: &[Bytes], items: usize) -> impl Future<Output = Answer> + std::marker::Send;
}

/// One attempt at a batch: as one request if it is small enough, else as several, of which the next attempt repeats only
/// those that were not answered.
pub async fn export(batch: &Batch, progress: &Progress, sender: &impl Send) -> Exported {
    if batch.byte_len() <= MOST_REQUEST {
        return match sender.send(batch.parts(), batch.items()).await {
            Answer::Taken(dropped) => Ok(Receipt { dropped: dropped.into_counts() }),
            Answer::Retry { after, reason, .. } => Err(pipeline::Refused::Retry { after, reason }),
            Answer::TooLarge(reason) | Answer::Spoiled(reason) | Answer::Reject(reason) => {
                Err(pipeline::Refused::Reject { reason })
            }
        };
    }
    let requests = Several { requests: below(batch, MOST_REQUEST)?, sender };
    progress.export(batch, &requests, Dropped::default()).await
}

struct Several<'a, S> {
    requests: Vec<(Parts, usize)>,
    sender: &'a S,
}

impl<S: Send> Requests for Several<'_, S> {
    type Request = (Parts, usize);

    fn lanes(&self) -> usize {
        1
    }

    fn cut(&self, _: usize, from: usize, _: usize) -> Option<Cut<(Parts, usize)>> {
        let request = self.requests.get(from)?.clone();
        let items = request.1;
        Some(Cut { request, entries: 1, items })
    }

    async fn send(&self, (parts, items): (Parts, usize), _: usize) -> Answer {
        self.sender.send(&parts, items).await
    }
}

/// The batch as requests of at most `most` bytes and their items: its parts together as long as they fit, a part that
/// does not fit alone split.
fn below(batch: &Batch, most: usize) -> Result<Vec<(Parts, usize)>, WireError> {
    let mut requests = Vec::new();
    let (mut open, mut open_bytes, mut open_items) = (Parts::new(), 0, 0);
    for part in batch.parts() {
        for (piece, items) in split::by_bytes(batch.signal(), part, most)? {
            if open_bytes + piece.len() > most && !open.is_empty() {
                requests.push((std::mem::take(&mut open), open_items));
                (open_bytes, open_items) = (0, 0);
            }
            open_bytes += piece.len();
            open_items += items;
            open.push(piece);
        }
    }
    if !open.is_empty() {
        requests.push((open, open_items));
    }
    Ok(requests)
}

/// What a far side says in an `Export…ServiceResponse`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialSuccess {
    /// Items that it dropped.
    pub rejected: u64,
    /// Why, or a warning where it dropped none.
    pub message: String,
}

impl PartialSuccess {
    /// From protobuf: field 1 of each response, with the count in its field 1 and the message in 2.
    ///
    /// # Errors
    /// When it is not well-formed.
    pub fn from_proto(response: &[u8]) -> Result<PartialSuccess, WireError> {
        let mut partial = PartialSuccess::default();
        for field in Fields::new(response) {
            let field = field?;
            if field.number != 1 {
                continue;
            }
            for field in Fields::new(field.value.bytes()?) {
                let field = field?;
                match field.number {
                    1 => partial.rejected = u64::try_from(field.value.int64()?).unwrap_or(0),
                    2 => partial.message = String::from_utf8_lossy(field.value.bytes()?).into_owned(),
                    _ => {}
                }
            }
        }
        Ok(partial)
    }

    /// As the answer to a request of so many items.
    pub fn answer(self, signal: Signal, items: usize) -> Answer {
        let mut dropped = Dropped::default();
        if self.rejected > 0 {
            let rejected = usize::try_from(self.rejected).unwrap_or(usize::MAX).min(items);
            let message = format!("the far side dropped {rejected} of {items} {}: {}", signal.items(), self.message);
            dropped.add_reason(Reason::new("partial_success", message), rejected);
        } else if !self.message.is_empty() {
            tracing::warn!("the far side took all {items} {} and warns: {}", signal.items(), self.message);
        }
        Answer::Taken(dropped)
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use prost::Message;

    use pipeline::otlp::count;

    use super::*;

    fn records(count: usize, bytes: usize) -> Bytes {
        let record = LogRecord { event_name: "x".repeat(bytes), ..LogRecord::default() };
        let scope_logs = vec![ScopeLogs { log_records: vec![record; count], ..ScopeLogs::default() }];
        let resource_logs = vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }];
        ExportLogsServiceRequest { resource_logs }.encode_to_vec().into()
    }

    fn sizes(parts: Vec<Bytes>, most: usize) -> Vec<(usize, usize)> {
        let items = parts.iter().map(|p| count::items(Signal::Logs, p).unwrap()).sum();
        let batch = Batch::from_parts(Signal::Logs, parts, items);
        let requests = below(&batch, most).unwrap();
        for (parts, items) in &requests {
            assert!(parts.iter().map(Bytes::len).sum::<usize>() <= most);
            assert_eq!(parts.iter().map(|p| count::items(Signal::Logs, p).unwrap()).sum::<usize>(), *items);
        }
        requests.iter().map(|(parts, items)| (parts.len(), *items)).collect()
    }

    #[test]
    fn parts_go_together_as_long_as_they_fit_and_large_ones_are_split() {
        assert_eq!(sizes(vec![records(1, 50), records(1, 50), records(1, 50)], 150), [(2, 2), (1, 1)]);
        assert_eq!(sizes(vec![records(10, 50)], 150), [(1, 2), (1, 2), (1, 2), (1, 2), (1, 2)]);
        assert_eq!(sizes(vec![records(1, 50)], 1000), [(1, 1)]);
    }

    #[test]
    fn partial_success_is_read_and_hostile_counts_are_bounded() {
        let read = |bytes: &[u8]| PartialSuccess::from_proto(bytes);
        assert_eq!(read(b""), Ok(PartialSuccess::default()));
        assert_eq!(read(b"\x0a\x06\x08\x03\x12\x02no"), Ok(PartialSuccess { rejected: 3, message: "no".to_owned() }));
        assert_eq!(read(b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01").unwrap().rejected, 0);
        assert!(read(b"\x0a\xff").is_err());
        let Answer::Taken(dropped) =
            PartialSuccess { rejected: u64::MAX, message: String::new() }.answer(Signal::Logs, 5)
        else {
            panic!("a success")
        };
        assert_eq!(dropped.items(), 5);
    }
}
