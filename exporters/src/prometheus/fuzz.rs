//! What must hold for any batch.

use std::time::Duration;

use pipeline::Batch;

use super::convert;
use super::escape::Escaping;
use super::format::{Format, Kind};
use super::store::{Limits, Store};
use crate::translation::Translation;

/// See [`crate::fuzz::metrics`].
pub fn batch(options: u8, batch: &Batch) {
    let translation = Translation { target_info: true, scope_labels: options & 1 != 0, ..Translation::default() };
    let mut store = Store::default();
    store.limit(Limits { expiration: Duration::from_secs(60), bytes: 1 << 16 });
    for _ in 0..2 {
        if let Ok(dropped) = convert::take(&translation, batch, &mut store) {
            assert!(dropped.items() <= batch.items() + 1);
        }
    }
    for kind in [Kind::Text004, Kind::Text100, Kind::OpenMetrics001, Kind::OpenMetrics100, Kind::Protobuf] {
        for escaping in [Escaping::Underscores, Escaping::AllowUtf8, Escaping::Dots, Escaping::Values] {
            let body = Format { kind, escaping }.write(&mut store, options & 2 != 0);
            assert!(kind == Kind::Protobuf || body.is_empty() || body.ends_with(b"\n"));
        }
    }
}
