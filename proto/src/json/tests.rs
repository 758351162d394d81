#![allow(clippy::unwrap_used)]
use super::*;
use crate::mesos::v1::scheduler::{Call, Event, OfferConstraints, call, event};
use crate::mesos::v1::{self, Resource, TaskInfo, TaskStatus};
use proptest::prelude::*;

fn read<M: Described>(text: &str) -> M {
    from_slice(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn error<M: Described>(text: &str) -> String {
    from_slice::<M>(text.as_bytes()).unwrap_err().to_string()
}

fn print<M: Described>(message: &M) -> String {
    String::from_utf8(to_vec(message)).unwrap()
}

/// Reads and prints.
fn through<M: Described>(text: &str) -> String {
    print(&read::<M>(text))
}

#[test]
fn defaults_are_printed_unless_deprecated() {
    assert_eq!(
        through::<v1::FrameworkInfo>(r#"{"name":"n","user":"u"}"#),
        r#"{"user":"u","name":"n","failover_timeout":0.0,"checkpoint":false}"#
    );
    assert_eq!(
        through::<v1::FrameworkInfo>(r#"{"name":"n","user":"u","role":"*"}"#),
        r#"{"user":"u","name":"n","failover_timeout":0.0,"checkpoint":false,"role":"*"}"#
    );
    assert_eq!(through::<v1::Filters>("{}"), r#"{"refuse_seconds":5.0}"#);
    assert_eq!(
        through::<v1::container_info::DockerInfo>(r#"{"image":"i"}"#),
        r#"{"image":"i","network":"HOST","privileged":false}"#
    );
}

#[test]
fn fields_are_printed_in_the_order_of_declaration() {
    let text = r#"{"type":"CUSTOM","executor_id":{"value":"e"},"framework_id":{"value":"f"},"command":{"shell":true,"value":"true"},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":0.1},"allocation_info":{"role":"dev"}}],"name":"py"}"#;
    assert_eq!(through::<v1::ExecutorInfo>(text), text);
}

#[test]
fn numbers_and_booleans_may_be_texts_and_texts_may_not_be_numbers() {
    let read = read::<v1::CommandInfo>(r#"{"shell":"false","uris":{"value":"u","cache":true}}"#);
    assert_eq!(read.shell, Some(false));
    assert_eq!(read.uris.len(), 1, "a lone value counts as a list of one");
    assert_eq!(
        through::<v1::TimeInfo>(r#"{"nanoseconds":" 1795240473749708032 "}"#),
        r#"{"nanoseconds":1795240473749708032}"#
    );
    assert_eq!(
        error::<v1::AgentId>(r#"{"value":1}"#),
        "Not expecting a JSON number for field 'value'"
    );
    assert_eq!(
        error::<v1::AgentId>(r#"{"value":true}"#),
        "Not expecting a JSON boolean for field 'value'"
    );
    assert_eq!(
        error::<v1::TimeInfo>(r#"{"nanoseconds":"x1"}"#),
        "Failed to parse 'x1' as a JSON number for field 'nanoseconds': syntax error at line 1 near: x1"
    );
    assert_eq!(
        error::<v1::CommandInfo>(r#"{"shell":"1"}"#),
        "Failed to parse '1' as a JSON boolean for field 'shell': Unexpected JSON type parsed"
    );
}

#[test]
fn integers_are_cut_and_wrap() {
    let port = |text: &str| read::<v1::Port>(&format!(r#"{{"number":{text}}}"#)).number;
    assert_eq!(
        (port("1.9"), port("-1"), port("4294967297"), port("1e3")),
        (1, u32::MAX, 1, 1000)
    );
    let range = read::<v1::value::Range>(r#"{"begin":18446744073709551615,"end":-1}"#);
    assert_eq!((range.begin, range.end), (u64::MAX, u64::MAX));
    assert_eq!(
        read::<v1::TimeInfo>(r#"{"nanoseconds":-9223372036854775808}"#).nanoseconds,
        i64::MIN
    );
}

#[test]
fn null_is_unset_at_every_level() {
    let call = read::<Call>(
        r#"{"type":"DECLINE","decline":{"offer_ids":[null,{"value":"o"}],"filters":null},"kill":null,"framework_id":null}"#,
    );
    assert_eq!(call.kill, None);
    assert_eq!(call.decline.unwrap().offer_ids.len(), 1);
    assert_eq!(
        error::<v1::AgentId>(r#"{"value":null}"#),
        "Missing required fields: value"
    );
    assert_eq!(error::<v1::AgentId>("null"), "Expecting a JSON object");
}

#[test]
fn unknown_names_are_ignored_and_unknown_enums_unset() {
    assert_eq!(
        read::<Call>(r#"{"frameworkId":{"value":[1,{"a":"}"}]},"x":-1e5}"#),
        Call::default()
    );
    assert_eq!(read::<Call>(r#"{"type":"NOPE"}"#).r#type, None);
    let info = read::<v1::LinuxInfo>(r#"{"bounding_capabilities":{"capabilities":["NOPE","CHOWN"]}}"#);
    assert_eq!(info.bounding_capabilities.unwrap().capabilities.len(), 1);
    assert_eq!(
        error::<TaskStatus>(r#"{"task_id":{"value":"t"},"state":"RUNNING"}"#),
        "Failed to find enum for 'RUNNING'"
    );
    assert_eq!(
        error::<Call>(r#"{"type":1}"#),
        "Not expecting a JSON number for field 'type'"
    );
}

#[test]
fn nested_lists_are_flattened() {
    let decline = read::<call::Decline>(r#"{"offer_ids":[[{"value":"a"},[{"value":"b"}]],{"value":"c"}]}"#);
    let ids: Vec<_> = decline.offer_ids.iter().map(|o| o.value.as_str()).collect();
    assert_eq!(ids, ["a", "b", "c"]);
    assert_eq!(
        error::<Call>(r#"{"framework_id":[]}"#),
        "Not expecting a JSON array for field 'framework_id'"
    );
}

#[test]
fn the_last_of_equal_keys_wins() {
    let task =
        read::<v1::KillPolicy>(r#"{"grace_period":{"nanoseconds":1},"grace_period":{"nanoseconds":2}}"#);
    assert_eq!(task.grace_period.unwrap().nanoseconds, 2);
    assert_eq!(read::<v1::AgentId>(r#"{"value":"a","value":"b"}"#).value, "b");
    assert_eq!(
        read::<call::Revive>(r#"{"roles":["a","b"],"roles":["c"]}"#).roles,
        ["c"]
    );
    assert_eq!(
        read::<v1::Label>(r#"{"key":"a","value":"b","value":null,"key":"c"}"#).value,
        None
    );
    let uri = read::<v1::command_info::Uri>(
        r#"{"cache":true,"value":"x","cache":false,"value":"yy","extract":false}"#,
    );
    assert_eq!(
        (uri.value.as_str(), uri.cache, uri.extract),
        ("yy", Some(false), Some(false))
    );
}

#[test]
fn the_last_member_of_a_oneof_wins() {
    let predicate = read::<v1::scheduler::attribute_constraint::Predicate>(
        r#"{"exists":{},"text_equals":{"value":"x"},"not_exists":null}"#,
    );
    assert_eq!(print(&predicate), r#"{"text_equals":{"value":"x"}}"#);
}

#[test]
fn maps_are_objects() {
    let text = r#"{"role_constraints":{"a":{},"b":{"groups":[{}]}}}"#;
    assert_eq!(through::<OfferConstraints>(text), text);
    let task = r#"{"name":"n","task_id":{"value":"t"},"agent_id":{"value":"a"},"limits":{"cpus":{"value":"Infinity"},"mem":{"value":1.5}}}"#;
    assert_eq!(through::<TaskInfo>(task), task);
}

#[test]
fn bytes_are_base64() {
    let data = |text: &str| read::<v1::secret::Value>(&format!(r#"{{"data":"{text}"}}"#)).data;
    assert_eq!(&data("YQ==")[..], b"a");
    assert_eq!(&data("YQ")[..], b"a");
    assert_eq!(&data("")[..], b"");
    assert_eq!(
        error::<v1::secret::Value>(r#"{"data":"a-b"}"#),
        "Failed to base64 decode bytes field 'data': Invalid character '-'"
    );
    let mut out = Vec::new();
    write(
        &v1::secret::Value {
            data: vec![0xff; 4].into(),
        },
        &mut out,
    );
    assert_eq!(out, br#"{"data":"/////w=="}"#);
}

#[test]
fn strings_are_ascii_on_the_way_out() {
    let text = "\"\\/\u{8}\u{c}\n\r\t\u{1}\u{7f}é€😀x";
    let printed = print(&v1::AgentId { value: text.into() });
    assert_eq!(
        printed,
        "{\"value\":\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u007f\\u00e9\\u20ac\\ud83d\\ude00x\"}"
    );
    assert_eq!(read::<v1::AgentId>(&printed).value, text);
}

#[test]
fn doubles_keep_their_point() {
    let print = |v: f64| {
        let mut out = Vec::new();
        write_f64(&mut out, v);
        String::from_utf8(out).unwrap()
    };
    for (value, text) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (-2.05, "-2.05"),
        (0.001, "0.001"),
        (1795239202.1188369, "1795239202.1188369"),
        (23081.0, "23081.0"),
        (f64::INFINITY, "\"Infinity\""),
    ] {
        assert_eq!(print(value), text);
    }
}

#[test]
fn durations_of_google_are_ordinary_messages() {
    let text = r#"{"agent_id":{"value":"a"},"max_grace_period":{"seconds":1},"mark_gone":false}"#;
    assert_eq!(
        through::<v1::master::call::DrainAgent>(text),
        r#"{"agent_id":{"value":"a"},"max_grace_period":{"seconds":1},"mark_gone":false}"#
    );
}

#[test]
fn errors_know_their_path() {
    let text =
        r#"{"accept":{"operations":[{},{"launch":{"task_infos":[{"health_check":{"http":{"port":[]}}}]}}]}}"#;
    let Err(JsonError::Convert { path, text }) = from_slice::<Call>(text.as_bytes()) else {
        panic!("taken")
    };
    assert_eq!(
        path,
        "accept.operations[1].launch.task_infos[0].health_check.http.port"
    );
    assert_eq!(text, "Not expecting a JSON array for field 'port'");
}

#[test]
fn syntax_errors_show_where_reading_stopped() {
    for (text, shown) in [
        ("", "1 near: "),
        ("{\"type\":", "1 near: "),
        ("{\n\"type\" 1}", "2 near: 1}"),
        ("{\"a\":tru}", "1 near: }"),
        ("{garbage", "1 near: garbage"),
        ("[1,]", "1 near: ]"),
        ("{\"a\":\"\\x\"}", "1 near: \"}"),
        ("{\"a\":1e}", "1 near: }"),
        ("'a'\nb", "1 near: 'a'"),
    ] {
        assert_eq!(
            error::<Call>(text),
            format!("Failed to parse body into JSON: syntax error at line {shown}")
        );
    }
    let lone = error::<Call>(r#"{"a":"\udc00"}"#);
    assert!(lone.contains("syntax error"), "{lone}");
    assert!(from_slice::<Call>(b"{\"a\":\"\xff\"}").is_err());
}

#[test]
fn nesting_is_bounded() {
    let lists = "[".repeat(1_000_000);
    assert!(error::<Call>(&lists).contains("nested deeper"));
    let parents = r#"{"value":"c","parent":"#.repeat(200) + "{}" + &"}".repeat(200);
    assert!(error::<v1::ContainerId>(&parents).contains("nested deeper"));
}

#[test]
fn one_empty_object_per_few_bytes_does_not_fill_the_memory() {
    let text = format!(
        r#"{{"accept":{{"operations":[{}{{}}]}}}}"#,
        "{},".repeat(3_000_000)
    );
    assert!(error::<Call>(&text).contains("when decoded"));
}

#[test]
fn an_event_prints_as_recorded() {
    let event = Event {
        r#type: Some(event::Type::Heartbeat.into()),
        ..Default::default()
    };
    assert_eq!(print(&event), r#"{"type":"HEARTBEAT"}"#);
}

#[test]
fn deprecated_role_of_a_resource_is_printed_when_set() {
    let text = r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1.0},"role":"*"}"#;
    assert_eq!(through::<Resource>(text), text);
}

proptest! {
    #[test]
    fn doubles_read_back_the_same(bits: u64) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let mut out = Vec::new();
        write_f64(&mut out, value);
        let text = String::from_utf8(out).unwrap();
        prop_assert!(text.contains(['.', 'e']), "{}", text);
        prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), bits);
    }

    #[test]
    fn resource_quantities_print_as_short_as_they_can(milli in -1_000_000_000_000_i64..1_000_000_000_000) {
        let value = milli as f64 / 1000.0;
        let mut out = Vec::new();
        write_f64(&mut out, value);
        prop_assert_eq!(String::from_utf8(out).unwrap(), format!("{value:?}"));
    }

    #[test]
    fn strings_read_back_the_same(text: String) {
        let id = v1::AgentId { value: text };
        let printed = to_vec(&id);
        prop_assert!(printed.is_ascii());
        prop_assert_eq!(from_slice::<v1::AgentId>(&printed).unwrap(), id);
    }

    #[test]
    fn garbage_never_panics(text in "[\\[\\]{}\":,a-c0-9.e\\\\u+ -]{0,60}") {
        let _ = from_slice::<Call>(text.as_bytes());
        let _ = from_slice::<TaskInfo>(text.as_bytes());
    }

    #[test]
    fn broken_messages_never_panic(at in 0_usize..400, byte: u8) {
        let mut text = br#"{"type":"ACCEPT","framework_id":{"value":"f\u00e9"},"accept":{"offer_ids":[{"value":"o"}],"operations":[{"type":"LAUNCH","launch":{"task_infos":[{"name":"n","task_id":{"value":"t"},"agent_id":{"value":"a"},"data":"YQ==","limits":{"cpus":{"value":1.5}},"resources":[{"name":"cpus","type":"SCALAR","scalar":{"value":0.1}}]}]}}],"filters":{"refuse_seconds":5.0}}}"#.to_vec();
        let at = at % text.len();
        text[at] = byte;
        let _ = from_slice::<Call>(&text);
        text.truncate(at);
        prop_assert!(from_slice::<Call>(&text).is_err());
    }
}
