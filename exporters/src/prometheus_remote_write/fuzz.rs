//! What must hold for any batch.

use pipeline::Batch;
use pipeline::net::compress::{Coding, decompress};

use super::convert::{Conversion, convert};
use super::timeseries::{Message, Most};
use crate::fuzz::is_well_formed;
use crate::translation::Translation;

/// See [`crate::fuzz::metrics`].
pub fn batch(options: u8, batch: &Batch) {
    let bit = |at: u8| options & 1 << at != 0;
    let translation = Translation { target_info: bit(0), scope_labels: bit(1), ..Translation::default() };
    let conversion = Conversion {
        translation,
        native_histograms: bit(2),
        custom_buckets: bit(3),
        keep_classic: bit(4),
        metadata: true,
        lanes: 3,
        samples: 50,
        ..Conversion::default()
    };
    let most = Most { samples: 50, bytes: 4000 };
    for message in [Message::V1, Message::V2] {
        let Ok(converted) = convert(&conversion, message, batch) else { continue };
        let mut items = converted.dropped.items();
        for lane in 0..converted.series.lanes() {
            let mut from = 0;
            while let Some(cut) = converted.series.cut(lane, from, most) {
                assert!(cut.entries > 0 && converted.series.name(lane, from).is_some());
                assert!(cut.entries == 1 || cut.request.body.len() <= most.bytes);
                assert!(is_well_formed(&cut.request.body));
                assert_eq!(cut.request.samples + cut.request.histograms, cut.entries);
                if let Some(packed) = converted.series.cut_packed(lane, from, most) {
                    assert_eq!(decompress(Coding::Snappy, &packed.request.body, 1 << 26), Ok(cut.request.body));
                    assert_eq!(packed.entries, cut.entries);
                }
                from += cut.entries;
                items += cut.items;
            }
        }
        assert!(items <= batch.items(), "{items} of {}", batch.items());
    }
}
