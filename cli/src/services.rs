//! Where the service and the cron framework are, and a client for their APIs.
//!
//! One address is enough: the master's list of frameworks has each one's `webui_url`. `--service-url` and `--cron-url`
//! (or the context) spare the question. The frameworks are told by the ids they choose for themselves,
//! `marathon-<uuid>` and `chronos-<uuid>`, and else by name, so that their ancestors are found as well. A master that
//! began to lead a moment ago knows its frameworks only once they have come back to it: that long it is asked again.

use crate::api::{Answer, Http, Leader};
use crate::args::Global;
use crate::cluster::{list, masters, number, string};
use crate::failure::{Failure, exit};
use crate::text::harmless;
use bytes::Bytes;
use http::{Method, StatusCode};
use hyper::body::Incoming;
use meseta_sdk::endpoint::Endpoint;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// A master that leads for no longer than this may still wait for its frameworks: their pauses between attempts are
/// below it after a restart of any usual length.
const COMING_BACK: Duration = Duration::from_secs(15);
/// How long a command waits for a framework that may come back.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause between two looks for it.
const PAUSE: Duration = Duration::from_millis(50);
/// Waiting for longer than this is said.
const UNNOTICED: Duration = Duration::from_secs(1);

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Apps and deployments, Marathon's API.
    Service,
    /// Jobs and runs, Chronos's API.
    Cron,
}

impl Kind {
    /// The word for people, and the subcommand that starts it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Kind::Service => "service",
            Kind::Cron => "cron",
        }
    }

    /// How its framework ids and its ancestor's names begin.
    fn prefix(self) -> &'static str {
        match self {
            Kind::Service => "marathon",
            Kind::Cron => "chronos",
        }
    }

    fn told(self, global: &Global) -> Option<&str> {
        match self {
            Kind::Service => global.service_url.as_deref(),
            Kind::Cron => global.cron_url.as_deref(),
        }
    }
}

/// One of the two, found.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) kind: Kind,
    pub(crate) at: Endpoint,
    http: Http,
    /// Said on standard error before the first change: which cluster it is.
    banner: Option<Arc<Banner>>,
}

#[derive(Debug)]
struct Banner {
    text: String,
    said: AtomicBool,
}

impl Service {
    /// Finds it: as told, else as its framework told the master.
    ///
    /// # Errors
    /// No master answers, none of its frameworks is one (exit code 6), or several are (exit code 4).
    pub(crate) async fn find(global: &Global, kind: Kind) -> Result<Service, Failure> {
        if let Some(url) = kind.told(global) {
            let at = address(url).map_err(|why| {
                let word = kind.word();
                Failure::new("bad-address", exit::USAGE, format!("--{word}-url: {why}"))
                    .fix(format!("--{word}-url http://HOST:PORT"))
            })?;
            return Ok(Service::at(kind, at).announced(global));
        }
        let leader = Leader::find(&masters(global)?).await?;
        let found = Service::when_back(&leader, kind, !global.quiet).await?;
        Ok(found.announced(global))
    }

    /// The one that is there now: as told, else among the frameworks of this master, without waiting for one.
    ///
    /// # Errors
    /// As [`Service::find`].
    pub(crate) async fn known(global: &Global, leader: &Leader, kind: Kind) -> Result<Service, Failure> {
        match kind.told(global) {
            Some(_) => Service::find(global, kind).await,
            None => Service::of(leader, kind).await,
        }
    }

    /// Finds it with a master that may have begun to lead a moment ago.
    async fn when_back(leader: &Leader, kind: Kind, says_so: bool) -> Result<Service, Failure> {
        let begun = Instant::now();
        let leads_since = number(&leader.master, &["elected_time"]);
        let may_come = leads_since.is_some_and(|at| leader.now - at < COMING_BACK.as_secs_f64());
        let mut said = !says_so;
        loop {
            match Service::of(leader, kind).await {
                Err(failure)
                    if failure.code == no_framework(kind) && may_come && begun.elapsed() < PATIENCE =>
                {
                    if !said && begun.elapsed() >= UNNOTICED {
                        said = true;
                        let word = kind.word();
                        eprintln!(
                            "the master at {} has just begun to lead: waiting for the {word} framework",
                            leader.at
                        );
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                found => return found,
            }
        }
    }

    /// With more than one context, what changes something first says which one it means.
    fn announced(mut self, global: &Global) -> Service {
        self.banner = global.chosen.banner(&self.at.to_string()).map(|text| {
            Arc::new(Banner {
                text,
                said: AtomicBool::new(false),
            })
        });
        self
    }

    /// Finds it among the frameworks of a master that is known already.
    ///
    /// # Errors
    /// None of them is one (exit code 6), or several are (exit code 4).
    pub(crate) async fn of(leader: &Leader, kind: Kind) -> Result<Service, Failure> {
        let frameworks = leader.read("GET_FRAMEWORKS").await?;
        let url = choose(kind, list(&frameworks, "frameworks"), &leader.at)?;
        let at = address(url).map_err(|why| {
            let word = kind.word();
            let what = format!("the {word} framework tells a web address that cannot be used: {why}");
            Failure::new("bad-address", exit::UNREACHABLE, what)
                .fix(format!("name it: --{word}-url http://HOST:PORT"))
        })?;
        Ok(Service::at(kind, at))
    }

    /// The one at a known address.
    pub(crate) fn at(kind: Kind, at: Endpoint) -> Service {
        Service {
            kind,
            at,
            http: Http::new(),
            banner: None,
        }
    }

    /// A read that must be answered 200 with JSON.
    ///
    /// # Errors
    /// See [`refusal`]; not found is exit code 3.
    pub(crate) async fn get(&self, path: &str) -> Result<Value, Failure> {
        let answer = self.send(Method::GET, path, None).await?;
        self.json(&answer)
    }

    /// A request with JSON or nothing as its body; the answer as it is, whatever its status.
    ///
    /// # Errors
    /// There is no answer (exit code 6).
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        if let Some(banner) = self.banner.as_ref().filter(|_| method != Method::GET)
            && !banner.said.swap(true, Ordering::Relaxed)
        {
            eprintln!("{}", banner.text);
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let sent = self.http.send(method, &self.at, path, "application/json", body);
        sent.await.map_err(|why| self.unreachable(&why))
    }

    /// A stream of server-sent events.
    ///
    /// # Errors
    /// There is no answer (exit code 6), or it is no success.
    pub(crate) async fn events(&self, path: &str) -> Result<Incoming, Failure> {
        let opened = self.http.stream(&self.at, path, "text/event-stream").await;
        match opened.map_err(|why| self.unreachable(&why))? {
            (StatusCode::OK, body) => Ok(body),
            (status, _) => Err(by_status(status).detail(format!("{} {path}", self.at))),
        }
    }

    /// The JSON of a successful answer, the failure of another one.
    ///
    /// # Errors
    /// See [`refusal`].
    pub(crate) fn json(&self, answer: &Answer) -> Result<Value, Failure> {
        if !answer.status.is_success() {
            return Err(refusal(answer));
        }
        serde_json::from_slice(&answer.body).map_err(|e| {
            let what = format!("{} answered something that is no JSON: {e}", self.at);
            let word = self.kind.word();
            Failure::new("not-json", exit::FAILED, what)
                .fix(format!("--{word}-url must name the {word} framework's address"))
        })
    }

    fn unreachable(&self, why: &str) -> Failure {
        let what = format!(
            "cannot reach the {} framework at {}: {why}",
            self.kind.word(),
            self.at
        );
        Failure::new("unreachable", exit::UNREACHABLE, what).fix(start(self.kind))
    }
}

fn start(kind: Kind) -> String {
    let word = kind.word();
    format!(
        "start one: meseta {word} --master=HOST:5050 (`meseta up` has one) · or name it: --{word}-url http://HOST:PORT"
    )
}

/// Why a request was not successful: the server's own words, its details, and the exit code of the status.
pub(crate) fn refusal(answer: &Answer) -> Failure {
    let mut failure = by_status(answer.status);
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let message = string(&body, &["message"]);
    failure.what = match message.lines().next() {
        Some(line) if !line.is_empty() => harmless(line),
        _ => answer.text(),
    };
    for detail in list(&body, "details") {
        let errors = list(detail, "errors").iter().filter_map(Value::as_str);
        let errors = errors.collect::<Vec<_>>().join("; ");
        failure
            .details
            .push(harmless(&format!("{}  {errors}", string(detail, &["path"]))));
    }
    failure
}

fn by_status(status: StatusCode) -> Failure {
    let (code, exit) = match status.as_u16() {
        401 | 403 => ("not-allowed", exit::NOT_ALLOWED),
        404 => ("not-found", exit::NOT_FOUND),
        409 => ("locked", exit::REFUSED),
        400..=499 => ("refused", exit::REFUSED),
        _ => ("unreachable", exit::UNREACHABLE),
    };
    Failure::new(code, exit, status.to_string())
}

/// `http://host:port`, with or without a path behind it.
fn address(url: &str) -> Result<Endpoint, String> {
    let url = harmless(url);
    let rest = url.strip_prefix("http://").unwrap_or(&url);
    let authority = rest.split('/').next().unwrap_or(rest);
    match url.split_once("://") {
        Some((scheme, _)) if scheme != "http" => Err(format!("'{scheme}://' cannot be used here")),
        _ if authority.contains('@') => Err("no user names in addresses".to_owned()),
        // Without a port it is the web's, not a master's.
        _ if !has_port(authority) => format!("{authority}:80").parse().map_err(|e| format!("{e}")),
        _ => authority.parse().map_err(|e| format!("{e}")),
    }
}

fn has_port(authority: &str) -> bool {
    let after_brackets = authority.rsplit(']').next().unwrap_or(authority);
    after_brackets.contains(':')
}

/// Whether one of these frameworks is of this kind, subscribed, and reached at this port: what [`choose`] needs to find it.
pub(crate) fn is_listed(kind: Kind, frameworks: &[Value], port: u16) -> bool {
    frameworks.iter().any(|f| {
        let url = address(string(f, &["framework_info", "webui_url"]));
        is_of(kind, f) && is_connected(f) && url.is_ok_and(|at| at.port == port)
    })
}

/// What is wrong when the master at this address has no framework of this kind.
pub(crate) fn unlisted(kind: Kind, master: &Endpoint) -> Failure {
    let what = format!("the master at {master} knows no {} framework", kind.word());
    Failure::new(no_framework(kind), exit::UNREACHABLE, what)
}

fn is_of(kind: Kind, framework: &Value) -> bool {
    chose_its_id(kind, framework) || is_named(kind, framework)
}

fn chose_its_id(kind: Kind, framework: &Value) -> bool {
    let id = string(framework, &["framework_info", "id", "value"]);
    id.starts_with(&format!("{}-", kind.prefix()))
}

fn is_named(kind: Kind, framework: &Value) -> bool {
    string(framework, &["framework_info", "name"]).starts_with(kind.prefix())
}

fn is_connected(framework: &Value) -> bool {
    framework.get("connected").and_then(Value::as_bool) == Some(true)
}

/// The web address of the one framework of this kind; connected ones win over those that are away.
fn choose<'a>(kind: Kind, frameworks: &'a [Value], master: &Endpoint) -> Result<&'a str, Failure> {
    let url = |f: &'a Value| string(f, &["framework_info", "webui_url"]);
    let with_url = || frameworks.iter().filter(|f| !url(f).is_empty());
    let chose_its_id = |f: &&Value| chose_its_id(kind, f);
    let is_named = |f: &&Value| is_named(kind, f);
    let connected = |f: &&Value| is_connected(f);
    let found: Vec<&Value> = [
        with_url()
            .filter(chose_its_id)
            .filter(connected)
            .collect::<Vec<_>>(),
        with_url().filter(is_named).filter(connected).collect(),
        with_url().filter(chose_its_id).collect(),
        with_url().filter(is_named).collect(),
    ]
    .into_iter()
    .find(|found| !found.is_empty())
    .unwrap_or_default();
    let word = kind.word();
    match found.as_slice() {
        [only] => Ok(url(only)),
        [] => Err(unlisted(kind, master).fix(start(kind))),
        several => {
            let what = format!("the master at {master} knows {} {word} frameworks", several.len());
            let shown = several.iter().take(10).map(|f| url(f)).collect::<Vec<_>>();
            Err(Failure::new("ambiguous", exit::REFUSED, what)
                .detail(harmless(&shown.join(" ")))
                .fix(format!("name one: --{word}-url URL")))
        }
    }
}

fn no_framework(kind: Kind) -> &'static str {
    match kind {
        Kind::Service => "no-service",
        Kind::Cron => "no-cron",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;
    use std::sync::atomic::AtomicUsize;

    fn framework(id: &str, name: &str, url: &str, connected: bool) -> Value {
        json!({"framework_info": {"id": {"value": id}, "name": name, "webui_url": url}, "connected": connected})
    }

    fn chosen(frameworks: &[Value]) -> Result<String, Failure> {
        let master = "m1:5050".parse().unwrap();
        choose(Kind::Service, frameworks, &master).map(str::to_owned)
    }

    #[test]
    fn the_framework_is_found_by_the_id_it_chose_whatever_its_name() {
        let ours = framework("marathon-1", "prod", "http://a:8080", true);
        let other = framework("m-0001", "marathon-lb", "http://b:9090", true);
        let cron = framework("chronos-1", "chronos", "http://c:4400", true);
        assert_eq!(
            chosen(&[other.clone(), cron.clone(), ours]).unwrap(),
            "http://a:8080"
        );
        assert_eq!(
            chosen(&[cron.clone(), other]).unwrap(),
            "http://b:9090",
            "the ancestor, by name"
        );
        let none = chosen(&[cron]).unwrap_err();
        assert_eq!((none.code, none.exit), ("no-service", exit::UNREACHABLE));
        assert!(none.fix.unwrap().contains("meseta service --master"));
    }

    #[test]
    fn a_connected_one_wins_and_two_are_told_apart_by_the_user() {
        let gone = framework("marathon-1", "marathon", "http://a:8080", false);
        let here = framework("marathon-2", "marathon", "http://b:8080", true);
        assert_eq!(chosen(&[gone.clone(), here.clone()]).unwrap(), "http://b:8080");
        assert_eq!(chosen(&[gone]).unwrap(), "http://a:8080");
        let both = chosen(&[here, framework("marathon-3", "x", "http://c:8080", true)]).unwrap_err();
        assert_eq!((both.code, both.exit), ("ambiguous", exit::REFUSED));
        assert_eq!(both.details, ["http://b:8080 http://c:8080"]);
    }

    #[test]
    fn one_that_is_listed_is_found_at_its_port() {
        let ours = framework("marathon-1", "prod", "http://a:8080", true);
        let away = framework("marathon-1", "prod", "http://a:8080", false);
        let cron = framework("chronos-1", "chronos", "http://a:8080", true);
        let listed = |one: &Value, port| is_listed(Kind::Service, std::slice::from_ref(one), port);
        assert!(listed(&ours, 8080));
        assert!(!listed(&ours, 8081), "another one");
        assert!(!listed(&away, 8080));
        assert!(!listed(&cron, 8080));
        assert!(!is_listed(Kind::Service, &[], 8080));
        assert_eq!(chosen(&[ours]).unwrap(), "http://a:8080");
    }

    /// A master that has led for so many seconds, and lists its cron framework from the n-th question on.
    async fn master(led: f64, listed_from: usize) -> (Leader, Arc<AtomicUsize>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string().parse().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let answer = move |_| {
            let late = count.fetch_add(1, Ordering::Relaxed) + 1 < listed_from;
            let cron = framework("chronos-1", "chronos", "http://c:4400", true);
            let all = if late { Vec::new() } else { vec![cron] };
            let body = json!({"get_frameworks": {"frameworks": all}}).to_string();
            async move { meseta_http::Response::new(meseta_http::Body::from(body)) }
        };
        tokio::spawn(meseta_http::listener::serve(
            listener,
            answer,
            std::future::pending(),
        ));
        let leader = Leader {
            http: Http::new(),
            at,
            master: json!({"elected_time": 1000.0}),
            now: 1000.0 + led,
        };
        (leader, asked)
    }

    #[tokio::test]
    async fn a_framework_that_is_coming_back_is_waited_for() {
        let (leader, asked) = master(0.5, 3).await;
        let found = Service::when_back(&leader, Kind::Cron, false).await.unwrap();
        assert_eq!(found.at.to_string(), "c:4400");
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn a_master_that_has_long_led_is_asked_once() {
        let (leader, asked) = master(60.0, 2).await;
        let none = Service::when_back(&leader, Kind::Cron, false).await.unwrap_err();
        assert_eq!((none.code, none.exit), ("no-cron", exit::UNREACHABLE));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn addresses_are_urls_with_or_without_path_and_port() {
        for (url, want) in [
            ("http://h:8080", "h:8080"),
            ("http://h:8080/ui/", "h:8080"),
            ("h:8080", "h:8080"),
            ("http://h", "h:80"),
            ("http://[::1]:8080/", "[::1]:8080"),
            ("http://[::1]", "[::1]:80"),
        ] {
            assert_eq!(address(url).unwrap().to_string(), want, "{url}");
        }
        for url in ["https://h", "ftp://h", "http://u:p@h:1", "http://h:x", ""] {
            assert!(address(url).is_err(), "{url}");
        }
    }
}
