//! A cron framework on an ephemeral port, its store, and a client.

use jiff::Timestamp;
use meseta_cron::{Config, CronFlags, Env, Running, StartError};
use meseta_store::{Commit, Entry, Memory, Outcome, Pending, ReadError, Refused, Store};
use meseta_types::flag::{Asked, Sources};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// Longer than any loaded machine takes; only a broken test waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that will come.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// A store that can be full.
#[derive(Default)]
pub(crate) struct Disk {
    memory: Memory,
    pub(crate) full: AtomicBool,
}

impl Disk {
    /// The keys below a prefix.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let entries = self.memory.list(prefix).unwrap();
        entries
            .iter()
            .map(|entry| entry.key.as_str().to_owned())
            .collect()
    }
}

impl Store for Disk {
    fn submit(&self, commit: Commit) -> Pending {
        match self.full.load(Ordering::SeqCst) {
            true => Pending::ready(Outcome::Refused(Refused::NoSpace)),
            false => self.memory.submit(commit),
        }
    }

    fn list(&self, prefix: &str) -> Result<Vec<Entry>, ReadError> {
        self.memory.list(prefix)
    }
}

/// The settings of a test.
pub(crate) fn config(folder: &Path, master: SocketAddr, more: &[&str]) -> Config {
    let mut args = vec![
        format!("--work_dir={}", folder.display()),
        format!("--master={master}"),
        "--hostname=127.0.0.1".to_owned(),
    ];
    args.extend(more.iter().map(|arg| (*arg).to_owned()));
    match CronFlags::parse(args, &Sources::none()) {
        Ok(Asked::Run(flags, _)) => Config::from_flags(&flags).unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Starts one.
pub(crate) async fn start(config: Config, store: Arc<dyn Store>) -> Result<Running, StartError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let env = Env {
        listener,
        store,
        wall: Timestamp::now,
    };
    meseta_cron::start(config, env).await
}

/// A framework with a runtime of its own, so that it can die as by kill -9.
pub(crate) struct Cron {
    pub(crate) address: SocketAddr,
    pub(crate) disk: Arc<Disk>,
    pub(crate) folder: Arc<TempDir>,
    pub(crate) running: Option<Running>,
    runtime: Option<Runtime>,
    master: SocketAddr,
    silent: Option<Arc<TcpListener>>,
    flags: Vec<String>,
    client: reqwest::Client,
}

impl Cron {
    pub(crate) async fn start(master: SocketAddr, flags: &[&str]) -> Cron {
        let folder = Arc::new(TempDir::new().unwrap());
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Cron::start_on(Arc::default(), folder, master, flags).await
    }

    /// Without a master: where one should be, nobody answers. (A port that is closed could become another test's.)
    pub(crate) async fn alone(flags: &[&str]) -> Cron {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut cron = Cron::start(silent.local_addr().unwrap(), flags).await;
        cron.silent = Some(Arc::new(silent));
        cron
    }

    async fn start_on(disk: Arc<Disk>, folder: Arc<TempDir>, master: SocketAddr, flags: Vec<String>) -> Cron {
        // Somebody else may have been first, with either.
        let _ = tracing_subscriber::fmt().with_test_writer().try_init();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let more: Vec<&str> = flags.iter().map(String::as_str).collect();
        let config = config(folder.path(), master, &more);
        let store: Arc<dyn Store> = disk.clone();
        let running = runtime.spawn(start(config, store)).await.unwrap().unwrap();
        Cron {
            address: running.address(),
            disk,
            folder,
            running: Some(running),
            runtime: Some(runtime),
            master,
            silent: None,
            flags,
            client: reqwest::Client::new(),
        }
    }

    /// Dies at once and starts again from what is durable.
    pub(crate) async fn killed_and_back(mut self) -> Cron {
        self.die();
        let (disk, folder) = (Arc::clone(&self.disk), Arc::clone(&self.folder));
        let mut back = Cron::start_on(disk, folder, self.master, self.flags.clone()).await;
        back.silent = self.silent.take();
        back
    }

    fn die(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        let url = format!("http://{}{path}", self.address);
        let mut request = self.client.request(method.parse().unwrap(), url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        self.reply(request).await
    }

    /// A request made by hand.
    pub(crate) async fn raw(&self, method: &str, path: &str, content_type: &str, body: Vec<u8>) -> Reply {
        let url = format!("http://{}{path}", self.address);
        let request = self.client.request(method.parse().unwrap(), url);
        self.reply(request.header("content-type", content_type).body(body))
            .await
    }

    /// The first line of the answer to a request whose body is announced and never sent.
    pub(crate) async fn head_of(&self, method: &str, path: &str, length: usize) -> String {
        let mut socket = BufReader::new(TcpStream::connect(self.address).await.unwrap());
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let mut line = String::new();
        within("an answer", socket.read_line(&mut line)).await.unwrap();
        line
    }

    async fn reply(&self, request: reqwest::RequestBuilder) -> Reply {
        let response = within("an answer", request.send()).await.unwrap();
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        Reply {
            status: response.status().as_u16(),
            cors: header("access-control-allow-origin"),
            allow: header("allow"),
            challenge: header("www-authenticate"),
            body: within("a body", response.text()).await.unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.send("GET", path, None).await.ok()
    }

    /// Creates or replaces a job.
    pub(crate) async fn put(&self, job: Value) -> Reply {
        self.send("POST", "/v1/scheduler/iso8601", Some(job)).await
    }

    /// Reads until it is as wanted. There is no event for this; the pause is only between two looks.
    pub(crate) async fn until(&self, path: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        within(what, async {
            loop {
                let found = self.get(path).await;
                if wanted(&found) {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }
}

impl Drop for Cron {
    fn drop(&mut self) {
        self.die();
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) cors: Option<String>,
    pub(crate) allow: Option<String>,
    pub(crate) challenge: Option<String>,
    pub(crate) body: String,
}

impl Reply {
    /// The JSON of a 200.
    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// 204 with an empty body.
    #[track_caller]
    pub(crate) fn done(&self) {
        assert_eq!((self.status, self.body.as_str()), (204, ""), "{self:?}");
    }

    /// An error in its shape; gives its sentence.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, phrase: &str) -> String {
        assert_eq!(self.status, status, "{self:?}");
        let body: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(body["status"], phrase, "{self:?}");
        body["message"].as_str().unwrap().to_owned()
    }
}
