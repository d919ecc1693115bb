//! Secrets come from files, systemd credentials or the environment, never from the configuration file itself.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::control::config::section::Value;

/// Larger files are no secrets.
const MAX_BYTES: u64 = 64 << 10;

/// What a configuration may refer to outside its file. An argument, so that tests bring their own.
#[derive(Clone)]
pub struct Surroundings {
    /// Relative paths are meant from here: the folder of the configuration file.
    pub folder: PathBuf,
    /// Where systemd puts credentials.
    pub credentials: Option<PathBuf>,
    /// Looks up an environment variable.
    pub environment: fn(&str) -> Option<String>,
}

impl Surroundings {
    /// Those of this process, for a configuration file in `folder`.
    #[must_use]
    pub fn of_process(folder: PathBuf) -> Self {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self { folder, credentials, environment: |name| std::env::var(name).ok() }
    }
}

impl std::fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// Where a secret is kept.
enum Kept {
    File(PathBuf),
    Environment(String),
}

/// Reads a secret from where the value says it is kept.
pub(super) fn read(value: &Value<'_>) -> Option<SecretString> {
    let text = match kept(value, true)? {
        Kept::Environment(text) => text,
        Kept::File(path) => match read_text(&path) {
            Ok(text) => text,
            Err(what) => {
                value.fault(what);
                return None;
            }
        },
    };
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        value.fault("the secret is empty");
        return None;
    }
    Some(SecretString::from(secret))
}

/// The path of a file that somebody else reads (a certificate, a key), after a look whether it can be read.
pub(super) fn file(value: &Value<'_>) -> Option<PathBuf> {
    let Kept::File(path) = kept(value, false)? else { return None };
    match File::open(&path) {
        Ok(_) => Some(path),
        Err(error) => {
            value.fault(format!("{} cannot be read: {error}", path.display()));
            None
        }
    }
}

fn kept(value: &Value<'_>, environment: bool) -> Option<Kept> {
    if value.is_scalar() {
        let ways = if environment { "{file: PATH}, {credential: NAME} or {env: NAME}" } else { "{file: PATH}" };
        if environment {
            value.hide();
            value.fault(format!("a secret does not belong into this file; write {ways}"));
        } else {
            value.fault(format!("must say where it is kept: {ways} or {{credential: NAME}}"));
        }
        return None;
    }
    value.fields(|section| {
        let file = section.get("file").map(|path| path.path().map(Kept::File));
        let credential = section.get("credential").map(|name| credential(&name));
        let variable = if environment { section.get("env").map(|name| variable(&name)) } else { None };
        let mut given: Vec<Option<Kept>> = [file, credential, variable].into_iter().flatten().collect();
        if given.len() != 1 {
            let words = if environment { "file, credential or env" } else { "file or credential" };
            section.value.fault(format!("takes exactly one of {words}"));
            return None;
        }
        given.pop().flatten()
    })?
}

fn credential(value: &Value<'_>) -> Option<Kept> {
    let name = value.name()?;
    let Some(folder) = &value.around.credentials else {
        value
            .fault("there are no credentials: $CREDENTIALS_DIRECTORY is not set (systemd sets it for LoadCredential=)");
        return None;
    };
    Some(Kept::File(folder.join(name)))
}

fn variable(value: &Value<'_>) -> Option<Kept> {
    let name = value.text()?;
    let Some(text) = (value.around.environment)(name) else {
        value.fault(format!("the environment variable {name} is not set"));
        return None;
    };
    value.warn("other processes of this user can read the environment; a file or a credential is safer");
    Some(Kept::Environment(text))
}

fn read_text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes as u64 > MAX_BYTES => Err(format!("{} is too large for a secret", path.display())),
        Ok(_) => Ok(text),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}
