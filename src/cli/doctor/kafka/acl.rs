//! The commands that grant what is missing, ready to be pasted into a shell.

use crate::pipeline::source::kafka::connection::Connection;

/// `kafka-acls.sh` that allows us these operations on that resource (`--topic NAME` and the like).
pub(super) fn grant(connection: &Connection, operations: &[&str], resource: &str, name: &str) -> String {
    let server = connection.brokers.first().map_or("HOST:PORT", String::as_str);
    let user = connection.sasl.as_ref().map_or("NAME", |sasl| sasl.user.as_str());
    let admin =
        if connection.sasl.is_some() || connection.tls.is_some() { " --command-config admin.properties" } else { "" };
    let operations: String = operations.iter().map(|operation| format!(" --operation {operation}")).collect();
    format!(
        "kafka-acls.sh --bootstrap-server {}{admin} --add --allow-principal {}{operations} {resource} {}",
        quoted(server),
        quoted(&format!("User:{user}")),
        quoted(name)
    )
}

/// One word for a POSIX shell.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/@=,+".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_for_the_shell() {
        let connection = Connection { brokers: vec!["a:1".to_owned()], ..Connection::default() };
        assert_eq!(
            grant(&connection, &["Read", "Describe"], "--topic", "it's; rm"),
            "kafka-acls.sh --bootstrap-server a:1 --add --allow-principal User:NAME --operation Read --operation Describe \
             --topic 'it'\\''s; rm'"
        );
    }
}
