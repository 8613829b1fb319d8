//! exporters.
