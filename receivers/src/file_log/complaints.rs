//! Warnings about things that come again and again: each is logged at once, and then at most every ten seconds with the
//! number of times in between.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

const EVERY: Duration = Duration::from_secs(10);
/// Above so many different things, the oldest are forgotten.
const MOST: usize = 1024;

/// What was complained about, and when.
#[derive(Debug)]
pub struct Complaints {
    receiver: String,
    last: HashMap<(&'static str, String), (Instant, u64)>,
}

impl Complaints {
    /// Of the receiver of that id.
    pub fn of(receiver: impl fmt::Display) -> Complaints {
        Complaints { receiver: receiver.to_string(), last: HashMap::new() }
    }

    /// Warns that `what` is wrong with `whom`, unless that was said lately.
    pub fn warn(&mut self, what: &'static str, whom: impl fmt::Display, why: impl fmt::Display, now: Instant) {
        let whom = whom.to_string();
        if let Some(times) = self.due(what, &whom, now) {
            let receiver = &self.receiver;
            tracing::warn!(%receiver, times, "{what}: {whom}: {why}");
        }
    }

    /// How often it has come since it was last said, if it is time to say it.
    fn due(&mut self, what: &'static str, whom: &str, now: Instant) -> Option<u64> {
        if self.last.len() >= MOST {
            self.last.retain(|_, (at, _)| now.saturating_duration_since(*at) < EVERY);
            if self.last.len() >= MOST {
                self.last.clear();
            }
        }
        match self.last.get_mut(&(what, whom.to_owned())) {
            Some((at, times)) => {
                *times += 1;
                if now.saturating_duration_since(*at) < EVERY {
                    return None;
                }
                *at = now;
                Some(std::mem::take(times))
            }
            None => {
                self.last.insert((what, whom.to_owned()), (now, 0));
                Some(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_complaint_comes_at_once_and_then_every_ten_seconds_with_its_count() {
        let mut complaints = Complaints::of("file_log");
        let start = Instant::now();
        let mut at = |seconds, whom| complaints.due("cannot open", whom, start + Duration::from_secs(seconds));
        assert_eq!(at(0, "/a"), Some(1));
        assert_eq!(at(1, "/a"), None);
        assert_eq!(at(1, "/b"), Some(1));
        assert_eq!(at(9, "/a"), None);
        assert_eq!(at(10, "/a"), Some(3));
        assert_eq!(at(11, "/a"), None);
    }
}
