//! Query parameters: the known ones by name, all others refused, so that a typing error is not taken for "everything".

use axum::http::Uri;

use crate::control::problem::Problem;
use crate::model::Matcher;

/// The parameters of a request in their order.
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the query of a target.
    ///
    /// # Errors
    /// When a parameter is not among `known`.
    pub(crate) fn read(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> =
            form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(Self(pairs)),
            Some((unknown, _)) => {
                let detail = format!("unknown parameter {unknown:?}; known: {}", known.join(", "));
                Err(Problem::bad_request("unknown_parameter", detail))
            }
        }
    }

    /// The last value given for a parameter.
    pub(crate) fn last(&self, wanted: &str) -> Option<&str> {
        self.all(wanted).last()
    }

    /// Every value given for a parameter.
    pub(crate) fn all(&self, wanted: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| value.as_str())
    }

    /// The last value of a parameter as `read` understands it.
    pub(crate) fn read_as<T>(
        &self,
        wanted: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Problem> {
        self.last(wanted).map(read).transpose().map_err(|fault| bad_parameter(wanted, &fault))
    }

    /// All matchers of a parameter that may be given several times.
    pub(crate) fn matchers(&self, wanted: &str) -> Result<Vec<Matcher>, Problem> {
        let mut matchers = Vec::new();
        for text in self.all(wanted) {
            let more = Matcher::parse_all(text)
                .map_err(|error| bad_parameter(wanted, &format!("at byte {}: {}", error.at, error.what)))?;
            matchers.extend(more);
        }
        Ok(matchers)
    }
}

fn bad_parameter(name: &str, fault: &str) -> Problem {
    Problem::bad_request("bad_parameter", format!("{name}: {fault}"))
}
