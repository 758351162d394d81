//! A job's definition as people write it: the fields of Chronos, read as leniently as Chronos read them.
//!
//! Numbers may come as texts, booleans too, null is absent, unknown fields are ignored. What is sent in text fields comes
//! back as it was sent: clients compare. The schedule, the parents and the counters are not part of what is stored here;
//! they belong to the engine.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Defaults of fields that a request leaves out; flags of the process.
#[derive(Clone, Debug)]
pub(crate) struct Defaults {
    /// Cores.
    pub(crate) cpus: f64,
    /// MiB.
    pub(crate) mem: f64,
    /// MiB.
    pub(crate) disk: f64,
    /// The user runs belong to.
    pub(crate) user: String,
}

/// What is stored and shown of a job besides its schedule, parents and counters. Field order is the order of the wire.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) command: String,
    pub(crate) shell: bool,
    pub(crate) executor: String,
    pub(crate) executor_flags: String,
    pub(crate) task_info_data: String,
    pub(crate) retries: u32,
    pub(crate) owner: String,
    pub(crate) owner_name: String,
    pub(crate) description: String,
    pub(crate) cpus: f64,
    pub(crate) disk: f64,
    pub(crate) mem: f64,
    pub(crate) soft_error: bool,
    pub(crate) data_processing_job_type: bool,
    pub(crate) fetch: Vec<Fetch>,
    pub(crate) uris: Vec<String>,
    pub(crate) environment_variables: Vec<Variable>,
    pub(crate) arguments: Vec<String>,
    pub(crate) high_priority: bool,
    pub(crate) run_as_user: String,
    pub(crate) concurrent: bool,
    pub(crate) max_completion_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) container: Option<Value>,
    pub(crate) constraints: Vec<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) epsilon: Option<String>,
    #[serde(rename = "async", skip_serializing_if = "is_false")]
    pub(crate) asynchronous: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A file to fetch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Fetch {
    pub(crate) uri: String,
    pub(crate) executable: bool,
    pub(crate) cache: bool,
    pub(crate) extract: bool,
    pub(crate) output_file: String,
}

impl Fetch {
    /// What an entry of the older list means.
    fn of(uri: &str) -> Fetch {
        Fetch {
            uri: uri.to_owned(),
            extract: true,
            ..Fetch::default()
        }
    }
}

/// An environment variable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Why a definition is refused: names the field and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub(crate) struct Fault {
    /// The field.
    pub(crate) field: String,
    /// What is allowed.
    pub(crate) why: String,
}

pub(crate) fn fault(field: impl Into<String>, why: impl Into<String>) -> Fault {
    Fault {
        field: field.into(),
        why: why.into(),
    }
}

/// A request's fields, read one by one.
pub(crate) struct Fields<'a>(&'a Map<String, Value>);

/// Largest scalar resource: beyond it a job can never run, and sums lose precision.
pub(crate) const RESOURCE_MAX: f64 = 1e9;

/// Most retries of a job.
const RETRIES_MAX: u64 = 100_000;

/// Most elements of a list.
const LIST_MAX: usize = 1_000;

/// Longest definition as stored, in bytes: the store takes values of 512 KiB, and a launch carries several.
const DEFINITION_BYTES_MAX: usize = 256 * 1024;

impl<'a> Fields<'a> {
    /// The fields of an object.
    ///
    /// # Errors
    /// Anything that is no object.
    pub(crate) fn of(value: &'a Value) -> Result<Fields<'a>, Fault> {
        value
            .as_object()
            .map(Fields)
            .ok_or_else(|| fault("job", "must be a JSON object"))
    }

    /// A field, unless it is absent or null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// A text; numbers and booleans are texts too.
    ///
    /// # Errors
    /// Lists and objects.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, Fault> {
        self.get(name).map(|value| text(name, value)).transpose()
    }

    /// A boolean, also as the texts `true` and `false`.
    ///
    /// # Errors
    /// Anything else.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Fault> {
        self.get(name)
            .map(|value| match value {
                Value::Bool(flag) => Ok(*flag),
                Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
                Value::String(text) if text.eq_ignore_ascii_case("false") || text.is_empty() => Ok(false),
                Value::Number(number) => Ok(number.as_f64() != Some(0.0)),
                _ => Err(fault(name, "must be true or false")),
            })
            .transpose()
    }

    /// A number, also as a text; a text that is no number counts as 0.
    ///
    /// # Errors
    /// Lists, objects, and numbers that are negative or absurd.
    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>, Fault> {
        let number = self
            .get(name)
            .map(|value| match value {
                Value::Number(number) => Ok(number.as_f64().unwrap_or(f64::NAN)),
                Value::String(text) => Ok(text.trim().parse().unwrap_or(0.0)),
                Value::Bool(flag) => Ok(f64::from(u8::from(*flag))),
                _ => Err(fault(name, "must be a number")),
            })
            .transpose()?;
        match number {
            Some(number) if !(0.0..=RESOURCE_MAX).contains(&number) => {
                Err(fault(name, format!("must be a number from 0 to {RESOURCE_MAX}")))
            }
            number => Ok(number),
        }
    }

    /// A whole number that is not negative.
    ///
    /// # Errors
    /// As [`Fields::number`]; fractions are cut off.
    pub(crate) fn count(&self, name: &str) -> Result<Option<u64>, Fault> {
        Ok(self.number(name)?.map(|number| number as u64))
    }

    /// A list of texts; a lone text is a list of one.
    ///
    /// # Errors
    /// Anything else, and lists that are too long.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Fault> {
        let Some(list) = self.list(name)? else {
            return Ok(None);
        };
        list.iter()
            .map(|value| text(name, value))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    /// A list; a lone value is a list of one.
    ///
    /// # Errors
    /// Lists that are too long.
    pub(crate) fn list(&self, name: &str) -> Result<Option<&'a [Value]>, Fault> {
        let list = self.get(name).map(|value| match value {
            Value::Array(list) => list.as_slice(),
            other => std::slice::from_ref(other),
        });
        match list {
            Some(list) if list.len() > LIST_MAX => Err(fault(
                name,
                format!("must not have more than {LIST_MAX} elements"),
            )),
            list => Ok(list),
        }
    }
}

fn text(name: &str, value: &Value) -> Result<String, Fault> {
    match value {
        Value::String(text) if text.contains('\0') => Err(fault(name, "must not contain a NUL character")),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err(fault(name, "must be a text")),
    }
}

impl Definition {
    /// Reads the fields of a request. The name is checked by whoever knows the dialect.
    ///
    /// # Errors
    /// The first field that does not fit.
    pub(crate) fn read(fields: &Fields<'_>, defaults: &Defaults) -> Result<Definition, Fault> {
        let scalar = |name: &str, default: f64| -> Result<f64, Fault> {
            Ok(fields
                .number(name)?
                .filter(|number| *number > 0.0)
                .unwrap_or(default))
        };
        let text = |name: &str| Ok::<_, Fault>(fields.text(name)?.unwrap_or_default());
        let flag = |name: &str, default: bool| Ok::<_, Fault>(fields.flag(name)?.unwrap_or(default));
        let retries = fields.count("retries")?.unwrap_or(2);
        if retries > RETRIES_MAX {
            return Err(fault(
                "retries",
                format!("must be a number from 0 to {RETRIES_MAX}"),
            ));
        }
        Ok(Definition {
            name: fields.text("name")?.ok_or_else(|| fault("name", "is missing"))?,
            command: text("command")?,
            shell: flag("shell", true)?,
            executor: text("executor")?,
            executor_flags: text("executorFlags")?,
            task_info_data: text("taskInfoData")?,
            retries: retries as u32,
            owner: text("owner")?,
            owner_name: text("ownerName")?,
            description: text("description")?,
            cpus: scalar("cpus", defaults.cpus)?,
            disk: scalar("disk", defaults.disk)?,
            mem: scalar("mem", defaults.mem)?,
            soft_error: flag("softError", false)?,
            data_processing_job_type: flag("dataProcessingJobType", false)?,
            fetch: fetch(fields)?,
            uris: fields.texts("uris")?.unwrap_or_default(),
            environment_variables: variables(fields)?,
            arguments: fields.texts("arguments")?.unwrap_or_default(),
            high_priority: flag("highPriority", false)?,
            run_as_user: fields.text("runAsUser")?.unwrap_or_else(|| defaults.user.clone()),
            concurrent: flag("concurrent", false)?,
            max_completion_time: fields.count("maxCompletionTime")?.unwrap_or(0),
            container: container(fields)?,
            constraints: constraints(fields)?,
            epsilon: fields.text("epsilon")?.filter(|text| !text.is_empty()),
            asynchronous: flag("async", false)?,
        })
    }

    /// As it is stored.
    ///
    /// # Errors
    /// A definition that is too long.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Fault> {
        let bytes = serde_json::to_vec(self).map_err(|e| fault("job", e.to_string()))?;
        if bytes.len() > DEFINITION_BYTES_MAX {
            return Err(fault(
                "job",
                format!("must not have more than {DEFINITION_BYTES_MAX} bytes"),
            ));
        }
        Ok(bytes)
    }

    /// Both lists of files filled from each other when one is empty, as the listing of all jobs shows them.
    pub(crate) fn with_both_lists(mut self) -> Definition {
        if self.fetch.is_empty() {
            self.fetch = self.uris.iter().map(|uri| Fetch::of(uri)).collect();
        } else if self.uris.is_empty() {
            self.uris = self.fetch.iter().map(|file| file.uri.clone()).collect();
        }
        self
    }

    /// Files to fetch, each once, whichever of the two lists names it.
    pub(crate) fn files(&self) -> Vec<Fetch> {
        let mut files = self.fetch.clone();
        for uri in &self.uris {
            if !files.iter().any(|file| file.uri == *uri) {
                files.push(Fetch::of(uri));
            }
        }
        files
    }
}

fn fetch(fields: &Fields<'_>) -> Result<Vec<Fetch>, Fault> {
    let list = fields.list("fetch")?.unwrap_or_default();
    list.iter()
        .enumerate()
        .map(|(index, value)| {
            let name = |field: &str| format!("fetch[{index}].{field}");
            let file =
                Fields::of(value).map_err(|_| fault(format!("fetch[{index}]"), "must be an object"))?;
            let rename = |f: Fault| fault(format!("fetch[{index}].{}", f.field), f.why);
            Ok(Fetch {
                uri: file
                    .text("uri")
                    .map_err(rename)?
                    .ok_or_else(|| fault(name("uri"), "is missing"))?,
                executable: file.flag("executable").map_err(rename)?.unwrap_or(false),
                cache: file.flag("cache").map_err(rename)?.unwrap_or(false),
                extract: file.flag("extract").map_err(rename)?.unwrap_or(true),
                output_file: file.text("output_file").map_err(rename)?.unwrap_or_default(),
            })
        })
        .collect()
}

fn variables(fields: &Fields<'_>) -> Result<Vec<Variable>, Fault> {
    let list = fields.list("environmentVariables")?.unwrap_or_default();
    list.iter()
        .enumerate()
        .map(|(index, value)| {
            let place = format!("environmentVariables[{index}]");
            let variable = Fields::of(value).map_err(|_| fault(&*place, "must be an object"))?;
            let rename = |f: Fault| fault(format!("{place}.{}", f.field), f.why);
            let name = variable.text("name").map_err(rename)?.unwrap_or_default();
            if name.is_empty() || name.contains('=') {
                return Err(fault(format!("{place}.name"), "must be a text without '='"));
            }
            Ok(Variable {
                name,
                value: variable.text("value").map_err(rename)?.unwrap_or_default(),
            })
        })
        .collect()
}

/// A container must name its image; an empty object is no container.
fn container(fields: &Fields<'_>) -> Result<Option<Value>, Fault> {
    let Some(value) = fields.get("container") else {
        return Ok(None);
    };
    let object = value
        .as_object()
        .ok_or_else(|| fault("container", "must be an object"))?;
    if object.is_empty() {
        return Ok(None);
    }
    crate::container::check(value)?;
    Ok(Some(value.clone()))
}

fn constraints(fields: &Fields<'_>) -> Result<Vec<Vec<String>>, Fault> {
    let list = fields.list("constraints")?.unwrap_or_default();
    list.iter()
        .enumerate()
        .map(|(index, value)| {
            let place = format!("constraints[{index}]");
            let parts = value.as_array().map(Vec::as_slice).unwrap_or_default();
            match parts {
                [attribute, operator, value] => [attribute, operator, value]
                    .into_iter()
                    .map(|part| text(&place, part))
                    .collect(),
                _ => Err(fault(place, "must be [attribute, operator, value]")),
            }
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn defaults() -> Defaults {
        Defaults {
            cpus: 0.1,
            mem: 128.0,
            disk: 256.0,
            user: "root".into(),
        }
    }

    fn read(value: Value) -> Result<Definition, Fault> {
        Definition::read(&Fields::of(&value)?, &defaults())
    }

    #[test]
    fn what_is_left_out_gets_its_default_and_so_does_zero() {
        let definition = read(json!({"name": "a", "cpus": 0})).unwrap();
        assert_eq!(
            (definition.cpus, definition.mem, definition.disk),
            (0.1, 128.0, 256.0)
        );
        assert_eq!(
            (definition.retries, definition.shell, &*definition.run_as_user),
            (2, true, "root")
        );
    }

    #[test]
    fn texts_are_numbers_and_booleans_and_null_is_absent() {
        let definition = read(json!({
            "name": "a", "cpus": "0.5", "mem": "64", "shell": "false", "command": null, "container": null, "x": 1,
        }));
        let definition = definition.unwrap();
        assert_eq!(
            (definition.cpus, definition.mem, definition.shell),
            (0.5, 64.0, false)
        );
        assert_eq!((&*definition.command, definition.container), ("", None));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_the_field() {
        for (value, field) in [
            (json!([]), "job"),
            (json!({}), "name"),
            (json!({"name": "a", "cpus": -1}), "cpus"),
            (json!({"name": "a", "mem": 1e300}), "mem"),
            (json!({"name": "a", "retries": -1}), "retries"),
            (json!({"name": "a", "maxCompletionTime": -5}), "maxCompletionTime"),
            (
                json!({"name": "a", "container": {"type": "DOCKER"}}),
                "container.image",
            ),
            (
                json!({"name": "a", "container": {"image": "i", "type": "LXC"}}),
                "container.type",
            ),
            (
                json!({"name": "a", "container": {"image": "i", "network": "bridge"}}),
                "container.network",
            ),
            (
                json!({"name": "a", "container": {"image": "i", "volumes": [{"mode": "RW"}]}}),
                "container.volumes[0].containerPath",
            ),
            (json!({"name": "a", "command": "a\0b"}), "command"),
            (json!({"name": "a", "constraints": [["rack"]]}), "constraints[0]"),
            (json!({"name": "a", "fetch": [{}]}), "fetch[0].uri"),
            (
                json!({"name": "a", "environmentVariables": [{"value": "x"}]}),
                "environmentVariables[0].name",
            ),
            (json!({"name": "a", "command": ["x"]}), "command"),
        ] {
            assert_eq!(read(value.clone()).unwrap_err().field, field, "{value}");
        }
    }

    #[test]
    fn a_file_named_twice_is_fetched_once() {
        let definition =
            read(json!({"name": "a", "uris": ["u", "v"], "fetch": [{"uri": "u", "executable": true}]}));
        let files = definition.unwrap().files();
        assert_eq!(files.len(), 2);
        assert!(files[0].executable && files[1].extract);
        let listed = read(json!({"name": "a", "uris": ["u"]}))
            .unwrap()
            .with_both_lists();
        assert_eq!((listed.fetch.len(), listed.files().len()), (1, 1));
    }

    #[test]
    fn a_definition_too_long_for_the_store_is_refused() {
        let definition = read(json!({"name": "a", "command": "x".repeat(300_000)})).unwrap();
        assert_eq!(definition.encode().unwrap_err().field, "job");
    }
}
