//! processors.
