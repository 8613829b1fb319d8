//! What the instances of one component share: a processor is built once for each pipeline, and some know more when all
//! pipelines that name them tell them what they see.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// One slot for each processor id of a graph; clone is another handle on the same slot. A reload keeps the slot of a
/// processor that is unchanged. Exporters have one for each id, too, which they keep even when they are changed: for what
/// holds of the process, such as which files it has begun.
#[derive(Clone, Default)]
pub struct Shared {
    slot: Arc<OnceLock<Arc<dyn Any + Send + Sync>>>,
}

impl Shared {
    /// What is shared; the first instance that asks makes it.
    ///
    /// # Panics
    /// When the code (never the input) asks for two types under one id.
    pub fn of<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let shared = self.slot.get_or_init(|| Arc::new(make())).clone();
        shared.downcast().expect("the instances of a component share one type")
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.slot.get().is_some() { "Shared(made)" } else { "Shared(empty)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_that_asks_makes_what_all_share() {
        let (first, other) = (Shared::default(), Shared::default());
        let second = first.clone();
        assert_eq!(*first.of(|| 1), 1);
        assert!(Arc::ptr_eq(&second.of(|| 2), &first.of(|| 3)));
        assert_eq!(*other.of(|| 4), 4);
    }
}
