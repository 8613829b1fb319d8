//! What `/proc` says of the processes on a GPU: their container, by their cgroup, and what Dynamo calls them, by their
//! environment.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use pipeline::doors::Files;

use super::owners::{Dynamo, Owner};

const MOST_CGROUP_BYTES: usize = 64 << 10;
const MOST_ENVIRON_BYTES: usize = 1 << 20;
/// Bytes of a value that become a label.
const MOST_VALUE_BYTES: usize = 256;

/// Variables of Dynamo's processes and the labels that they give; of several for one label the first that is set counts.
const VARIABLES: [(&str, &str); 6] = [
    ("DYN_NAMESPACE", "dynamo_namespace"),
    ("DYN_COMPONENT", "dynamo_component"),
    ("DYN_WORKER_ID", "worker_id"),
    ("DYN_DP_RANK", "dp_rank"),
    ("VLLM_DP_RANK", "dp_rank"),
    ("DYN_PARENT_DGD_K8S_NAME", "dynamo_graph_deployment"),
];

/// What is known of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Its container: ids only.
    pub owner: Owner,
    /// Why the container is not known.
    pub no_container: Option<String>,
    /// What Dynamo calls it.
    pub dynamo: Dynamo,
    /// Why that is not known.
    pub no_dynamo: Option<String>,
}

/// The processes that are on GPUs now.
pub struct Processes {
    files: Arc<dyn Files>,
    known: HashMap<u32, (Known, bool)>,
    with_environment: bool,
}

impl Processes {
    /// No processes yet.
    pub fn new(files: Arc<dyn Files>, with_environment: bool) -> Processes {
        Processes { files, known: HashMap::new(), with_environment }
    }

    /// What is known of a process. It is looked at once, as long as it is asked for in every pass.
    pub fn of(&mut self, pid: u32) -> &Known {
        let (known, is_asked) =
            self.known.entry(pid).or_insert_with(|| (look(&*self.files, pid, self.with_environment), true));
        *is_asked = true;
        known
    }

    /// A pass is over: who was not asked for in it is forgotten.
    pub fn end_pass(&mut self) {
        self.known.retain(|_, (_, is_asked)| std::mem::take(is_asked));
    }
}

fn look(files: &dyn Files, pid: u32, with_environment: bool) -> Known {
    let read = |file: &str, most: usize| files.read_small(&PathBuf::from(format!("/proc/{pid}/{file}")), most);
    let mut known = Known::default();
    match read("cgroup", MOST_CGROUP_BYTES) {
        Ok(text) => match container(&String::from_utf8_lossy(&text)) {
            Some(owner) => known.owner = owner,
            None => known.no_container = Some(format!("process {pid} is in no container that its cgroup names")),
        },
        Err(error) => known.no_container = Some(unreadable(pid, "cgroup", &error)),
    }
    if with_environment {
        match read("environ", MOST_ENVIRON_BYTES) {
            Ok(bytes) => known.dynamo = dynamo(&bytes),
            Err(error) => known.no_dynamo = Some(unreadable(pid, "environ", &error)),
        }
        if known.dynamo.is_empty() && known.no_dynamo.is_none() {
            known.no_dynamo = Some(format!("process {pid} has none of Dynamo's variables in its environment"));
        }
    }
    known
}

fn unreadable(pid: u32, file: &str, error: &io::Error) -> String {
    format!("/proc/{pid}/{file} cannot be read: {error}")
}

/// The container that a cgroup's path names: Kubernetes' with its pod's id (systemd's spelling and the plain one),
/// Docker's and Podman's without.
pub fn container(cgroup: &str) -> Option<Owner> {
    let path = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2)).max_by_key(|path| path.len())?;
    let mut owner = Owner::default();
    for part in path.split('/') {
        let part = part.strip_suffix(".slice").or_else(|| part.strip_suffix(".scope")).unwrap_or(part);
        if let Some((_, uid)) = part.rsplit_once("pod").filter(|(before, uid)| is_uid(uid) && is_pod(before)) {
            owner.pod_uid = uid.replace('_', "-");
        } else if let Some(id) = part.rsplit(['-', ':']).next().filter(|id| is_container_id(id)) {
            owner.container_id = id.to_owned();
        }
    }
    (owner != Owner::default()).then_some(owner)
}

fn is_pod(before: &str) -> bool {
    before.is_empty() || before.starts_with("kubepods")
}

fn is_uid(text: &str) -> bool {
    text.len() >= 32 && text.chars().all(|c| c.is_ascii_hexdigit() || c == '_' || c == '-')
}

fn is_container_id(text: &str) -> bool {
    text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// Dynamo's labels in an environment.
pub fn dynamo(environment: &[u8]) -> Dynamo {
    let mut labels = Dynamo::new();
    for (variable, label) in VARIABLES {
        let value = environment
            .split(|byte| *byte == 0)
            .find_map(|entry| entry.strip_prefix(variable.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")));
        let value = value.filter(|value| !value.is_empty() && value.len() <= MOST_VALUE_BYTES);
        if let Some(value) = value.filter(|_| labels.iter().all(|(name, _)| *name != label)) {
            labels.push((label, String::from_utf8_lossy(value).into_owned()));
        }
    }
    labels.sort();
    labels
}
