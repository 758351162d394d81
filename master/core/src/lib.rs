//! Cluster state, calls, offers and registry changes as a pure core.
