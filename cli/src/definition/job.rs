//! The fields of a job's definition, as Chronos's parser and this build's cron know them.

use super::shape::Shape::{Any, Bool, List, Number, Object, Text, Whole};
use super::shape::{Field, Shape, field};

const AMOUNT: Shape = Number(0.0, f64::INFINITY);
const TEXTS: Shape = List(&Text);

/// A job.
pub(super) const FIELDS: &[Field] = &[
    field("name", Text),
    field("command", Text),
    field("schedule", Text),
    field("scheduleTimeZone", Text),
    field("parents", TEXTS),
    field("epsilon", Text),
    field("owner", Text),
    field("ownerName", Text),
    field("description", Text),
    field("disabled", Bool),
    field("retries", Whole(0)),
    field("async", Bool),
    field("softError", Bool),
    field("highPriority", Bool),
    field("concurrent", Bool),
    field("maxCompletionTime", Whole(0)),
    field("shell", Bool),
    field("arguments", TEXTS),
    field("environmentVariables", List(&Object(VARIABLE))),
    field("fetch", List(&Object(FETCH))),
    field("cpus", AMOUNT),
    field("mem", AMOUNT),
    field("disk", AMOUNT),
    field("gpus", Any),
    field("executor", Text),
    field("executorFlags", Text),
    field("taskInfoData", Text),
    field("runAsUser", Text),
    field("constraints", List(&TEXTS)),
    field("container", Object(CONTAINER)),
    field("dataProcessingJobType", Bool),
    field("uris", TEXTS).old("fetch"),
    // Counters: the server takes them from a file, as clients rely on.
    field("successCount", Whole(0)),
    field("errorCount", Whole(0)),
    field("errorsSinceLastSuccess", Whole(0)),
    field("lastSuccess", Text),
    field("lastError", Text),
];

const VARIABLE: &[Field] = &[field("name", Text), field("value", Text)];
const FETCH: &[Field] = &[
    field("uri", Text),
    field("output_file", Text),
    field("executable", Bool),
    field("cache", Bool),
    field("extract", Bool),
];
const CONTAINER: &[Field] = &[
    field("type", Text),
    field("image", Text),
    field("network", Text),
    field("networkName", Text),
    field("networkInfos", Any),
    field("volumes", List(&Any)),
    field("parameters", List(&Any)),
    field("forcePullImage", Bool),
];
