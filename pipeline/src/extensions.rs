//! The extensions that run, for the components that want their help.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::component::{Error, Extension};
use crate::config::ComponentId;
use crate::net::auth::{ClientAuth, ServerAuth};

/// The extensions by id; clone is another handle on the same ones. While extensions are built, those that come later are
/// not there yet.
#[derive(Clone, Default)]
pub struct Extensions {
    by_id: Arc<Mutex<BTreeMap<ComponentId, Arc<dyn Extension>>>>,
    /// Those that were asked for through this handle and its clones.
    found: Arc<Mutex<BTreeSet<ComponentId>>>,
}

impl Extensions {
    /// No extensions yet.
    pub fn new() -> Extensions {
        Extensions::default()
    }

    /// Adds one; the latest of an id is found.
    pub fn add(&self, id: ComponentId, extension: Arc<dyn Extension>) {
        self.all().insert(id, extension);
    }

    /// A handle on the same ones for one component, which notes those that the component asks for.
    pub(crate) fn for_one(&self) -> Extensions {
        Extensions { by_id: self.by_id.clone(), found: Arc::default() }
    }

    /// Those that were asked for through this handle.
    pub(crate) fn found(&self) -> BTreeSet<ComponentId> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The one of that id.
    ///
    /// # Errors
    /// It is not in `service.extensions`.
    pub fn find(&self, id: &ComponentId) -> Result<Arc<dyn Extension>, Error> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        let found = self.all().get(id).cloned();
        found.ok_or_else(|| format!("'{id}' is not in service.extensions").into())
    }

    /// The one of that id, as what lets requests in.
    ///
    /// # Errors
    /// It is not there, or does something else.
    pub fn server_auth(&self, id: &ComponentId) -> Result<Arc<dyn ServerAuth>, Error> {
        let found = self.find(id).map_err(|error| format!("auth: {error}"))?;
        let cannot = || format!("auth: '{id}' cannot tell who sends a request to us, use basicauth or bearertokenauth");
        Ok(found.server_auth().ok_or_else(cannot)?)
    }

    /// The one of that id, as what shows who we are.
    ///
    /// # Errors
    /// It is not there, or does something else.
    pub fn client_auth(&self, id: &ComponentId) -> Result<Arc<dyn ClientAuth>, Error> {
        let found = self.find(id).map_err(|error| format!("auth: {error}"))?;
        let cannot = || format!("auth: '{id}' has no credentials to send; an authenticator with client settings has");
        Ok(found.client_auth().ok_or_else(cannot)?)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ComponentId, Arc<dyn Extension>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.all().keys().map(ToString::to_string)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Idle;

    impl Extension for Idle {}

    #[test]
    fn what_is_not_there_or_does_something_else_is_said() {
        let extensions = Extensions::new();
        let (there, missing) = (ComponentId::new("idle", ""), ComponentId::new("basicauth", "x"));
        extensions.add(there.clone(), Arc::new(Idle));
        let said = |error: Option<Error>| error.map(|error| error.to_string()).unwrap_or_default();
        let client = |id| said(extensions.client_auth(id).err());
        assert_eq!(client(&missing), "auth: 'basicauth/x' is not in service.extensions");
        assert!(client(&there).starts_with("auth: 'idle' has no credentials"), "{}", client(&there));
        assert!(said(extensions.server_auth(&there).err()).starts_with("auth: 'idle' cannot tell who"));
        assert!(extensions.clone().find(&there).is_ok());
    }
}
