//! The command line: one file or folder per subcommand, thin.

pub mod dlq;
pub mod terminal;
pub mod storm;
