//! Who uses a device.

use std::collections::HashMap;

/// A container that has a device, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The container's name in its pod.
    pub container: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
}

impl Owner {
    /// dcgm-exporter's labels, in its order.
    pub fn dcgm(&self) -> impl Iterator<Item = (&'static str, String)> {
        let all = [("container", &self.container), ("namespace", &self.namespace), ("pod", &self.pod)];
        all.map(|(name, value)| (name, value.clone())).into_iter().filter(|(_, value)| !value.is_empty())
    }

    /// OpenTelemetry's attributes.
    pub fn semconv(&self) -> impl Iterator<Item = (&'static str, String)> {
        let all = [
            ("k8s.container.name", &self.container),
            ("k8s.namespace.name", &self.namespace),
            ("k8s.pod.name", &self.pod),
        ];
        all.map(|(name, value)| (name, value.clone())).into_iter().filter(|(_, value)| !value.is_empty())
    }
}

/// Who uses which device, by the id of the GPU or MIG instance.
pub type Owners = HashMap<String, Vec<Owner>>;
