//! The command line: one file or folder per subcommand, thin.

pub mod check_config;
pub mod dlq;
pub mod storm;
pub mod terminal;
pub mod topics;
