//! The metrics that are written: their names, types and help texts, by scheme.

use super::config::{Config, DcgmNames};
use super::counters::Counter;
use super::reading::{ALL, COUNT, Kind, Reading, Set};

/// A metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    /// Whether its names stay as they are on their way to Prometheus.
    pub is_prometheus: bool,
    /// Its name.
    pub name: String,
    /// What it is.
    pub help: String,
    /// Its unit; empty where the name says it.
    pub unit: &'static str,
    /// How it grows.
    pub kind: Kind,
}

/// A metric by its place in the catalogue.
pub type Place = u16;

macro_rules! own {
    ($first:ident, $($metric:ident),* $(,)?; $($row:expr),* $(,)?) => {
        /// Metrics that stand for no single reading of DCGM's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is described by its help text")]
        pub enum Own { $first, $($metric),* }

        const OWN: &[(bool, &str, &str, Kind, &str)] = &[$($row),*];
    };
}

own! {
    Up, DeviceUp, Unsupported, XidErrors, ProcessMemory, ProcessSm, PowerSample, GpuUtilSample, MemUtilSample,
    HwUtilization, HwMemoryUsage, HwMemoryLimit, HwMemoryUtilization, HwIo, HwEnergy, HwPower, HwPowerLimit,
    HwTemperature, HwTemperatureLimit, HwFan, HwErrors, HwStatus;

    (true, "nvml_up", "", Kind::Gauge, "Whether NVIDIA's driver answers."),
    (true, "nvml_device_up", "", Kind::Gauge, "Whether a GPU answers."),
    (true, "nvml_unsupported", "", Kind::Gauge, "A reading that a GPU does not have, and why."),
    (true, "nvml_xid_errors_total", "", Kind::Counter, "XID errors since the receiver was started."),
    (true, "nvml_process_memory_used_bytes", "", Kind::Gauge, "GPU memory of a process."),
    (true, "nvml_process_sm_utilization_percent", "", Kind::Gauge, "Use of the SMs by a process."),
    (true, "nvml_power_sample_watts", "", Kind::Gauge, "Power, each sample of the driver's buffer."),
    (true, "nvml_gpu_utilization_sample_percent", "", Kind::Gauge, "GPU use, each sample of the driver's buffer."),
    (true, "nvml_memory_utilization_sample_percent", "", Kind::Gauge, "Memory use, each sample of the driver's buffer."),
    (false, "hw.gpu.utilization", "1", Kind::Gauge, "Share of time with the GPU in use."),
    (false, "hw.gpu.memory.usage", "By", Kind::UpDownCounter, "GPU memory in use."),
    (false, "hw.gpu.memory.limit", "By", Kind::UpDownCounter, "GPU memory."),
    (false, "hw.gpu.memory.utilization", "1", Kind::Gauge, "Share of the GPU memory in use."),
    (false, "hw.gpu.io", "By", Kind::Counter, "Data over the GPU's bus."),
    (false, "hw.energy", "J", Kind::Counter, "Energy used."),
    (false, "hw.power", "W", Kind::Gauge, "Power."),
    (false, "hw.power.limit", "W", Kind::Gauge, "Power limit in force."),
    (false, "hw.temperature", "Cel", Kind::Gauge, "Temperature."),
    (false, "hw.temperature.limit", "Cel", Kind::Gauge, "Temperature at which something is done about it."),
    (false, "hw.fan.speed_ratio", "1", Kind::Gauge, "Fan speed as a share of the most."),
    (false, "hw.errors", "{error}", Kind::Counter, "Errors."),
    (false, "hw.status", "1", Kind::UpDownCounter, "1 for the state that the device is in, 0 for the others."),
}

/// All metrics of one receiver.
#[derive(Debug)]
pub struct Catalogue {
    families: Vec<Family>,
    dcgm: [Option<Place>; COUNT],
    has_semconv: bool,
}

impl Catalogue {
    /// The metrics that a config asks for, with the counters of its `metrics_file` if it has one.
    pub fn new(config: &Config, counters: Option<&[Counter]>) -> Catalogue {
        let own = OWN.iter().map(|&(is_prometheus, name, unit, kind, help)| Family {
            is_prometheus,
            name: name.to_owned(),
            help: help.to_owned(),
            unit,
            kind,
        });
        let mut catalogue =
            Catalogue { families: own.collect(), dcgm: [None; COUNT], has_semconv: config.names.has_semconv() };
        if config.names.has_dcgm() {
            match counters {
                Some(counters) => counters.iter().for_each(|counter| catalogue.add(counter.clone())),
                None => ALL.iter().filter(|known| !known.name.is_empty()).for_each(|known| {
                    let name = if config.dcgm_names == DcgmNames::New { known.new_name } else { known.name };
                    let (name, help) = (name.to_owned(), known.help.to_owned());
                    catalogue.add(Counter { reading: known.reading, name, kind: known.kind, help });
                }),
            }
        }
        catalogue
    }

    fn add(&mut self, counter: Counter) {
        let Counter { reading, name, kind, help } = counter;
        self.dcgm[reading.index()] = Place::try_from(self.families.len()).ok();
        self.families.push(Family { is_prometheus: true, name, help, unit: "", kind });
    }

    /// A metric.
    pub fn family(&self, place: Place) -> Option<&Family> {
        self.families.get(usize::from(place))
    }

    /// What dcgm-exporter calls a reading, where it is shown.
    pub fn dcgm(&self, reading: Reading) -> Option<Place> {
        self.dcgm[reading.index()]
    }

    /// Whether OpenTelemetry's names are in use.
    pub fn has_semconv(&self) -> bool {
        self.has_semconv
    }

    /// The readings that any of the metrics needs.
    pub fn wanted(&self) -> Set {
        let mut wanted = Set::none();
        for known in ALL {
            if self.dcgm(known.reading).is_some() || self.has_semconv && super::semconv::NEEDS.contains(&known.reading)
            {
                wanted.insert(known.reading);
            }
        }
        wanted
    }
}

impl Own {
    /// Its place in every catalogue.
    pub fn place(self) -> Place {
        self as Place
    }
}
