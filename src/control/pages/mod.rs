//! HTML for people: the incidents, one incident, the way in. Rendered here, usable without JavaScript, no build step.
//!
//! `list`, `incident` and `login` are the pages; `overview` is what they all show of the daemon; `live` sends the parts of
//! a page that changed; `fault` shows problems; `assets` are style, script and icon. Views have types of their own: a page
//! knows events, not the engine. No user text gets into markup unescaped, into a style, a script or an address that is not
//! http or https.

pub(crate) mod assets;
mod fault;
pub(crate) mod incident;
pub(crate) mod list;
pub(crate) mod live;
pub(crate) mod login;
mod overview;
mod part;
mod plot;
mod words;

pub(crate) use crate::control::pages::fault::Browser;

#[cfg(test)]
mod tests;
