//! Opens what is new at the far end: extensions, exporters. Where a new one cannot have what the one before it still has,
//! such as its port, that one lets go first; and gets it back where the reload fails.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::parts::Opens;
use super::{Failure, GOODBYE};
use crate::component::Error;

/// How often, and how far apart, something is tried that another is about to let go of.
const TRIES: u32 = 40;
const APART: Duration = Duration::from_millis(50);

/// What came of an opening.
pub(super) enum Opened {
    /// It is open beside the one before.
    Beside,
    /// It is open in the place of the one before, which is closed.
    InPlace,
}

/// Opens `new` beside `old`, or else in its place.
///
/// # Errors
/// It cannot be opened in either way; `old` is as it was, as far as it can be.
pub(super) async fn open(new: &dyn Opens, old: Option<&dyn Opens>) -> Result<Opened, Failure> {
    if old.is_none() {
        new.reporter().starting();
    }
    let Err(error) = new.open().await else {
        new.reporter().ok();
        return Ok(Opened::Beside);
    };
    let Some(old) = old else {
        new.reporter().fatal(&error.to_string());
        return Err(new.failure(error));
    };
    new.shut(Instant::now() + GOODBYE).await;
    old.shut(Instant::now() + GOODBYE).await;
    match try_anew(new).await {
        Ok(()) => {
            new.reporter().ok();
            Ok(Opened::InPlace)
        }
        Err(error) => {
            let mut failure = new.failure(error);
            if let Err(error) = reopen(old).await {
                failure.message.push_str(&format!("; and what was there before cannot come back: {}", error.message));
            }
            Err(failure)
        }
    }
}

/// Opens what was closed for a successor that is closed again.
///
/// # Errors
/// It cannot be opened any more.
pub(super) async fn reopen(old: &dyn Opens) -> Result<(), Failure> {
    match try_anew(old).await {
        Ok(()) => {
            old.reporter().ok();
            Ok(())
        }
        Err(error) => {
            old.reporter().fatal(&error.to_string());
            let failure = old.failure(error);
            tracing::error!("cannot be started again: {failure}");
            Err(failure)
        }
    }
}

async fn try_anew(part: &dyn Opens) -> Result<(), Error> {
    let mut tries = 0;
    loop {
        part.renew()?;
        let Err(error) = part.open().await else { return Ok(()) };
        part.shut(Instant::now() + GOODBYE).await;
        tries += 1;
        if tries == TRIES {
            return Err(error);
        }
        sleep(APART).await;
    }
}
