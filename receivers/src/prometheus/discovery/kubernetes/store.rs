//! The objects that are known now, and which of them a target was made of, so that a change of one is a change of few.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};

use super::endpoints::{of_a_slice, of_endpoints};
use super::labels::Labels;
use super::objects::{Key, Kind, Node, Object, Pod, Service};
use super::places::{of_a_node, of_a_pod, of_a_service, of_an_ingress};
use crate::prometheus::config::{AttachMetadata, Role};
use crate::prometheus::discovery::Found;

/// An object among all.
type Place = (Kind, Key);

/// What a watch tells.
#[derive(Debug)]
pub(crate) enum Changed {
    /// These are all objects of the kind in the namespace; an empty one is all of them.
    All(Kind, String, Vec<Object>),
    /// One is new, or another.
    Put(Kind, Box<Object>),
    /// One is gone.
    Gone(Kind, Key),
}

/// The objects.
pub(super) struct Store {
    role: Role,
    attach: AttachMetadata,
    objects: HashMap<Place, Object>,
    /// What the targets of an object of the role were made of.
    used: HashMap<Key, Vec<Place>>,
    users: HashMap<Place, HashSet<Key>>,
}

impl Store {
    pub(super) fn new(role: Role, attach: AttachMetadata) -> Store {
        Store { role, attach, objects: HashMap::new(), used: HashMap::new(), users: HashMap::new() }
    }

    /// Takes a change over; answers the objects of the role whose targets may be others now.
    pub(super) fn apply(&mut self, change: Changed) -> BTreeSet<Key> {
        let mut dirty = BTreeSet::new();
        match change {
            Changed::All(kind, namespace, objects) => {
                let now: HashSet<Key> = objects.iter().map(Object::key).collect();
                let here = |key: &Key| namespace.is_empty() || key.namespace == namespace;
                let known = self.objects.keys().filter(|(k, key)| *k == kind && here(key) && !now.contains(key));
                let gone: Vec<Key> = known.map(|(_, key)| key.clone()).collect();
                gone.into_iter().for_each(|key| self.remove(&(kind, key), &mut dirty));
                objects.into_iter().for_each(|object| self.put(kind, object, &mut dirty));
            }
            Changed::Put(kind, object) => self.put(kind, *object, &mut dirty),
            Changed::Gone(kind, key) => self.remove(&(kind, key), &mut dirty),
        }
        dirty
    }

    fn put(&mut self, kind: Kind, object: Object, dirty: &mut BTreeSet<Key>) {
        let place = (kind, object.key());
        if self.objects.get(&place).is_none_or(|before| !before.says_the_same(&object)) {
            self.touch(&place, dirty);
            self.objects.insert(place, object);
        }
    }

    fn remove(&mut self, place: &Place, dirty: &mut BTreeSet<Key>) {
        if self.objects.remove(place).is_some() {
            self.touch(place, dirty);
        }
    }

    fn touch(&self, place: &Place, dirty: &mut BTreeSet<Key>) {
        if place.0 == Kind::of(self.role) {
            dirty.insert(place.1.clone());
        }
        dirty.extend(self.users.get(place).into_iter().flatten().cloned());
    }

    /// The targets of an object of the role; `None` when it is gone.
    pub(super) fn found(&mut self, key: &Key) -> Option<Found> {
        let view = View { store: self, looked_at: RefCell::default() };
        let found = self.objects.get(&(Kind::of(self.role), key.clone())).map(|object| match object {
            Object::Pod(pod) => of_a_pod(pod, &view),
            Object::Service(service) => of_a_service(service, &view),
            Object::Endpoints(endpoints) => of_endpoints(endpoints, &view),
            Object::EndpointSlice(slice) => of_a_slice(slice, &view),
            Object::Node(node) => of_a_node(node),
            Object::Ingress(ingress) => of_an_ingress(ingress, &view),
            Object::Namespace(_) => Found::default(),
        });
        let used: Vec<Place> = view.looked_at.into_inner().into_iter().collect();
        self.remember(key, used);
        found
    }

    fn remember(&mut self, key: &Key, used: Vec<Place>) {
        for place in self.used.remove(key).into_iter().flatten() {
            if let Some(users) = self.users.get_mut(&place) {
                users.remove(key);
                if users.is_empty() {
                    self.users.remove(&place);
                }
            }
        }
        for place in &used {
            self.users.entry(place.clone()).or_default().insert(key.clone());
        }
        if !used.is_empty() {
            self.used.insert(key.clone(), used);
        }
    }
}

/// The store while targets are made; remembers what was looked at, whether it was there or not.
pub(super) struct View<'a> {
    store: &'a Store,
    looked_at: RefCell<HashSet<Place>>,
}

impl<'a> View<'a> {
    fn look(&self, kind: Kind, key: &Key) -> Option<&'a Object> {
        let place = (kind, key.clone());
        let object = self.store.objects.get(&place);
        self.looked_at.borrow_mut().insert(place);
        object
    }

    pub(super) fn pod(&self, key: &Key) -> Option<&'a Pod> {
        match self.look(Kind::Pod, key) {
            Some(Object::Pod(pod)) => Some(pod),
            _ => None,
        }
    }

    pub(super) fn service(&self, key: &Key) -> Option<&'a Service> {
        match self.look(Kind::Service, key) {
            Some(Object::Service(service)) => Some(service),
            _ => None,
        }
    }

    fn node(&self, name: &str) -> Option<&'a Node> {
        match self.look(Kind::Node, &Key::new("", name)) {
            Some(Object::Node(node)) => Some(node),
            _ => None,
        }
    }

    /// Tells of the node, where the config says so.
    pub(super) fn tell_node(&self, labels: &mut Labels, name: &str) {
        if self.store.attach.node && !name.is_empty() {
            labels.set_node(self.node(name));
        }
    }

    /// Tells of the namespace, where the config says so.
    pub(super) fn tell_namespace(&self, labels: &mut Labels, name: &str) {
        if self.store.attach.namespace
            && let Some(Object::Namespace(namespace)) = self.look(Kind::Namespace, &Key::new("", name))
        {
            labels.set_pairs("namespace", &namespace.metadata);
        }
    }
}
