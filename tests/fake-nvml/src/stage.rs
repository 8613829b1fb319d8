//! What is played now: the script, its moment, and what a call about a device gets.

use std::ffi::{CStr, c_char, c_uint, c_void};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use nvml_wrapper_sys::bindings::*;

use crate::script::Part;
use crate::{events, script_of};

/// An error code of the library.
pub type Code = nvmlReturn_t;

#[derive(Default)]
pub struct Stage {
    text: String,
    pub script: Part,
    /// `None` until devices are counted.
    pub moment: Option<usize>,
}

/// A device that a handle stands for.
#[derive(Clone, Copy)]
pub struct Place {
    pub gpu: usize,
    pub instance: Option<usize>,
}

pub fn stage() -> MutexGuard<'static, Stage> {
    static STAGE: OnceLock<Mutex<Stage>> = OnceLock::new();
    STAGE.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stage {
    /// Reads the script again; a new one begins at its first moment.
    pub fn refresh(&mut self) {
        let text = own_path().and_then(|path| fs::read_to_string(script_of(&path)).ok()).unwrap_or_default();
        if text != self.text {
            self.script = Part::parse(&text);
            self.text = text;
            self.moment = None;
        }
    }

    /// Goes on to the next moment, in which XIDs may happen.
    pub fn advance(&mut self) {
        self.refresh();
        let moment = self.moment.map_or(0, |moment| moment + 1);
        self.moment = Some(moment);
        for (gpu, part) in self.script.parts.iter().enumerate() {
            if let Some(xid) = part.word("xid", moment).and_then(|word| word.parse().ok()) {
                events::happen(handle(Place { gpu, instance: None }), xid);
            }
        }
    }

    pub fn now(&self) -> usize {
        self.moment.unwrap_or_default()
    }

    /// What the driver itself says, where it is out of order.
    pub fn driver(&self) -> Result<(), Code> {
        match self.script.word("driver", self.now()) {
            None => Err(nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED),
            Some(word) => code(word).map_or(Ok(()), Err),
        }
    }

    /// The GPUs that are there.
    pub fn gpus(&self) -> Vec<usize> {
        let all = self.script.parts.iter().enumerate();
        all.filter(|(_, gpu)| gpu.is_present(self.now())).map(|(number, _)| number).collect()
    }

    /// The part of the script about a device.
    pub fn part(&self, device: nvmlDevice_t) -> Result<&Part, Code> {
        self.driver()?;
        let place = place(device);
        let gpu = self.script.parts.get(place.gpu).filter(|gpu| gpu.is_present(self.now()));
        let gpu = gpu.ok_or(nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT)?;
        if let Some(error) = gpu.word("state", self.now()).and_then(code) {
            return Err(error);
        }
        let Some(number) = place.instance else { return Ok(gpu) };
        let instance = gpu.parts.get(number).filter(|instance| instance.is_present(self.now()));
        instance.ok_or(nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT)
    }

    /// What stands behind a key of a device, whole.
    pub fn text(&self, device: nvmlDevice_t, key: &str) -> Result<&str, Code> {
        let part = self.part(device)?;
        part.text(key).ok_or(nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED)
    }

    /// The word of now behind a key of a device.
    pub fn word(&self, device: nvmlDevice_t, key: &str) -> Result<&str, Code> {
        let word = self.part(device)?.word(key, self.now());
        let word = word.ok_or(nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED)?;
        code(word).map_or(Ok(word), Err)
    }
}

/// The error that a word says.
pub fn code(word: &str) -> Option<Code> {
    Some(match word {
        "unsupported" | "-" => nvmlReturn_enum_NVML_ERROR_NOT_SUPPORTED,
        "denied" => nvmlReturn_enum_NVML_ERROR_NO_PERMISSION,
        "lost" => nvmlReturn_enum_NVML_ERROR_GPU_IS_LOST,
        "reset" => nvmlReturn_enum_NVML_ERROR_RESET_REQUIRED,
        "no_data" => nvmlReturn_enum_NVML_ERROR_NO_DATA,
        "unloaded" => nvmlReturn_enum_NVML_ERROR_DRIVER_NOT_LOADED,
        "unknown" => nvmlReturn_enum_NVML_ERROR_UNKNOWN,
        _ => return None,
    })
}

pub fn place(device: nvmlDevice_t) -> Place {
    let bits = device.addr();
    Place { gpu: (bits >> 8).wrapping_sub(1), instance: (bits & 0xff).checked_sub(1) }
}

pub fn handle(place: Place) -> nvmlDevice_t {
    std::ptr::without_provenance_mut((place.gpu + 1) << 8 | place.instance.map_or(0, |number| number + 1))
}

/// What a word says as a number of C.
pub trait FromWord: Sized {
    fn from_word(word: &str) -> Option<Self>;
}

macro_rules! from_word {
    ($($number:ty),*) => { $(impl FromWord for $number {
        fn from_word(word: &str) -> Option<Self> {
            word.parse().ok()
        }
    })* };
}
from_word!(u32, i32, u64, i64, f64);

/// A device's number behind a key.
pub fn number<T: FromWord>(device: nvmlDevice_t, key: &str) -> Result<T, Code> {
    let stage = stage();
    T::from_word(stage.word(device, key)?).ok_or(nvmlReturn_enum_NVML_ERROR_UNKNOWN)
}

/// Fills in an answer, and says how the call went.
///
/// # Safety
/// `out` is null or may be written.
pub unsafe fn give<T>(out: *mut T, value: Result<T, Code>) -> Code {
    match value {
        Ok(_) if out.is_null() => nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT,
        Ok(value) => {
            // SAFETY: the caller's promise.
            unsafe { out.write(value) };
            nvmlReturn_enum_NVML_SUCCESS
        }
        Err(code) => code,
    }
}

/// Fills in a text of at most `length` bytes, its end included.
///
/// # Safety
/// `out` has room for `length` bytes.
pub unsafe fn give_text(out: *mut c_char, length: c_uint, text: Result<String, Code>) -> Code {
    match text {
        Ok(text) if text.len() >= length as usize => nvmlReturn_enum_NVML_ERROR_INSUFFICIENT_SIZE,
        Ok(text) => {
            // SAFETY: there is room by the caller's promise and the check above.
            unsafe {
                out.copy_from_nonoverlapping(text.as_ptr().cast(), text.len());
                out.add(text.len()).write(0);
            }
            nvmlReturn_enum_NVML_SUCCESS
        }
        Err(code) => code,
    }
}

/// Where the loader found this library.
fn own_path() -> Option<PathBuf> {
    let mut info = libc::Dl_info {
        dli_fname: std::ptr::null(),
        dli_fbase: std::ptr::null_mut(),
        dli_sname: std::ptr::null(),
        dli_saddr: std::ptr::null_mut(),
    };
    let here: fn() -> Option<PathBuf> = own_path;
    // SAFETY: an address of this library's code, and a place for the answer.
    let found = unsafe { libc::dladdr(here as *const c_void, &mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's own text, which lives as long as the library.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    Some(Path::new(name.to_str().ok()?).to_owned())
}
