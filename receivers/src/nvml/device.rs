//! Reads one device: each value by the call that gives what DCGM would show. What a device does not support is asked for
//! once and then left alone; a value that is not there is left out.

use std::collections::BTreeMap;

use nvml_wrapper::enum_wrappers::device::{
    Clock, EccCounter, MemoryError, PerformancePolicy, PerformanceState, RetirementCause, TemperatureSensor,
    TemperatureThreshold,
};
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::structs::device::FieldId;
use nvml_wrapper::{Device, Nvml};

use super::raw;
use super::reading::{Number, Reading, Set};

/// What a pass has read of a device.
pub type Values = Vec<(Reading, Number)>;

/// Why each reading that a device does not support is missing.
pub type Unsupported = BTreeMap<Reading, &'static str>;

/// What an error says about what comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The device will never answer this, for this reason.
    Unsupported(&'static str),
    /// The device answers nothing until it is reset or back.
    Lost,
    /// The library answers nothing until it is opened again.
    DriverGone,
    /// It may work the next time.
    Passing,
}

/// What an error says about what comes next.
pub fn verdict(error: &NvmlError) -> Verdict {
    match error {
        NvmlError::NotSupported => Verdict::Unsupported("not_supported"),
        NvmlError::FailedToLoadSymbol(_) | NvmlError::FunctionNotFound => Verdict::Unsupported("driver_too_old"),
        NvmlError::NoPermission => Verdict::Unsupported("no_permission"),
        NvmlError::InvalidArg => Verdict::Unsupported("invalid_argument"),
        NvmlError::UnexpectedVariant(_) => Verdict::Unsupported("unknown_answer"),
        NvmlError::GpuLost | NvmlError::ResetRequired => Verdict::Lost,
        NvmlError::DriverNotLoaded | NvmlError::Uninitialized | NvmlError::LibRmVersionMismatch => Verdict::DriverGone,
        _ => Verdict::Passing,
    }
}

/// Fields that need no call of their own, by NVML's number.
const FIELDS: [(u32, Reading); 12] = [
    (82, Reading::MemoryTemp),
    (186, Reading::PowerInstant),
    (142, Reading::RowsCorrectable),
    (143, Reading::RowsUncorrectable),
    (144, Reading::RowRemapPending),
    (145, Reading::RowRemapFailure),
    (38, Reading::NvlinkCrcFlit),
    (45, Reading::NvlinkCrcData),
    (52, Reading::NvlinkReplay),
    (59, Reading::NvlinkRecovery),
    (197, Reading::PcieTxTotal),
    (198, Reading::PcieRxTotal),
];
/// KiB sent and received over all NVLinks.
const NVLINK_DATA: [u32; 2] = [138, 139];

/// One reading of a device.
pub struct Reader<'a, 'nvml> {
    /// The library.
    pub nvml: &'nvml Nvml,
    /// The device.
    pub device: &'a Device<'nvml>,
    /// What is worth asking for.
    pub wanted: &'a Set,
    /// What is known to be in vain.
    pub unsupported: &'a mut Unsupported,
    /// What was read.
    pub values: &'a mut Values,
    /// The error after which nothing more is asked.
    pub fatal: Option<NvmlError>,
}

impl Reader<'_, '_> {
    /// Reads everything of a GPU that needs no memory of the pass before.
    pub fn gpu(&mut self) {
        let device = self.device;
        self.one(Reading::SmClock, || device.clock_info(Clock::SM));
        self.one(Reading::MemClock, || device.clock_info(Clock::Memory));
        self.one(Reading::VideoClock, || device.clock_info(Clock::Video));
        self.one(Reading::ThrottleReasons, || Ok(device.current_throttle_reasons()?.bits()));
        self.one(Reading::GpuTemp, || device.temperature(TemperatureSensor::Gpu));
        self.one(Reading::SlowdownTemp, || device.temperature_threshold(TemperatureThreshold::Slowdown));
        self.one(Reading::ShutdownTemp, || device.temperature_threshold(TemperatureThreshold::Shutdown));
        self.one(Reading::Power, || device.power_usage().map(watts));
        self.one(Reading::PowerLimit, || device.power_management_limit().map(watts));
        self.one(Reading::EnforcedPowerLimit, || device.enforced_power_limit().map(watts));
        self.one(Reading::Energy, || device.total_energy_consumption());
        self.one(Reading::PcieReplays, || device.pcie_replay_counter());
        self.one(Reading::PcieMaxGen, || device.max_pcie_link_gen());
        self.one(Reading::PcieMaxWidth, || device.max_pcie_link_width());
        self.one(Reading::PcieGen, || device.current_pcie_link_gen());
        self.one(Reading::PcieWidth, || device.current_pcie_link_width());
        self.many([Reading::GpuUtil, Reading::MemUtil], || {
            device.utilization_rates().map(|rates| [rates.gpu.into(), rates.memory.into()])
        });
        self.one(Reading::EncoderUtil, || Ok(device.encoder_utilization()?.utilization));
        self.one(Reading::DecoderUtil, || Ok(device.decoder_utilization()?.utilization));
        self.one(Reading::FanSpeed, || device.fan_speed(0));
        self.one(Reading::Pstate, || match device.performance_state()? {
            PerformanceState::Unknown => Err(NvmlError::NoData),
            state => Ok(state.as_c()),
        });
        self.violations();
        self.memory_errors();
        self.memory();
        self.fields();
        let nvml = self.nvml;
        self.one(Reading::VgpuLicense, || raw::is_licensed(nvml, device));
    }

    /// Reads the memory, which a MIG instance has of its own.
    pub fn memory(&mut self) {
        use Reading::{MemoryFree, MemoryReserved, MemoryTotal, MemoryUsed};
        let device = self.device;
        self.many([MemoryTotal, MemoryFree, MemoryUsed, MemoryReserved], || {
            device
                .memory_info()
                .map(|memory| [memory.total, memory.free, memory.used, memory.reserved].map(Number::from))
        });
    }

    /// The KiB that have gone over all NVLinks so far.
    pub fn nvlink_kib(&mut self) -> Option<u64> {
        let (nvml, device) = (self.nvml, self.device);
        let mut sum = None;
        self.ask(&[Reading::NvlinkBandwidth], || {
            let mut kib: u64 = 0;
            for field in NVLINK_DATA {
                kib = kib.saturating_add(raw::of_all_links(nvml, device, field)?);
            }
            sum = Some(kib);
            Ok(())
        });
        sum
    }

    fn violations(&mut self) {
        let device = self.device;
        for (reading, policy) in [
            (Reading::PowerViolation, PerformancePolicy::Power),
            (Reading::ThermalViolation, PerformancePolicy::Thermal),
            (Reading::SyncBoostViolation, PerformancePolicy::SyncBoost),
            (Reading::BoardLimitViolation, PerformancePolicy::BoardLimit),
            (Reading::LowUtilViolation, PerformancePolicy::LowUtilization),
            (Reading::ReliabilityViolation, PerformancePolicy::Reliability),
        ] {
            self.one(reading, || Ok(device.violation_status(policy)?.violation_time));
        }
    }

    fn memory_errors(&mut self) {
        let device = self.device;
        for (reading, error, counter) in [
            (Reading::EccSbeVolatile, MemoryError::Corrected, EccCounter::Volatile),
            (Reading::EccDbeVolatile, MemoryError::Uncorrected, EccCounter::Volatile),
            (Reading::EccSbeAggregate, MemoryError::Corrected, EccCounter::Aggregate),
            (Reading::EccDbeAggregate, MemoryError::Uncorrected, EccCounter::Aggregate),
        ] {
            self.one(reading, || device.total_ecc_errors(error, counter));
        }
        for (reading, cause) in [
            (Reading::RetiredSbe, RetirementCause::MultipleSingleBitEccErrors),
            (Reading::RetiredDbe, RetirementCause::DoubleBitEccError),
        ] {
            self.one(reading, || Ok(device.retired_pages(cause)?.len() as u64));
        }
        self.one(Reading::RetiredPending, || device.are_pages_pending_retired());
    }

    fn fields(&mut self) {
        let due = |(_, reading): &&(u32, Reading)| self.wanted.has(*reading) && !self.unsupported.contains_key(reading);
        let asked: Vec<(u32, Reading)> = FIELDS.iter().filter(due).copied().collect();
        if asked.is_empty() || self.fatal.is_some() {
            return;
        }
        let ids: Vec<FieldId> = asked.iter().map(|(id, _)| FieldId(*id)).collect();
        match self.device.field_values_for(&ids) {
            Ok(answers) => {
                for ((_, reading), answer) in asked.into_iter().zip(answers) {
                    match answer.and_then(|sample| sample.value) {
                        Ok(value) if reading == Reading::PowerInstant => {
                            self.values.push((reading, Number::Double(Number::from(value).double() / 1000.0)));
                        }
                        Ok(value) => self.values.push((reading, value.into())),
                        Err(error) => self.missed(&[reading], error),
                    }
                }
            }
            Err(error) => {
                let readings: Vec<Reading> = asked.into_iter().map(|(_, reading)| reading).collect();
                self.missed(&readings, error);
            }
        }
    }

    /// One value of one call.
    pub fn one<T: Into<Number>>(&mut self, reading: Reading, call: impl FnOnce() -> Result<T, NvmlError>) {
        self.many([reading], || Ok([call()?.into()]));
    }

    /// Several values of one call.
    fn many<const N: usize>(&mut self, readings: [Reading; N], call: impl FnOnce() -> Result<[Number; N], NvmlError>) {
        let mut numbers = None;
        self.ask(&readings, || {
            numbers = Some(call()?);
            Ok(())
        });
        let read = readings.into_iter().zip(numbers.into_iter().flatten());
        self.values.extend(read.filter(|(reading, _)| self.wanted.has(*reading)));
    }

    /// Makes a call if anything of what it gives is wanted and not known to be in vain.
    fn ask(&mut self, readings: &[Reading], call: impl FnOnce() -> Result<(), NvmlError>) {
        let is_vain = readings.iter().all(|reading| self.unsupported.contains_key(reading));
        if self.fatal.is_some() || is_vain || !self.wanted.has_any(readings) {
            return;
        }
        if let Err(error) = call() {
            self.missed(readings, error);
        }
    }

    fn missed(&mut self, readings: &[Reading], error: NvmlError) {
        match verdict(&error) {
            Verdict::Unsupported(reason) => {
                let wanted = readings.iter().filter(|reading| self.wanted.has(**reading));
                self.unsupported.extend(wanted.map(|reading| (*reading, reason)));
            }
            Verdict::Lost | Verdict::DriverGone => self.fatal = Some(error),
            Verdict::Passing => tracing::debug!("{} has no value this time: {error}", readings[0].field()),
        }
    }
}

fn watts(milliwatts: u32) -> f64 {
    f64::from(milliwatts) / 1000.0
}
