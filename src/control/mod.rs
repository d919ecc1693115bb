//! What people and machines steer tidegate by: its configuration.

pub mod config;
