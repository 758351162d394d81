//! The master's shell: HTTP, gRPC, agents' link, event fan-out, configuration.
