//! A stand-in for `libnvidia-ml.so.1`: it exports the C functions of NVIDIA's management library that the receiver uses
//! and plays a script. It is loaded by the real wrapper through the dynamic loader; it computes nothing of its own.
//!
//! The script lies beside the library, under the library's name with `.script` behind it, and is read again at each
//! `nvmlInit` and `nvmlDeviceGetCount`. See [`script`] for its language.
//!
//! A test copies the library into a folder of its own ([`FakeDriver`]): a copy is a library of its own for the loader,
//! with a state of its own.

#![allow(unsafe_code, reason = "a C library is made of raw pointers; nothing but tests loads it")]

mod events;
mod exports;
mod gpm;
mod lists;
pub mod script;
mod stage;

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A copy of the library in a folder, and its script.
pub struct FakeDriver {
    library: PathBuf,
}

impl FakeDriver {
    /// No driver yet in that folder: [`FakeDriver::library`] names a file that is not there.
    pub fn absent(folder: &Path) -> FakeDriver {
        FakeDriver { library: folder.join("libnvidia-ml.so.1") }
    }

    /// A driver in that folder that plays `script`.
    ///
    /// # Errors
    /// The operating system's.
    pub fn playing(folder: &Path, script: &str) -> io::Result<FakeDriver> {
        let driver = FakeDriver::absent(folder);
        driver.play(script)?;
        driver.install()?;
        Ok(driver)
    }

    /// Puts the library where it is looked for.
    ///
    /// # Errors
    /// The operating system's; `NotFound` where cargo has not built the library beside the running program.
    pub fn install(&self) -> io::Result<()> {
        fs::copy(built()?, &self.library).map(|_| ())
    }

    /// Plays another script from its first moment on, beginning with the next count of devices.
    ///
    /// # Errors
    /// The operating system's.
    pub fn play(&self, script: &str) -> io::Result<()> {
        let path = script_of(&self.library);
        let beside = path.with_extension("new");
        fs::write(&beside, script)?;
        fs::rename(beside, path)
    }

    /// What a receiver is told to load.
    pub fn library(&self) -> &Path {
        &self.library
    }
}

/// The library as cargo has built it: beside the program that runs, or among what that was built from.
fn built() -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let folder = program.parent().unwrap_or(Path::new("/"));
    let near = [folder.join("libfake_nvml.so"), folder.join("deps/libfake_nvml.so")];
    let found = near.into_iter().find(|path| path.exists());
    found
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no libfake_nvml.so near {}", folder.display())))
}

fn script_of(library: &Path) -> PathBuf {
    let mut path = library.as_os_str().to_owned();
    path.push(".script");
    PathBuf::from(path)
}
