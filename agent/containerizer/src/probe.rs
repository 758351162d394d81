//! One probe of a task: HTTP, TCP or a command, and what it found.
//!
//! When probes run and what their verdicts mean for the task is the agent core's question. HTTP and TCP probes run
//! inside the agent without any process; command probes are run by the supervisor beside the container.

use meseta_types::causes;
use std::sync::Arc;
use std::time::Duration;

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A command ended with this raw wait status.
    Exited(i32),
    /// An HTTP server answered with this status code (after redirects).
    Http(u16),
    /// A TCP connection was made.
    Connected,
    /// It failed in the task's responsibility (refused, reset, no HTTP, ...).
    Failed(Arc<str>),
    /// It took too long.
    TimedOut,
    /// It could not be run for reasons that are not the task's; counts for nothing.
    Skipped(Arc<str>),
}

impl Verdict {
    /// Mesos's rule for health checks: exit 0, an HTTP code of 200 to 399, connected. `None` for skipped.
    pub fn healthy(&self) -> Option<bool> {
        match self {
            Verdict::Exited(status) => Some(*status == 0),
            Verdict::Http(code) => Some((200..400).contains(code)),
            Verdict::Connected => Some(true),
            Verdict::Failed(_) | Verdict::TimedOut => Some(false),
            Verdict::Skipped(_) => None,
        }
    }
}

/// An HTTP probe: GET, redirects followed, certificates not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpProbe {
    /// HTTPS instead of HTTP.
    pub https: bool,
    /// `[::1]` instead of `127.0.0.1`.
    pub ipv6: bool,
    /// Port.
    pub port: u16,
    /// Begins with a slash; may be empty.
    pub path: String,
    /// `None`: never given up.
    pub timeout: Option<Duration>,
}

/// A TCP probe: connect and close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpProbe {
    /// `[::1]` instead of `127.0.0.1`.
    pub ipv6: bool,
    /// Port.
    pub port: u16,
    /// `None`: never given up.
    pub timeout: Option<Duration>,
}

impl HttpProbe {
    fn url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}:{}{}", host(self.ipv6), self.port, self.path)
    }
}

fn host(ipv6: bool) -> &'static str {
    if ipv6 { "[::1]" } else { "127.0.0.1" }
}

/// Connections that are opened and closed anew for each probe: a kept one would say nothing about the next.
const IDLE_CONNECTIONS_MAX: usize = 0;

/// Redirects followed; `curl`'s own bound, which Mesos inherits.
const REDIRECTS_MAX: usize = 50;

/// Runs HTTP probes; cheap to clone, one per agent.
#[derive(Clone, Debug)]
pub struct HttpProber {
    client: reqwest::Client,
}

impl HttpProber {
    /// Fails only when the TLS library cannot be set up.
    pub fn new() -> Result<HttpProber, String> {
        // A second provider in one process is refused; the first one stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .redirect(reqwest::redirect::Policy::limited(REDIRECTS_MAX))
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .no_proxy()
            .build()
            .map_err(|e| e.to_string())?;
        Ok(HttpProber { client })
    }

    /// One probe. The body is not read: the answer's head is the answer.
    pub async fn probe(&self, probe: &HttpProbe) -> Verdict {
        let answer = async {
            match self.client.get(probe.url()).send().await {
                Ok(response) => Verdict::Http(response.status().as_u16()),
                Err(error) => Verdict::Failed(Arc::from(causes(&error))),
            }
        };
        within(probe.timeout, answer).await
    }
}

/// One TCP probe.
pub async fn tcp(probe: &TcpProbe) -> Verdict {
    let connect = async {
        match tokio::net::TcpStream::connect(format!("{}:{}", host(probe.ipv6), probe.port)).await {
            Ok(_) => Verdict::Connected,
            Err(error) => Verdict::Failed(Arc::from(error.to_string())),
        }
    };
    within(probe.timeout, connect).await
}

async fn within(timeout: Option<Duration>, probe: impl Future<Output = Verdict>) -> Verdict {
    match timeout {
        None => probe.await,
        Some(timeout) => tokio::time::timeout(timeout, probe)
            .await
            .unwrap_or(Verdict::TimedOut),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers each connection with the next of these, then only accepts.
    async fn server(answers: Vec<&'static str>) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut answers = answers.into_iter();
            let mut kept = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                if let Some(answer) = answers.next() {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    let _ = stream.write_all(answer.as_bytes()).await;
                } else {
                    kept.push(stream);
                }
            }
        });
        port
    }

    fn http(port: u16, timeout: Option<Duration>) -> HttpProbe {
        HttpProbe {
            https: false,
            ipv6: false,
            port,
            path: "/health".into(),
            timeout,
        }
    }

    const OK: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
    const MOVED: &str =
        "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const BAD: &str = "HTTP/1.1 503 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn http_probes_follow_redirects_and_report_the_final_code() {
        let prober = HttpProber::new().unwrap();
        let port = server(vec![MOVED, OK, BAD]).await;
        let verdict = prober.probe(&http(port, None)).await;
        assert_eq!((verdict.healthy(), verdict), (Some(true), Verdict::Http(204)));
        let verdict = prober.probe(&http(port, None)).await;
        assert_eq!((verdict.healthy(), verdict), (Some(false), Verdict::Http(503)));
        let silent = http(port, Some(Duration::from_millis(50)));
        assert_eq!(prober.probe(&silent).await, Verdict::TimedOut);
    }

    #[tokio::test]
    async fn tcp_probes_connect_or_fail() {
        let port = server(vec![]).await;
        let probe = |port| TcpProbe {
            ipv6: false,
            port,
            timeout: Some(Duration::from_secs(30)),
        };
        assert_eq!(tcp(&probe(port)).await, Verdict::Connected);
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        assert_eq!(tcp(&probe(port)).await.healthy(), Some(false));
        let refused = HttpProber::new().unwrap().probe(&http(port, None)).await;
        assert_eq!(refused.healthy(), Some(false));
    }
}
