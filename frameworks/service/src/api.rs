//! Marathon's REST API (`/v2`), its event stream and its metrics.
//!
//! A handler reads and checks a request, asks the owner, and writes the answer; it holds no state of its own but the
//! service ports. What a request is about is decided by [`route`], from its path alone. Reads of many apps are written
//! while they are sent, from a view, never by the owner. Paths, status codes, headers and texts are those of Marathon
//! 1.11 (its RAML documents, resources and tests) unless `docs/compatibility.md` says otherwise.
//!
//! | file | what |
//! |---|---|
//! | `apps`, `changes`, `versions` | reads of apps, changes of apps, their history |
//! | `tasks` | reads and kills of tasks |
//! | `deployments`, `queue` | what is under way, what waits and why |
//! | `events` | the stream; `announce` says what only the API knows |
//! | `system` | ping, info, leader, metrics |
//! | `show` | how things look as JSON; `stream` writes many of them |
//! | `refusal`, `reply`, `ask` | errors, answers, parts of a request |

mod announce;
mod apps;
mod ask;
mod changes;
mod deployments;
mod embed;
mod events;
mod gate;
mod ports;
mod queue;
mod refusal;
mod reply;
mod route;
mod selector;
mod show;
mod stream;
mod system;
mod tasks;
mod versions;

pub use selector::Selector;

use crate::definition::Rules;
use crate::owner::Handle;
use ask::Ask;
use events::Hub;
use gate::Gate;
use http::{Method, Request, StatusCode};
use meseta_http::running::Drain;
use meseta_http::{Body, Response};
use meseta_types::Wall;
use ports::ServicePorts;
use refusal::Refused;
use route::Route;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the API is told at its start.
#[derive(Clone)]
pub struct Settings {
    /// What definitions may say.
    pub rules: Rules,
    /// Service ports that are assigned: `--local_port_min` to `--local_port_max`.
    pub service_ports: RangeInclusive<u16>,
    /// The port of HTTP, for `/v2/info`.
    pub http_port: u16,
    /// `--http_credentials`: the user and the password that every request must have.
    pub credentials: Option<(String, String)>,
    /// `--http_realm`: what the credentials are asked for.
    pub realm: String,
    /// `--access_control_allow_origin`: pages of these may read.
    pub allowed_origins: Vec<String>,
    /// What the leader gives up its place with.
    pub abdication: Abdication,
}

/// The leader gives up its place: the process ends after the answer is out.
#[derive(Clone)]
pub struct Abdication {
    asked: Arc<AtomicBool>,
    end: Drain,
}

impl Abdication {
    /// By this end of the server.
    pub fn new(end: Drain) -> Abdication {
        Abdication {
            asked: Arc::default(),
            end,
        }
    }

    /// Whether it was asked for.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    fn begin(&self) {
        self.asked.store(true, Ordering::Release);
        self.end.drain();
    }
}

/// The handler of all requests. Clones share everything.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

struct Inner {
    handle: Handle,
    settings: Settings,
    ports: ServicePorts,
    hub: Hub,
    gate: Gate,
}

impl Api {
    /// The API over an owner. Must be called within a tokio runtime: it starts the task that writes events.
    pub fn new(handle: Handle, settings: Settings) -> Api {
        let gate = Gate::new(settings.credentials.as_ref(), &settings.realm);
        let hub = Hub::start(&handle);
        let ports = ServicePorts::new(settings.service_ports.clone());
        Api {
            inner: Arc::new(Inner {
                handle,
                settings,
                ports,
                hub,
                gate,
            }),
        }
    }

    /// Answers any request.
    pub async fn answer(self, request: Request<Body>) -> Response {
        let leader = &self.inner.handle.info().leader;
        let head = reply::Head::of(&request);
        let answered = self.inner.answer(request).await;
        let response = answered.unwrap_or_else(Response::from);
        reply::finish(response, &head, leader, &self.inner.settings.allowed_origins)
    }
}

impl Inner {
    fn now(&self) -> Wall {
        self.handle.now()
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response, Refused> {
        let ask = Ask::new(request, &self.gate)?;
        let route = Route::of(&ask.path()?);
        let method = match ask.method().clone() {
            Method::HEAD => Method::GET,
            other => other,
        };
        if method == Method::OPTIONS && ask.is_preflight() {
            return Ok(reply::preflight());
        }
        match (route, method.as_str()) {
            (Route::Ping, "GET") => system::ping(&ask),
            (Route::Metrics, "GET") => system::metrics(self, &ask).await,
            (Route::Prometheus, "GET") => system::prometheus(self, &ask).await,
            (Route::LastInputs, "GET") => system::last_inputs(self, &ask).await,
            (Route::Info, "GET") => system::info(self, &ask),
            (Route::Leader, "GET") => system::leader(self, &ask),
            (Route::Leader, "DELETE") => system::abdicate(self, &ask),
            (Route::Events, "GET") => events::attach(self, &ask).await,
            (Route::Apps, "GET") => apps::list(self, &ask).await,
            (Route::Apps, "POST") => changes::create(self, ask).await,
            (Route::Apps, "PUT") => changes::put_many(self, ask).await,
            (Route::Apps, "PATCH") => changes::patch_many(self, ask).await,
            (Route::AppsBelow(group), "GET") => apps::below(self, &ask, &group).await,
            (Route::App(id), "GET") => apps::show(self, &ask, &id).await,
            (Route::App(id), "PUT") => changes::put(self, ask, &id).await,
            (Route::App(id), "PATCH") => changes::patch(self, ask, &id).await,
            (Route::App(id), "DELETE") => changes::delete(self, &ask, &id).await,
            (Route::Restart(id), "POST") => changes::restart(self, &ask, &id).await,
            (Route::Versions(id), "GET") => versions::list(self, &ask, &id).await,
            (Route::Version(id, version), "GET") => versions::show(self, &ask, &id, &version).await,
            (Route::AppTasks(id), "GET") => tasks::of_app(self, &ask, &id).await,
            (Route::AppTasks(id), "DELETE") => tasks::kill_of_app(self, &ask, &id).await,
            (Route::TasksBelow(group), "GET") => tasks::below(self, &ask, &group).await,
            (Route::AppTask(id, task), "DELETE") => tasks::kill_one(self, &ask, &id, &task).await,
            (Route::Tasks, "GET") => tasks::list(self, &ask).await,
            (Route::TasksDelete, "POST") => tasks::kill_listed(self, ask).await,
            (Route::Deployments, "GET") => deployments::list(self, &ask).await,
            (Route::Deployment(id), "DELETE") => deployments::cancel(self, &ask, &id).await,
            (Route::Queue, "GET") => queue::list(self, &ask).await,
            (Route::QueueDelay(id), "DELETE") => queue::reset_delay(self, &ask, &id).await,
            (Route::Unknown, _) => Err(Refused::new(StatusCode::NOT_FOUND, "URI not found")),
            (route, _) => Err(Refused::method_not_allowed(route.methods())),
        }
    }
}

#[cfg(test)]
mod tests;
