//! The bar "bad input": nothing sent from outside stops the service, and what is refused is refused in words.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use meseta_tests::bar::{self, Bar};
use meseta_tests::daemon::Pair;
use meseta_tests::fuzz::{self, Target};
use meseta_tests::golden::http::{self, Connection, Response};
use meseta_tests::grpc::{self, Outcome};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// One byte more than any endpoint takes.
const OVERSIZE: usize = (10 << 20) + 1;

/// What the quick suite sends to every path.
const SMALL: usize = 1 << 16;

/// Endpoints that read a body and say what is wrong with it.
const MASTER_API: [&str; 3] = ["/api/v1", "/api/v1/scheduler", "/master/api/v1"];
const AGENT_API: [&str; 2] = ["/api/v1", "/api/v1/executor"];

/// Others, which may ignore a body but must live on.
const MASTER_OTHERS: [&str; 16] = [
    "/state",
    "/slaves",
    "/frameworks",
    "/tasks",
    "/roles",
    "/weights",
    "/quota",
    "/reserve",
    "/teardown",
    "/create-volumes",
    "/machine/down",
    "/maintenance/schedule",
    "/metrics/snapshot",
    "/files/read",
    "/version",
    "/registrar(1)/registry",
];
const AGENT_OTHERS: [&str; 7] = [
    "/state",
    "/containers",
    "/monitor/statistics",
    "/metrics/snapshot",
    "/files/read",
    "/files/browse",
    "/version",
];

#[test]
fn bad_input_is_refused_in_words_and_stops_nobody() {
    let mut bar = Bar::new("bad input");
    let pair = Pair::start(
        &[],
        &["--resources=cpus:2;mem:1024;disk:1024;ports:[31000-31100]"],
    );
    for (who, address, api, others) in [
        (
            "master",
            pair.master_address(),
            &MASTER_API[..],
            &MASTER_OTHERS[..],
        ),
        ("agent", pair.agent_address(), &AGENT_API[..], &AGENT_OTHERS[..]),
    ] {
        let port: u16 = address.rsplit_once(':').unwrap().1.parse().unwrap();
        let mut faults = Vec::new();
        let mut sent = 0;
        for path in api {
            for (what, media, body) in bodies() {
                let answer = post(port, path, media, &body);
                sent += 1;
                faults.extend(judge(&format!("{path} {what}"), answer, true));
                faults.extend(alive(port, &format!("{path} {what}")));
            }
        }
        for path in others {
            // Large bodies on every path only in full: the limit is one and the same.
            let small = |(_, _, body): &(&str, &str, Vec<u8>)| bar::full() || body.len() < SMALL;
            for (what, media, body) in bodies().into_iter().filter(small).chain(oversize_of_text()) {
                sent += 1;
                faults.extend(judge(
                    &format!("{path} {what}"),
                    post(port, path, media, &body),
                    false,
                ));
            }
            sent += queries(port, path, &mut faults);
            faults.extend(alive(port, path));
        }
        sent += raw(port, &mut faults);
        sent += grpc_frames(port, &mut faults);
        for fault in &faults {
            println!("{who}: {fault}");
        }
        bar.figure(
            &format!("{who}: requests answered wrongly"),
            format!("{} of {sent}", faults.len()),
            0,
            faults.is_empty(),
        );
    }
    let serves = |pid: i32| meseta_tests::cluster::alive(pid);
    let both = serves(pair.master.pid()) && serves(pair.agent.as_ref().unwrap().pid());
    bar.figure("both processes live", both, true, both);
    pair.stop();
    fuzzed(&mut bar);
    bar.finish();
}

/// Bodies that no endpoint may take.
fn bodies() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let json = "application/json";
    let protobuf = "application/x-protobuf";
    let valid = br#"{"type":"GET_HEALTH","pad":""#;
    let mut oversize = valid.to_vec();
    oversize.resize(OVERSIZE, b'x');
    oversize.extend_from_slice(b"\"}");
    let mut deep = vec![];
    for _ in 0..200_000 {
        deep.extend_from_slice(&[0x0a, 0x7f]);
    }
    vec![
        ("malformed JSON", json, b"{\"type\": GET}".to_vec()),
        ("half a JSON object", json, b"{\"type\":\"SUBSCRIBE\",".to_vec()),
        ("not UTF-8", json, b"{\"type\":\"\xff\xfe\"}".to_vec()),
        ("an array", json, b"[1,2,3]".to_vec()),
        ("deep arrays", json, b"[".repeat(1 << 20)),
        ("deep objects", json, b"{\"a\":".repeat(1 << 18)),
        (
            "many empty objects",
            json,
            [
                b"{\"accept\":{\"operations\":[{}".to_vec(),
                b",{}".repeat(3 << 20),
            ]
            .concat(),
        ),
        ("oversized JSON", json, oversize),
        ("no protobuf", protobuf, b"\xff\xff\xff\xff".to_vec()),
        ("half a protobuf message", protobuf, b"\x0a\x7f\x01".to_vec()),
        ("deep protobuf", protobuf, deep),
        ("many empty messages", protobuf, [0x22, 0x00].repeat(2 << 20)),
        ("oversized protobuf", protobuf, vec![0x08; OVERSIZE]),
        ("another content type", "text/xml", b"<a/>".to_vec()),
    ]
}

fn oversize_of_text() -> Option<(&'static str, &'static str, Vec<u8>)> {
    Some((
        "oversized form",
        "application/x-www-form-urlencoded",
        vec![b'a'; OVERSIZE],
    ))
}

fn post(port: u16, path: &str, media: &str, body: &[u8]) -> std::io::Result<Option<Response>> {
    http::request(
        port,
        &http::post(
            path,
            &[("Content-Type", media), ("Accept", "application/json")],
            body,
        ),
    )
}

/// Strict: refused with a text. Otherwise: any answer that is no fault of ours.
fn judge(what: &str, answer: std::io::Result<Option<Response>>, strict: bool) -> Option<String> {
    match answer {
        Err(error) => Some(format!("{what}: {error}")),
        // Before a large body was read to its end, closing is an answer too, but the client cannot see why.
        Ok(None) => Some(format!("{what}: closed without an answer")),
        Ok(Some(answer)) if strict => {
            let refused = (400..500).contains(&answer.status) && !answer.body.is_empty();
            (!refused).then(|| format!("{what}: {} {}", answer.status, answer.text()))
        }
        Ok(Some(answer)) => {
            let known = answer.status < 500 || answer.status == 501;
            (!known).then(|| format!("{what}: {} {}", answer.status, answer.text()))
        }
    }
}

/// The service goes on.
fn alive(port: u16, after: &str) -> Option<String> {
    match http::request(port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n") {
        Ok(Some(answer)) if answer.status == 200 => None,
        other => Some(format!("after {after}: {other:?}")),
    }
}

fn queries(port: u16, path: &str, faults: &mut Vec<String>) -> usize {
    let queries = [
        "path=..%2f..%2f..%2fetc%2fpasswd",
        "path=%00",
        "offset=-1&length=99999999999999999999",
        "limit=x&offset=y",
        "jsonp=alert(1)%3b",
        "timeout=abc",
        "slave_id=%ff%fe",
        "a=%",
        "&&&===&&",
        "order=sideways",
    ];
    for query in queries {
        let request = format!("GET {path}?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
        match http::request(port, request.as_bytes()) {
            // A query that cannot be decoded may close the connection, as in Mesos.
            Ok(None) => {}
            other => faults.extend(judge(&format!("{path}?{query}"), other, false)),
        }
    }
    queries.len()
}

/// Requests below HTTP: broken off, lying about their length, not HTTP at all.
fn raw(port: u16, faults: &mut Vec<String>) -> usize {
    let head = "POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
    let requests: Vec<Vec<u8>> = vec![
        format!("{head}Content-Length: 1000\r\n\r\n{{\"type\":").into_bytes(),
        format!("{head}Content-Length: 99999999999999999999\r\n\r\n{{}}").into_bytes(),
        format!("{head}Content-Length: -1\r\n\r\n{{}}").into_bytes(),
        format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n").into_bytes(),
        format!("{head}Transfer-Encoding: chunked\r\n\r\nffffffff\r\nabc").into_bytes(),
        format!("{head}Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc").into_bytes(),
        [
            b"GET /".to_vec(),
            b"a".repeat(1 << 20),
            b" HTTP/1.1\r\n\r\n".to_vec(),
        ]
        .concat(),
        [
            b"GET / HTTP/1.1\r\n".to_vec(),
            b"X-A: b\r\n".repeat(1 << 16),
            b"\r\n".to_vec(),
        ]
        .concat(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\ngarbage".to_vec(),
        vec![0; 1 << 16],
    ];
    let count = requests.len();
    for (n, request) in requests.into_iter().enumerate() {
        let ended = Connection::open(port).and_then(|mut connection| {
            connection.send(&request)?;
            let _ = connection.finish();
            connection.answer(false)
        });
        match ended {
            // Bad gzip is 500 in Mesos; closing is the answer to what is no HTTP.
            Ok(Some(answer)) if (400..=500).contains(&answer.status) => {}
            Ok(None) => {}
            // HTTP/2 frames are no status line.
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {}
            other => faults.push(format!("raw request {n}: {other:?}")),
        }
        faults.extend(alive(port, &format!("raw request {n}")));
    }
    count
}

/// Bodies of gRPC calls that no service may take: garbage, and frames that break off or lie.
fn no_calls() -> Vec<(&'static str, Vec<Bytes>)> {
    let bytes = Bytes::from_static;
    let framed = |message: &[u8]| vec![grpc::framed(message)];
    vec![
        ("garbage", vec![bytes(b"this is no frame at all")]),
        ("zeros and ones", vec![Bytes::from([0xff; 1 << 16].to_vec())]),
        ("half a head", vec![bytes(&[0, 0, 0])]),
        (
            "a frame that breaks off",
            vec![bytes(b"\x00\x00\x00\x10\x00half")],
        ),
        (
            "a frame of 4 GiB",
            vec![bytes(b"\x00\xff\xff\xff\xff"), bytes(b"abc")],
        ),
        ("a compressed frame", vec![bytes(b"\x01\x00\x00\x00\x03abc")]),
        (
            "an unknown kind of frame",
            vec![bytes(b"\x07\x00\x00\x00\x03abc")],
        ),
        ("a frame without protobuf", framed(b"\xff\xff\xff\xff")),
        ("half a message", framed(b"\x0a\x7f\x01")),
        ("deep messages", framed(&[0x0a, 0x7f].repeat(100_000))),
        ("an oversized message", framed(&vec![0x0a; OVERSIZE])),
        (
            "a message, then garbage",
            vec![grpc::framed(b""), bytes(b"\xff\xff\xff\xff\xff\xff")],
        ),
    ]
}

/// Frames on the port of gRPC: every call ends, none with success, and the service goes on.
fn grpc_frames(port: u16, faults: &mut Vec<String>) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let paths = [
        "/meseta.link.v1.AgentLink/Connect",
        "/meseta.scheduler.v1.Scheduler/Connect",
        "/meseta.scheduler.v1.Scheduler/Call",
        "/meseta.scheduler.v1.Scheduler/Nothing",
        "/no.such.Service/Method",
    ];
    let mut sent = 0;
    for path in paths {
        for (what, body) in no_calls() {
            let what = format!("gRPC {path}: {what}");
            sent += 1;
            match runtime.block_on(grpc::call(port, path, body)) {
                Ok(Outcome::Status(0) | Outcome::Silence) | Err(_) => {
                    faults.push(format!("{what}: taken, or lost"))
                }
                Ok(Outcome::Http(status)) if !(400..500).contains(&status) => {
                    faults.push(format!("{what}: HTTP {status}"));
                }
                Ok(Outcome::Status(_) | Outcome::Http(_) | Outcome::Reset) => {}
            }
            faults.extend(alive(port, &what));
        }
    }
    sent
}

fn corpus(target: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let files = std::fs::read_dir(&folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    files
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

/// The kept corpus and mutations of it, through the functions that cargo-fuzz runs too.
fn fuzzed(bar: &mut Bar) {
    // In full a minute per target, in the quick suite as many as take a moment.
    let (time, least) = if bar::full() {
        (Duration::from_secs(60), 100_000)
    } else {
        (Duration::from_secs(2), 500)
    };
    let json = corpus("json_call");
    for (name, target) in fuzz::TARGETS {
        let mut inputs: Vec<Vec<u8>> = corpus(name).into_values().collect();
        if name == "protobuf_call" {
            inputs.extend(json.values().filter_map(|text| {
                meseta_proto::json::to_protobuf::<meseta_proto::mesos::v1::scheduler::Call>(text).ok()
            }));
        }
        assert!(inputs.len() >= 8, "the corpus of {name} is gone");
        let tried = try_all(target, &inputs, time, least);
        bar.figure(
            &format!("inputs tried on {name}"),
            tried,
            format!(">= {least}"),
            tried >= least,
        );
    }
}

fn try_all(target: Target, inputs: &[Vec<u8>], time: Duration, least: usize) -> usize {
    inputs.iter().for_each(|input| target(input));
    let mut tried = inputs.len();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let start = Instant::now();
    while start.elapsed() < time || tried < least {
        let input = mutated(inputs, &mut random);
        // A broken promise panics in here; the input is printed by the hook of the panic's test.
        let shown = input.clone();
        let outcome = std::panic::catch_unwind(|| target(&input));
        assert!(outcome.is_ok(), "keep this input: {shown:?}");
        tried += 1;
    }
    tried
}

/// One to four small changes, seeded: the same run twice tries the same inputs first.
fn mutated(inputs: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = inputs[random.below(inputs.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        match random.below(6) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 => input.insert(at, random.byte()),
            2 if at < input.len() => drop(input.remove(at)),
            3 => input.truncate(at),
            4 => {
                let other = &inputs[random.below(inputs.len())];
                let from = random.below(other.len() + 1);
                let piece = other[from..(from + 16).min(other.len())].to_vec();
                input.splice(at..at, piece);
            }
            _ if at < input.len() => {
                input[at] = *b"{}[]\":,\\0-9e\n\xff\x00".get(random.below(15)).unwrap_or(&0)
            }
            _ => {}
        }
    }
    input
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        if n == 0 {
            0
        } else {
            (self.next() % n as u64) as usize
        }
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }
}
