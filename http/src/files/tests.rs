#![allow(clippy::unwrap_used)]
use super::*;
use http_body_util::BodyExt;
use std::os::unix::fs::symlink;

fn sandbox() -> (tempfile::TempDir, Files, String) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("run");
    std::fs::create_dir_all(root.join("sub")).unwrap();
    std::fs::write(root.join("stdout"), b"on stdout\n").unwrap();
    std::fs::write(dir.path().join("secret"), b"secret").unwrap();
    std::fs::create_dir_all(dir.path().join("run-other")).unwrap();
    std::fs::write(dir.path().join("run-other/x"), b"x").unwrap();
    let files = Files::default();
    files.attach("/v/run", &root);
    let real = root.to_string_lossy().into_owned();
    files.attach(real.clone(), &root);
    (dir, files, real)
}

async fn body(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

async fn get(files: &Files, rest: &str, query: &str) -> (u16, String) {
    let query = crate::path::Query::parse(Some(query)).unwrap();
    body(endpoint(files, rest, &query, &http::HeaderMap::new()).await).await
}

#[tokio::test]
async fn nothing_outside_an_attached_root_is_reachable() {
    let (dir, files, real) = sandbox();
    let root = dir.path().join("run");
    symlink(dir.path().join("secret"), root.join("link")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink("../run-other", root.join("other")).unwrap();
    for (path, status) in [
        ("/v/run/link".to_owned(), 400),
        ("/v/run/up/secret".to_owned(), 400),
        ("/v/run/../secret".to_owned(), 400),
        ("/v/run/other/x".to_owned(), 400),
        (format!("{real}/../secret"), 400),
        (format!("{real}-other/x"), 404),
        ("/v".to_owned(), 404),
        ("/etc/passwd".to_owned(), 404),
        (String::from("/v/run/nope"), 404),
    ] {
        let (got, text) = get(&files, "/read", &format!("path={path}&offset=0")).await;
        assert_eq!(got, status, "{path}: {text}");
    }
    assert_eq!(
        get(&files, "/read", "path=/v/run/link&offset=0").await.1,
        "'/v/run/link' is inaccessible.\n"
    );
}

#[tokio::test]
async fn read_answers_as_recorded() {
    let (_dir, files, real) = sandbox();
    let at = format!("path={real}/stdout");
    for (query, want) in [
        (
            format!("{at}&offset=0&length=100"),
            "{\"data\":\"on stdout\\n\",\"offset\":0}",
        ),
        (
            format!("{at}&offset=3&length=-1"),
            "{\"data\":\"stdout\\n\",\"offset\":3}",
        ),
        (format!("{at}&offset=-1"), "{\"data\":\"\",\"offset\":10}"),
        (at.clone(), "{\"data\":\"\",\"offset\":10}"),
        (
            format!("{at}&offset=99999&length=10"),
            "{\"data\":\"\",\"offset\":99999}",
        ),
    ] {
        assert_eq!(get(&files, "/read", &query).await, (200, want.to_owned()));
    }
    for (query, want) in [
        (
            format!("{at}&offset=abc"),
            "Failed to parse offset: Failed to convert 'abc' to number.\n",
        ),
        (format!("{at}&offset=-2"), "Negative offset provided: -2.\n"),
        (
            format!("{at}&offset=0&length=-7"),
            "Negative length provided: -7.\n",
        ),
        (format!("path={real}&offset=0"), "Cannot read a directory.\n"),
        ("offset=0".to_owned(), "Expecting 'path=value' in query.\n"),
    ] {
        assert_eq!(get(&files, "/read", &query).await, (400, want.to_owned()));
    }
}

#[tokio::test]
async fn one_read_is_bounded() {
    let (dir, files, real) = sandbox();
    std::fs::write(dir.path().join("run/big"), vec![b'x'; 200_000]).unwrap();
    let (data, size) = files.read(&format!("{real}/big"), Some(1), None).await.unwrap();
    assert_eq!((data.len() as u64, size), (READ_MAX_BYTES, 200_000));
}

#[tokio::test]
async fn a_fifo_holds_no_thread() {
    let (dir, files, _) = sandbox();
    nix::unistd::mkfifo(&dir.path().join("run/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let (status, text) = get(&files, "/read", "path=/v/run/pipe&offset=0").await;
    assert_eq!(
        (status, text.as_str()),
        (400, "'/v/run/pipe' is not a regular file.\n")
    );
}

#[tokio::test]
async fn browse_lists_sorted_entries_and_nothing_for_a_file() {
    let (_dir, files, real) = sandbox();
    let entries = files.browse(&real).await.unwrap();
    let names: Vec<_> = entries.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(names, [format!("{real}/stdout"), format!("{real}/sub")]);
    assert!(mode_text(entries[1].mode).starts_with('d'));
    assert_eq!(files.browse("/v/run/stdout").await, Ok(Vec::new()));
    let (status, text) = get(&files, "/browse", "path=/v/run").await;
    assert_eq!(status, 200);
    assert!(
        text.starts_with(r#"[{"gid":""#) && text.contains(r#""path":"/v/run/stdout","size":10"#),
        "{text}"
    );
}

#[tokio::test]
async fn download_is_an_attachment() {
    let (_dir, files, _) = sandbox();
    let response = files.download("/v/run/stdout").await;
    assert_eq!(response.headers()[CONTENT_LENGTH], "10");
    assert_eq!(
        response.headers()[CONTENT_DISPOSITION],
        "attachment; filename=stdout"
    );
    assert_eq!(response.headers()[CONTENT_TYPE], "application/octet-stream");
    assert_eq!(body(response).await, (200, "on stdout\n".to_owned()));
    assert_eq!(
        body(files.download("/v/run/sub").await).await,
        (400, "Cannot download a directory.\n".to_owned())
    );
    assert_eq!(
        body(files.download("/v/nope").await).await,
        (404, "404 Not Found.".to_owned())
    );
}
