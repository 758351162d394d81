//! Reads health checks, readiness checks and reported checks.

use crate::definition::checks::{
    Check, CheckCommand, CheckExec, CheckHttp, CheckTcp, Command, HealthCheck, HealthProtocol, IpProtocol,
    ReadinessCheck, Scheme,
};
use crate::definition::reader::Object;

const SCHEMES: [(&str, Scheme); 2] = [("HTTP", Scheme::Http), ("HTTPS", Scheme::Https)];

pub(super) fn health(object: Object<'_>) -> Option<HealthCheck> {
    let protocol = object
        .choice("protocol", &HealthProtocol::ALL)
        .unwrap_or_default();
    let path = object.string("path");
    let ignore = object.boolean("ignoreHttp1xx");
    Some(HealthCheck {
        protocol,
        path: protocol.is_http().then(|| path.unwrap_or_else(|| "/".to_owned())),
        port_index: object.count("portIndex"),
        port: object.port("port"),
        command: object.object("command", |command| {
            Some(Command {
                value: command.required("value", command.string("value"))?,
            })
        }),
        grace_period_seconds: object.count("gracePeriodSeconds").unwrap_or(300),
        interval_seconds: object.count("intervalSeconds").unwrap_or(60),
        timeout_seconds: object.count("timeoutSeconds").unwrap_or(20),
        max_consecutive_failures: object.count("maxConsecutiveFailures").unwrap_or(3),
        delay_seconds: object.count("delaySeconds").unwrap_or(15),
        ignore_http1xx: matches!(protocol, HealthProtocol::Http | HealthProtocol::Https)
            .then(|| ignore.unwrap_or(false)),
        ip_protocol: object
            .choice(
                "ipProtocol",
                &[("IPv4", IpProtocol::V4), ("IPv6", IpProtocol::V6)],
            )
            .unwrap_or_default(),
    })
}

pub(super) fn readiness(object: Object<'_>) -> Option<ReadinessCheck> {
    let codes = object.integers("httpStatusCodesForReady").unwrap_or_default();
    let mut ready = Vec::new();
    for (index, code) in codes.iter().enumerate() {
        match u16::try_from(*code)
            .ok()
            .filter(|code| (100..=999).contains(code))
        {
            Some(code) => ready.push(code),
            None => object.problems().rule(
                format!("{}({index})", object.path_of("httpStatusCodesForReady")),
                format!("got {code}, expected between 100 and 999"),
            ),
        }
    }
    if ready.is_empty() {
        ready.push(200);
    }
    Some(ReadinessCheck {
        name: object
            .string("name")
            .unwrap_or_else(|| "readinessCheck".to_owned()),
        protocol: object.choice("protocol", &SCHEMES).unwrap_or_default(),
        path: object.string("path").unwrap_or_else(|| "/".to_owned()),
        port_name: object.string("portName").unwrap_or_else(|| "http-api".to_owned()),
        interval_seconds: object.count("intervalSeconds").unwrap_or(30),
        timeout_seconds: object.count("timeoutSeconds").unwrap_or(10),
        http_status_codes_for_ready: ready,
        preserve_last_response: object.boolean("preserveLastResponse").unwrap_or(false),
    })
}

pub(super) fn reported(object: Object<'_>) -> Option<Check> {
    let check = Check {
        http: object.object("http", |http| {
            Some(CheckHttp {
                port_index: http.count("portIndex"),
                port: http.port("port"),
                path: http.string("path"),
                scheme: http.choice("scheme", &SCHEMES).unwrap_or_default(),
            })
        }),
        tcp: object.object("tcp", |tcp| {
            Some(CheckTcp {
                port_index: tcp.count("portIndex"),
                port: tcp.port("port"),
            })
        }),
        exec: object.object("exec", |exec| {
            exec.object("command", |command| {
                Some(CheckExec {
                    command: CheckCommand {
                        shell: command.required("shell", command.string("shell"))?,
                    },
                })
            })
        }),
        interval_seconds: object.count("intervalSeconds").unwrap_or(60),
        timeout_seconds: object.count("timeoutSeconds").unwrap_or(20),
        delay_seconds: object.count("delaySeconds").unwrap_or(15),
    };
    let kinds = [check.http.is_some(), check.tcp.is_some(), check.exec.is_some()];
    if kinds.iter().filter(|there| **there).count() != 1 {
        object
            .problems()
            .rule(object.path(), "must have exactly one of http, tcp, exec");
    }
    Some(check)
}
