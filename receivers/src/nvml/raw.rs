//! Three calls of the driver library that the wrapper has no safe form for: the number of a MIG instance, a field of all
//! NVLinks together, the licence of a virtual GPU. Each asks with a device's own handle and room of the size that the
//! library fills, and keeps nothing.

#![allow(unsafe_code, reason = "the library is C; every other call goes through the wrapper's safe functions")]

use std::mem::zeroed;

use nvml_wrapper::error::{NvmlError, nvml_try};
use nvml_wrapper::{Device, Nvml};
use nvml_wrapper_sys::bindings::{
    nvmlFieldValue_t, nvmlGridLicensableFeatures_t, nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT,
};

/// All links of a device, as a field's scope.
const ALL_LINKS: u32 = u32::MAX;

fn missing(error: &libloading::Error) -> NvmlError {
    NvmlError::FailedToLoadSymbol(error.to_string())
}

/// The number of a MIG device's GPU instance.
///
/// # Errors
/// The library's; `NotSupported` for a device that is no MIG device.
pub fn gpu_instance(nvml: &Nvml, device: &Device<'_>) -> Result<u32, NvmlError> {
    let call = nvml.lib().nvmlDeviceGetGpuInstanceId.as_ref().map_err(missing)?;
    let mut number = 0;
    // SAFETY: the handle is the device's own and `number` is the place for the one answer.
    nvml_try(unsafe { call(device.handle(), &raw mut number) })?;
    Ok(number)
}

/// A counter of all NVLinks together.
///
/// # Errors
/// The library's.
pub fn of_all_links(nvml: &Nvml, device: &Device<'_>, field: u32) -> Result<u64, NvmlError> {
    let call = nvml.lib().nvmlDeviceGetFieldValues.as_ref().map_err(missing)?;
    // SAFETY: numbers and a union of numbers, of which all-zero is a value.
    let mut asked: nvmlFieldValue_t = unsafe { zeroed() };
    asked.fieldId = field;
    asked.scopeId = ALL_LINKS;
    // SAFETY: the handle is the device's own, and `asked` is a list of one.
    nvml_try(unsafe { call(device.handle(), 1, &raw mut asked) })?;
    nvml_try(asked.nvmlReturn)?;
    // SAFETY: all of the union's bytes are set, and any bytes are a number.
    let (narrow, wide) = unsafe { (asked.value.uiVal, asked.value.ullVal) };
    let is_narrow = asked.valueType == nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT;
    Ok(if is_narrow { narrow.into() } else { wide })
}

/// Whether a virtual GPU has a licence; a GPU that needs none has none.
///
/// # Errors
/// The library's.
pub fn is_licensed(nvml: &Nvml, device: &Device<'_>) -> Result<bool, NvmlError> {
    let call = nvml.lib().nvmlDeviceGetGridLicensableFeatures_v4.as_ref().map_err(missing)?;
    // SAFETY: numbers and arrays of characters, of which all-zero is a value.
    let mut features: nvmlGridLicensableFeatures_t = unsafe { zeroed() };
    // SAFETY: the handle is the device's own, and `features` is the place for the one answer.
    nvml_try(unsafe { call(device.handle(), &raw mut features) })?;
    let count = features.licensableFeaturesCount as usize;
    Ok(features.gridLicensableFeatures.iter().take(count).any(|feature| feature.featureState != 0))
}
