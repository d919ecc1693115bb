//! The command line: one file or folder per subcommand, thin.

pub mod dlq;
pub mod storm;
pub mod terminal;
