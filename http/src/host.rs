//! Load, processors and memory of the host: the `system/...` metrics and `/system/stats.json` of master and agent.

use crate::Response;
use crate::metrics::Sample;
use crate::path::{Query, longest};
use crate::reply::{self, Refusal};
use http::{HeaderMap, StatusCode};

/// What the kernel tells at one moment.
struct Host {
    /// Averages over 1, 5 and 15 minutes.
    load: [f64; 3],
    cpus: u64,
    mem_free_bytes: u64,
    mem_total_bytes: u64,
}

impl Host {
    fn read() -> Option<Host> {
        let info = nix::sys::sysinfo::sysinfo().ok()?;
        let (one, five, fifteen) = info.load_average();
        let online = nix::unistd::sysconf(nix::unistd::SysconfVar::_NPROCESSORS_ONLN);
        Some(Host {
            load: [one, five, fifteen],
            cpus: online.ok().flatten().and_then(|n| u64::try_from(n).ok())?,
            mem_free_bytes: info.ram_unused(),
            mem_total_bytes: info.ram_total(),
        })
    }
}

/// The metrics; none when the kernel tells nothing.
pub fn samples() -> Vec<Sample> {
    let Some(host) = Host::read() else {
        return Vec::new();
    };
    let [one, five, fifteen] = host.load;
    vec![
        Sample::gauge("system/cpus_total", host.cpus as f64),
        Sample::gauge("system/load_1min", one),
        Sample::gauge("system/load_5min", five),
        Sample::gauge("system/load_15min", fifteen),
        Sample::gauge("system/mem_free_bytes", host.mem_free_bytes as f64),
        Sample::gauge("system/mem_total_bytes", host.mem_total_bytes as f64),
    ]
}

/// Answers `/system/<rest>`: `stats.json`, keys sorted.
///
/// # Errors
/// 500 when the kernel tells nothing.
pub fn stats(rest: &str, query: &Query, headers: &HeaderMap) -> Result<Response, Refusal> {
    if longest(rest, &["/stats.json"]).is_none() {
        return Ok(reply::not_found());
    }
    let host = Host::read().ok_or_else(|| Refusal::standard(StatusCode::INTERNAL_SERVER_ERROR))?;
    let [one, five, fifteen] = host.load;
    // serde_json's map is sorted by key.
    let stats = serde_json::json!({
        "avg_load_1min": one,
        "avg_load_5min": five,
        "avg_load_15min": fifteen,
        "cpus_total": host.cpus,
        "mem_free_bytes": host.mem_free_bytes,
        "mem_total_bytes": host.mem_total_bytes,
    });
    Ok(reply::legacy_json(stats.to_string().into_bytes(), query, headers))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_stats_are_answered_and_they_name_what_the_metrics_name() {
        let query = Query::default();
        let other = stats("/other", &query, &HeaderMap::new()).unwrap();
        assert_eq!(other.status(), StatusCode::NOT_FOUND);
        let answer = stats("/stats.json", &query, &HeaderMap::new()).unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(samples().len(), 6);
    }
}
