//! Configs that the binary brings along, for `--config builtin:name`.

/// Name and text of each.
pub const CONFIGS: &[(&str, &str)] = &[("quickstart", include_str!("../configs/quickstart.yaml"))];
