//! What the integration tests share: processes that end with their test, free ports, waiting for a condition, small HTTP.

pub mod exposition;
pub mod http;
pub mod process;
#[cfg(feature = "peers")]
pub mod prometheus;

use std::collections::BTreeSet;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A port on loopback that was free a moment ago, another one each time: the system may give the same one twice.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("loopback has free ports").port();
        if GIVEN.lock().expect("nobody panics with it").insert(port) {
            return port;
        }
    }
}

/// A free port on loopback below 32768: Dynamo reads its system port as a signed 16-bit number.
#[cfg(feature = "peers")]
pub fn free_low_port() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + (std::process::id() % 10_000) as u16;
    let free = |_| {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed);
        TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
    };
    (0..2_000).find_map(free).expect("loopback has free ports below 32768")
}

/// The checkout.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    workspace().join("tests/data").join(name)
}

/// Looks at `probe` until it answers `Ok`, and fails with what it last said after `limit`.
/// The only wall-clock waiting in the tests: real processes tell nobody when they are done.
#[track_caller]
pub fn eventually<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Result<T, String>) -> T {
    #[allow(clippy::disallowed_methods, reason = "the peers are real processes with real clocks")]
    let start = Instant::now();
    loop {
        match probe() {
            Ok(value) => return value,
            Err(last) if start.elapsed() > limit => panic!("{what}: not within {limit:?}; last: {last}"),
            #[allow(clippy::disallowed_methods, reason = "the peers are real processes with real clocks")]
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// A runtime for a stand-in, which ends with it.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime can be made")
}
