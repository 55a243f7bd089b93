//! Metric cells and exposition, logs.
