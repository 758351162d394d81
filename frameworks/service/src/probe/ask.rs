//! One question to an instance.

use crate::definition::{self, HealthCheck, HealthProtocol, ReadinessCheck, Scheme};
use crate::launch;
use meseta_service_core::instance::Instance;
use std::time::Duration;
use tokio::net::TcpStream;

/// Idle connections kept per instance: each check needs one at most.
const IDLE_CONNECTIONS_MAX: usize = 1;

/// What is kept of a readiness answer's body, in bytes.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// Whom to ask for what.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    /// GET this URL; whether the body is wanted too.
    Http {
        /// The URL.
        url: String,
        /// Keep the beginning of the body.
        body: bool,
    },
    /// Connect to this host and port.
    Tcp(String, u16),
}

impl Target {
    /// Of a health check; `None` if it names no port.
    pub(crate) fn of_health(
        check: &HealthCheck,
        app: &definition::App,
        instance: &Instance,
    ) -> Option<Target> {
        let place = instance.place.as_ref()?;
        let index = check.port_index.unwrap_or(0);
        let port = match check.port {
            Some(port) => port,
            None => launch::port(app, &place.ports, usize::try_from(index).ok()?)?,
        };
        Some(match check.protocol {
            HealthProtocol::Tcp => Target::Tcp(place.host.to_string(), port),
            protocol => Target::Http {
                url: url(
                    protocol == HealthProtocol::Https,
                    &place.host,
                    port,
                    check.path.as_deref().unwrap_or("/"),
                ),
                body: false,
            },
        })
    }

    /// Of a readiness check; `None` if no port has its name.
    pub(crate) fn of_readiness(
        check: &ReadinessCheck,
        app: &definition::App,
        instance: &Instance,
    ) -> Option<Target> {
        let place = instance.place.as_ref()?;
        let port = launch::named_port(app, &place.ports, &check.port_name)?;
        Some(Target::Http {
            url: url(check.protocol == Scheme::Https, &place.host, port, &check.path),
            body: check.preserve_last_response,
        })
    }
}

fn url(tls: bool, host: &str, port: u16, path: &str) -> String {
    let scheme = if tls { "https" } else { "http" };
    let slash = if path.starts_with('/') { "" } else { "/" };
    match host.contains(':') {
        true => format!("{scheme}://[{host}]:{port}{slash}{path}"),
        false => format!("{scheme}://{host}:{port}{slash}{path}"),
    }
}

/// What an instance answered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// It took the connection.
    Connected,
    /// With this status; content type and body as far as they are wanted.
    Http(u16, String, String),
    /// Not.
    Failed(String),
}

/// Asks.
#[derive(Debug)]
pub(crate) struct Asker {
    client: reqwest::Client,
}

impl Asker {
    /// Fails only when the TLS library cannot be set up.
    pub(crate) fn new() -> Result<Asker, String> {
        // A second provider in one process is refused; the first one stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .no_proxy()
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Asker { client })
    }

    /// One question. An answer that takes longer than `timeout` is none.
    pub(crate) async fn ask(&self, target: &Target, timeout: Duration) -> Answer {
        let asked = async {
            match target {
                Target::Tcp(host, port) => match TcpStream::connect((host.as_str(), *port)).await {
                    Ok(_) => Answer::Connected,
                    Err(error) => Answer::Failed(error.to_string()),
                },
                Target::Http { url, body } => self.get(url, *body).await,
            }
        };
        let answer = tokio::time::timeout(timeout, asked).await;
        answer.unwrap_or_else(|_| Answer::Failed(format!("no answer within {timeout:?}")))
    }

    async fn get(&self, url: &str, body: bool) -> Answer {
        let mut response = match self.client.get(url).send().await {
            Ok(response) => response,
            Err(error) => return Answer::Failed(reason(&error)),
        };
        let status = response.status().as_u16();
        let kind = response.headers().get(http::header::CONTENT_TYPE);
        let kind = kind
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let mut kept = Vec::new();
        while body && kept.len() < BODY_BYTES_MAX {
            match response.chunk().await {
                Ok(Some(chunk)) => kept.extend_from_slice(&chunk),
                Ok(None) | Err(_) => break,
            }
        }
        kept.truncate(BODY_BYTES_MAX);
        Answer::Http(status, kind, String::from_utf8_lossy(&kept).into_owned())
    }
}

/// The innermost cause, which names what happened; the outer ones only repeat the URL.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    #[test]
    fn addresses_of_version_six_stand_in_brackets() {
        assert_eq!(url(false, "h", 80, "/a?b"), "http://h:80/a?b");
        assert_eq!(url(true, "::1", 443, "x"), "https://[::1]:443/x");
    }

    #[tokio::test]
    async fn an_answer_is_its_status_and_silence_is_none() {
        let asker = Asker::new().unwrap_or_else(|why| panic!("{why}"));
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap_or_else(|e| panic!("{e}"));
        let port = listener.local_addr().map(|a| a.port()).unwrap_or_default();
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            let mut head = [0; 1024];
            let _ = stream.read(&mut head).await?;
            let answer = "HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi";
            stream.write_all(answer.as_bytes()).await?;
            // The next connection is taken and never answered.
            let held = listener.accept().await?;
            Ok::<_, std::io::Error>(held)
        });
        let target = Target::Http {
            url: format!("http://127.0.0.1:{port}/"),
            body: true,
        };
        let answer = asker.ask(&target, Duration::from_secs(10)).await;
        assert_eq!(answer, Answer::Http(302, String::new(), "hi".into()));
        let silent = asker.ask(&target, Duration::from_millis(50)).await;
        assert_eq!(silent, Answer::Failed("no answer within 50ms".into()));
        assert!(served.await.is_ok_and(|held| held.is_ok()));
        let gone = asker
            .ask(&Target::Tcp("127.0.0.1".into(), port), Duration::from_secs(10))
            .await;
        assert!(matches!(gone, Answer::Failed(_)), "{gone:?}");
    }
}
