//! The command line: one file or folder per subcommand, thin.

pub mod dlq;
pub mod terminal;
pub mod storm;
//! The command line: one file per subcommand.

pub mod check_config;
