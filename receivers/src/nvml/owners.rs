//! Who uses a device, and the labels that say so.

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
    /// The pod's id, where only that is known.
    pub pod_uid: String,
    /// The container's id, where only that is known.
    pub container_id: String,
    /// What Dynamo calls its process.
    pub dynamo: Dynamo,
}

/// What Dynamo calls a process: names of labels and their values, sorted.
pub type Dynamo = Vec<(&'static str, String)>;

/// Who uses which device, by the id of the GPU or MIG instance.
pub type Owners = HashMap<String, Vec<Owner>>;

impl Owner {
    /// dcgm-exporter's labels, in its order, and Dynamo's.
    pub fn dcgm(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.labels(["container", "namespace", "pod", "pod_uid", "container_id"])
    }

    /// OpenTelemetry's attributes, and Dynamo's.
    pub fn semconv(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.labels(["k8s.container.name", "k8s.namespace.name", "k8s.pod.name", "k8s.pod.uid", "container.id"])
    }

    fn labels(&self, names: [&'static str; 5]) -> impl Iterator<Item = (&'static str, String)> {
        let values = [&self.container, &self.namespace, &self.pod, &self.pod_uid, &self.container_id];
        let own = names.into_iter().zip(values).filter(|(_, value)| !value.is_empty());
        let own = own.map(|(name, value)| (name, value.clone()));
        own.chain(self.dynamo.iter().cloned()).collect::<Vec<_>>().into_iter()
    }
}
