//! Many window rules, as an organisation with many services writes them.

use std::sync::Arc;

use tidegate::model::matcher::Matcher;
use tidegate::pipeline::options::{Options, WindowRule};

use super::options;

/// That many rules: most name a service, some a namespace and a severity, some know alerts by how their names begin; the
/// last one takes everything, and does so for most alerts of a flood.
pub(crate) fn ruled(shards: usize, n_rules: usize) -> Arc<Options> {
    let rule = |number: usize| {
        let matchers = match number % 20 {
            0 => format!(r#"namespace="space-{number:03}",severity="critical""#),
            10 => format!(r#"alertname=~"Vendor{number:03}.*""#),
            _ => format!(r#"service="service-{number:03}""#),
        };
        let matchers = Matcher::parse_all(&matchers).expect("the matchers above are well-formed");
        WindowRule { matchers, ..WindowRule::named(&format!("rule-{number:03}")) }
    };
    let rules = (1..n_rules).map(rule).chain([WindowRule::named("default")]).collect();
    Arc::new(Options { rules, ..Options::clone(&options(shards)) })
}
