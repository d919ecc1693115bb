//! Wires the rooms, names the phases, drains in order.

pub mod bridge;
