//! Which benches were asked for on the command line.
//!
//! criterion applies the filter itself, but only once the throughput is known, and for that the input must exist.

use std::env;

use regex::Regex;

/// What criterion takes without a value; of every other option the word behind it is the value.
const FLAGS: [&str; 14] = [
    "--bench",
    "--discard-baseline",
    "--exact",
    "--ignored",
    "--include-ignored",
    "--list",
    "--nocapture",
    "--noplot",
    "--quick",
    "--quiet",
    "--show-output",
    "--test",
    "--verbose",
    "-n",
];

/// Whether a bench of that name (`group/function` or `group/function/parameter`) will run: true in doubt.
pub(crate) fn is_wanted(name: &str) -> bool {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let is_exact = arguments.iter().any(|argument| argument == "--exact");
    filter(&arguments).is_none_or(|filter| {
        if is_exact { filter == name } else { Regex::new(filter).is_ok_and(|filter| filter.is_match(name)) }
    })
}

/// The first word that is neither an option nor an option's value.
fn filter(arguments: &[String]) -> Option<&str> {
    let mut is_value = false;
    arguments.iter().map(String::as_str).find(|argument| {
        let is_option = argument.starts_with('-');
        let is_filter = !is_option && !is_value;
        is_value = is_option && !argument.contains('=') && !FLAGS.contains(argument);
        is_filter
    })
}
