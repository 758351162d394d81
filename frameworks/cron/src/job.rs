//! From a request to what the engine decides on, and back to what a reader sees.

use crate::definition::{Defaults, Definition, Fault, Fetch, Fields, Variable, fault};
use jiff::{SignedDuration, Timestamp};
use meseta_cron_core::io::CountersWish;
use meseta_cron_core::job::{Constraint, Demand, Dialect, Job, JobName, JobSpec, Operator, Trigger};
use meseta_cron_core::pattern::Pattern;
use meseta_cron_core::schedule::{Schedule, ScheduleError};
use serde::Serialize;
use serde_json::Value;

/// A request to create or replace a job.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) spec: JobSpec,
    pub(crate) counters: CountersWish,
}

/// Reads a request.
///
/// # Errors
/// The first field that does not fit, with what is allowed.
pub(crate) fn read(
    body: &Value,
    dialect: Dialect,
    defaults: &Defaults,
    now: Timestamp,
) -> Result<Wish, Fault> {
    let fields = Fields::of(body)?;
    let definition = Definition::read(&fields, defaults)?;
    let name = JobName::new(&definition.name, dialect).map_err(|e| fault("name", e.to_string()))?;
    let trigger = trigger(&fields, now)?;
    let disabled = fields.flag("disabled")?.unwrap_or(false);
    let counters = CountersWish {
        success: fields.count("successCount")?,
        error: fields.count("errorCount")?,
        errors_since_success: fields.count("errorsSinceLastSuccess")?,
        last_success: moment(&fields, "lastSuccess")?,
        last_error: moment(&fields, "lastError")?,
    };
    let spec = JobSpec {
        name,
        ..spec_of(&definition, trigger, disabled)?
    };
    Ok(Wish { spec, counters })
}

/// Parents win over a schedule; one of the two must be there.
fn trigger(fields: &Fields<'_>, now: Timestamp) -> Result<Trigger, Fault> {
    let parents = fields.texts("parents")?;
    let schedule = fields.text("schedule")?;
    match (parents, schedule) {
        // Names of parents are looked up, not judged: one that is not allowed is not found.
        (Some(parents), _) if !parents.is_empty() => Ok(Trigger::Parents(names_once(&parents))),
        (Some(_), None) => Err(fault("parents", "at least one parent is needed")),
        (None, None) => Err(fault("schedule", "either schedule or parents must be given")),
        (_, Some(schedule)) => {
            let zone = fields.text("scheduleTimeZone")?.unwrap_or_default();
            scheduled(&schedule, &zone, now).map_err(|e| {
                let field = match e {
                    ScheduleError::Zone(_) => "scheduleTimeZone",
                    ScheduleError::Syntax { .. } => "schedule",
                };
                fault(field, e.to_string())
            })
        }
    }
}

/// Each parent counts once, in the order sent.
fn names_once(texts: &[String]) -> Vec<JobName> {
    let mut names: Vec<JobName> = Vec::with_capacity(texts.len());
    for text in texts {
        let name = JobName::recorded(text);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// A schedule as it is sent, or as it was stored: `now` stands for an empty start.
///
/// # Errors
/// What does not fit.
pub(crate) fn scheduled(schedule: &str, zone: &str, now: Timestamp) -> Result<Trigger, ScheduleError> {
    let parsed = Schedule::parse(schedule, Some(zone), now)?;
    Ok(Trigger::Schedule {
        text: format!("{schedule}\n{zone}").into(),
        schedule: parsed,
    })
}

/// Text and zone of a schedule as they were sent.
pub(crate) fn text_and_zone(text: &str) -> (&str, &str) {
    text.split_once('\n').unwrap_or((text, ""))
}

fn moment(fields: &Fields<'_>, name: &str) -> Result<Option<Option<Timestamp>>, Fault> {
    match fields.text(name)? {
        None => Ok(None),
        Some(text) if text.is_empty() => Ok(Some(None)),
        Some(text) => {
            let moment = text
                .parse()
                .map_err(|_| fault(name, "must be a time such as 2026-01-02T03:04:05.678Z"))?;
            Ok(Some(Some(moment)))
        }
    }
}

/// What the engine decides on.
///
/// # Errors
/// Fields that have a form of their own: epsilon and constraints.
pub(crate) fn spec_of(definition: &Definition, trigger: Trigger, disabled: bool) -> Result<JobSpec, Fault> {
    Ok(JobSpec {
        name: JobName::recorded(&definition.name),
        trigger,
        disabled,
        retries: definition.retries,
        epsilon: epsilon(definition)?,
        high_priority: definition.high_priority,
        concurrent: definition.concurrent,
        soft_error: definition.soft_error,
        asynchronous: definition.asynchronous,
        max_completion: max_completion(definition),
        demand: Demand {
            cpus: definition.cpus,
            mem: definition.mem,
            disk: definition.disk,
        },
        constraints: constraints(definition)?,
        wire: definition.encode()?.into(),
    })
}

/// A job that names none has all the time it likes.
fn max_completion(definition: &Definition) -> Option<SignedDuration> {
    let seconds = i64::try_from(definition.max_completion_time).unwrap_or(i64::MAX);
    (seconds > 0).then(|| SignedDuration::from_secs(seconds))
}

fn epsilon(definition: &Definition) -> Result<Option<SignedDuration>, Fault> {
    let Some(text) = &definition.epsilon else {
        return Ok(None);
    };
    let bad = || fault("epsilon", format!("'{text}' is no ISO 8601 period such as PT60S"));
    let span: jiff::Span = match text.as_str() {
        "P" => jiff::Span::new(),
        text => text.parse().map_err(|_| bad())?,
    };
    // Months and years have no length of their own.
    let relative = jiff::SpanRelativeTo::days_are_24_hours();
    let length = span.to_duration(relative).map_err(|_| bad())?;
    if length.is_negative() {
        return Err(bad());
    }
    Ok(Some(length))
}

fn constraints(definition: &Definition) -> Result<Vec<Constraint>, Fault> {
    let list = definition.constraints.iter().enumerate();
    list.map(|(index, parts)| {
        let place = format!("constraints[{index}]");
        let [attribute, operator, value] = parts.as_slice() else {
            return Err(fault(place, "must be [attribute, operator, value]"));
        };
        let pattern = || Pattern::new(value).map_err(|e| fault(place.clone(), e.to_string()));
        let operator = match operator.as_str() {
            "EQUALS" => Operator::Equals,
            "LIKE" => Operator::Like(pattern()?),
            "UNLIKE" => Operator::Unlike(pattern()?),
            other => {
                return Err(fault(place, format!("'{other}' is none of EQUALS, LIKE, UNLIKE")));
            }
        };
        Ok(Constraint {
            attribute: attribute.as_str().into(),
            operator,
            value: value.as_str().into(),
        })
    })
    .collect()
}

/// A job as a reader sees it. Field order is the wire's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    name: String,
    command: String,
    shell: bool,
    executor: String,
    executor_flags: String,
    task_info_data: String,
    retries: u32,
    owner: String,
    owner_name: String,
    description: String,
    success_count: u64,
    error_count: u64,
    last_success: String,
    last_error: String,
    cpus: f64,
    disk: f64,
    mem: f64,
    disabled: bool,
    soft_error: bool,
    data_processing_job_type: bool,
    errors_since_last_success: u64,
    fetch: Vec<Fetch>,
    uris: Vec<String>,
    environment_variables: Vec<Variable>,
    arguments: Vec<String>,
    high_priority: bool,
    run_as_user: String,
    concurrent: bool,
    max_completion_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<Value>,
    constraints: Vec<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epsilon: Option<String>,
    #[serde(rename = "async", skip_serializing_if = "std::ops::Not::not")]
    asynchronous: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    parents: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule_time_zone: Option<String>,
}

/// The definition of a job.
pub(crate) fn definition(job: &Job) -> Definition {
    // Written by this program; a record that cannot be read never becomes a job.
    serde_json::from_slice(&job.spec.wire).unwrap_or_default()
}

/// The schedule and its zone as readers see them now; empty for a dependent job.
pub(crate) fn shown_schedule(job: &Job) -> (String, String) {
    match &job.spec.trigger {
        Trigger::Parents(_) => (String::new(), String::new()),
        Trigger::Schedule { text, schedule } => {
            (schedule.shown(job.settled), text_and_zone(text).1.to_owned())
        }
    }
}

/// A job as a reader sees it.
pub(crate) fn show(job: &Job, definition: Definition) -> Shown {
    let d = definition;
    let counters = &job.counters;
    let dependent = matches!(job.spec.trigger, Trigger::Parents(_));
    let (schedule, zone) = shown_schedule(job);
    let parents = job.parents().iter().map(|p| p.as_str().to_owned());
    Shown {
        name: job.spec.name.as_str().to_owned(),
        command: d.command,
        shell: d.shell,
        executor: d.executor,
        executor_flags: d.executor_flags,
        task_info_data: d.task_info_data,
        retries: d.retries,
        owner: d.owner,
        owner_name: d.owner_name,
        description: d.description,
        success_count: counters.success,
        error_count: counters.error,
        last_success: counters.last_success.map_or_else(String::new, time),
        last_error: counters.last_error.map_or_else(String::new, time),
        cpus: d.cpus,
        disk: d.disk,
        mem: d.mem,
        disabled: job.spec.disabled,
        soft_error: d.soft_error,
        data_processing_job_type: d.data_processing_job_type,
        errors_since_last_success: counters.errors_since_success,
        fetch: d.fetch,
        uris: d.uris,
        environment_variables: d.environment_variables,
        arguments: d.arguments,
        high_priority: d.high_priority,
        run_as_user: d.run_as_user,
        concurrent: d.concurrent,
        max_completion_time: d.max_completion_time,
        container: d.container,
        constraints: d.constraints,
        epsilon: d.epsilon,
        asynchronous: d.asynchronous,
        parents: dependent.then(|| parents.collect()),
        schedule: (!dependent).then_some(schedule),
        schedule_time_zone: (!dependent).then_some(zone),
    }
}

/// A time as Chronos writes it: UTC, three decimals, always as wide.
pub(crate) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests;
