//! Scrapes Prometheus targets.

pub mod exposition;
