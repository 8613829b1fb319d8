//! slipring
