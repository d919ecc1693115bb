//! Which installation a command is about when it looks at files instead of asking a daemon: its configuration, its folder.

use std::path::PathBuf;

use clap::Args;

use crate::cli::terminal::coloured;
use crate::control::config::{Config, Overrides};

/// Where the daemon's configuration and data are.
#[derive(Clone, Debug, Args)]
pub struct Installation {
    /// The daemon's configuration, which says where its store is; without it the store is in the data directory.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// The daemon's data directory, over what the file says; it may run meanwhile.
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
}

impl Installation {
    /// Whether the arguments name one at all.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.config.is_some() || self.data_dir.is_some()
    }

    /// The configuration that the arguments name; without a file every default, and the data in the current directory.
    ///
    /// # Errors
    /// Every fault of the file, as lines to be shown.
    pub fn config(&self) -> Result<Config, String> {
        let loaded = match &self.config {
            Some(file) => Config::load(file, &Overrides { data_dir: self.data_dir.clone(), ..Overrides::default() }),
            None => {
                let here = self.data_dir.clone().unwrap_or_else(|| PathBuf::from("."));
                Config::without_file(&Overrides { data_dir: Some(here), ..Overrides::default() })
            }
        };
        loaded
            .map(|loaded| loaded.config)
            .map_err(|faults| coloured(&format!("{}{}", faults.details(false), faults.summary())))
    }
}
