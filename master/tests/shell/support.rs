//! A master on an ephemeral port, and a client that shows what is on the wire.

use meseta_http::gate::Gate;
use meseta_http::logging::LogLevel;
use meseta_master::{Config, Env, Running, start, system_entropy, system_wall_clock};
use meseta_store::{Memory, Store};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Nothing here takes longer, even on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that will come.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

pub(crate) struct Master {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
}

impl Master {
    pub(crate) async fn start() -> Master {
        let master = Master::start_with(Config::plain(), Arc::new(Memory::new())).await;
        assert!(within("the registry", master.running.ready()).await);
        master
    }

    /// Answers requests; may not have read its registry yet.
    pub(crate) async fn start_with(config: Config, store: Arc<dyn Store>) -> Master {
        Master::start_behind(Gate::default(), config, store).await
    }

    /// As [`Master::start_with`], with requests judged by this gate.
    pub(crate) async fn start_behind(gate: Gate, config: Config, store: Arc<dyn Store>) -> Master {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let env = Env {
            listener,
            store,
            wall: system_wall_clock(),
            entropy: system_entropy().unwrap(),
            log_level: LogLevel::detached(),
            log_file: None,
            gate,
        };
        let running = start(config, env).unwrap();
        let address = running.address();
        Master { running, address }
    }

    /// A channel for gRPC.
    pub(crate) async fn channel(&self) -> tonic::transport::Channel {
        let url = format!("http://{}", self.address);
        let endpoint = tonic::transport::Endpoint::from_shared(url).unwrap();
        within("a connection", endpoint.connect()).await.unwrap()
    }

    pub(crate) async fn connect(&self) -> BufReader<TcpStream> {
        BufReader::new(TcpStream::connect(self.address).await.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.exchange(&format!(
            "GET {path} HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n"
        ))
        .await
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        serde_json::from_slice(&self.get(path).await.body).unwrap()
    }

    /// An operator's call.
    pub(crate) async fn operator(&self, call: &str) -> Answer {
        self.exchange(&post("/api/v1", "", call)).await
    }

    /// A scheduler's call on a stream.
    pub(crate) async fn scheduler(&self, stream_id: &str, call: &str) -> Answer {
        let header = format!("Mesos-Stream-Id: {stream_id}\r\n");
        self.exchange(&post("/api/v1/scheduler", &header, call)).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn exchange(&self, request: &str) -> Answer {
        let mut connection = self.connect().await;
        connection.write_all(request.as_bytes()).await.unwrap();
        within("an answer", async {
            let (status, headers) = head(&mut connection).await;
            let mut body = Vec::new();
            if headers.iter().any(|h| h == "transfer-encoding: chunked") {
                while let Some(chunk) = chunk(&mut connection).await {
                    body.extend(chunk);
                }
            } else {
                connection.read_to_end(&mut body).await.unwrap();
            }
            Answer {
                status,
                headers,
                body,
            }
        })
        .await
    }

    /// Opens an event stream with a JSON call.
    pub(crate) async fn stream(&self, path: &str, call: &str) -> EventStream {
        let mut connection = self.connect().await;
        let request = post(path, "Accept: application/json\r\n", call).replace("Connection: close\r\n", "");
        connection.write_all(request.as_bytes()).await.unwrap();
        let (status, headers) = within("a stream", head(&mut connection)).await;
        assert_eq!(status, 200, "{headers:?}");
        EventStream { connection, headers }
    }
}

pub(crate) fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: m\r\nContent-Type: application/json\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn head(connection: &mut BufReader<TcpStream>) -> (u16, Vec<String>) {
    let mut line = String::new();
    connection.read_line(&mut line).await.unwrap();
    let status = line.split(' ').nth(1).map_or(0, |code| code.parse().unwrap());
    let mut headers = Vec::new();
    loop {
        line.clear();
        connection.read_line(&mut line).await.unwrap();
        if line.trim().is_empty() {
            return (status, headers);
        }
        headers.push(lower_name(line.trim()));
    }
}

fn lower_name(header: &str) -> String {
    let (name, value) = header.split_once(':').unwrap();
    format!("{}:{value}", name.to_lowercase())
}

/// The next chunk; `None` for the last one.
async fn chunk(connection: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut line = String::new();
    connection.read_line(&mut line).await.unwrap();
    let length = usize::from_str_radix(line.trim(), 16).ok()?;
    let mut data = vec![0; length + 2];
    connection.read_exact(&mut data).await.ok()?;
    data.truncate(length);
    (length > 0).then_some(data)
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }
}

fn find_header<'a>(headers: &'a [String], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find_map(|header| header.strip_prefix(name)?.strip_prefix(": "))
}

/// An event stream as a client sees it: every chunk is one record.
pub(crate) struct EventStream {
    connection: BufReader<TcpStream>,
    headers: Vec<String>,
}

impl EventStream {
    pub(crate) fn stream_id(&self) -> String {
        self.header("mesos-stream-id").unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        find_header(&self.headers, name)
    }

    /// The next event; `None` when the stream has ended properly.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        let chunk = within("an event", chunk(&mut self.connection)).await?;
        let newline = chunk.iter().position(|byte| *byte == b'\n').unwrap();
        let (length, record) = chunk.split_at(newline);
        let record = &record[1..];
        let length: usize = std::str::from_utf8(length).unwrap().parse().unwrap();
        assert_eq!(length, record.len(), "a chunk is one whole record");
        Some(serde_json::from_slice(record).unwrap())
    }

    /// The next event of this type; heartbeats and others in between are skipped.
    pub(crate) async fn next_of(&mut self, r#type: &str) -> Value {
        loop {
            let event = self
                .next()
                .await
                .unwrap_or_else(|| panic!("no {type} before the end"));
            if event["type"] == r#type {
                return event;
            }
        }
    }
}

/// A framework of the role `dev`.
pub(crate) const SUBSCRIBE: &str = r#"{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"root","name":"f","roles":["dev"],"failover_timeout":3600,"capabilities":[{"type":"MULTI_ROLE"},{"type":"PARTITION_AWARE"}]}}}"#;
