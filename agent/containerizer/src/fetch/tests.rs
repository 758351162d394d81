use super::uri::{Place, Source};
use super::*;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

fn uri(value: &str) -> Uri {
    Uri {
        value: value.into(),
        executable: false,
        extract: true,
        output_file: None,
    }
}

fn named(value: &str, output_file: &str) -> Uri {
    Uri {
        output_file: Some(output_file.into()),
        ..uri(value)
    }
}

const STALL: Duration = Duration::from_secs(30);

#[test]
fn names_come_from_the_last_part_of_a_uri_and_keep_its_query() {
    for (value, file) in [
        ("/a/b", "b"),
        ("  /a/b", "b"),
        ("file:///a/b.tar", "b.tar"),
        ("http://h/x/y.tgz?z=1", "y.tgz?z=1"),
    ] {
        assert_eq!(Place::of(&uri(value)).unwrap().file, file, "{value}");
    }
    let place = Place::of(&uri("file://localhost/a/b")).unwrap();
    assert_eq!(place.source, Source::File("/a/b".into()));
}

#[test]
fn malformed_uris_and_names_that_leave_the_sandbox_are_refused() {
    for value in [
        "",
        "a/b",
        "http://host",
        "http://host/",
        "/a/..",
        "ftp://h/f",
        "file://other/x",
        "/a\\b",
        "/a'b",
    ] {
        assert!(Place::of(&uri(value)).is_err(), "{value}");
    }
    for file in ["/etc/x", "../x", "a/../../x", "", "a/", "."] {
        assert!(Place::of(&named("/a/b", file)).is_err(), "{file}");
    }
}

#[test]
fn a_local_file_is_copied_to_its_name_with_folders_and_made_executable() {
    let (host, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let source = host.path().join("tool");
    std::fs::write(&source, "x").unwrap();
    let mut order = named(source.to_str().unwrap(), "bin/deep/tool");
    order.executable = true;
    let path = fetch(&order, STALL, sandbox.path()).unwrap();
    assert_eq!(path, sandbox.path().join("bin/deep/tool"));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o755);
}

#[test]
fn a_missing_file_is_named_with_the_reason() {
    let sandbox = tempfile::tempdir().unwrap();
    let error = fetch(&uri("/no/such/file"), STALL, sandbox.path()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Failed to read '/no/such/file': No such file or directory (os error 2)"
    );
}

/// A tar archive whose members have exactly these names; the library's own writer would refuse some.
fn tar(members: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in members {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o640);
        if *kind == tar::EntryType::Symlink {
            header.as_old_mut().linkname[..content.len()].copy_from_slice(content.as_bytes());
            header.set_size(0);
            header.set_cksum();
            builder.append(&header, &[][..]).unwrap();
        } else {
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn fetch_bytes(name: &str, bytes: &[u8], sandbox: &Path) -> Result<PathBuf, FetchError> {
    let host = tempfile::tempdir().unwrap();
    let source = host.path().join(name);
    std::fs::write(&source, bytes).unwrap();
    fetch(&uri(source.to_str().unwrap()), STALL, sandbox)
}

#[test]
fn archives_are_unpacked_beside_themselves() {
    use tar::EntryType::Regular;
    let sandbox = tempfile::tempdir().unwrap();
    let archive = tar(&[("d/f", Regular, "hello")]);
    fetch_bytes("a.tar", &archive, sandbox.path()).unwrap();
    assert_eq!(std::fs::read(sandbox.path().join("d/f")).unwrap(), b"hello");
    assert!(sandbox.path().join("a.tar").exists());
    let other = tempfile::tempdir().unwrap();
    fetch_bytes("a.tgz", &gz(&archive), other.path()).unwrap();
    assert!(other.path().join("d/f").exists());
    fetch_bytes("data.gz", &gz(b"data"), other.path()).unwrap();
    assert_eq!(std::fs::read(other.path().join("data")).unwrap(), b"data");
}

#[test]
fn archives_that_leave_the_sandbox_fail_and_write_nothing_outside() {
    use tar::EntryType::{Regular, Symlink};
    let outer = tempfile::tempdir().unwrap();
    let sandbox = outer.path().join("sandbox");
    std::fs::create_dir(&sandbox).unwrap();
    let link_out = [("l", Symlink, ".."), ("l/escaped", Regular, "x")];
    for members in [
        &[("../escaped", Regular, "x")][..],
        &[("/tmp/meseta-escaped", Regular, "x")][..],
        &[("a/../../escaped", Regular, "x")][..],
        &link_out[..],
    ] {
        let error = fetch_bytes("a.tar", &tar(members), &sandbox).unwrap_err();
        assert!(matches!(error, FetchError::Extract { .. }), "{error}");
        assert!(!outer.path().join("escaped").exists());
        assert!(!Path::new("/tmp/meseta-escaped").exists());
    }
}

#[test]
fn a_broken_archive_fails_and_an_unknown_suffix_stays_as_it_is() {
    let sandbox = tempfile::tempdir().unwrap();
    assert!(fetch_bytes("a.tar.gz", b"not gzip", sandbox.path()).is_err());
    fetch_bytes("a.txt", b"text", sandbox.path()).unwrap();
}

#[test]
fn links_unpacked_before_are_not_written_through() {
    let (host, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(host.path().join("f"), "new").unwrap();
    std::fs::write(host.path().join("victim"), "old").unwrap();
    std::os::unix::fs::symlink(host.path(), sandbox.path().join("folder")).unwrap();
    std::os::unix::fs::symlink(host.path().join("victim"), sandbox.path().join("f")).unwrap();
    let source = host.path().join("f");
    let value = source.to_str().unwrap();
    assert!(fetch(&uri(value), STALL, sandbox.path()).is_err());
    assert!(fetch(&named(value, "folder/victim"), STALL, sandbox.path()).is_err());
    let victim = std::fs::read_to_string(host.path().join("victim")).unwrap();
    assert_eq!(victim, "old");
}

/// Serves one answer per connection, in order.
fn server(answers: Vec<String>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = std::io::Read::read(&mut stream, &mut request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}")
}

#[test]
fn http_follows_redirects_and_takes_only_200() {
    let sandbox = tempfile::tempdir().unwrap();
    let ok = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\nbody";
    let moved = "HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let base = server(vec![moved.into(), ok.into()]);
    let path = fetch(&uri(&format!(" {base}/a/file.txt")), STALL, sandbox.path()).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), b"body");
    let gone = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let base = server(vec![gone.into()]);
    let error = fetch(&uri(&format!("{base}/x")), STALL, sandbox.path()).unwrap_err();
    assert!(error.to_string().contains("'404 Not Found'"), "{error}");
}

#[test]
fn a_download_cut_short_or_standing_still_fails() {
    let sandbox = tempfile::tempdir().unwrap();
    let short = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\nbody";
    let base = server(vec![short.into()]);
    assert!(fetch(&uri(&format!("{base}/x")), STALL, sandbox.path()).is_err());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}/x", listener.local_addr().unwrap());
    let error = fetch(&uri(&silent), Duration::from_millis(100), sandbox.path()).unwrap_err();
    assert_eq!(error.to_string(), "Nothing arrived for 100ms");
}

#[test]
fn the_last_cause_is_found_in_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("stderr");
    assert_eq!(last_cause(&log), None);
    std::fs::write(&log, "Fetching\nFailed to fetch 'a': why\nother\n").unwrap();
    assert_eq!(last_cause(&log).unwrap(), "Failed to fetch 'a': why");
}

#[test]
fn a_fetch_is_given_named_variables_only_and_its_whole_order() {
    let spec = LaunchSpec {
        id: meseta_types::ContainerId::new("c").unwrap(),
        sandbox: std::sync::Arc::from(Path::new("/w")),
        command: crate::spec::Command::Shell("true".into()),
        environment: Vec::new(),
        user: None,
        resources: crate::spec::Resources::default(),
        uris: (0..2000).map(|n| uri(&format!("/files/é{n:050}"))).collect(),
        rlimits: Vec::new(),
    };
    let (command, environment) = command(&spec, &["helper".to_owned()], STALL);
    assert_eq!(command, ["helper", "fetch"]);
    let mut text = String::new();
    for entry in &environment {
        assert!(entry.len() < 128 << 10);
        let (name, value) = entry.split_once('=').unwrap();
        if name.starts_with(ORDER) {
            text.push_str(value);
        } else {
            assert!(PASSED_ON.contains(&name), "{name}");
        }
    }
    let order: Order = serde_json::from_str(&text).unwrap();
    assert_eq!(order.uris, spec.uris);
}
