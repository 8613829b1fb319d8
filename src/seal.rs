//! The key that secrets are sealed with where they are compared: `plan.key` in the data directory, readable by its owner
//! only. Whoever may read it may read the config as well.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use pipeline::config::SealingKey;
use ring::rand::{SecureRandom, SystemRandom};

const NAME: &str = "plan.key";
const BYTES: usize = 32;

/// The process' key: the one in the data directory, which is made if need be. Where that cannot be, it is one that nobody
/// else knows: secrets can be compared by nobody then.
pub fn own(data_dir: &Path) -> SealingKey {
    match there(data_dir).or_else(|_| make(data_dir)) {
        Ok(key) => key,
        Err(error) => {
            let place = data_dir.join(NAME);
            tracing::debug!(%error, "slipring plan will not see whether secrets change: {} cannot be had", place.display());
            SealingKey::new(&chance())
        }
    }
}

/// The key of the process that has that data directory.
///
/// # Errors
/// It is not there, or may not be read.
pub fn there(data_dir: &Path) -> io::Result<SealingKey> {
    let mut bytes = Vec::new();
    OpenOptions::new().read(true).open(data_dir.join(NAME))?.take(BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() != BYTES {
        return Err(io::Error::other("it does not have 32 bytes"));
    }
    Ok(SealingKey::new(&bytes))
}

fn make(data_dir: &Path) -> io::Result<SealingKey> {
    fs::create_dir_all(data_dir)?;
    let bytes = chance();
    // Under another name first: whoever looks finds it whole or not at all.
    let unfinished = data_dir.join(format!("{NAME}.{}", std::process::id()));
    let _ = fs::remove_file(&unfinished);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(&bytes)?;
    fs::rename(&unfinished, data_dir.join(NAME))?;
    Ok(SealingKey::new(&bytes))
}

/// A key that nobody has.
pub fn chance() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    // The operating system's, which does not fail once it has begun.
    let _ = SystemRandom::new().fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        assert!(there(&data).is_err());
        let first = own(&data).name();
        assert_eq!((own(&data).name(), there(&data).unwrap().name()), (first.clone(), first.clone()));
        assert_eq!(fs::metadata(data.join(NAME)).unwrap().permissions().mode() & 0o777, 0o600);
        assert_ne!(own(&folder.path().join("other")).name(), first);
    }
}
