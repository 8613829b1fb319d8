//! What can be read of a GPU, and what dcgm-exporter calls it: the name that its users know, the one that DCGM 4.6
//! gave the same field, and the type that its counters file gives it.

use nvml_wrapper::enums::device::SampleValue;

/// A value as the driver gives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    /// A whole number.
    Int(i64),
    /// One with decimals.
    Double(f64),
}

impl Number {
    /// The number as a double.
    #[allow(clippy::cast_precision_loss, reason = "readings are far below 2^53")]
    pub fn double(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Double(value) => value,
        }
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Number {
        Number::Int(value.into())
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Number {
        Number::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Number {
        Number::Int(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Number {
        Number::Double(value)
    }
}

impl From<SampleValue> for Number {
    fn from(value: SampleValue) -> Number {
        match value {
            SampleValue::F64(value) => value.into(),
            SampleValue::U32(value) => value.into(),
            SampleValue::U64(value) => value.into(),
            SampleValue::I64(value) => Number::Int(value),
        }
    }
}

/// How a series grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Up and down; the values of several devices do not add up to anything.
    Gauge,
    /// Up only, until it begins anew.
    Counter,
    /// Up and down; the values of several devices add up.
    UpDownCounter,
}

/// How a reading is called in dcgm-exporter's scheme.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// The reading.
    pub reading: Reading,
    /// The name in use since the first versions; empty where DCGM has none.
    pub name: &'static str,
    /// The name since DCGM 4.6.
    pub new_name: &'static str,
    /// The type.
    pub kind: Kind,
    /// What it is, with its unit.
    pub help: &'static str,
}

macro_rules! readings {
    ($($reading:ident: $kind:ident $name:literal $new_name:literal $help:literal;)*) => {
        /// One value of a GPU, in the driver's unit.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reading {
            $(#[doc = $help] $reading,)*
        }

        /// All readings, in their order.
        pub const ALL: &[Known] = &[
            $(Known {
                reading: Reading::$reading,
                name: $name,
                new_name: $new_name,
                kind: Kind::$kind,
                help: $help,
            },)*
        ];
    };
}

readings! {
    SmClock: Gauge "DCGM_FI_DEV_SM_CLOCK" "DCGM_FI_DEV_SM_CLOCK" "Clock of the SMs in MHz.";
    MemClock: Gauge "DCGM_FI_DEV_MEM_CLOCK" "DCGM_FI_DEV_MEM_CLOCK" "Clock of the memory in MHz.";
    VideoClock: Gauge "DCGM_FI_DEV_VIDEO_CLOCK" "DCGM_FI_DEV_VIDEO_CLOCK" "Clock of the video engines in MHz.";
    ThrottleReasons: Gauge "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS" "DCGM_FI_DEV_CLOCKS_EVENT_REASONS"
        "Why the clocks are not higher, as a bit mask.";
    MemoryTemp: Gauge "DCGM_FI_DEV_MEMORY_TEMP" "DCGM_FI_DEV_MEMORY_TEMP_CELSIUS" "Memory temperature in degrees C.";
    GpuTemp: Gauge "DCGM_FI_DEV_GPU_TEMP" "DCGM_FI_DEV_GPU_TEMP_CELSIUS" "GPU temperature in degrees C.";
    SlowdownTemp: Gauge "DCGM_FI_DEV_SLOWDOWN_TEMP" "DCGM_FI_DEV_GPU_TEMP_SLOWDOWN_CELSIUS"
        "Temperature in degrees C from which the GPU slows down.";
    ShutdownTemp: Gauge "DCGM_FI_DEV_SHUTDOWN_TEMP" "DCGM_FI_DEV_GPU_TEMP_SHUTDOWN_CELSIUS"
        "Temperature in degrees C from which the GPU turns off.";
    Power: Gauge "DCGM_FI_DEV_POWER_USAGE" "DCGM_FI_DEV_BOARD_POWER_WATTS" "Power in W, averaged as the GPU does it.";
    PowerInstant: Gauge "DCGM_FI_DEV_POWER_USAGE_INSTANT" "DCGM_FI_DEV_BOARD_POWER_RAW_WATTS"
        "Power in W at the moment of reading.";
    Energy: Counter "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION" "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
        "Energy in mJ since the driver was loaded.";
    PowerLimit: Gauge "DCGM_FI_DEV_POWER_MGMT_LIMIT" "DCGM_FI_DEV_BOARD_POWER_LIMIT_REQUESTED_WATTS"
        "Power limit that was asked for, in W.";
    EnforcedPowerLimit: Gauge "DCGM_FI_DEV_ENFORCED_POWER_LIMIT" "DCGM_FI_DEV_BOARD_POWER_LIMIT_ENFORCED_WATTS"
        "Lowest of all power limits, in W.";
    PcieReplays: Counter "DCGM_FI_DEV_PCIE_REPLAY_COUNTER" "DCGM_FI_DEV_PCIE_REPLAY_TOTAL" "PCIe retries.";
    PcieMaxGen: Gauge "DCGM_FI_DEV_PCIE_MAX_LINK_GEN" "DCGM_FI_DEV_PCIE_MAX_LINK_GEN" "Highest PCIe generation.";
    PcieMaxWidth: Gauge "DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH" "DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH" "Most PCIe lanes.";
    PcieGen: Gauge "DCGM_FI_DEV_PCIE_LINK_GEN" "DCGM_FI_DEV_PCIE_LINK_GEN" "PCIe generation in use.";
    PcieWidth: Gauge "DCGM_FI_DEV_PCIE_LINK_WIDTH" "DCGM_FI_DEV_PCIE_LINK_WIDTH" "PCIe lanes in use.";
    GpuUtil: Gauge "DCGM_FI_DEV_GPU_UTIL" "DCGM_FI_DEV_GPU_UTIL_RATIO" "Time with a kernel running, in percent.";
    MemUtil: Gauge "DCGM_FI_DEV_MEM_COPY_UTIL" "DCGM_FI_DEV_MEM_COPY_UTIL" "Time with the memory in use, in percent.";
    EncoderUtil: Gauge "DCGM_FI_DEV_ENC_UTIL" "DCGM_FI_DEV_ENC_UTIL" "Use of the video encoders in percent.";
    DecoderUtil: Gauge "DCGM_FI_DEV_DEC_UTIL" "DCGM_FI_DEV_DEC_UTIL" "Use of the video decoders in percent.";
    Xid: Gauge "DCGM_FI_DEV_XID_ERRORS" "DCGM_FI_DEV_XID_ERROR" "The latest XID error.";
    PowerViolation: Counter "DCGM_FI_DEV_POWER_VIOLATION" "DCGM_FI_DEV_POWER_VIOLATION"
        "Time slowed down for power, in ns.";
    ThermalViolation: Counter "DCGM_FI_DEV_THERMAL_VIOLATION" "DCGM_FI_DEV_THERMAL_VIOLATION"
        "Time slowed down for heat, in ns.";
    SyncBoostViolation: Counter "DCGM_FI_DEV_SYNC_BOOST_VIOLATION" "DCGM_FI_DEV_SYNC_BOOST_VIOLATION"
        "Time slowed down for GPUs in the same boost group, in ns.";
    BoardLimitViolation: Counter "DCGM_FI_DEV_BOARD_LIMIT_VIOLATION" "DCGM_FI_DEV_BOARD_LIMIT_VIOLATION"
        "Time slowed down for limits of the board, in ns.";
    LowUtilViolation: Counter "DCGM_FI_DEV_LOW_UTIL_VIOLATION" "DCGM_FI_DEV_LOW_UTIL_VIOLATION"
        "Time slowed down for lack of work, in ns.";
    ReliabilityViolation: Counter "DCGM_FI_DEV_RELIABILITY_VIOLATION" "DCGM_FI_DEV_RELIABILITY_VIOLATION"
        "Time slowed down for reliability, in ns.";
    MemoryTotal: Gauge "DCGM_FI_DEV_FB_TOTAL" "DCGM_FI_DEV_FB_TOTAL" "Memory in MiB.";
    MemoryFree: Gauge "DCGM_FI_DEV_FB_FREE" "DCGM_FI_DEV_FB_FREE" "Free memory in MiB.";
    MemoryUsed: Gauge "DCGM_FI_DEV_FB_USED" "DCGM_FI_DEV_FB_USED" "Memory in use in MiB.";
    MemoryReserved: Gauge "DCGM_FI_DEV_FB_RESERVED" "DCGM_FI_DEV_FB_RESERVED" "Memory kept by the driver in MiB.";
    Pstate: Gauge "DCGM_FI_DEV_PSTATE" "DCGM_FI_DEV_GPU_PSTATE" "Performance state; 0 is the highest.";
    FanSpeed: Gauge "DCGM_FI_DEV_FAN_SPEED" "DCGM_FI_DEV_FAN_SPEED" "Fan speed in percent of the most.";
    EccSbeVolatile: Counter "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL" "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL"
        "Corrected memory errors since the driver was loaded.";
    EccDbeVolatile: Counter "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL" "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL"
        "Uncorrected memory errors since the driver was loaded.";
    EccSbeAggregate: Counter "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL" "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL"
        "Corrected memory errors in the GPU's life.";
    EccDbeAggregate: Counter "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL" "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL"
        "Uncorrected memory errors in the GPU's life.";
    RetiredSbe: Counter "DCGM_FI_DEV_RETIRED_SBE" "DCGM_FI_DEV_PAGE_RETIRED_SBE_TOTAL"
        "Pages retired after corrected errors.";
    RetiredDbe: Counter "DCGM_FI_DEV_RETIRED_DBE" "DCGM_FI_DEV_PAGE_RETIRED_DBE_TOTAL"
        "Pages retired after an uncorrected error.";
    RetiredPending: Gauge "DCGM_FI_DEV_RETIRED_PENDING" "DCGM_FI_DEV_PAGE_RETIRED_PENDING"
        "Whether pages will be retired at the next reset.";
    RowsUncorrectable: Counter "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS" "DCGM_FI_DEV_ROW_REMAP_UNCORRECTABLE_TOTAL"
        "Rows remapped after uncorrectable errors.";
    RowsCorrectable: Counter "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS" "DCGM_FI_DEV_ROW_REMAP_CORRECTABLE_TOTAL"
        "Rows remapped after correctable errors.";
    RowRemapFailure: Gauge "DCGM_FI_DEV_ROW_REMAP_FAILURE" "DCGM_FI_DEV_ROW_REMAP_FAILED"
        "Whether remapping rows has failed.";
    RowRemapPending: Gauge "DCGM_FI_DEV_ROW_REMAP_PENDING" "DCGM_FI_DEV_ROW_REMAP_PENDING"
        "Whether rows will be remapped at the next reset.";
    NvlinkCrcFlit: Counter "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL" "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_TOTAL"
        "NVLink flow control CRC errors.";
    NvlinkCrcData: Counter "DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL" "DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_TOTAL"
        "NVLink data CRC errors.";
    NvlinkReplay: Counter "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL" "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_TOTAL"
        "NVLink retries.";
    NvlinkRecovery: Counter "DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL" "DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_TOTAL"
        "NVLink recoveries.";
    NvlinkBandwidth: Counter "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL" "DCGM_FI_DEV_NVLINK_THROUGHPUT_TOTAL"
        "Data over all NVLinks, both ways, in MB/s since the reading before.";
    VgpuLicense: Gauge "DCGM_FI_DEV_VGPU_LICENSE_STATUS" "DCGM_FI_DEV_VGPU_LICENSE_STATUS"
        "Whether a virtual GPU is licensed.";
    GrEngineActive: Gauge "DCGM_FI_PROF_GR_ENGINE_ACTIVE" "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO"
        "Share of time with the graphics or compute engine active.";
    SmActive: Gauge "DCGM_FI_PROF_SM_ACTIVE" "DCGM_FI_PROF_SM_UTIL_RATIO" "Share of time an SM had a warp.";
    SmOccupancy: Gauge "DCGM_FI_PROF_SM_OCCUPANCY" "DCGM_FI_PROF_SM_OCCUPANCY_RATIO"
        "Share of the warps that an SM could hold.";
    TensorActive: Gauge "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE" "DCGM_FI_PROF_TENSOR_UTIL_RATIO"
        "Share of cycles with a tensor pipe active.";
    DramActive: Gauge "DCGM_FI_PROF_DRAM_ACTIVE" "DCGM_FI_PROF_DRAM_UTIL_RATIO"
        "Share of cycles with data moving to or from memory.";
    Fp64Active: Gauge "DCGM_FI_PROF_PIPE_FP64_ACTIVE" "DCGM_FI_PROF_FP64_UTIL_RATIO"
        "Share of cycles with the FP64 pipe active.";
    Fp32Active: Gauge "DCGM_FI_PROF_PIPE_FP32_ACTIVE" "DCGM_FI_PROF_FP32_UTIL_RATIO"
        "Share of cycles with the FP32 pipe active.";
    Fp16Active: Gauge "DCGM_FI_PROF_PIPE_FP16_ACTIVE" "DCGM_FI_PROF_FP16_UTIL_RATIO"
        "Share of cycles with the FP16 pipe active.";
    PcieTx: Gauge "DCGM_FI_PROF_PCIE_TX_BYTES" "DCGM_FI_PROF_PCIE_TX_BYTES" "Data sent over PCIe in bytes a second.";
    PcieRx: Gauge "DCGM_FI_PROF_PCIE_RX_BYTES" "DCGM_FI_PROF_PCIE_RX_BYTES" "Data received over PCIe in bytes a second.";
    NvlinkTx: Gauge "DCGM_FI_PROF_NVLINK_TX_BYTES" "DCGM_FI_PROF_NVLINK_TX_BYTES"
        "Data sent over NVLink in bytes a second.";
    NvlinkRx: Gauge "DCGM_FI_PROF_NVLINK_RX_BYTES" "DCGM_FI_PROF_NVLINK_RX_BYTES"
        "Data received over NVLink in bytes a second.";
    PcieTxTotal: Counter "" "" "Bytes sent over PCIe.";
    PcieRxTotal: Counter "" "" "Bytes received over PCIe.";
}

/// How many readings there are.
pub const COUNT: usize = ALL.len();

impl Reading {
    /// Its place in [`ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// How it is called.
    pub fn known(self) -> &'static Known {
        &ALL[self.index()]
    }

    /// A word for it where no scheme is meant: DCGM's field name or our own.
    pub fn field(self) -> &'static str {
        match self {
            Reading::PcieTxTotal => "PCIE_COUNT_TX_BYTES",
            Reading::PcieRxTotal => "PCIE_COUNT_RX_BYTES",
            _ => self.known().name,
        }
    }

    /// The value as dcgm-exporter shows it, whose memory is in MiB.
    pub fn dcgm(self, value: Number) -> Number {
        const MIB: i64 = 1 << 20;
        use Reading::{MemoryFree, MemoryReserved, MemoryTotal, MemoryUsed};
        match (self, value) {
            (MemoryTotal | MemoryFree | MemoryUsed | MemoryReserved, Number::Int(bytes)) => Number::Int(bytes / MIB),
            _ => value,
        }
    }
}

/// A set of readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set([bool; COUNT]);

impl Set {
    /// None.
    pub const fn none() -> Set {
        Set([false; COUNT])
    }

    /// Puts one in.
    pub fn insert(&mut self, reading: Reading) {
        self.0[reading.index()] = true;
    }

    /// Whether it is in.
    pub fn has(&self, reading: Reading) -> bool {
        self.0[reading.index()]
    }

    /// Whether any of them is in.
    pub fn has_any(&self, readings: &[Reading]) -> bool {
        readings.iter().any(|reading| self.has(*reading))
    }
}
