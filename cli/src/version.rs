//! `meseta version`: this program, the level of Mesos's APIs it speaks, and the server if one answers.

use crate::api::Http;
use crate::args::Global;
use crate::cluster::{masters, string};
use crate::failure::Failure;
use crate::output::{self, block};
use serde_json::{Value, json};
use std::time::Duration;

/// What the APIs are those of.
const MESOS: &str = "1.12.0";
/// The command works without a network: a server that does not answer soon has no version.
const PATIENCE: Duration = Duration::from_secs(1);

/// Prints it.
pub(crate) async fn run(global: &Global) -> Result<u8, Failure> {
    let asked = tokio::time::timeout(PATIENCE, server(global)).await;
    let server = asked.ok().flatten();
    let client = env!("CARGO_PKG_VERSION");
    let object = json!({"kind": "version", "schema": 1, "client": client, "mesos": MESOS, "server": server});
    let text = match output::for_programs(global, &object, client)? {
        Some(text) => text,
        None => block(&[
            ("client", client.to_owned()),
            ("Mesos API", MESOS.to_owned()),
            (
                "server",
                server.map_or_else(|| "none answers".to_owned(), |server| server_text(&server)),
            ),
        ]),
    };
    Ok(output::print(&text).err().unwrap_or(0))
}

async fn server(global: &Global) -> Option<Value> {
    let at = masters(global).ok()?.into_iter().next()?;
    let answer = Http::new().get(&at, "/version").await.ok()?;
    let version: Value = serde_json::from_slice(&answer.body).ok()?;
    Some(json!({
        "address": at.to_string(),
        "version": string(&version, &["meseta_version"]),
        "mesos": string(&version, &["version"]),
    }))
}

fn server_text(server: &Value) -> String {
    let version = match string(server, &["version"]) {
        // A master of Mesos itself.
        "" => format!("Mesos {}", string(server, &["mesos"])),
        version => version.to_owned(),
    };
    format!("{version} at {}", string(server, &["address"]))
}
