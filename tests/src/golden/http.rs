//! HTTP/1.1 on a bare socket: the bytes as they are, no library between.

use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long an answer may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A stream that goes on for so long (two heartbeats) does not end by itself.
const ENDLESS: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Reason phrase.
    pub reason: String,
    /// Names in lower case, values as they are, in order.
    pub headers: Vec<(String, String)>,
    /// `HTTP/1.1` or `HTTP/1.0`.
    pub version: String,
    /// Whether `100 Continue` came before it.
    pub continued: bool,
    /// Whether the body came in chunks.
    pub chunked: bool,
    /// Whether the chunks had an end.
    pub ended: bool,
    /// The chunks, without the last, empty one.
    pub chunks: Vec<Vec<u8>>,
    /// The whole body, if it is no endless one.
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Status line and headers from the front of `bytes`.
    pub fn head_of(bytes: &[u8]) -> Option<Response> {
        read_head(&mut { bytes }).ok().flatten()
    }

    /// All answers in a recording; a body that breaks off is kept as far as it goes.
    pub fn all_of(mut bytes: &[u8]) -> Vec<Response> {
        let mut all = Vec::new();
        while let Ok(Some(mut response)) = read_head(&mut bytes) {
            let _ = read_body(&mut bytes, &mut response, false);
            all.push(response);
        }
        all
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

fn line(from: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    from.take(64 << 10).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&line);
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// `None` at the end of the connection.
fn read_head(from: &mut impl BufRead) -> io::Result<Option<Response>> {
    let mut head = read_one_head(from)?;
    if head.as_ref().is_some_and(|h| h.status == 100) {
        head = read_one_head(from)?;
        if let Some(head) = &mut head {
            head.continued = true;
        }
    }
    Ok(head)
}

fn read_one_head(from: &mut impl BufRead) -> io::Result<Option<Response>> {
    let status_line = loop {
        match line(from)? {
            None => return Ok(None),
            Some(text) if text.is_empty() => {}
            Some(text) => break text,
        }
    };
    let mut parts = status_line.splitn(3, ' ');
    let version = parts
        .next()
        .filter(|v| v.starts_with("HTTP/1."))
        .map(str::to_owned);
    let version = version.ok_or_else(|| bad(&format!("not a status line: {status_line}")))?;
    let status = parts
        .next()
        .and_then(|s| s.parse().ok())
        .ok_or_else(|| bad("no status code"))?;
    let mut response = Response {
        status,
        version,
        reason: parts.next().unwrap_or_default().to_owned(),
        ..Response::default()
    };
    while let Some(text) = line(from)?.filter(|l| !l.is_empty()) {
        let (name, value) = text
            .split_once(':')
            .ok_or_else(|| bad("a header without a colon"))?;
        response
            .headers
            .push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    response.chunked = response.header("transfer-encoding") == Some("chunked");
    Ok(Some(response))
}

fn read_body(from: &mut impl BufRead, response: &mut Response, no_body: bool) -> io::Result<()> {
    if no_body {
        return Ok(());
    }
    let start = Instant::now();
    if response.chunked {
        while let Some(chunk) = read_chunk(from)? {
            if start.elapsed() > ENDLESS {
                return Err(bad(&format!(
                    "the stream does not end; so far: {}",
                    response.text()
                )));
            }
            response.body.extend_from_slice(&chunk);
            response.chunks.push(chunk);
        }
        response.ended = true;
        return Ok(());
    }
    response.ended = true;
    let length: u64 = response
        .header("content-length")
        .and_then(|l| l.parse().ok())
        .unwrap_or(0);
    from.take(length).read_to_end(&mut response.body)?;
    if response.body.len() as u64 == length {
        Ok(())
    } else {
        Err(bad("the body broke off"))
    }
}

/// `None` after the last chunk.
fn read_chunk(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let size = line(from)?.ok_or_else(|| bad("the chunks broke off"))?;
    let size = usize::from_str_radix(size.trim(), 16).map_err(|_| bad("not a chunk's size"))?;
    if size == 0 {
        line(from)?;
        return Ok(None);
    }
    let mut chunk = vec![0; size];
    from.read_exact(&mut chunk)?;
    line(from)?;
    Ok(Some(chunk))
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to `127.0.0.1:port`.
    pub fn open(port: u16) -> io::Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Connection {
            reader: BufReader::new(stream),
        })
    }

    /// Sends bytes. A server that has answered and closed before it read all of them is no error here.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.reader.get_mut().write_all(bytes) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) -> io::Result<()> {
        self.reader.get_mut().shutdown(std::net::Shutdown::Write)
    }

    /// The next answer, `None` if the server closed the connection instead. `head` tells that the request was a HEAD.
    pub fn answer(&mut self, head: bool) -> io::Result<Option<Response>> {
        let response = match read_head(&mut self.reader) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            other => other?,
        };
        let Some(mut response) = response else {
            return Ok(None);
        };
        read_body(&mut self.reader, &mut response, head)?;
        Ok(Some(response))
    }

    /// The head of an answer whose body does not end.
    pub fn answer_head(&mut self) -> io::Result<Option<Response>> {
        read_head(&mut self.reader)
    }

    /// The next chunk of such a body, `None` after the last.
    pub fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        read_chunk(&mut self.reader)
    }

    /// A second handle, to end the connection while another thread reads it.
    pub fn handle(&self) -> io::Result<TcpStream> {
        self.reader.get_ref().try_clone()
    }
}

/// One request with its own connection.
pub fn request(port: u16, bytes: &[u8]) -> io::Result<Option<Response>> {
    let mut connection = Connection::open(port)?;
    connection.send(bytes)?;
    connection.answer(bytes.starts_with(b"HEAD "))
}

/// The bytes of a POST.
pub fn post(path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(body);
    out
}

/// The bytes of a POST of JSON.
pub fn post_json(path: &str, body: &str) -> Vec<u8> {
    post(
        path,
        &[
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
        ],
        body.as_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_in_a_row_are_told_apart() {
        let bytes =
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 404 Not Found\r\nX-A: b c\r\n\r\n";
        let all = Response::all_of(bytes);
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].status, all[0].text().as_str()), (200, "ab"));
        assert_eq!(
            (all[1].reason.as_str(), all[1].header("x-a")),
            ("Not Found", Some("b c"))
        );
    }

    #[test]
    fn chunks_are_kept_apart() {
        let bytes = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        let all = Response::all_of(bytes);
        assert_eq!(all[0].chunks, [b"abc".to_vec(), b"d".to_vec()]);
        assert_eq!(all[0].body, b"abcd");
    }
}
