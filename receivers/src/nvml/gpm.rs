//! Profiling values through GPM, on Hopper and newer: the driver compares two samples, of which one is kept from the pass
//! before.

use nvml_wrapper::enums::gpm::GpmMetricId;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::gpm::gpm_metrics_get;
use nvml_wrapper::{GpmSample, Nvml};

use super::device::{Unsupported, Values, Verdict, verdict};
use super::reading::{Number, Reading, Set};

/// How the driver's number becomes the reading.
#[derive(Clone, Copy)]
enum Unit {
    /// Percent, of which the reading is the share.
    Percent,
    /// MiB a second, of which the reading is the bytes.
    Mebibytes,
}

const METRICS: [(Reading, GpmMetricId, Unit); 12] = [
    (Reading::GrEngineActive, GpmMetricId::GraphicsUtil, Unit::Percent),
    (Reading::SmActive, GpmMetricId::SmUtil, Unit::Percent),
    (Reading::SmOccupancy, GpmMetricId::SmOccupancy, Unit::Percent),
    (Reading::TensorActive, GpmMetricId::AnyTensorUtil, Unit::Percent),
    (Reading::DramActive, GpmMetricId::DramBwUtil, Unit::Percent),
    (Reading::Fp64Active, GpmMetricId::Fp64Util, Unit::Percent),
    (Reading::Fp32Active, GpmMetricId::Fp32Util, Unit::Percent),
    (Reading::Fp16Active, GpmMetricId::Fp16Util, Unit::Percent),
    (Reading::PcieTx, GpmMetricId::PcieTxPerSec, Unit::Mebibytes),
    (Reading::PcieRx, GpmMetricId::PcieRxPerSec, Unit::Mebibytes),
    (Reading::NvlinkTx, GpmMetricId::NvlinkTotalTxPerSec, Unit::Mebibytes),
    (Reading::NvlinkRx, GpmMetricId::NvlinkTotalRxPerSec, Unit::Mebibytes),
];

/// Whether any of the wanted readings comes through GPM.
pub fn is_wanted(wanted: &Set) -> bool {
    METRICS.iter().any(|(reading, ..)| wanted.has(*reading))
}

/// Notes that a device has no GPM.
pub fn is_missing(reason: &'static str, wanted: &Set, unsupported: &mut Unsupported) {
    let readings = METRICS.iter().map(|(reading, ..)| *reading).filter(|reading| wanted.has(*reading));
    unsupported.extend(readings.map(|reading| (reading, reason)));
}

/// The values between two samples of a device.
///
/// # Errors
/// The library's, where it answers nothing at all.
pub fn between(
    nvml: &Nvml,
    [earlier, later]: [&GpmSample<'_>; 2],
    wanted: &Set,
    unsupported: &mut Unsupported,
    values: &mut Values,
) -> Result<(), NvmlError> {
    let due =
        |(reading, ..): &&(Reading, GpmMetricId, Unit)| wanted.has(*reading) && !unsupported.contains_key(reading);
    let asked: Vec<_> = METRICS.iter().filter(due).copied().collect();
    if asked.is_empty() {
        return Ok(());
    }
    let ids: Vec<GpmMetricId> = asked.iter().map(|(_, id, _)| *id).collect();
    let answers = gpm_metrics_get(nvml, earlier, later, &ids)?;
    for ((reading, _, unit), answer) in asked.into_iter().zip(answers) {
        match answer {
            Ok(metric) if metric.value.is_finite() => values.push((reading, unit.of(metric.value))),
            Ok(_) => {}
            Err(error) => {
                if let Verdict::Unsupported(reason) = verdict(&error) {
                    unsupported.insert(reading, reason);
                }
            }
        }
    }
    Ok(())
}

impl Unit {
    #[allow(clippy::cast_possible_truncation, reason = "a rate is far below 2^63; a cast of more is the most there is")]
    fn of(self, value: f64) -> Number {
        match self {
            Unit::Percent => Number::Double(value / 100.0),
            Unit::Mebibytes => Number::Int((value * f64::from(1 << 20)) as i64),
        }
    }
}
