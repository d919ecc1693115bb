//! Markup of the pages.
