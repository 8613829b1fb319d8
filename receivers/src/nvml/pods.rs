//! The pods of this node, as the Kubernetes API knows them: their names, and what Dynamo's operator has labelled them with.
//! Listed once and then watched.

use pipeline::component::Context;
use tokio::sync::watch;

use super::config::Config;
use super::owners::{Dynamo, Owner};

/// A pod, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name in that.
    pub name: String,
    /// Its id.
    pub uid: String,
    /// Ids of its containers, with their names.
    pub containers: Vec<(String, String)>,
    /// What Dynamo's operator calls it.
    pub dynamo: Dynamo,
}

/// What is known of pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pods {
    /// The node that they are on.
    pub node: String,
    /// The pods, in no order.
    pub pods: Vec<Pod>,
    /// Why that may not be all, or old.
    pub trouble: Option<String>,
}

const NOT_ASKED: &str = "the Kubernetes API has not answered yet";

impl Pods {
    /// Before anybody was asked.
    pub fn unknown() -> Pods {
        Pods { trouble: Some(NOT_ASKED.to_owned()), ..Pods::default() }
    }

    /// Whether there was an answer, of whatever kind.
    pub fn are_settled(&self) -> bool {
        self.trouble.as_deref() != Some(NOT_ASKED)
    }

    /// Names the owner by what the API knows of it: its pod and container where only their ids are known, and the labels
    /// of its pod where it has none of that name.
    ///
    /// # Errors
    /// Why the pod is not known.
    pub fn name(&self, owner: &mut Owner) -> Result<(), String> {
        let is_named = |pod: &&Pod| pod.namespace == owner.namespace && pod.name == owner.pod;
        let pod = match (owner.pod.as_str(), owner.pod_uid.as_str()) {
            ("", "") => return Err("its container is in no pod".to_owned()),
            ("", uid) => self.pods.iter().find(|pod| pod.uid == uid),
            _ => self.pods.iter().find(is_named),
        };
        let Some(pod) = pod else {
            let which = if owner.pod.is_empty() {
                format!("pod with id {}", owner.pod_uid)
            } else {
                format!("pod {}/{}", owner.namespace, owner.pod)
            };
            let unknown = || format!("the Kubernetes API knows no {which} on node {:?}", self.node);
            return Err(self.trouble.clone().unwrap_or_else(unknown));
        };
        if owner.pod.is_empty() {
            let container = pod.containers.iter().find(|(id, _)| *id == owner.container_id);
            *owner = Owner {
                namespace: pod.namespace.clone(),
                pod: pod.name.clone(),
                container: container.map(|(_, name)| name.clone()).unwrap_or_default(),
                // What is known by name needs no id; a container that has no name keeps its id.
                container_id: if container.is_some() { String::new() } else { owner.container_id.clone() },
                pod_uid: String::new(),
                dynamo: std::mem::take(&mut owner.dynamo),
            };
        }
        for (name, value) in &pod.dynamo {
            if owner.dynamo.iter().all(|(known, _)| known != name) {
                owner.dynamo.push((name, value.clone()));
            }
        }
        owner.dynamo.sort();
        Ok(())
    }
}

/// The node whose pods are asked for.
fn node(config: &Config, host: &str) -> String {
    if config.kubernetes.node.is_empty() { host.to_owned() } else { config.kubernetes.node.clone() }
}

/// Keeps `known` up to date, for ever.
#[cfg(feature = "kubernetes")]
pub async fn follow(config: Config, host: String, context: Context, known: watch::Sender<Pods>) {
    following::follow(&config, node(&config, &host), context, known).await;
}

/// Says that nothing can be known.
#[cfg(not(feature = "kubernetes"))]
pub async fn follow(config: Config, host: String, context: Context, known: watch::Sender<Pods>) {
    let trouble = "labels of pods: this binary was built without the feature kubernetes";
    tracing::warn!(receiver = %context.id, "{trouble}");
    known.send_modify(|pods| {
        pods.node = node(&config, &host);
        pods.trouble = Some(trouble.to_owned());
    });
}

#[cfg(feature = "kubernetes")]
mod following {
    use std::collections::{HashMap, HashSet};

    use pipeline::component::Context;
    use tokio::sync::{mpsc, watch};

    use super::{Config, Dynamo, NOT_ASKED, Pod, Pods};
    use crate::prometheus::config::{KubernetesDiscovery, Selector};
    use crate::prometheus::discovery::kubernetes::objects::{self, Key, Object};
    use crate::prometheus::discovery::kubernetes::{Changed, follow as follow_objects};

    /// Pods that are remembered; a node has at most a few hundred.
    const MOST_PODS: usize = 4096;
    const MOST_CHANGES: usize = 64;
    /// Labels of pods that become labels of series, as Dynamo's monitors name them.
    const LABELS: [(&str, &str); 5] = [
        ("nvidia.com/dynamo-namespace", "dynamo_namespace"),
        ("nvidia.com/dynamo-component", "dynamo_component"),
        ("nvidia.com/dynamo-component-type", "dynamo_component_type"),
        ("nvidia.com/dynamo-sub-component-type", "dynamo_sub_component_type"),
        ("nvidia.com/dynamo-graph-deployment-name", "dynamo_graph_deployment"),
    ];

    pub async fn follow(config: &Config, node: String, context: Context, known: watch::Sender<Pods>) {
        known.send_modify(|pods| pods.node.clone_from(&node));
        let role = "pod".into();
        let selector = Selector { role: "pod".into(), field: format!("spec.nodeName={node}"), ..Selector::default() };
        let discovery = KubernetesDiscovery {
            role,
            api_server: config.kubernetes.api_server.clone(),
            kubeconfig_file: config.kubernetes.kubeconfig_file.clone(),
            selectors: vec![selector],
            ..KubernetesDiscovery::default()
        };
        let (changes, mut changed) = mpsc::channel(MOST_CHANGES);
        let (trouble, mut troubles) = watch::channel(Some(NOT_ASKED.to_owned()));
        let receiver = context.id.clone();
        let tell = move |error: Option<&str>| {
            let now = error.map(|error| format!("labels of pods cannot be read: {error}"));
            trouble.send_if_modified(|before| {
                let is_new = *before != now;
                match &now {
                    // Said once, however long it lasts.
                    Some(now) if before.as_deref().is_none_or(|before| before == NOT_ASKED) => {
                        tracing::warn!(%receiver, "{now}");
                    }
                    None if is_new => tracing::info!(%receiver, "the Kubernetes API says which pods there are"),
                    _ => {}
                }
                before.clone_from(&now);
                is_new
            });
        };
        let following = follow_objects(discovery, context, changes, tell);
        tokio::pin!(following);
        let mut pods = HashMap::new();
        let mut is_listed = false;
        loop {
            tokio::select! {
                _ = &mut following => return,
                Some(change) = changed.recv() => {
                    is_listed |= matches!(change, Changed::All(..));
                    apply(&mut pods, change);
                }
                Ok(()) = troubles.changed() => {}
            }
            let trouble = troubles.borrow().clone().filter(|trouble| !is_listed || trouble != NOT_ASKED);
            known.send_modify(|known| {
                known.pods = pods.values().cloned().collect();
                known.trouble = trouble;
            });
        }
    }

    fn apply(pods: &mut HashMap<Key, Pod>, change: Changed) {
        let mut put = |object: &Object| {
            if let Object::Pod(pod) = object
                && (pods.len() < MOST_PODS || pods.contains_key(&object.key()))
            {
                pods.insert(object.key(), read(pod));
            }
        };
        match change {
            Changed::All(_, _, objects) => {
                let now: HashSet<Key> = objects.iter().map(Object::key).collect();
                objects.iter().for_each(&mut put);
                pods.retain(|key, _| now.contains(key));
            }
            Changed::Put(_, object) => put(&object),
            Changed::Gone(_, key) => drop(pods.remove(&key)),
        }
    }

    fn read(pod: &objects::Pod) -> Pod {
        let meta = &pod.metadata;
        let label = |(label, name): (&str, &'static str)| Some((name, meta.labels.get(label)?.clone()));
        let mut dynamo: Dynamo = LABELS.into_iter().filter_map(label).filter(|(_, value)| !value.is_empty()).collect();
        dynamo.sort();
        let statuses = pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses);
        let id = |id: &str| id.rsplit_once("://").map_or(id, |(_, id)| id).to_owned();
        Pod {
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
            containers: statuses.map(|status| (id(&status.container_id), status.name.clone())).collect(),
            dynamo,
        }
    }
}
