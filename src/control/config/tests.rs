//! The loader as a whole: broken files with the exact place of each fault, the shipped files, reload.
#![allow(clippy::unwrap_used)]

mod broken;
mod meant;
mod reload;
mod shipped;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::control::config::fault::Faults;
use crate::control::config::{Config, Loaded, Overrides, Surroundings};

/// A folder with every secret that the tests name, which is also the folder of the file and of the credentials.
fn around() -> (TempDir, Surroundings) {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "token",
        "tls_certificate",
        "tls_key",
        "kafka_ca",
        "kafka_certificate",
        "kafka_key",
        "kafka_key_password",
        "kafka_password",
    ] {
        fs::write(folder.path().join(name), "s3cret\n").unwrap();
    }
    fs::write(folder.path().join("empty"), "\n").unwrap();
    let environment = |name: &str| (name == "TOKEN").then(|| "s3cret".to_owned());
    let path = folder.path().to_path_buf();
    (folder, Surroundings { folder: path.clone(), credentials: Some(path), environment })
}

fn load(text: &str) -> Result<Loaded, Faults> {
    let (_folder, around) = around();
    Config::from_bytes(text.as_bytes(), Some(Path::new("c.yaml")), &Overrides::default(), &around)
}
