//! A web server whose answers a test decides: `web PORT FOLDER` answers 200 with a file of the folder, 503 where there is
//! none, 302 for `/moved`, and 200 for `/`. It notes each path it was asked for in the file `asked`.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// A client that says nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (Some(port), Some(folder)) = (args.first().and_then(|p| p.parse::<u16>().ok()), args.get(1)) else {
        eprintln!("web PORT FOLDER");
        return ExitCode::from(2);
    };
    let folder = PathBuf::from(folder);
    let listener = match TcpListener::bind(("127.0.0.1", port)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("port {port}: {error}");
            return ExitCode::FAILURE;
        }
    };
    for stream in listener.incoming().flatten() {
        let folder = folder.clone();
        std::thread::spawn(move || answer(stream, &folder));
    }
    ExitCode::SUCCESS
}

/// One request; an error is the client's affair.
fn answer(stream: TcpStream, folder: &Path) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let first = lines.next()?.ok()?;
    while lines.next()?.ok().is_some_and(|line| !line.is_empty()) {}
    let path = first.split(' ').nth(1)?.trim_start_matches('/');
    let asked = OpenOptions::new()
        .create(true)
        .append(true)
        .open(folder.join("asked"));
    asked.ok()?.write_all(format!("/{path}\n").as_bytes()).ok()?;
    let found = std::fs::read_to_string(folder.join(path.split('?').next()?));
    let (status, body) = match (path, found) {
        ("", _) => ("200 OK", "web\n".to_owned()),
        ("moved", _) => ("302 Found\r\nLocation: /nowhere", String::new()),
        (_, Ok(body)) => ("200 OK", body),
        (_, Err(_)) => ("503 Service Unavailable", "not yet\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut stream = stream;
    stream.write_all((head + &body).as_bytes()).ok()
}
