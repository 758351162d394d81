//! The agent's shell: HTTP, master link, executors, checkpoints, configuration.
