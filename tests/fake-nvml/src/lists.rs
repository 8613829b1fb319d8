//! Calls whose answer is a list: field values, sample buffers, processes, retired pages.

use std::ffi::{c_char, c_int, c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::*;

use crate::stage::{Code, FromWord, code, give_text, stage};

const SUCCESS: Code = nvmlReturn_enum_NVML_SUCCESS;
const TOO_SMALL: Code = nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE;
/// Of the sample buffers' time, to a moment of the script.
const MOMENT_MICROS: u64 = 1_000_000;

/// Fills in a list of which the caller knows how much it can take, or says how much there is.
unsafe fn give_list<T>(count: *mut c_uint, out: *mut T, list: Result<Vec<T>, Code>) -> Code {
    let list = match list {
        Ok(list) => list,
        Err(code) => return code,
    };
    // SAFETY: the caller's promise: `count` says how many `out` can take.
    unsafe {
        let room = *count as usize;
        *count = u32::try_from(list.len()).unwrap_or(u32::MAX);
        if list.is_empty() {
            return SUCCESS;
        }
        if out.is_null() || room < list.len() {
            return TOO_SMALL;
        }
        list.into_iter().enumerate().for_each(|(at, item)| out.add(at).write(item));
    }
    SUCCESS
}

/// `field_82 = 40`; what is asked for all NVLinks together is behind `field_138_all`.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetFieldValues(
    device: nvmlDevice_t,
    count: c_int,
    fields: *mut nvmlFieldValue_t,
) -> Code {
    let stage = stage();
    if let Err(code) = stage.part(device) {
        return code;
    }
    let count = usize::try_from(count).unwrap_or_default();
    // SAFETY: the caller's promise.
    for field in unsafe { std::slice::from_raw_parts_mut(fields, count) } {
        let all = if field.scopeId == u32::MAX { "_all" } else { "" };
        field.nvmlReturn = match stage.word(device, &format!("field_{}{all}", field.fieldId)) {
            Err(code) => code,
            Ok(word) => {
                match u64::from_word(word) {
                    Some(whole) => {
                        field.valueType = nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
                        field.value.ullVal = whole;
                    }
                    None => {
                        field.valueType = nvmlValueType_enum_NVML_VALUE_TYPE_DOUBLE;
                        field.value.dVal = word.parse().unwrap_or_default();
                    }
                }
                SUCCESS
            }
        };
    }
    SUCCESS
}

/// `samples_0 = 100:16365 600000:17000`: microseconds since the script began, and values; a moment takes a second.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetSamples(
    device: nvmlDevice_t,
    kind: nvmlSamplingType_t,
    seen: c_ulonglong,
    value_type: *mut nvmlValueType_t,
    count: *mut c_uint,
    out: *mut nvmlSample_t,
) -> Code {
    let stage = stage();
    let until = (stage.now() as u64 + 1) * MOMENT_MICROS;
    let list = stage.text(device, &format!("samples_{kind}")).and_then(|text| {
        code(text).map_or(Ok(()), Err)?;
        let pairs = text.split_whitespace().filter_map(|word| word.split_once(':'));
        let samples = pairs.filter_map(|(at, value)| Some((at.parse::<u64>().ok()?, value.parse().ok()?)));
        let new = samples.filter(|(at, _)| (seen + 1..until).contains(at));
        Ok(new.map(|(at, value)| nvmlSample_t { timeStamp: at, sampleValue: nvmlValue_t { uiVal: value } }).collect())
    });
    // SAFETY: the caller's promise.
    unsafe {
        *value_type = nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT;
        give_list(count, out, list)
    }
}

/// One word of `processes` for a moment: `100:1073741824:35,200:4096:0` (process, bytes, percent of SM), `-` for none.
fn processes(device: nvmlDevice_t) -> Result<Vec<(u32, u64, u32)>, Code> {
    let stage = stage();
    let part = stage.part(device)?;
    let word = part.word("processes", stage.now()).ok_or(nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED)?;
    let one = |item: &str| {
        let mut numbers = item.split(':');
        let mut next = || numbers.next()?.parse().ok();
        Some((u32::try_from(next()?).ok()?, next()?, u32::try_from(next()?).ok()?))
    };
    Ok(word.split(',').filter_map(one).collect())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: nvmlDevice_t,
    count: *mut c_uint,
    out: *mut nvmlProcessInfo_t,
) -> Code {
    let list = processes(device).map(|all| {
        let info = |(pid, bytes, _)| nvmlProcessInfo_t {
            pid,
            usedGpuMemory: bytes,
            gpuInstanceId: u32::MAX,
            computeInstanceId: u32::MAX,
        };
        all.into_iter().map(info).collect()
    });
    unsafe { give_list(count, out, list) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetProcessUtilization(
    device: nvmlDevice_t,
    out: *mut nvmlProcessUtilizationSample_t,
    count: *mut c_uint,
    seen: c_ulonglong,
) -> Code {
    let at = (stage().now() as u64 + 1) * MOMENT_MICROS;
    let list = processes(device).map(|all| {
        let sample = |(pid, _, percent)| nvmlProcessUtilizationSample_t {
            pid,
            timeStamp: at,
            smUtil: percent,
            memUtil: 0,
            encUtil: 0,
            decUtil: 0,
        };
        all.into_iter().filter(|_| at > seen).map(sample).collect()
    });
    unsafe { give_list(count, out, list) }
}

/// `process_100 = python3`, among what is said of the driver.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlSystemGetProcessName(pid: c_uint, out: *mut c_char, length: c_uint) -> Code {
    let name = stage().script.text(&format!("process_{pid}")).map(str::to_owned);
    unsafe { give_text(out, length, name.ok_or(nvmlReturn_enum_NVML_ERROR_NOT_FOUND)) }
}

/// How many pages were retired for a cause, which the wrapper asks this way first.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetRetiredPages(
    device: nvmlDevice_t,
    cause: nvmlPageRetirementCause_t,
    count: *mut c_uint,
    addresses: *mut c_ulonglong,
) -> Code {
    unsafe { nvmlDeviceGetRetiredPages_v2(device, cause, count, addresses, std::ptr::null_mut()) }
}

/// `retired_0 = 2`: so many pages for that cause.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetRetiredPages_v2(
    device: nvmlDevice_t,
    cause: nvmlPageRetirementCause_t,
    count: *mut c_uint,
    addresses: *mut c_ulonglong,
    timestamps: *mut c_ulonglong,
) -> Code {
    let pages = crate::stage::number::<u32>(device, &format!("retired_{cause}"));
    let list = pages.map(|pages| (0..u64::from(pages)).collect::<Vec<c_ulonglong>>());
    unsafe {
        if !timestamps.is_null()
            && let Ok(list) = &list
        {
            (0..list.len().min(*count as usize)).for_each(|at| timestamps.add(at).write(0));
        }
        give_list(count, addresses, list)
    }
}
