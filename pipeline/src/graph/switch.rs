//! The places where a reload turns the flow: what comes behind a receiver or behind a processor that holds data. A call
//! that has begun goes its old way to the end, and it can be waited for.

use std::sync::{Arc, PoisonError, RwLock};

use tokio_util::sync::CancellationToken;

use crate::component::Consumer;

/// Leads to one consumer, or nowhere, until it is turned. To ask it costs a lock that nobody holds, and a reference count.
pub(super) struct Switch {
    way: RwLock<Option<Arc<Way>>>,
}

/// What a switch leads to. Whoever is on the way has it.
pub(super) struct Way {
    pub(super) next: Arc<dyn Consumer>,
    left: CancellationToken,
}

/// A way that a switch leads to no longer.
pub(super) struct OldWay {
    left: CancellationToken,
}

impl Switch {
    pub(super) fn to(next: Option<Arc<dyn Consumer>>) -> Arc<Switch> {
        Arc::new(Switch { way: RwLock::new(next.map(Way::to)) })
    }

    /// The way as it is now.
    pub(super) fn way(&self) -> Option<Arc<Way>> {
        self.way.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn leads_somewhere(&self) -> bool {
        self.way.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Leads there from now on.
    pub(super) fn turn(&self, next: Option<Arc<dyn Consumer>>) -> Option<OldWay> {
        let mut way = self.way.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *way, next.map(Way::to))?;
        Some(OldWay { left: old.left.clone() })
    }
}

impl Way {
    fn to(next: Arc<dyn Consumer>) -> Arc<Way> {
        Arc::new(Way { next, left: CancellationToken::new() })
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.left.cancel();
    }
}

impl OldWay {
    /// Ends when nobody is on it any more.
    pub(super) async fn left(&self) {
        self.left.cancelled().await;
    }
}
