//! Protobuf messages and the only conversions between them and the model.
