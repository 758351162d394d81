//! `meseta demo-web`: the web server of the examples, so that a first app needs nothing but this binary. It says which
//! instance answers, in which version, and knows nothing of Meseta but the environment every app gets.

use meseta_http::{Response, listener, reply};
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

const HELP: &str = "\
The web server of the examples.

  meseta demo-web

Listens on $PORT0 (8000 without it) of $HOST, or of this machine alone when $HOST is no address of it. Answers GET / with
a line about the instance that answers, and GET /health with 200. $GREETING replaces its first words.
";

/// Where it listens when nobody says so.
const PORT: u16 = 8000;

/// From the arguments to the exit code.
pub(crate) fn main(mut words: impl Iterator<Item = OsString>) -> ExitCode {
    match words.next() {
        None => {}
        Some(word) if word == "--help" || word == "-h" => {
            return ExitCode::from(crate::output::print(HELP).err().unwrap_or(0));
        }
        Some(word) => {
            eprintln!("meseta demo-web takes no arguments, not '{}'", word.display());
            return ExitCode::from(crate::failure::exit::USAGE);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| runtime.block_on(serve()));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("meseta demo-web: {error}");
            ExitCode::from(crate::failure::exit::FAILED)
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

async fn serve() -> std::io::Result<()> {
    let port = match variable("PORT0") {
        None => PORT,
        Some(text) => text
            .parse()
            .map_err(|_| std::io::Error::other(format!("PORT0 is '{text}', not a port")))?,
    };
    let listener = listen(port).await?;
    println!("{} listens on {}", instance(), listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    let stop = async move {
        terminate.recv().await;
    };
    listener::serve(listener, |request| async move { answer(&request) }, stop).await;
    Ok(())
}

/// On the address others know this machine by, if it is one of this machine's.
async fn listen(port: u16) -> std::io::Result<TcpListener> {
    if let Some(host) = variable("HOST")
        && let Ok(listener) = TcpListener::bind((host.as_str(), port)).await
    {
        return Ok(listener);
    }
    TcpListener::bind((IpAddr::from(Ipv4Addr::LOCALHOST), port)).await
}

fn answer<B>(request: &http::Request<B>) -> Response {
    match (request.method(), request.uri().path()) {
        (&http::Method::GET | &http::Method::HEAD, "/") => {
            let greeting = variable("GREETING").unwrap_or_else(|| "hello from".to_owned());
            let version = variable("MARATHON_APP_VERSION").unwrap_or_else(|| "no app".to_owned());
            let text = format!("{greeting} {} (version {version})\n", instance());
            reply::text(http::StatusCode::OK, text)
        }
        (&http::Method::GET | &http::Method::HEAD, "/health") => reply::text(http::StatusCode::OK, "ok\n"),
        (&http::Method::GET | &http::Method::HEAD, _) => reply::not_found(),
        (method, _) => reply::method_not_allowed(&["GET", "HEAD"], method),
    }
}

/// The short name of this instance, as the command line shows it: `web.3f2a91c0`.
fn instance() -> String {
    let task = variable("MESOS_TASK_ID").unwrap_or_default();
    let Some((app, rest)) = task.split_once(".instance-") else {
        return "demo-web".to_owned();
    };
    let short: String = rest.chars().take(8).collect();
    format!("{}.{short}", app.replace('_', "/"))
}
