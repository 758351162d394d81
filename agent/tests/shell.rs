//! The agent's shell as its neighbours see it: a master over the link, clients and executors over HTTP.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

#[path = "shell/gate.rs"]
mod gate;
#[path = "shell/golden.rs"]
mod golden;
#[path = "shell/http.rs"]
mod http;
#[path = "shell/life.rs"]
mod life;
#[path = "shell/master.rs"]
mod master;
#[path = "shell/world.rs"]
mod world;

#[path = "shell/commands.rs"]
mod commands;
#[path = "shell/executors.rs"]
mod executors;
#[path = "shell/operator.rs"]
mod operator;
