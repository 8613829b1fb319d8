//! Calls whose answer is one value: the library itself, a device's identity, its readings.

use std::ffi::{c_char, c_int, c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::*;

use crate::stage::{Code, Place, give, give_text, handle, number, place, stage};

const SUCCESS: Code = nvmlReturn_enum_NVML_SUCCESS;

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlInit_v2() -> Code {
    let mut stage = stage();
    stage.refresh();
    stage.driver().map_or_else(|code| code, |()| SUCCESS)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlShutdown() -> Code {
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlSystemGetDriverVersion(out: *mut c_char, length: c_uint) -> Code {
    let stage = stage();
    let version = stage.driver().map(|()| stage.script.word("driver", stage.now()).unwrap_or_default().to_owned());
    unsafe { give_text(out, length, version) }
}

/// Begins the script's next moment.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetCount_v2(out: *mut c_uint) -> Code {
    let mut stage = stage();
    stage.advance();
    let count = stage.driver().map(|()| u32::try_from(stage.gpus().len()).unwrap_or_default());
    unsafe { give(out, count) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, out: *mut nvmlDevice_t) -> Code {
    let stage = stage();
    let found = stage.gpus().get(index as usize).copied().ok_or(nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT);
    let device = found.map(|gpu| handle(Place { gpu, instance: None }));
    unsafe { give(out, device.and_then(|device| stage.part(device).map(|_| device))) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetName(device: nvmlDevice_t, out: *mut c_char, length: c_uint) -> Code {
    unsafe { give_text(out, length, stage().text(device, "name").map(str::to_owned)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetUUID(device: nvmlDevice_t, out: *mut c_char, length: c_uint) -> Code {
    unsafe { give_text(out, length, stage().text(device, "uuid").map(str::to_owned)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetSerial(device: nvmlDevice_t, out: *mut c_char, length: c_uint) -> Code {
    unsafe { give_text(out, length, stage().text(device, "serial").map(str::to_owned)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMinorNumber(device: nvmlDevice_t, out: *mut c_uint) -> Code {
    let known = stage().part(device).map(|_| ());
    let minor = known.and_then(|()| {
        number(device, "minor")
            .or_else(|_| u32::try_from(place(device).gpu).map_err(|_| nvmlReturn_enum_NVML_ERROR_UNKNOWN))
    });
    unsafe { give(out, minor) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(device: nvmlDevice_t, out: *mut nvmlPciInfo_t) -> Code {
    let info = stage().text(device, "bus").map(|bus| {
        let mut info = nvmlPciInfo_t {
            busIdLegacy: [0; 16],
            domain: 0,
            bus: 0,
            device: 0,
            pciDeviceId: 0,
            pciSubSystemId: 0,
            busId: [0; 32],
        };
        for (to, from) in info.busId.iter_mut().zip(bus.bytes().take(31)) {
            *to = from.cast_signed();
        }
        info
    });
    unsafe { give(out, info) }
}

/// Calls that ask a device for one number.
macro_rules! numbers {
    ($($name:ident: $number:ty = $key:literal;)*) => { $(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(device: nvmlDevice_t, out: *mut $number) -> Code {
            unsafe { give(out, number(device, $key)) }
        }
    )* };
}

numbers! {
    nvmlDeviceGetPowerUsage: c_uint = "power_usage";
    nvmlDeviceGetTotalEnergyConsumption: c_ulonglong = "energy";
    nvmlDeviceGetPcieReplayCounter: c_uint = "pcie_replays";
    nvmlDeviceGetEnforcedPowerLimit: c_uint = "enforced_power_limit";
    nvmlDeviceGetPowerManagementLimit: c_uint = "power_limit";
    nvmlDeviceGetPerformanceState: nvmlPstates_t = "pstate";
    nvmlDeviceGetCurrentClocksThrottleReasons: c_ulonglong = "throttle_reasons";
    nvmlDeviceGetNumFans: c_uint = "fans";
    nvmlDeviceGetCurrPcieLinkGeneration: c_uint = "pcie_gen";
    nvmlDeviceGetCurrPcieLinkWidth: c_uint = "pcie_width";
    nvmlDeviceGetMaxPcieLinkGeneration: c_uint = "pcie_max_gen";
    nvmlDeviceGetMaxPcieLinkWidth: c_uint = "pcie_max_width";
    nvmlDeviceGetRetiredPagesPendingStatus: nvmlEnableState_t = "retired_pending";
}

/// Calls that ask a device for one number of several kinds.
macro_rules! numbers_by_kind {
    ($($name:ident($kind:ty): $number:ty = $key:literal;)*) => { $(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(device: nvmlDevice_t, kind: $kind, out: *mut $number) -> Code {
            unsafe { give(out, number(device, &format!("{}_{kind}", $key))) }
        }
    )* };
}

numbers_by_kind! {
    nvmlDeviceGetClockInfo(nvmlClockType_t): c_uint = "clock";
    nvmlDeviceGetTemperature(nvmlTemperatureSensors_t): c_uint = "temperature";
    nvmlDeviceGetTemperatureThreshold(nvmlTemperatureThresholds_t): c_uint = "threshold";
    nvmlDeviceGetPcieThroughput(nvmlPcieUtilCounter_t): c_uint = "pcie_throughput";
    nvmlDeviceGetFanSpeed_v2(c_uint): c_uint = "fan";
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetTotalEccErrors(
    device: nvmlDevice_t,
    kind: nvmlMemoryErrorType_t,
    counter: nvmlEccCounterType_t,
    out: *mut c_ulonglong,
) -> Code {
    unsafe { give(out, number(device, &format!("ecc_{kind}_{counter}"))) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetViolationStatus(
    device: nvmlDevice_t,
    policy: nvmlPerfPolicyType_t,
    out: *mut nvmlViolationTime_t,
) -> Code {
    let time = number(device, &format!("violation_{policy}"));
    unsafe { give(out, time.map(|time| nvmlViolationTime_t { referenceTime: 0, violationTime: time })) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetUtilizationRates(device: nvmlDevice_t, out: *mut nvmlUtilization_t) -> Code {
    let rates = number(device, "gpu_util")
        .and_then(|gpu| Ok(nvmlUtilization_t { gpu, memory: number(device, "memory_util")? }));
    unsafe { give(out, rates) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetEncoderUtilization(
    device: nvmlDevice_t,
    out: *mut c_uint,
    period: *mut c_uint,
) -> Code {
    unsafe {
        give(period, Ok(167_000));
        give(out, number(device, "encoder_util"))
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetDecoderUtilization(
    device: nvmlDevice_t,
    out: *mut c_uint,
    period: *mut c_uint,
) -> Code {
    unsafe {
        give(period, Ok(167_000));
        give(out, number(device, "decoder_util"))
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: nvmlDevice_t, out: *mut nvmlMemory_v2_t) -> Code {
    let memory = number(device, "memory_total").and_then(|total: u64| {
        let (used, reserved) = (number(device, "memory_used")?, number(device, "memory_reserved")?);
        Ok(nvmlMemory_v2_t { version: 2, total, reserved, used, free: total.saturating_sub(used + reserved) })
    });
    unsafe { give(out, memory) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMigMode(device: nvmlDevice_t, current: *mut c_uint, pending: *mut c_uint) -> Code {
    let mode = number(device, "mig_mode");
    unsafe {
        give(pending, mode);
        give(current, mode)
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device: nvmlDevice_t, out: *mut c_uint) -> Code {
    let most = stage().part(device).map(|part| if part.parts.is_empty() { 0 } else { 7 });
    unsafe { give(out, most) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: nvmlDevice_t,
    index: c_uint,
    out: *mut nvmlDevice_t,
) -> Code {
    let instance = handle(Place { instance: Some(index as usize), ..place(device) });
    let found = stage().part(instance).map(|_| instance);
    unsafe { give(out, found.map_err(|_| nvmlReturn_enum_NVML_ERROR_NOT_FOUND)) }
}

/// `license = 1`: whether a feature of the virtual GPU is licensed.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetGridLicensableFeatures_v4(
    device: nvmlDevice_t,
    out: *mut nvmlGridLicensableFeatures_t,
) -> Code {
    let state = match number::<u32>(device, "license") {
        Ok(state) => state,
        Err(code) => return code,
    };
    // SAFETY: the caller's promise; all-zero is a value of every field.
    let features = unsafe {
        out.write_bytes(0, 1);
        &mut *out
    };
    features.isGridLicenseSupported = c_int::from(true);
    features.licensableFeaturesCount = 1;
    features.gridLicensableFeatures[0].featureState = state;
    SUCCESS
}
