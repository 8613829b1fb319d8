//! OpenTelemetry's names for the same readings (semantic conventions of hardware and of GPUs).

use super::catalogue::Own;
use super::labels::Labels;
use super::points::Points;
use super::reading::{Number, Reading};

/// The readings that these metrics are made of.
pub const NEEDS: &[Reading] = &[
    Reading::GpuUtil,
    Reading::EncoderUtil,
    Reading::DecoderUtil,
    Reading::MemoryTotal,
    Reading::MemoryFree,
    Reading::MemoryUsed,
    Reading::MemoryReserved,
    Reading::PcieTxTotal,
    Reading::PcieRxTotal,
    Reading::Energy,
    Reading::Power,
    Reading::EnforcedPowerLimit,
    Reading::GpuTemp,
    Reading::MemoryTemp,
    Reading::SlowdownTemp,
    Reading::ShutdownTemp,
    Reading::FanSpeed,
    Reading::EccSbeAggregate,
    Reading::EccDbeAggregate,
    Reading::PcieReplays,
    Reading::NvlinkReplay,
    Reading::NvlinkRecovery,
    Reading::NvlinkCrcFlit,
    Reading::NvlinkCrcData,
    Reading::RetiredPending,
    Reading::RowRemapPending,
    Reading::RowRemapFailure,
    Reading::GrEngineActive,
];

/// How a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It works.
    Ok,
    /// It works, but wants a reset or cannot repair its memory.
    Degraded,
    /// It does not answer.
    Failed,
}

/// How a device that has answered is.
pub fn state(values: &[(Reading, Number)]) -> State {
    const BAD: [Reading; 3] = [Reading::RetiredPending, Reading::RowRemapPending, Reading::RowRemapFailure];
    let is_bad = |(reading, value): &(Reading, Number)| BAD.contains(reading) && value.double() != 0.0;
    if values.iter().any(is_bad) { State::Degraded } else { State::Ok }
}

/// The state metric of a device.
pub fn status(state: State, labels: &Labels, points: &mut Points<'_>) {
    for (name, of) in [("ok", State::Ok), ("degraded", State::Degraded), ("failed", State::Failed)] {
        let labels = labels.with(&[("hw.type", "gpu"), ("hw.state", name)]);
        points.add(Own::HwStatus.place(), &labels, Number::from(of == state));
    }
}

/// The metrics of a device's readings.
#[allow(clippy::cast_precision_loss, reason = "bytes of a GPU are far below 2^53")]
pub fn points(values: &[(Reading, Number)], is_instance: bool, labels: &Labels, points: &mut Points<'_>) {
    let mut add = |metric: Own, extra: &[(&str, &str)], value: Number| {
        points.add(metric.place(), &labels.with(extra), value);
    };
    let share = |value: Number| Number::Double(value.double() / 100.0);
    let find = |wanted: Reading| values.iter().find(|(reading, _)| *reading == wanted).map(|(_, value)| *value);
    let gpu = ("hw.type", "gpu");
    for &(reading, value) in values {
        match reading {
            Reading::GpuUtil => add(Own::HwUtilization, &[("hw.gpu.task", "general")], share(value)),
            // An instance has no utilisation of its own but this.
            Reading::GrEngineActive if is_instance => add(Own::HwUtilization, &[("hw.gpu.task", "general")], value),
            Reading::EncoderUtil => add(Own::HwUtilization, &[("hw.gpu.task", "encoder")], share(value)),
            Reading::DecoderUtil => add(Own::HwUtilization, &[("hw.gpu.task", "decoder")], share(value)),
            Reading::MemoryUsed => {
                add(Own::HwMemoryUsage, &[], value);
                if let Some(total) = find(Reading::MemoryTotal).filter(|total| total.double() > 0.0) {
                    add(Own::HwMemoryUtilization, &[], Number::Double(value.double() / total.double()));
                }
            }
            Reading::MemoryTotal => add(Own::HwMemoryLimit, &[], value),
            Reading::PcieTxTotal => add(Own::HwIo, &[("network.io.direction", "transmit")], value),
            Reading::PcieRxTotal => add(Own::HwIo, &[("network.io.direction", "receive")], value),
            Reading::Energy => add(Own::HwEnergy, &[gpu], Number::Double(value.double() / 1000.0)),
            Reading::Power => add(Own::HwPower, &[gpu], value),
            Reading::EnforcedPowerLimit => add(Own::HwPowerLimit, &[gpu, ("hw.limit_type", "enforced")], value),
            Reading::GpuTemp => add(Own::HwTemperature, &[gpu, ("hw.sensor_location", "gpu")], value),
            Reading::MemoryTemp => add(Own::HwTemperature, &[gpu, ("hw.sensor_location", "memory")], value),
            Reading::SlowdownTemp => add(Own::HwTemperatureLimit, &[gpu, ("hw.limit_type", "high.degraded")], value),
            Reading::ShutdownTemp => add(Own::HwTemperatureLimit, &[gpu, ("hw.limit_type", "high.critical")], value),
            Reading::FanSpeed => add(Own::HwFan, &[gpu], share(value)),
            _ => {
                if let Some(error) = error(reading) {
                    add(Own::HwErrors, &[gpu, ("error.type", error)], value);
                }
            }
        }
    }
}

/// The error type that a reading counts.
fn error(reading: Reading) -> Option<&'static str> {
    Some(match reading {
        Reading::EccSbeAggregate => "corrected",
        Reading::EccDbeAggregate => "uncorrected",
        Reading::PcieReplays => "pcie_replay",
        Reading::NvlinkReplay => "nvlink_replay",
        Reading::NvlinkRecovery => "nvlink_recovery",
        Reading::NvlinkCrcFlit => "nvlink_crc_flit",
        Reading::NvlinkCrcData => "nvlink_crc_data",
        _ => return None,
    })
}
