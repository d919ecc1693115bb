//! How the picture of a replay looks: the colours of incidents, flags and outcomes, and the symbols of what became of an alert.
//!
//! Outcomes differ by shape as well; the colours keep their distance for colour-blind eyes (vermilion, blue, bluish green,
//! after Okabe and Ito).

use crate::cli::svg::Sheet;

/// Of the whole picture.
pub(super) const SHEET: Sheet = Sheet { light: LIGHT, dark: DARK, symbols: SYMBOLS };

const LIGHT: &str = "\
.a{fill:#dcebf8}.b{fill:#f8ead0}\
.bar{stroke-width:1}.a1{fill:#9fcaec;stroke:#5d97c4}.b1{fill:#ecc987;stroke:#b78a35}\
.a2{fill:url(#ha);stroke:#5d97c4}.b2{fill:url(#hb);stroke:#b78a35}\
.a3{fill:#fff;stroke:#5d97c4;stroke-dasharray:3 2}.b3{fill:#fff;stroke:#b78a35;stroke-dasharray:3 2}\
.ah{stroke:#8bbbe0;stroke-width:2}.bh{stroke:#dfb568;stroke-width:2}.hp{fill:#fff}\
.quiet{stroke:#1f2328;stroke-opacity:.55}.dots{stroke:#57606a;stroke-dasharray:1.5 2.5;stroke-width:1.5}\
.fires{stroke:#57606a;stroke-width:1.6}\
.opened{fill:#c2410c}.joined{fill:#0b5cad}.resolved{fill:#00755a}\
.repeat{fill:#fff;stroke:#57606a;stroke-width:1.3}.held{fill:#fff;stroke:#57606a;stroke-width:1.2;stroke-dasharray:2 1.4}\
.idle{fill:none;stroke:#8c959f;stroke-width:1.2}.stop{fill:#1f2328}\
.pole{stroke:#57606a}.f{stroke-width:1}\
.f-opened{fill:#c2410c;stroke:#c2410c}.f-resolved{fill:#00755a;stroke:#00755a}\
.f-reopened{fill:#fff;stroke:#c2410c;stroke-width:1.6}.f-updated,.f-merged{fill:#fff;stroke:#8c959f}\
.on{fill:#fff}";

const DARK: &str = "\
.a{fill:#14293d}.b{fill:#33290f}\
.a1{fill:#2c618f;stroke:#5d9bd0}.b1{fill:#7b5c1a;stroke:#c79a45}\
.a2{stroke:#5d9bd0}.b2{stroke:#c79a45}.a3{fill:#0d1117;stroke:#5d9bd0}.b3{fill:#0d1117;stroke:#c79a45}\
.ah{stroke:#2c618f}.bh{stroke:#7b5c1a}.hp{fill:#0d1117}\
.quiet{stroke:#e6edf3}.dots{stroke:#9da7b1}.fires{stroke:#9da7b1}\
.opened{fill:#ff8a5c}.joined{fill:#6cb6ff}.resolved{fill:#3fcf9f}\
.repeat{fill:#0d1117;stroke:#b1bac4}.held{fill:#0d1117;stroke:#b1bac4}.idle{stroke:#6e7681}.stop{fill:#e6edf3}\
.pole{stroke:#9da7b1}\
.f-opened{fill:#ff8a5c;stroke:#ff8a5c}.f-resolved{fill:#3fcf9f;stroke:#3fcf9f}\
.f-reopened{fill:#0d1117;stroke:#ff8a5c}.f-updated,.f-merged{fill:#0d1117;stroke:#6e7681}\
.on{fill:#0d1117}";

const SYMBOLS: &str = "\
<path id=\"opened\" class=\"opened\" d=\"M0-5.6 5.2 4.2H-5.2Z\"/>\
<circle id=\"joined\" class=\"joined\" r=\"4.2\"/>\
<circle id=\"repeat\" class=\"repeat\" r=\"2.7\"/>\
<path id=\"held\" class=\"held\" d=\"M0-4.6 4.6 0 0 4.6-4.6 0Z\"/>\
<path id=\"resolved\" class=\"resolved\" d=\"M-3.8-3.8H3.8V3.8H-3.8Z\"/>\
<path id=\"idle\" class=\"idle\" d=\"M-3-3H3V3H-3Z\"/>\
<path id=\"stop\" class=\"stop\" d=\"M-3.6-4.6H3.6L-3.6 4.6H3.6Z\"/>\
<pattern id=\"ha\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
<rect class=\"hp\" width=\"5\" height=\"5\"/><path class=\"ah\" d=\"M1 0V5\"/></pattern>\
<pattern id=\"hb\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\">\
<rect class=\"hp\" width=\"5\" height=\"5\"/><path class=\"bh\" d=\"M1 0V5\"/></pattern>";
