//! Joins what the kubelet, `/proc`, the environments and the Kubernetes API say about a device: who its series belong to,
//! and where nobody is named, why.

use super::labels::Identity;
use super::owners::{Dynamo, Owner, Owners};
use super::pods::Pods;
use super::processes::Processes;

/// Who uses a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// Whose labels its series get; a set of series for each.
    pub owners: Vec<Owner>,
    /// Why a pod is not named, if it is not.
    pub no_pod: Option<String>,
    /// Why Dynamo's labels are missing, if they are.
    pub no_dynamo: Option<String>,
    /// Why the labels of the pod are not looked at, if so.
    pub no_labels: Option<String>,
}

/// What is known of pods beside the processes.
pub struct Around<'a> {
    /// Who has which device, as the kubelet says.
    pub owners: &'a Owners,
    /// Why the kubelet has said nothing, if so.
    pub kubelet: Option<&'a str>,
    /// What the Kubernetes API says of pods, where Dynamo's labels are asked for.
    pub pods: Option<&'a Pods>,
}

/// Who uses a device with these processes on it.
pub fn of(identity: &Identity, around: &Around<'_>, pids: &[u32], processes: &mut Processes) -> Users {
    let &Around { owners, kubelet, pods } = around;
    let mut users = Users { owners: from_kubelet(identity, owners), ..Users::default() };
    if users.owners.is_empty() {
        let mut why = kubelet.map_or_else(|| "the kubelet names no pod for it".to_owned(), str::to_owned);
        if pids.is_empty() {
            why.push_str("; no process is on it");
        }
        for pid in pids {
            let known = processes.of(*pid);
            match &known.no_container {
                Some(reason) => why = format!("{why}; {reason}"),
                None => users.owners.push(known.owner.clone()),
            }
        }
        users.owners.sort();
        users.owners.dedup();
        users.no_pod = users.owners.iter().all(|owner| owner.pod_uid.is_empty()).then_some(why);
    }
    if let Some(pods) = pods {
        with_dynamo(&mut users, dynamo(pids, processes), pods);
    }
    users
}

/// Adds what Dynamo calls the processes, and what its operator calls their pods.
fn with_dynamo(users: &mut Users, found: Result<Dynamo, String>, pods: &Pods) {
    let mut reason = None;
    match found {
        Ok(labels) if users.owners.is_empty() => users.owners.push(Owner { dynamo: labels, ..Owner::default() }),
        Ok(labels) => users.owners.iter_mut().for_each(|owner| owner.dynamo.clone_from(&labels)),
        Err(why) => reason = Some(why),
    }
    for owner in &mut users.owners {
        if owner.pod.is_empty() && owner.pod_uid.is_empty() {
            continue;
        }
        if let Err(why) = pods.name(owner) {
            if owner.pod.is_empty() && users.no_pod.is_none() {
                users.no_pod = Some(format!("its name is not known: {why}"));
            }
            users.no_labels.get_or_insert(why);
        }
    }
    users.owners.sort();
    let is_nameless = users.owners.iter().all(|owner| owner.dynamo.is_empty());
    users.no_dynamo = reason.filter(|_| is_nameless);
}

/// The device under each of the names that device plugins give it.
fn from_kubelet(identity: &Identity, owners: &Owners) -> Vec<Owner> {
    let counted = identity.minor.map(|minor| match &identity.instance {
        None => format!("nvidia{minor}"),
        Some(instance) => format!("nvidia{minor}/gi{}", instance.number.map_or(String::new(), |n| n.to_string())),
    });
    let found = owners.get(identity.id()).or_else(|| owners.get(&counted?));
    found.cloned().unwrap_or_default()
}

/// What Dynamo calls the processes of a device, where all that it names have the same names.
fn dynamo(pids: &[u32], processes: &mut Processes) -> Result<Dynamo, String> {
    let mut reason = "no process is on it".to_owned();
    let mut found: Option<Dynamo> = None;
    for pid in pids {
        let known = processes.of(*pid);
        if let Some(why) = &known.no_dynamo {
            reason.clone_from(why);
        } else if found.as_ref().is_some_and(|found| *found != known.dynamo) {
            return Err("several of Dynamo's workers share it".to_owned());
        } else {
            found = Some(known.dynamo.clone());
        }
    }
    found.ok_or(reason)
}
