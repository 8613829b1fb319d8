//! Profiling: a sample remembers nothing but its device; a metric is what the script says at the later moment.

use std::ffi::c_uint;
use std::sync::atomic::{AtomicUsize, Ordering};

use nvml_wrapper_sys::bindings::*;

use crate::stage::{Code, Place, give, handle, number, place, stage};

const SUCCESS: Code = nvmlReturn_enum_NVML_SUCCESS;

/// What a sample points to: the device's handle, as a number.
type Sample = AtomicUsize;

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmQueryDeviceSupport(device: nvmlDevice_t, out: *mut nvmlGpmSupport_t) -> Code {
    let support = stage().part(device).map(|part| {
        let is_supported = part.text("gpm_1").is_some() || part.text("gpm").is_some();
        nvmlGpmSupport_t { version: 1, isSupportedDevice: is_supported.into() }
    });
    unsafe { give(out, support) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmSampleAlloc(out: *mut nvmlGpmSample_t) -> Code {
    let sample = Box::into_raw(Box::new(Sample::default()));
    unsafe { give(out, Ok(sample.cast())) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmSampleFree(sample: nvmlGpmSample_t) -> Code {
    // SAFETY: it was made by `nvmlGpmSampleAlloc` and is freed once.
    drop(unsafe { Box::from_raw(sample.cast::<Sample>()) });
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmSampleGet(device: nvmlDevice_t, sample: nvmlGpmSample_t) -> Code {
    if let Err(code) = stage().part(device) {
        return code;
    }
    // SAFETY: it was made by `nvmlGpmSampleAlloc`.
    unsafe { &*sample.cast::<Sample>() }.store(device.addr(), Ordering::Relaxed);
    SUCCESS
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmMigSampleGet(device: nvmlDevice_t, instance: c_uint, sample: nvmlGpmSample_t) -> Code {
    let found = {
        let stage = stage();
        let gpu = match stage.part(device) {
            Ok(gpu) => gpu,
            Err(code) => return code,
        };
        let wanted = instance.to_string();
        gpu.parts.iter().position(|part| part.is_present(stage.now()) && part.text("gi") == Some(&wanted))
    };
    match found {
        None => nvmlReturn_enum_NVML_ERROR_NOT_FOUND,
        some => unsafe { nvmlGpmSampleGet(handle(Place { instance: some, ..place(device) }), sample) },
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlGpmMetricsGet(request: *mut nvmlGpmMetricsGet_t) -> Code {
    // SAFETY: the caller's promise; samples were made by `nvmlGpmSampleAlloc`.
    let (request, sample) = unsafe { (&mut *request, &*(*request).sample2.cast::<Sample>()) };
    let device = std::ptr::without_provenance_mut(sample.load(Ordering::Relaxed));
    for metric in request.metrics.iter_mut().take(request.numMetrics as usize) {
        match number(device, &format!("gpm_{}", metric.metricId)) {
            Ok(value) => (metric.nvmlReturn, metric.value) = (SUCCESS, value),
            Err(code) => metric.nvmlReturn = code,
        }
    }
    SUCCESS
}
