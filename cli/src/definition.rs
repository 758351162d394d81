//! Files that describe apps and jobs, read with the place of every field, so that a mistake is told with line and column.
//!
//! What a file describes is told by its content: an app has an `id`, a job a `schedule` or `parents`. A file holds one of
//! them, a list, or an answer of the server (`{"app": ...}`). Nothing here asks a server.

mod app;
mod job;
mod places;
mod rules;
mod shape;

use crate::failure::{Failure, exit};
use crate::text::{harmless, plural};
pub(crate) use places::Place;
use places::Places;
pub(crate) use rules::readable;
use serde_json::{Value, json};
use shape::{Field, Finding, Reading};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest file read: far above what the servers take as one body.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What a definition is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    App,
    Job,
}

impl Kind {
    /// The word for people.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::App => "app",
            Kind::Job => "job",
        }
    }

    fn fields(self) -> &'static [Field] {
        match self {
            Kind::App => app::FIELDS,
            Kind::Job => job::FIELDS,
        }
    }
}

/// An app or a job as a file describes it.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) kind: Kind,
    /// Of an app its absolute id, of a job its name.
    pub(crate) id: String,
    /// As it is sent: without members that only servers set.
    pub(crate) value: Value,
    origin: Arc<Origin>,
    /// Where in the file it stands.
    pointer: String,
}

#[derive(Debug)]
struct Origin {
    name: String,
    places: Places,
}

impl Definition {
    /// The name of its file.
    pub(crate) fn file(&self) -> &str {
        &self.origin.name
    }

    /// What names it on a command line.
    pub(crate) fn operand(&self) -> &str {
        match self.file() {
            STANDARD_INPUT => "-",
            file => file,
        }
    }

    /// The field a server means by a path such as `/container/volumes(0)/hostPath`: its name for people, and its place.
    pub(crate) fn locate(&self, path: &str) -> (String, Option<Place>) {
        let pointer = rules::pointer(path);
        let place = self.origin.places.nearest(&format!("{}{pointer}", self.pointer));
        (shown(&pointer), place)
    }

    /// A server's objections (path and texts) with the places of this file.
    pub(crate) fn objections(&self, found: &[(String, String)]) -> Failure {
        let problems = found.iter().map(|(path, text)| {
            let (path, place) = self.locate(path);
            Problem {
                code: self.code(),
                place,
                path,
                text: text.clone(),
            }
        });
        failure(self.file(), &problems.collect::<Vec<_>>())
    }

    fn code(&self) -> &'static str {
        invalid(self.kind)
    }
}

fn invalid(kind: Kind) -> &'static str {
    match kind {
        Kind::App => "invalid-app",
        Kind::Job => "invalid-job",
    }
}

/// Something about a file that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// A stable word.
    pub(crate) code: &'static str,
    pub(crate) place: Option<Place>,
    /// The field, with dots.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Problem {
    fn at(&self) -> String {
        self.place.map_or_else(
            || "-".to_owned(),
            |place| format!("{}:{}", place.line, place.column),
        )
    }

    /// For programs.
    pub(crate) fn object(&self) -> Value {
        json!({
            "code": self.code,
            "line": self.place.map(|p| p.line),
            "column": self.place.map(|p| p.column),
            "field": self.path,
            "message": self.text,
        })
    }

    /// One line on standard error, of a warning.
    pub(crate) fn warning(&self, file: &str) -> String {
        format!("warning[{}]: {file} {} {}\n", self.code, self.at(), self.text)
    }
}

/// A text with a name.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

/// What a text describes.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) definitions: Vec<Definition>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) warnings: Vec<Problem>,
}

/// The name of what came from there, in messages.
const STANDARD_INPUT: &str = "standard input";

/// The texts of files; `-` is standard input, a folder stands for the `.json` files in it.
pub(crate) fn sources(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            let inside = folder(path)?;
            if inside.is_empty() {
                let what = format!("there is no .json file in {}", path.display());
                return Err(Failure::new("no-file", exit::USAGE, what));
            }
            for path in inside {
                found.push(source(&path)?);
            }
        } else {
            found.push(source(path)?);
        }
    }
    Ok(found)
}

fn folder(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.map_err(|e| unreadable(path, &e))?;
    let mut files: Vec<PathBuf> = entries
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "json") && path.is_file())
        .collect();
    files.sort();
    Ok(files)
}

fn source(path: &Path) -> Result<Source, Failure> {
    let (name, text) = if path == Path::new("-") {
        (STANDARD_INPUT.to_owned(), bounded(io::stdin().lock()))
    } else {
        (path.display().to_string(), File::open(path).and_then(bounded))
    };
    let text = text.map_err(|e| unreadable(Path::new(&name), &e))?;
    Ok(Source { name, text })
}

fn bounded(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    from.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        let what = format!("larger than {} MiB", FILE_BYTES_MAX / 1024 / 1024);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    Ok(text)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let what = format!("cannot read {}: {error}", path.display());
    Failure::new("no-file", exit::USAGE, what)
}

/// Reads files that must be right; what is merely odd is said on standard error.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<Definition>, Failure> {
    let mut definitions = Vec::new();
    let mut failures = Vec::new();
    for source in sources(paths)? {
        let report = parse(&source);
        for warning in &report.warnings {
            eprint!("{}", warning.warning(&source.name));
        }
        if !report.problems.is_empty() {
            failures.push(failure(&source.name, &report.problems));
        }
        definitions.extend(report.definitions);
    }
    let others = failures.len().saturating_sub(1);
    match failures.into_iter().next() {
        None => Ok(definitions),
        Some(first) if others == 0 => Err(first),
        Some(first) => {
            let more = format!(
                "{} more with problems: meseta validate shows all",
                plural(others, "file")
            );
            Err(first.detail(more))
        }
    }
}

/// The one definition of a text that must be right and of this kind; warnings are said on standard error.
pub(crate) fn single(source: &Source, kind: Kind) -> Result<Definition, Failure> {
    let report = parse(source);
    for warning in &report.warnings {
        eprint!("{}", warning.warning(&source.name));
    }
    if !report.problems.is_empty() {
        return Err(failure(&source.name, &report.problems));
    }
    let what = match <[Definition; 1]>::try_from(report.definitions) {
        Ok([one]) if one.kind == kind => return Ok(one),
        Ok([other]) => format!("{} describes the {} {}", source.name, other.kind.word(), other.id),
        Err(several) => format!("{} describes {}", source.name, plural(several.len(), "thing")),
    };
    let failure = Failure::new("invalid-file", exit::REFUSED, what);
    Err(failure.detail(format!("one {} was expected", kind.word())))
}

/// What a text describes, and what is wrong or odd about it.
pub(crate) fn parse(source: &Source) -> Report {
    let value: Value = match serde_json::from_str(&source.text) {
        Ok(value) => value,
        Err(error) => return no_json(source, &error),
    };
    let origin = Arc::new(Origin {
        name: source.name.clone(),
        places: Places::of(&source.text),
    });
    let mut report = Report::default();
    for pointer in origin.places.twice() {
        report.problems.push(Problem {
            code: "given-twice",
            place: origin.places.name(pointer),
            path: shown(pointer),
            text: "given twice in one object; only one can count".to_owned(),
        });
    }
    match value {
        Value::Array(elements) if elements.is_empty() => report.problems.push(Problem {
            code: "invalid-file",
            place: origin.places.value(""),
            path: String::new(),
            text: "an empty list describes nothing".to_owned(),
        }),
        Value::Array(elements) => {
            for (index, element) in elements.into_iter().enumerate() {
                one(&origin, element, &format!("/{index}"), &mut report);
            }
        }
        Value::Object(mut members) if members.len() == 1 && members.contains_key("app") => {
            let inner = members.remove("app").unwrap_or_default();
            one(&origin, inner, "/app", &mut report);
        }
        other => one(&origin, other, "", &mut report),
    }
    report.problems.sort_by_key(|problem| problem.place);
    report
}

fn no_json(source: &Source, error: &serde_json::Error) -> Report {
    let text = error.to_string();
    let text = text
        .rsplit_once(" at line ")
        .map_or(text.as_str(), |(what, _)| what);
    let line = source
        .text
        .lines()
        .nth(error.line().saturating_sub(1))
        .unwrap_or_default();
    // The parser counts bytes, people count characters.
    let column = line
        .char_indices()
        .filter(|(at, _)| *at < error.column())
        .count()
        .max(1);
    Report {
        problems: vec![Problem {
            code: "invalid-json",
            place: Some(Place {
                line: error.line(),
                column,
            }),
            path: String::new(),
            text: format!("{text}: {}", harmless(line.trim())),
        }],
        ..Report::default()
    }
}

fn one(origin: &Arc<Origin>, value: Value, pointer: &str, report: &mut Report) {
    let kind = match kind_of(&value) {
        Ok(kind) => kind,
        Err(text) => {
            return report.problems.push(Problem {
                code: "invalid-file",
                place: origin.places.value(pointer),
                path: shown(pointer),
                text,
            });
        }
    };
    let reading = match kind {
        Kind::App => Reading::Strict,
        Kind::Job => Reading::Lenient,
    };
    let mut wrong = false;
    for finding in shape::check(&value, kind.fields(), reading) {
        let is_warning = matches!(finding, Finding::Unknown { .. } | Finding::Old { .. });
        let problem = told(origin, kind, pointer, finding);
        if is_warning {
            report.warnings.push(problem);
        } else {
            wrong = true;
            report.problems.push(problem);
        }
    }
    if !wrong {
        for (path, text) in rules::broken(kind, &value) {
            wrong = true;
            report.problems.push(Problem {
                code: invalid(kind),
                place: origin.places.nearest(&format!("{pointer}{path}")),
                path: shown(&path),
                text,
            });
        }
    }
    if !wrong {
        report.definitions.push(Definition {
            kind,
            id: id_of(kind, &value),
            value: submittable(kind, value),
            origin: origin.clone(),
            pointer: pointer.to_owned(),
        });
    }
}

fn kind_of(value: &Value) -> Result<Kind, String> {
    let Value::Object(members) = value else {
        return Err("not an object: an app or a job is one".to_owned());
    };
    let has = |name: &str| members.contains_key(name);
    if has("apps") || has("groups") {
        Err(
            "this is a group of apps; groups are not supported yet: give each app in a file or a list"
                .to_owned(),
        )
    } else if has("id") && has("containers") {
        Err("this is a pod; pods are not supported yet".to_owned())
    } else if has("schedule") || has("parents") {
        Ok(Kind::Job)
    } else if has("id") {
        Ok(Kind::App)
    } else if has("services") {
        Err("this is a Compose file; those are not supported yet".to_owned())
    } else {
        Err("neither an app (it has an \"id\") nor a job (it has a \"schedule\" or \"parents\")".to_owned())
    }
}

fn id_of(kind: Kind, value: &Value) -> String {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    match kind {
        Kind::App => format!("/{}", text("id").trim_matches('/')),
        Kind::Job => text("name").to_owned(),
    }
}

/// Without members that only servers set: an answer of theirs can be sent back.
pub(crate) fn submittable(kind: Kind, mut value: Value) -> Value {
    if let Value::Object(members) = &mut value {
        let read_only = |name: &str| kind.fields().iter().any(|f| f.name == name && f.read_only);
        members.retain(|name, _| !read_only(name));
    }
    value
}

fn told(origin: &Origin, kind: Kind, base: &str, finding: Finding) -> Problem {
    let name = |pointer: &str| {
        pointer
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .replace("~1", "/")
            .replace("~0", "~")
    };
    let at_name = |pointer: &str| origin.places.name(&format!("{base}{pointer}"));
    let an = match kind {
        Kind::App => "an app",
        Kind::Job => "a job",
    };
    match finding {
        Finding::Wrong { pointer, text } => Problem {
            code: invalid(kind),
            place: origin.places.value(&format!("{base}{pointer}")),
            path: shown(&pointer),
            text,
        },
        Finding::NearMiss { pointer, nearest } => Problem {
            code: "unknown-field",
            place: at_name(&pointer),
            text: format!("{:?} is no field of {an}; nearest: {nearest:?}", name(&pointer)),
            path: shown(&pointer),
        },
        Finding::Unknown { pointer } => Problem {
            code: "unknown-field",
            place: at_name(&pointer),
            text: format!("{:?} is no field of {an}: it has no effect", name(&pointer)),
            path: shown(&pointer),
        },
        Finding::Old { pointer, modern } => {
            let (name, stored) = (name(&pointer), modern.rsplit('.').next().unwrap_or(modern));
            let whose = match kind {
                Kind::App => "Marathon's",
                Kind::Job => "Chronos's",
            };
            Problem {
                code: "old-field",
                place: at_name(&pointer),
                text: format!("{name:?} is {whose} old form of {modern:?}: accepted, stored as {stored}"),
                path: shown(&pointer),
            }
        }
    }
}

/// `container.volumes[0].hostPath` of a pointer.
fn shown(pointer: &str) -> String {
    let mut text = String::new();
    for segment in pointer.split('/').filter(|s| !s.is_empty()) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        if segment.bytes().all(|b| b.is_ascii_digit()) {
            text.push_str(&format!("[{segment}]"));
        } else if text.is_empty() {
            text = segment;
        } else {
            text = format!("{text}.{segment}");
        }
    }
    text
}

/// Warnings for fields that no app has, in an update that does not come from one file.
///
/// # Errors
/// A name that is nearly one of an app's fields, or a value that does not fit.
pub(crate) fn misspelt(update: &Value) -> Result<Vec<String>, Failure> {
    let mut warnings = Vec::new();
    let mut failure = None;
    for finding in shape::check(update, Kind::App.fields(), Reading::Strict) {
        let (pointer, text, wrong) = match finding {
            Finding::Wrong { pointer, text } => (pointer, text, true),
            Finding::NearMiss { pointer, nearest } => {
                (pointer, format!("is no field; nearest: {nearest:?}"), true)
            }
            Finding::Unknown { pointer } => (
                pointer,
                "is no field of an app: it has no effect".to_owned(),
                false,
            ),
            Finding::Old { .. } => continue,
        };
        let line = format!("{}  {text}", shown(&pointer));
        if wrong {
            let start = || {
                Failure::new(
                    "invalid-app",
                    exit::REFUSED,
                    "this change has problems, nothing was changed",
                )
            };
            failure = Some(failure.unwrap_or_else(start).detail(line));
        } else {
            warnings.push(format!("warning[unknown-field]: {line}\n"));
        }
    }
    failure.map_or(Ok(warnings), Err)
}

/// All problems of a file in one failure.
pub(crate) fn failure(file: &str, problems: &[Problem]) -> Failure {
    if let [only] = problems
        && only.code != invalid(Kind::App)
        && only.code != invalid(Kind::Job)
    {
        let what = format!("{file} {} {}", only.at(), only.text);
        return Failure::new(only.code, exit::REFUSED, what);
    }
    let code = problems
        .iter()
        .map(|p| p.code)
        .find(|c| c.starts_with("invalid-"));
    let what = format!(
        "{file} has {}, nothing was changed",
        plural(problems.len(), "problem")
    );
    let width = |text: fn(&Problem) -> String| {
        let all = problems.iter().map(|p| text(p).chars().count());
        all.max().unwrap_or(0)
    };
    let (at, path) = (width(Problem::at), width(|p| p.path.clone()));
    let lines = problems.iter().map(|p| {
        let line = format!("{:at$}  {:path$}  {}", p.at(), p.path, p.text);
        line.trim_end().to_owned()
    });
    let start = Failure::new(code.unwrap_or("invalid-file"), exit::REFUSED, what);
    lines.fold(start, Failure::detail)
}

#[cfg(test)]
mod tests;
