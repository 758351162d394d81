//! A server at work, for whoever started it: where it is reached, how it is asked to end, and how it ended.
//!
//! Two tasks: one owns the core, the other serves. However the first ends, the second ends with it. The shells of the
//! master and of the frameworks are started so; the agent's has more than one way to end.

use crate::listener;
use crate::{Body, Response};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How a server ended.
pub trait Ended: Send + 'static {
    /// Its own task panicked: a defect.
    fn broken(why: String) -> Self;
}

/// A server at work.
#[derive(Debug)]
pub struct Running<E> {
    address: SocketAddr,
    ready: watch::Receiver<bool>,
    drain: Drain,
    ended: JoinHandle<E>,
    served: JoinHandle<()>,
}

/// Asks a server to end.
#[derive(Clone, Debug)]
pub struct Drain(watch::Sender<bool>);

/// Tells a server that it is to end.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

/// The way from whoever ends a server to the server.
pub fn end() -> (Drain, Stopping) {
    let (stop, stopping) = watch::channel(false);
    (Drain(stop), Stopping(stopping))
}

impl Drain {
    /// No new connections, open requests finish, streams end.
    pub fn drain(&self) {
        let _ended_already = self.0.send(true);
    }
}

impl Stopping {
    /// Resolves when the end is asked for, also by the loss of whoever would ask.
    pub async fn asked(&mut self) {
        let _asked_or_gone = self.0.wait_for(|stop| *stop).await;
    }
}

/// Asks for the end when dropped, also by a panic.
struct EndOfAll(Drain);

impl Drop for EndOfAll {
    fn drop(&mut self) {
        self.0.drain();
    }
}

impl<E: Ended> Running<E> {
    /// Runs the owner of a core, and serves at `address` until the end. `ready` turns true when the server has what it
    /// needs; requests are answered from the start. Must be called inside a tokio runtime.
    pub fn begin<H, F>(
        (listener, address): (TcpListener, SocketAddr),
        ready: watch::Receiver<bool>,
        (drain, mut stopping): (Drain, Stopping),
        owner: impl Future<Output = E> + Send + 'static,
        handler: H,
    ) -> Running<E>
    where
        H: Fn(http::Request<Body>) -> F + Clone + Send + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let end_of_all = EndOfAll(drain.clone());
        let ended = tokio::spawn(async move {
            let _end_of_all = end_of_all;
            owner.await
        });
        let served = tokio::spawn(async move {
            listener::serve(listener, handler, stopping.asked()).await;
        });
        Running {
            address,
            ready,
            drain,
            ended,
            served,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resolves when it has what it needs; `false` if it ended before.
    pub async fn ready(&self) -> bool {
        self.ready.clone().wait_for(|ready| *ready).await.is_ok()
    }

    /// Asks it to end, see [`Drain::drain`].
    pub fn drain(&self) {
        self.drain.drain();
    }

    /// To ask from elsewhere, while [`Running::join`] waits.
    pub fn drain_handle(&self) -> Drain {
        self.drain.clone()
    }

    /// Waits for its end. May be dropped and called again; after the end it must not be called again.
    pub async fn join(&mut self) -> E {
        if let Err(broken) = (&mut self.served).await {
            tracing::error!("the task of the listener broke: {broken}");
        }
        match (&mut self.ended).await {
            Ok(ended) => ended,
            Err(broken) => E::broken(broken.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::reply;
    use http::StatusCode;

    #[derive(Debug, PartialEq)]
    enum End {
        Asked,
        Broken,
    }

    impl Ended for End {
        fn broken(_: String) -> End {
            End::Broken
        }
    }

    async fn begin(broken: bool) -> Running<End> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (_ready, ready) = watch::channel(true);
        let (drain, stopping) = end();
        let mut until = stopping.clone();
        let owner = async move {
            assert!(!broken, "a defect");
            until.asked().await;
            End::Asked
        };
        let answer = |_| async { reply::empty(StatusCode::NO_CONTENT) };
        Running::begin((listener, address), ready, (drain, stopping), owner, answer)
    }

    #[tokio::test]
    async fn it_ends_when_it_is_asked_and_does_not_listen_any_more() {
        let mut running = begin(false).await;
        assert!(running.ready().await);
        tokio::net::TcpStream::connect(running.address()).await.unwrap();
        running.drain_handle().drain();
        assert_eq!(running.join().await, End::Asked);
        let after = tokio::net::TcpStream::connect(running.address()).await;
        assert!(after.is_err());
    }

    #[tokio::test]
    async fn a_defect_of_the_owner_ends_the_listener_too() {
        let mut running = begin(true).await;
        assert_eq!(running.join().await, End::Broken);
    }
}
