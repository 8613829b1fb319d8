//! Logs about what may happen for each batch, once a minute at most.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How often the same thing is logged at most.
const EVERY: Duration = Duration::from_secs(60);

/// Counts how often something happens, and says when it is time for a line about it.
#[derive(Debug, Default)]
pub struct Seldom {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    logged: Option<Instant>,
    unlogged: u64,
    /// The last line said that it happens, not that it is over.
    lasting: bool,
}

impl Seldom {
    /// It has happened: where a line is due, how often since the last one.
    pub fn again(&self) -> Option<u64> {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.unlogged += 1;
        if state.logged.is_some_and(|logged| now - logged < EVERY) {
            return None;
        }
        state.logged = Some(now);
        state.lasting = true;
        Some(std::mem::take(&mut state.unlogged))
    }

    /// It does not happen: whether that is news to whoever reads the log.
    pub fn is_over(&self) -> bool {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).lasting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn there_is_a_line_at_first_and_then_once_a_minute() {
        let seldom = Seldom::default();
        assert!(!seldom.is_over());
        assert_eq!((seldom.again(), seldom.again(), seldom.again()), (Some(1), None, None));
        tokio::time::advance(EVERY).await;
        assert_eq!((seldom.again(), seldom.again()), (Some(3), None));
        assert_eq!((seldom.is_over(), seldom.is_over()), (true, false));
        // What comes and goes all the time is not logged all the time.
        assert_eq!((seldom.again(), seldom.is_over()), (None, false));
    }
}
