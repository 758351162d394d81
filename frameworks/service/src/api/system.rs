//! Ping, info, leader, metrics.

use super::Inner;
use super::ask::Ask;
use super::gate::Action;
use super::refusal::Refused;
use super::reply;
use crate::metrics::Metric;
use http::StatusCode;
use meseta_http::{Body, Response};
use serde_json::{Map, Value, json};

/// The version of Marathon whose API this is: clients compare it.
const MARATHON_VERSION: &str = "1.11.24";

/// `GET /ping`.
pub(super) fn ping(ask: &Ask) -> Result<Response, Refused> {
    let accept = ask
        .headers()
        .get(http::header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    let accepts = |types: &[&str]| {
        accept.is_none_or(|accept| {
            accept
                .split(',')
                .map(|range| range.split(';').next().unwrap_or_default().trim())
                .any(|range| types.contains(&range))
        })
    };
    if accepts(&["text/plain", "text/*", "*/*"]) {
        return Ok(reply::with_type(StatusCode::OK, "text/plain", Body::from("pong")));
    }
    if accepts(&["application/json", "application/*"]) {
        return Ok(reply::json(StatusCode::OK, &"pong"));
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Flags that `marathon_config` shows, and what their values are. Clients with a closed list of keys know all of these.
const CONFIG: [(&str, Type); 18] = [
    ("checkpoint", Type::Bool),
    ("executor", Type::Text),
    ("failover_timeout", Type::Number),
    ("framework_name", Type::Text),
    ("ha", Type::Bool),
    ("hostname", Type::Text),
    ("leader_proxy_connection_timeout_ms", Type::Number),
    ("leader_proxy_read_timeout_ms", Type::Number),
    ("local_port_max", Type::Number),
    ("local_port_min", Type::Number),
    ("master", Type::Text),
    ("mesos_leader_ui_url", Type::Text),
    ("mesos_role", Type::Text),
    ("mesos_user", Type::Text),
    ("reconciliation_initial_delay", Type::Number),
    ("reconciliation_interval", Type::Number),
    ("task_launch_timeout", Type::Number),
    ("webui_url", Type::Text),
];

#[derive(Clone, Copy)]
enum Type {
    Bool,
    Number,
    Text,
}

/// `GET /v2/info`.
pub(super) fn info(api: &Inner, ask: &Ask) -> Result<Response, Refused> {
    ask.check(Action::ViewConfig)?;
    let info = api.handle.info();
    let mut config = Map::new();
    for (name, kind) in CONFIG {
        let Some((_, text)) = info.flags.iter().find(|(flag, _)| *flag == name) else {
            continue;
        };
        let value = match kind {
            Type::Bool => Value::Bool(text == "true"),
            Type::Number => text.parse::<i64>().map_or(Value::Null, Value::from),
            Type::Text => Value::from(text.as_str()),
        };
        config.insert(name.to_owned(), value);
    }
    let body = json!({
        "name": info.framework_name,
        "version": MARATHON_VERSION,
        "buildref": format!("meseta-{}", env!("CARGO_PKG_VERSION")),
        "elected": true,
        "leader": info.leader,
        "frameworkId": info.framework_id,
        "marathon_config": config,
        // There is no ZooKeeper; clients want the object.
        "zookeeper_config": {},
        "http_config": {"http_port": api.settings.http_port, "https_port": null},
    });
    Ok(reply::json(StatusCode::OK, &body))
}

/// `GET /v2/leader`.
pub(super) fn leader(api: &Inner, ask: &Ask) -> Result<Response, Refused> {
    ask.check(Action::ViewLeader)?;
    Ok(reply::json(
        StatusCode::OK,
        &json!({"leader": api.handle.info().leader}),
    ))
}

/// `DELETE /v2/leader`: the process ends, its tasks run on.
pub(super) fn abdicate(api: &Inner, ask: &Ask) -> Result<Response, Refused> {
    ask.check(Action::UpdateLeader)?;
    for name in ["backup", "restore"] {
        if ask.parameter(name).is_some() {
            return Err(Refused::argument(format!(
                "'{name}' is not supported in this release: stop the process and copy its --work_dir"
            )));
        }
    }
    api.settings.abdication.begin();
    Ok(reply::json(
        StatusCode::OK,
        &json!({"message": "Leadership abdicated", "details": []}),
    ))
}

/// `GET /meseta/v1/last_inputs`.
pub(super) async fn last_inputs(api: &Inner, ask: &Ask) -> Result<Response, Refused> {
    ask.check(Action::ViewInputs)?;
    let inputs = async {
        let inputs = api.handle.last_inputs().await;
        inputs.map_err(|error| meseta_http::Refusal::unavailable(error.to_string()))
    };
    Ok(meseta_http::inputs::show(inputs).await?)
}

/// `GET /metrics`, in the form of Marathon 1.7 and later.
pub(super) async fn metrics(api: &Inner, ask: &Ask) -> Result<Response, Refused> {
    let (mut counters, mut gauges) = (Map::new(), Map::new());
    for metric in read_metrics(api, ask).await? {
        if metric.is_counter {
            counters.insert(metric.name, json!({"count": metric.value as u64}));
        } else {
            gauges.insert(metric.name, json!({"value": metric.value}));
        }
    }
    let body = json!({
        "version": "4.0.0",
        "counters": counters,
        "gauges": gauges,
        "histograms": {},
        "meters": {},
        "timers": {},
    });
    Ok(reply::json(StatusCode::OK, &body))
}

/// `GET /metrics/prometheus`: the same names with underscores.
pub(super) async fn prometheus(api: &Inner, ask: &Ask) -> Result<Response, Refused> {
    let mut text = String::new();
    for metric in read_metrics(api, ask).await? {
        let name: String = metric
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let kind = if metric.is_counter { "counter" } else { "gauge" };
        text.push_str(&format!("# TYPE {name} {kind}\n{name} {}\n", metric.value));
    }
    Ok(reply::with_type(
        StatusCode::OK,
        meseta_http::metrics::PROMETHEUS_TYPE,
        Body::from(text),
    ))
}

async fn read_metrics(api: &Inner, ask: &Ask) -> Result<Vec<Metric>, Refused> {
    ask.check(Action::ViewMetrics)?;
    let view = api.handle.view().await?;
    let up = api.now().0.saturating_sub(api.handle.info().started.0).max(0) as f64 / 1e9;
    let handle = api.handle.clone();
    // Gauges are counted over all instances.
    tokio::task::spawn_blocking(move || handle.counters().metrics(&view, up))
        .await
        .map_err(Refused::broken)
}
