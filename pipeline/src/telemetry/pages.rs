//! What the own-metrics endpoint shows beside `/metrics`: pages that components add while they live.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Response, request};

use crate::component::BoxFuture;

/// One page.
pub trait Page: Send + Sync {
    /// The answer to a request for its path; quick, and without waiting.
    fn show(&self, request: &request::Parts) -> Response<Bytes>;

    /// The same for a page that has to wait for something before it answers.
    fn answer<'a>(&'a self, request: &'a request::Parts) -> BoxFuture<'a, Response<Bytes>> {
        Box::pin(std::future::ready(self.show(request)))
    }
}

impl<F: Fn(&request::Parts) -> Response<Bytes> + Send + Sync> Page for F {
    fn show(&self, request: &request::Parts) -> Response<Bytes> {
        self(request)
    }
}

/// The pages by path; clone is another handle on the same ones.
#[derive(Clone, Default)]
pub struct Pages {
    by_path: Arc<Mutex<BTreeMap<String, Arc<dyn Page>>>>,
    common: Arc<Mutex<HashMap<TypeId, Arc<dyn Any + Send + Sync>>>>,
}

impl Pages {
    /// No pages yet.
    pub fn new() -> Pages {
        Pages::default()
    }

    /// Shows `page` at `path` (such as `/targets`) as long as the guard lives. The latest page of a path is shown.
    #[must_use = "the page goes away with its guard"]
    pub fn add(&self, path: &str, page: Arc<dyn Page>) -> PageGuard {
        self.pages().insert(path.to_owned(), page.clone());
        PageGuard { pages: self.clone(), path: path.to_owned(), page }
    }

    /// The one value of that type that all components share, made when it is asked for first: for pages that several of
    /// them fill together.
    pub fn common<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        let mut all = self.common.lock().unwrap_or_else(PoisonError::into_inner);
        let value = all.entry(TypeId::of::<T>()).or_insert_with(|| Arc::<T>::default());
        value.clone().downcast().unwrap_or_default()
    }

    /// The page at a path.
    pub fn find(&self, path: &str) -> Option<Arc<dyn Page>> {
        self.pages().get(path).cloned()
    }

    /// All paths, sorted.
    pub fn paths(&self) -> Vec<String> {
        self.pages().keys().cloned().collect()
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<String, Arc<dyn Page>>> {
        self.by_path.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes its page away when it is dropped, unless another has taken its place.
pub struct PageGuard {
    pages: Pages,
    path: String,
    page: Arc<dyn Page>,
}

impl Drop for PageGuard {
    fn drop(&mut self) {
        let mut pages = self.pages.pages();
        if pages.get(&self.path).is_some_and(|page| Arc::ptr_eq(page, &self.page)) {
            pages.remove(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pages: &Pages) -> Option<Bytes> {
        let (parts, ()) = http::Request::new(()).into_parts();
        pages.find("/targets").map(|page| page.show(&parts).into_body())
    }

    #[test]
    fn components_share_one_value_of_a_type() {
        let pages = Pages::new();
        pages.common::<Mutex<Vec<u8>>>().lock().unwrap().push(1);
        pages.clone().common::<Mutex<Vec<u8>>>().lock().unwrap().push(2);
        assert_eq!(*pages.common::<Mutex<Vec<u8>>>().lock().unwrap(), [1, 2]);
        assert_eq!(*pages.common::<u8>(), 0);
    }

    #[test]
    fn a_page_lives_as_long_as_its_guard_and_the_latest_is_shown() {
        let pages = Pages::new();
        let old = pages.add("/targets", Arc::new(|_: &request::Parts| Response::new(Bytes::from("old"))));
        let new = pages.add("/targets", Arc::new(|_: &request::Parts| Response::new(Bytes::from("new"))));
        assert_eq!(shown(&pages).unwrap(), "new");
        drop(old);
        assert_eq!(shown(&pages).unwrap(), "new");
        drop(new);
        assert_eq!((shown(&pages), pages.paths()), (None, vec![]));
    }
}
