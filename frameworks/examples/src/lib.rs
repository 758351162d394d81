//! One small module per example.
