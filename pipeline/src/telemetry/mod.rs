//! About ourselves: own metrics, the drop ledger, own logs.

use std::sync::Arc;

use crate::batch::Signal;
use crate::component::Reason;
use crate::config::ComponentId;

/// Own metrics of the process; clone is a reference count.
#[derive(Clone)]
pub struct Meter {
    registry: Arc<prometheus::Registry>,
}

impl Meter {
    /// A fresh set of metrics.
    pub fn new() -> Meter {
        Meter { registry: Arc::new(prometheus::Registry::new()) }
    }

    /// Where components register what only they know.
    pub fn registry(&self) -> &prometheus::Registry {
        &self.registry
    }
}

impl Default for Meter {
    fn default() -> Meter {
        Meter::new()
    }
}

/// The drop ledger as one component sees it: every item that is not handed on has a reason here.
#[derive(Clone)]
pub struct Drops {
    component: ComponentId,
}

impl Drops {
    /// The ledger for one component.
    pub fn new(_meter: &Meter, component: ComponentId) -> Drops {
        Drops { component }
    }

    /// Counts `items` of `signal` as dropped for `reason`.
    pub fn record(&self, signal: Signal, items: usize, reason: &Reason) {
        tracing::debug!(component = %self.component, %signal, items, %reason, "dropped");
    }
}
