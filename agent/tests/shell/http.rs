//! A plain HTTP/1.1 client over a socket: sends bytes, reads an answer or a stream of records.

use meseta_proto::recordio::Decoder;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

pub struct Answer {
    pub status: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn code(&self) -> u16 {
        self.status.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

async fn head(reader: &mut BufReader<TcpStream>) -> (String, BTreeMap<String, String>) {
    let mut line = String::new();
    reader.read_line(&mut line).await.unwrap();
    let status = line.trim_end().to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        assert!(
            reader.read_line(&mut line).await.unwrap() > 0,
            "the connection ended in the head"
        );
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.insert(name.to_ascii_lowercase(), value.trim().to_owned()),
            None => return (status, headers),
        };
    }
}

/// One chunk; empty at the end.
async fn chunk(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut line = String::new();
    if reader.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let length = usize::from_str_radix(line.trim_end(), 16).unwrap();
    let mut data = vec![0; length + 2];
    reader.read_exact(&mut data).await.ok()?;
    data.truncate(length);
    Some(data)
}

/// Sends a request as it is and reads the whole answer.
pub async fn raw(address: SocketAddr, request: &[u8]) -> Answer {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request).await.unwrap();
    let is_head = request.starts_with(b"HEAD ");
    let mut reader = BufReader::new(socket);
    let (status, headers) = head(&mut reader).await;
    let mut body = Vec::new();
    if headers.get("transfer-encoding").is_some_and(|v| v == "chunked") {
        while let Some(data) = chunk(&mut reader).await.filter(|data| !data.is_empty()) {
            body.extend(data);
        }
    } else if let (Some(length), false) = (headers.get("content-length"), is_head) {
        body.resize(length.parse().unwrap(), 0);
        reader.read_exact(&mut body).await.unwrap();
    }
    Answer {
        status,
        headers,
        body,
    }
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    raw(
        address,
        format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
    )
    .await
}

pub fn request(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAccept: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub async fn post(address: SocketAddr, path: &str, body: &str) -> Answer {
    raw(address, request(path, body).as_bytes()).await
}

/// An open stream of JSON records.
pub struct Events {
    reader: BufReader<TcpStream>,
    decoder: Decoder,
}

impl Events {
    /// Opens a stream; fails the test unless it is answered 200.
    pub async fn open(address: SocketAddr, path: &str, body: &str) -> Events {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(request(path, body).as_bytes()).await.unwrap();
        let mut reader = BufReader::new(socket);
        let (status, headers) = head(&mut reader).await;
        assert_eq!(status, "HTTP/1.1 200 OK");
        assert_eq!(headers["content-type"], "application/json");
        Events {
            reader,
            decoder: Decoder::new(1 << 20),
        }
    }

    /// The next record; `None` after the last chunk or when the connection broke. Every chunk must be one whole record.
    pub async fn next(&mut self) -> Option<serde_json::Value> {
        let data = chunk(&mut self.reader).await.filter(|data| !data.is_empty())?;
        self.decoder.push(&data);
        let record = self
            .decoder
            .next_record()
            .unwrap()
            .expect("a chunk is a whole record");
        assert!(self.decoder.is_at_boundary(), "a chunk is exactly one record");
        Some(serde_json::from_slice(&record).unwrap())
    }

    /// The next record, which must be of this type.
    pub async fn expect(&mut self, kind: &str) -> serde_json::Value {
        let event = self
            .next()
            .await
            .unwrap_or_else(|| panic!("the stream ended before {kind}"));
        assert_eq!(event["type"], kind, "{event}");
        event
    }
}
