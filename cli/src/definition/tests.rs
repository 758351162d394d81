//! What is told about files that people write.

#![allow(clippy::unwrap_used)]

use super::*;

fn report(text: &str) -> Report {
    parse(&Source {
        name: "web.json".to_owned(),
        text: text.to_owned(),
    })
}

fn rendered(text: &str) -> String {
    failure("web.json", &report(text).problems).render(false)
}

#[test]
fn two_problems_are_told_with_their_places() {
    let text = r#"{
  "id": "/web",
  "cmd": "sleep 1000",
  "labels": {
    "team": "shop"
  },
  "instances": "three",
  "cpus": 0.1,
  "mem": 32,

  "upgradeStrategy": {
    "minimumHealthCapacity":       1.5
  }
}
"#;
    assert_eq!(
        rendered(text),
        "error[invalid-app]: web.json has 2 problems, nothing was changed
  7:16   instances                              \"three\" is text, expected a whole number from 0
  12:36  upgradeStrategy.minimumHealthCapacity  1.5, expected 0.0 to 1.0
"
    );
}

#[test]
fn a_misspelt_field_is_an_error_and_an_odd_one_a_warning() {
    let text = "{\"id\": \"web\", \"cmd\": \"sleep 1\",\n  \"healthcheck\": []}";
    assert_eq!(
        rendered(text),
        "error[unknown-field]: web.json 2:3 \"healthcheck\" is no field of an app; nearest: \"healthChecks\"\n"
    );
    let odd = report("{\"id\": \"web\", \"cmd\": \"sleep 1\",\n  \"colour\": \"red\"}");
    assert!(odd.problems.is_empty());
    assert_eq!(
        odd.warnings[0].warning("web.json"),
        "warning[unknown-field]: web.json 2:3 \"colour\" is no field of an app: it has no effect\n"
    );
}

#[test]
fn old_forms_are_accepted_and_said() {
    let old = report("{\"id\": \"web\",\n  \"cmd\": \"sleep 1\",\n  \"uris\": [\"http://a/b.tgz\"]}");
    assert!(old.problems.is_empty(), "{old:?}");
    assert_eq!(
        old.warnings[0].warning("web.json"),
        "warning[old-field]: web.json 3:3 \"uris\" is Marathon's old form of \"fetch\": accepted, stored as fetch\n"
    );
}

#[test]
fn text_that_is_no_json_is_shown_where_it_ends_to_be_one() {
    assert_eq!(
        rendered("{\n  \"id\": \"web\",\n  \"cmd\" \"x\"\n}"),
        "error[invalid-json]: web.json 3:9 expected `:`: \"cmd\" \"x\"\n"
    );
    for text in ["", "[1,", "{\"a\": \"\u{7}\"}"] {
        assert_eq!(report(text).problems[0].code, "invalid-json", "{text}");
    }
}

#[test]
fn apps_and_jobs_are_told_apart_by_what_they_have() {
    let both = report(
        "[{\"id\": \"shop/web\", \"cmd\": \"date\"}, {\"name\": \"clock\", \"command\": \"date\", \"schedule\": \
         \"R/2030-01-01T00:00:00Z/PT5S\"}, {\"name\": \"after\", \"command\": \"x\", \"parents\": [\"clock\"]}]",
    );
    assert!(both.problems.is_empty(), "{both:?}");
    let found: Vec<_> = both.definitions.iter().map(|d| (d.kind, d.id.as_str())).collect();
    assert_eq!(
        found,
        [
            (Kind::App, "/shop/web"),
            (Kind::Job, "clock"),
            (Kind::Job, "after")
        ]
    );
    for (text, word) in [
        ("{\"cmd\": \"date\"}", "neither an app"),
        ("{\"id\": \"/\", \"apps\": []}", "group"),
        ("{\"id\": \"p\", \"containers\": []}", "pod"),
        ("[]", "empty list"),
        ("[5]", "not an object"),
        ("\"x\"", "not an object"),
    ] {
        let report = report(text);
        assert!(report.problems[0].text.contains(word), "{text}: {report:?}");
        assert!(report.definitions.is_empty());
    }
}

#[test]
fn an_answer_of_the_server_can_be_sent_back() {
    let answer = report(
        "{\"app\": {\"id\": \"/web\", \"cmd\": \"date\", \"version\": \"2026-11-21T12:04:31.220Z\", \"tasksRunning\": 3, \
         \"tasks\": [], \"versionInfo\": {}, \"lastTaskFailure\": {}}}",
    );
    assert!(
        answer.problems.is_empty() && answer.warnings.is_empty(),
        "{answer:?}"
    );
    assert_eq!(answer.definitions[0].value, json!({"id": "/web", "cmd": "date"}));
}

#[test]
fn ids_names_and_schedules_follow_their_rules() {
    for (text, path) in [
        ("{\"id\": \"Web\", \"cmd\": \"date\"}", "id"),
        ("{\"id\": \"web/restart\", \"cmd\": \"date\"}", "id"),
        (
            "{\"name\": \"a/b\", \"command\": \"x\", \"parents\": [\"c\"]}",
            "name",
        ),
        ("{\"schedule\": \"R/2030-01-01T00:00:00Z/PT5S\"}", "name"),
        ("{\"name\": \"a\", \"schedule\": \"R5\"}", "schedule"),
        ("{\"name\": \"a\", \"schedule\": \"0 9 * * 9\"}", "schedule"),
        (
            "{\"name\": \"a\", \"schedule\": \"0 9 * * 1\", \"scheduleTimeZone\": \"No/Where\"}",
            "schedule",
        ),
    ] {
        let report = report(text);
        assert_eq!(report.problems.len(), 1, "{text}: {report:?}");
        assert_eq!(report.problems[0].path, path, "{text}");
        assert!(report.problems[0].place.is_some());
    }
    let right =
        report("{\"name\": \"a\", \"schedule\": \"0 9 * * 1\", \"cpus\": \"0.5\", \"disabled\": \"true\"}");
    assert!(right.problems.is_empty(), "{right:?}");
}

#[test]
fn a_name_given_twice_is_a_mistake() {
    assert_eq!(
        rendered("{\"id\": \"web\", \"cmd\": \"date\",\n \"cmd\": \"sleep 1\"}"),
        "error[given-twice]: web.json 2:2 given twice in one object; only one can count\n"
    );
}

#[test]
fn a_servers_objections_get_their_places_in_the_file() {
    let text = "[{\"id\": \"web\", \"cmd\": \"date\",\n  \"fetch\": [\n    {\"uri\": \"http://a/b\"}]}]";
    let report = report(text);
    let failure = report.definitions[0].objections(&[
        ("/fetch(0)/destPath".to_owned(), "is missing".to_owned()),
        ("/".to_owned(), "must be something else".to_owned()),
    ]);
    assert_eq!(
        failure.render(false),
        "error[invalid-app]: web.json has 2 problems, nothing was changed
  3:5  fetch[0].destPath  is missing
  1:2                     must be something else
"
    );
}

#[test]
fn folders_stand_for_their_json_files_and_missing_files_are_usage_errors() {
    let folder = tempfile::tempdir().unwrap();
    for (name, id) in [("b.json", "b"), ("a.json", "a"), ("notes.txt", "")] {
        std::fs::write(
            folder.path().join(name),
            format!("{{\"id\": \"{id}\", \"cmd\": \"date\"}}"),
        )
        .unwrap();
    }
    let read_ids = |path: &Path| {
        read(&[path.to_owned()]).map(|found| found.into_iter().map(|d| d.id).collect::<Vec<_>>())
    };
    assert_eq!(read_ids(folder.path()).unwrap(), ["/a", "/b"]);
    let missing = read_ids(&folder.path().join("c.json")).unwrap_err();
    assert_eq!((missing.code, missing.exit), ("no-file", exit::USAGE));
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(read_ids(empty.path()).unwrap_err().exit, exit::USAGE);
}
