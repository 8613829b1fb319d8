//! Events: XIDs that the script lets happen, and the calls that wait for them.

use std::collections::VecDeque;
use std::ffi::{c_uint, c_ulonglong};
use std::ptr;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nvml_wrapper_sys::bindings::*;

use crate::stage::{Code, give, number, stage};

const SUCCESS: Code = nvmlReturn_enum_NVML_SUCCESS;
/// More than any script lets happen at once.
const MOST: usize = 1024;

#[derive(Default)]
struct Events {
    /// Device handles, as numbers, and XIDs.
    waiting: Mutex<VecDeque<(usize, u64)>>,
    happened: Condvar,
}

fn events() -> &'static Events {
    static EVENTS: OnceLock<Events> = OnceLock::new();
    EVENTS.get_or_init(Events::default)
}

pub fn happen(device: nvmlDevice_t, xid: u64) {
    let mut waiting = events().waiting.lock().unwrap_or_else(PoisonError::into_inner);
    if waiting.len() < MOST {
        waiting.push_back((device.addr(), xid));
    }
    events().happened.notify_one();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlEventSetCreate(out: *mut nvmlEventSet_t) -> Code {
    unsafe { give(out, Ok(ptr::without_provenance_mut(1))) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlEventSetFree(_set: nvmlEventSet_t) -> Code {
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetSupportedEventTypes(device: nvmlDevice_t, out: *mut c_ulonglong) -> Code {
    let types = stage().part(device).map(|part| if part.text("xid").is_some() { 0x8 } else { 0 });
    unsafe { give(out, types) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceRegisterEvents(device: nvmlDevice_t, _types: c_ulonglong, _set: nvmlEventSet_t) -> Code {
    stage().part(device).map_or_else(|code| code, |_| SUCCESS)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlEventSetWait_v2(_set: nvmlEventSet_t, out: *mut nvmlEventData_t, timeout_ms: c_uint) -> Code {
    let waiting = events().waiting.lock().unwrap_or_else(PoisonError::into_inner);
    let timeout = Duration::from_millis(timeout_ms.into());
    let waited = events().happened.wait_timeout_while(waiting, timeout, |waiting| waiting.is_empty());
    let (mut waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
    let Some((device, xid)) = waiting.pop_front() else { return nvmlReturn_enum_NVML_ERROR_TIMEOUT };
    let data = nvmlEventData_t {
        device: ptr::without_provenance_mut(device),
        eventType: 0x8,
        eventData: xid,
        gpuInstanceId: u32::MAX,
        computeInstanceId: u32::MAX,
    };
    unsafe { give(out, Ok(data)) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetGpuInstanceId(device: nvmlDevice_t, out: *mut c_uint) -> Code {
    unsafe { give(out, number(device, "gi")) }
}
