//! How much of what a sender says is taken: sizes and counts that bound the work and the memory per alert.

/// Bounds of one record and of each alert in it. Labels beyond them reject the alert, because cut labels would be
/// another identity; annotations beyond them are cut, because they are for people to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a record; more is `TooLarge`. Request bodies hold many alerts and get `BODY_BYTES`.
    pub max_record_bytes: usize,
    /// Labels with a value, per alert.
    pub max_labels: usize,
    /// Bytes of a label's name (at least one).
    pub max_label_name_bytes: usize,
    /// Bytes of a label's value.
    pub max_label_value_bytes: usize,
    /// Bytes of all names and values of the labels of one alert together.
    pub max_labels_bytes: usize,
    /// Annotations per alert, the one that says that others were left out included.
    pub max_annotations: usize,
    /// Bytes of an annotation's value, the mark of a cut included. A generator URL beyond this is left out.
    pub max_annotation_value_bytes: usize,
    /// Bytes of all names and values of the annotations of one alert together.
    pub max_annotations_bytes: usize,
}

impl Limits {
    /// Bytes of a record of a log or of a line of a file: Kafka's default for the largest message.
    pub const RECORD_BYTES: usize = 1 << 20;
    /// Bytes of a request body: Prometheus sends 256 alerts at once, with room for long annotations.
    pub const BODY_BYTES: usize = 8 << 20;
    /// Levels of objects and arrays. Not per decoder: alerts have four, and the parser's stack is sized by it.
    pub const MAX_DEPTH: usize = 32;
}

impl Default for Limits {
    /// Several times what Prometheus and its users send (names up to 40 bytes, 10 to 30 labels, values up to 200 bytes).
    fn default() -> Self {
        Self {
            max_record_bytes: Self::RECORD_BYTES,
            max_labels: 64,
            max_label_name_bytes: 256,
            max_label_value_bytes: 4 << 10,
            max_labels_bytes: 64 << 10,
            max_annotations: 64,
            max_annotation_value_bytes: 4 << 10,
            max_annotations_bytes: 64 << 10,
        }
    }
}
