//! `--format`: a template per object, a line per object.
//!
//! Templates are minijinja's: `{{ id }} {{ tasksRunning }}`. A dot before the name, as Go's templates have it, is
//! forgiven. A name that an object does not have is an error that says which ones there are.

use crate::failure::{Failure, exit};
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior};

/// Names that an error lists at most.
const NAMES_MAX: usize = 40;

/// The text of these objects.
///
/// # Errors
/// The template cannot be understood, or names what an object does not have (exit code 2).
pub(super) fn render<'a>(
    template: &str,
    objects: impl Iterator<Item = &'a serde_json::Value>,
) -> Result<String, Failure> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let source = without_dots(template);
    let wrong = |why: String| {
        Failure::new("bad-template", exit::USAGE, format!("--format: {why}"))
            .detail(format!("template: {template}"))
    };
    let compiled = environment
        .template_from_str(&source)
        .map_err(|error| wrong(reason(&error)))?;
    let mut text = String::new();
    for object in objects {
        let line = compiled.render(Value::from(Serde(object))).map_err(|error| {
            let names = object
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.as_str());
            let names: Vec<&str> = names.take(NAMES_MAX).collect();
            wrong(reason(&error)).detail(format!("its names: {}", names.join(", ")))
        })?;
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

fn reason(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

/// `{{.id}}` as `{{id}}`: within braces, a dot that follows nothing it could belong to.
fn without_dots(template: &str) -> String {
    let mut out = String::with_capacity(template.len());
    let (mut inside, mut quote) = (false, None);
    let mut before = ' ';
    let mut rest = template.chars().peekable();
    while let Some(c) = rest.next() {
        let pair = (c, rest.peek().copied());
        match (inside, quote) {
            (false, _) => inside = matches!(pair, ('{', Some('{' | '%'))),
            (true, Some(open)) if c == open && before != '\\' => quote = None,
            (true, Some(_)) => {}
            (true, None) if c == '"' || c == '\'' => quote = Some(c),
            (true, None) if matches!(pair, ('}' | '%', Some('}'))) => inside = false,
            (true, None) => {}
        }
        let starts = matches!(before, '{' | '%' | '(' | '|' | '[' | ',' | '-') || before.is_whitespace();
        let names = pair.1.is_some_and(|next| next.is_alphabetic() || next == '_');
        if !(inside && quote.is_none() && c == '.' && starts && names) {
            out.push(c);
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_line_per_object() {
        let objects = [
            json!({"id": "/web", "tasksRunning": 3, "labels": {"a": "x"}}),
            json!({"id": "/db", "tasksRunning": 1, "labels": {}}),
        ];
        let text = |template: &str| render(template, objects.iter());
        assert_eq!(text("{{ id }} {{ tasksRunning }}").unwrap(), "/web 3\n/db 1\n");
        assert_eq!(text("{{.id}}").unwrap(), "/web\n/db\n");
        assert_eq!(text("{{ labels.a | default('-') }}").unwrap(), "x\n-\n");
        let failure = text("{{ nosuch }}").unwrap_err();
        assert_eq!((failure.code, failure.exit), ("bad-template", exit::USAGE));
        assert!(
            failure
                .render(false)
                .contains("its names: id, labels, tasksRunning"),
            "{failure:?}"
        );
        assert_eq!(text("{{ id").unwrap_err().exit, exit::USAGE);
    }

    #[test]
    fn a_dot_is_forgiven_where_it_belongs_to_nothing() {
        for (template, plain) in [
            ("{{.id}} v1.0 {{ .a.b }}", "{{id}} v1.0 {{ a.b }}"),
            ("{{ a.b }}", "{{ a.b }}"),
            ("{% if .x %}.y{% endif %}", "{% if x %}.y{% endif %}"),
            ("{{ f('.id', .id) }}", "{{ f('.id', id) }}"),
            ("{{ 1.5 }}", "{{ 1.5 }}"),
        ] {
            assert_eq!(without_dots(template), plain);
        }
    }
}
