//! The fields of an app's definition, as Marathon's RAML types and this build's service know them.

use super::shape::Shape::{Any, Bool, Either, List, Map, Number, Object, OneOf, Text, Whole};
use super::shape::{Field, Shape, field};

const POSITIVE: Shape = Number(0.0, f64::INFINITY);
const TEXTS: Shape = List(&Text);
const LABELS: Shape = Map(&Text);
const PROTOCOL: Shape = OneOf(&["tcp", "udp", "udp,tcp", "tcp,udp"]);
/// A port, or 0 for "any"; the servers say what is too large.
const PORT: Shape = Whole(0);

/// An app.
pub(super) const FIELDS: &[Field] = &[
    field("id", Text),
    field("cmd", Text),
    field("args", TEXTS),
    field("user", Text),
    field("env", Map(&Either(&Text, &Object(SECRET_REFERENCE)))),
    field("instances", Whole(0)),
    field("cpus", POSITIVE),
    field("mem", POSITIVE),
    field("disk", POSITIVE),
    field("gpus", Whole(0)),
    field("resourceLimits", Object(LIMITS)),
    field("executor", Text),
    field("executorResources", Object(EXECUTOR_RESOURCES)),
    field("labels", LABELS),
    field("tty", Bool),
    field("role", Text),
    field("acceptedResourceRoles", TEXTS),
    field("fetch", List(&Object(FETCH))),
    field("container", Object(CONTAINER)),
    field("secrets", Map(&Object(SECRET))),
    field("networks", List(&Object(NETWORK))),
    field("portDefinitions", List(&Object(PORT_DEFINITION))),
    field("requirePorts", Bool),
    field("constraints", List(&TEXTS)),
    field("backoffSeconds", POSITIVE),
    field("backoffFactor", Number(1.0, f64::INFINITY)),
    field("maxLaunchDelaySeconds", POSITIVE),
    field("taskKillGracePeriodSeconds", POSITIVE),
    field("killSelection", OneOf(&["YOUNGEST_FIRST", "OLDEST_FIRST"])),
    field("upgradeStrategy", Object(UPGRADE)),
    field(
        "unreachableStrategy",
        Either(&OneOf(&["disabled"]), &Object(UNREACHABLE)),
    ),
    field("dependencies", TEXTS),
    field("healthChecks", List(&Object(HEALTH_CHECK))),
    field("check", Object(CHECK)),
    field("readinessChecks", List(&Object(READINESS))),
    // Old forms, still accepted.
    field("uris", TEXTS).old("fetch"),
    field("ports", List(&PORT)).old("portDefinitions"),
    field("ipAddress", Object(IP_ADDRESS)).old("networks"),
    field("residency", Any).old("container.volumes"),
    field("storeUrls", Any).old("fetch"),
    // What the server adds to its answers: accepted so that an answer can be sent back.
    field("version", Text).read_only(),
    field("versionInfo", Any).read_only(),
    field("tasks", Any).read_only(),
    field("tasksStaged", Any).read_only(),
    field("tasksRunning", Any).read_only(),
    field("tasksHealthy", Any).read_only(),
    field("tasksUnhealthy", Any).read_only(),
    field("tasksStats", Any).read_only(),
    field("taskStats", Any).read_only(),
    field("deployments", Any).read_only(),
    field("lastTaskFailure", Any).read_only(),
    field("readinessCheckResults", Any).read_only(),
];

const SECRET_REFERENCE: &[Field] = &[field("secret", Text)];
const SECRET: &[Field] = &[field("source", Text)];
const LIMIT: Shape = Either(&OneOf(&["unlimited"]), &POSITIVE);
const LIMITS: &[Field] = &[field("cpus", LIMIT), field("mem", LIMIT)];
const EXECUTOR_RESOURCES: &[Field] = &[
    field("cpus", POSITIVE),
    field("mem", POSITIVE),
    field("disk", POSITIVE),
];
const FETCH: &[Field] = &[
    field("uri", Text),
    field("extract", Bool),
    field("executable", Bool),
    field("cache", Bool),
    field("destPath", Text),
];
const CONTAINER: &[Field] = &[
    field("type", OneOf(&["DOCKER", "MESOS"])),
    field("docker", Object(DOCKER)),
    field("volumes", List(&Object(VOLUME))),
    field("portMappings", List(&Object(PORT_MAPPING))),
    field("linuxInfo", Any),
];
const DOCKER: &[Field] = &[
    field("image", Text),
    field("forcePullImage", Bool),
    field("privileged", Bool),
    field("parameters", List(&Object(PARAMETER))),
    field("pullConfig", Object(SECRET_REFERENCE)),
    field("credential", Any).old("container.docker.pullConfig"),
    field("network", OneOf(&["BRIDGE", "HOST", "NONE", "USER"])).old("networks"),
    field("portMappings", List(&Object(PORT_MAPPING))).old("container.portMappings"),
];
const PARAMETER: &[Field] = &[field("key", Text), field("value", Text)];
const VOLUME: &[Field] = &[
    field("containerPath", Text),
    field("hostPath", Text),
    field("mode", OneOf(&["RO", "RW"])),
    field("persistent", Any),
    field("external", Any),
    field("secret", Text),
];
const NETWORK: &[Field] = &[
    field("mode", OneOf(&["host", "container/bridge", "container"])),
    field("name", Text),
    field("labels", LABELS),
];
const PORT_DEFINITION: &[Field] = &[
    field("port", PORT),
    field("protocol", PROTOCOL),
    field("name", Text),
    field("labels", LABELS),
];
const PORT_MAPPING: &[Field] = &[
    field("containerPort", PORT),
    field("hostPort", PORT),
    field("servicePort", PORT),
    field("protocol", PROTOCOL),
    field("name", Text),
    field("labels", LABELS),
    field("networkNames", TEXTS),
];
const UPGRADE: &[Field] = &[
    field("minimumHealthCapacity", Number(0.0, 1.0)),
    field("maximumOverCapacity", Number(0.0, 1.0)),
];
const UNREACHABLE: &[Field] = &[
    field("inactiveAfterSeconds", POSITIVE),
    field("expungeAfterSeconds", POSITIVE),
];
const HEALTH_CHECK: &[Field] = &[
    field(
        "protocol",
        OneOf(&[
            "HTTP",
            "HTTPS",
            "TCP",
            "COMMAND",
            "MESOS_HTTP",
            "MESOS_HTTPS",
            "MESOS_TCP",
        ]),
    ),
    field("path", Text),
    field("portIndex", Whole(0)),
    field("port", PORT),
    field("gracePeriodSeconds", POSITIVE),
    field("intervalSeconds", POSITIVE),
    field("timeoutSeconds", POSITIVE),
    field("maxConsecutiveFailures", Whole(0)),
    field("delaySeconds", POSITIVE),
    field("ignoreHttp1xx", Bool),
    field("ipProtocol", OneOf(&["IPv4", "IPv6"])),
    field("command", Object(COMMAND)),
];
const COMMAND: &[Field] = &[field("value", Text)];
const CHECK: &[Field] = &[
    field("http", Any),
    field("tcp", Any),
    field("exec", Any),
    field("intervalSeconds", POSITIVE),
    field("timeoutSeconds", POSITIVE),
    field("delaySeconds", POSITIVE),
];
const READINESS: &[Field] = &[
    field("name", Text),
    field("protocol", OneOf(&["HTTP", "HTTPS"])),
    field("path", Text),
    field("portName", Text),
    field("intervalSeconds", POSITIVE),
    field("timeoutSeconds", POSITIVE),
    field("httpStatusCodesForReady", List(&Whole(100))),
    field("preserveLastResponse", Bool),
];
const IP_ADDRESS: &[Field] = &[
    field("networkName", Text),
    field("labels", LABELS),
    field("groups", TEXTS),
    field("discovery", Any),
];
