//! The old endpoints `/files/browse`, `/files/read`, `/files/download` and `/files/debug`: reads parameters,
//! prints sorted keys.

use super::{FileError, Files, mode_text};
use crate::path::Query;
use crate::reply::{self, Refusal};
use crate::{MediaType, Response};
use http::HeaderMap;

/// Answers `/files/<rest>`; `rest` begins with a slash.
pub async fn endpoint(files: &Files, rest: &str, query: &Query, headers: &HeaderMap) -> Response {
    let known = ["/browse", "/read", "/download", "/debug"];
    let Some(endpoint) = crate::path::longest(rest, &known) else {
        return reply::not_found();
    };
    if endpoint == "/debug" {
        return debug(files, query, headers);
    }
    let Some(path) = query.get("path").filter(|path| !path.is_empty()) else {
        return Refusal::bad_request("Expecting 'path=value' in query.\n").into();
    };
    match endpoint {
        "/browse" => browse(files, path, query, headers).await,
        "/read" => read(files, path, query, headers).await,
        _ => files.download(path).await,
    }
}

fn debug(files: &Files, query: &Query, headers: &HeaderMap) -> Response {
    let map: serde_json::Map<String, serde_json::Value> = files
        .attached()
        .into_iter()
        .map(|(name, real)| (name, real.to_string_lossy().into_owned().into()))
        .collect();
    reply::legacy_json(
        serde_json::Value::from(map).to_string().into_bytes(),
        query,
        headers,
    )
}

async fn browse(files: &Files, path: &str, query: &Query, headers: &HeaderMap) -> Response {
    let entries = match files.browse(path).await {
        Ok(entries) => entries,
        Err(error) => return error.response(),
    };
    let list: Vec<serde_json::Value> = entries
        .iter()
        .map(|entry| {
            // serde_json's map is sorted by key, as the endpoint prints.
            serde_json::json!({
                "gid": entry.gid,
                "mode": mode_text(entry.mode),
                "mtime": entry.mtime_nanos.div_euclid(1_000_000_000) as f64,
                "nlink": entry.nlink,
                "path": entry.path,
                "size": entry.size,
                "uid": entry.uid,
            })
        })
        .collect();
    reply::legacy_json(
        serde_json::Value::from(list).to_string().into_bytes(),
        query,
        headers,
    )
}

/// A number of the query: absent and -1 mean "not given".
fn number(query: &Query, name: &str, noun: &str) -> Result<Option<u64>, Refusal> {
    let Some(text) = query.get(name) else {
        return Ok(None);
    };
    let value: i64 = text.parse().map_err(|_| {
        Refusal::bad_request(format!(
            "Failed to parse {name}: Failed to convert '{text}' to number.\n"
        ))
    })?;
    match u64::try_from(value) {
        Ok(value) => Ok(Some(value)),
        Err(_) if value == -1 => Ok(None),
        Err(_) => Err(Refusal::bad_request(format!(
            "Negative {noun} provided: {value}.\n"
        ))),
    }
}

async fn read(files: &Files, path: &str, query: &Query, headers: &HeaderMap) -> Response {
    let numbers =
        number(query, "offset", "offset").and_then(|offset| Ok((offset, number(query, "length", "length")?)));
    let (offset, length) = match numbers {
        Ok(numbers) => numbers,
        Err(refusal) => return refusal.into(),
    };
    let (data, size) = match files.read(path, offset, length).await {
        Ok(read) => read,
        Err(FileError::NotFound) => return FileError::NotFound.response(),
        Err(error) => return error.response(),
    };
    let body = serde_json::json!({
        "data": String::from_utf8_lossy(whole_characters(&data, offset.unwrap_or(0), size)),
        "offset": offset.unwrap_or(size),
    });
    let body = body.to_string().into_bytes();
    match query.get("jsonp") {
        Some(_) => reply::legacy_json(body, query, headers),
        None => reply::content(MediaType::Json, body, headers),
    }
}

/// Leaves a character that the end of the answer would cut to the next answer.
fn whole_characters(data: &[u8], offset: u64, size: u64) -> &[u8] {
    if offset + data.len() as u64 >= size {
        return data;
    }
    match std::str::from_utf8(data) {
        // No error length: the text is fine, only its last character is incomplete.
        Err(error) if error.error_len().is_none() && error.valid_up_to() > 0 => &data[..error.valid_up_to()],
        _ => data,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_not_cut_by_the_end_of_an_answer() {
        let text = "aé".as_bytes();
        assert_eq!(whole_characters(&text[..2], 0, 10), b"a");
        assert_eq!(whole_characters(&text[..2], 0, 2), &text[..2]);
        assert_eq!(whole_characters(b"\xffab", 0, 10), b"\xffab");
    }
}
