//! Files that hold tokens, passwords and keys: who may read them. That they can be read was seen when the file was loaded.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::cli::doctor::checks::Check;
use crate::cli::doctor::finding::{Finding, listed};

/// The keys of the configuration that say where a secret is kept.
const SECRET_KEYS: [&str; 4] = ["token", "password", "key_password", "key"];

/// `config` is the configuration file, if there is one.
pub(super) fn secrets(config: Option<&Path>) -> Vec<Finding> {
    let Some(file) = config else { return Vec::new() };
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let written: Value = serde_saphyr::from_str(&text).unwrap_or_default();
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let mut paths = Vec::new();
    gather(&written, file.parent().unwrap_or(Path::new("")), credentials.as_deref(), &mut paths);
    paths.sort();
    paths.dedup();
    let modes = paths.into_iter().filter_map(|path| {
        let mode = std::fs::metadata(&path).ok()?.mode();
        Some((path, mode))
    });
    judge(&modes.collect::<Vec<_>>())
}

/// Every `{file: PATH}` and `{credential: NAME}` below a key that is for secrets.
fn gather(value: &Value, folder: &Path, credentials: Option<&Path>, paths: &mut Vec<PathBuf>) {
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                if SECRET_KEYS.contains(&key.as_str()) {
                    paths.extend(inner.get("file").and_then(Value::as_str).map(|path| folder.join(path)));
                    let name = inner.get("credential").and_then(Value::as_str);
                    paths.extend(credentials.zip(name).map(|(folder, name)| folder.join(name)));
                }
                gather(inner, folder, credentials, paths);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, folder, credentials, paths)),
        _ => {}
    }
}

fn judge(files: &[(PathBuf, u32)]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = files.iter().filter_map(|(path, mode)| open_to_others(path, *mode)).collect();
    if findings.is_empty() && !files.is_empty() {
        let names: Vec<String> = files.iter().map(|(path, _)| path.display().to_string()).collect();
        findings.push(Finding::ok(Check::Secrets, format!("readable by their owners only: {}", listed(&names))));
    }
    findings
}

fn open_to_others(path: &Path, mode: u32) -> Option<Finding> {
    let what = format!("{} has mode {:04o}", path.display(), mode & 0o7777);
    let remedy = format!("chmod 0600 {}, or use LoadCredential= in the unit", path.display());
    if mode & 0o007 != 0 {
        let why = "every user of this machine can take the secret";
        Some(Finding::problem(Check::Secrets, what, why, remedy))
    } else if mode & 0o070 != 0 {
        let why = "everybody in its group can take the secret";
        Some(Finding::note(Check::Secrets, what, why, remedy))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_secrets_are_found_wherever_they_are_named() {
        let text = "token: {file: token}\ntls: {certificate: {file: c.pem}, key: {file: /k.pem}}\n\
                    kafka: {sasl: {user: a, password: {credential: kafka}}}\nwindows: [{name: token}]\n";
        let written: Value = serde_saphyr::from_str(text).expect("it is valid YAML");
        let mut paths = Vec::new();
        gather(&written, Path::new("/etc/t"), Some(Path::new("/run/c")), &mut paths);
        paths.sort();
        assert_eq!(paths, ["/etc/t/token", "/k.pem", "/run/c/kafka"].map(PathBuf::from));
    }

    #[test]
    fn a_secret_that_others_can_read_is_a_problem() {
        let file = |path: &str, mode: u32| (PathBuf::from(path), mode);
        let found = judge(&[file("a", 0o100_644), file("b", 0o100_640), file("c", 0o100_600)]);
        let shown: String =
            found.iter().map(|one| format!("{} {} [{}]\n", one.level.name(), one.what, one.remedy)).collect();
        insta::assert_snapshot!(shown, @"
        problem a has mode 0644 [chmod 0600 a, or use LoadCredential= in the unit]
        note b has mode 0640 [chmod 0600 b, or use LoadCredential= in the unit]
        ");
        insta::assert_snapshot!(judge(&[file("c", 0o100_400)])[0].what, @"readable by their owners only: c");
        assert_eq!(judge(&[]), []);
    }
}
