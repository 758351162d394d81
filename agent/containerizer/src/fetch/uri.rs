//! What a URI means: where the bytes come from and what the file is called. Pure.

use super::FetchError;
use crate::spec::Uri;
use std::path::{Component, Path};

/// Where the bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// An absolute path of the host.
    File(String),
    /// An `http` or `https` URL.
    Http(String),
}

/// A source and the file's name in the sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) source: Source,
    /// Relative, without `..`.
    pub(crate) file: String,
}

impl Place {
    pub(crate) fn of(uri: &Uri) -> Result<Place, FetchError> {
        let value = uri.value.trim_start();
        let file = match &uri.output_file {
            Some(file) => output_file(file)?,
            None => basename(value)?,
        };
        Ok(Place {
            source: source(value)?,
            file,
        })
    }
}

fn refused<T>(why: String) -> Result<T, FetchError> {
    Err(FetchError::Uri(why))
}

fn source(value: &str) -> Result<Source, FetchError> {
    if value.starts_with('/') {
        return Ok(Source::File(value.to_owned()));
    }
    let Some((scheme, rest)) = value.split_once("://") else {
        return refused(format!(
            "'{value}' is a relative path; only absolute paths and URLs can be fetched"
        ));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "file" => match rest.strip_prefix("localhost").unwrap_or(rest) {
            path if path.starts_with('/') => Ok(Source::File(path.to_owned())),
            _ => refused(format!(
                "File URI '{value}' does not name an absolute path on this host"
            )),
        },
        "http" | "https" => Ok(Source::Http(value.to_owned())),
        scheme => refused(format!("The scheme '{scheme}' is not supported")),
    }
}

/// The part after the last slash, a query included, as Mesos names files.
fn basename(value: &str) -> Result<String, FetchError> {
    if value.is_empty() {
        return refused("The URI is empty".to_owned());
    }
    if value.contains(['\\', '\'', '\0']) {
        return refused(format!("'{}' contains illegal characters", value.escape_debug()));
    }
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    let name = match rest.rsplit_once('/') {
        Some((_, name)) => name,
        None if rest.len() < value.len() => "", // a URL without any path
        None => rest,
    };
    match name {
        "" | "." | ".." => refused(format!("Malformed URI (missing path): {value}")),
        name => Ok(name.to_owned()),
    }
}

fn output_file(file: &str) -> Result<String, FetchError> {
    let path = Path::new(file);
    let inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let named = path.file_name().is_some() && !file.ends_with('/') && !file.contains('\0');
    if !inside || !named {
        return refused(format!(
            "The output file '{}' must be a relative path inside the sandbox",
            file.escape_debug()
        ));
    }
    Ok(file.to_owned())
}
