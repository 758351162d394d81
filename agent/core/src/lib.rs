//! Executor, task and container lifecycles, update streams and recovery decisions as a pure core.
