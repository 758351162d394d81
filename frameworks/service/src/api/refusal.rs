//! How a refusal looks: an object with `message`, and `details` or `deployments` where clients look for them.

use super::reply;
use crate::definition::Invalid;
use crate::owner::CallError;
use http::StatusCode;
use http::header::{ALLOW, HeaderValue, WWW_AUTHENTICATE};
use meseta_http::Response;
use meseta_service_core::app::AppId;
use meseta_service_core::io::Refusal;
use serde_json::{Value, json};

/// A request that is not carried out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    /// Methods that are allowed, with 405.
    allow: Option<&'static [&'static str]>,
    /// Ask for credentials, with 401.
    challenge: Option<String>,
}

impl Refused {
    /// A status with a message.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Refused {
        Refused {
            status,
            body: json!({"message": message.into()}),
            allow: None,
            challenge: None,
        }
    }

    /// 400.
    pub(super) fn bad(message: impl Into<String>) -> Refused {
        Refused::new(StatusCode::BAD_REQUEST, message)
    }

    /// 400: a body that is no JSON.
    pub(super) fn no_json(why: impl Into<String>) -> Refused {
        Refused {
            body: json!({"message": "Invalid JSON", "details": why.into()}),
            ..Refused::bad("")
        }
    }

    /// 422: an argument that means nothing.
    pub(super) fn argument(message: impl Into<String>) -> Refused {
        Refused::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// 404: no such thing. Marathon's resources add empty details.
    pub(super) fn not_found(message: impl Into<String>) -> Refused {
        Refused {
            status: StatusCode::NOT_FOUND,
            body: json!({"message": message.into(), "details": []}),
            allow: None,
            challenge: None,
        }
    }

    /// 404: no such app.
    pub(super) fn no_app(id: &str) -> Refused {
        Refused::not_found(format!("App '{id}' does not exist"))
    }

    /// 404: no such version of an app.
    pub(super) fn no_version(id: &AppId, version: &str) -> Refused {
        Refused::not_found(format!("App '{id}' does not exist in version {version}"))
    }

    /// 404: no such task.
    pub(super) fn no_task(id: &str) -> Refused {
        Refused::not_found(format!("Task '{id}' does not exist"))
    }

    /// 503.
    pub(super) fn unavailable(message: impl Into<String>) -> Refused {
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// 401: the request has no credentials, or wrong ones.
    pub(super) fn unauthenticated(realm: &str) -> Refused {
        Refused {
            challenge: Some(format!("Basic realm=\"{realm}\"")),
            ..Refused::new(StatusCode::UNAUTHORIZED, "Invalid username or password.")
        }
    }

    /// 405.
    pub(super) fn method_not_allowed(allowed: &'static [&'static str]) -> Refused {
        Refused {
            allow: Some(allowed),
            ..Refused::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
        }
    }

    /// 500: our own fault, with a line in the log.
    pub(super) fn broken(error: impl std::fmt::Display) -> Refused {
        tracing::error!("an answer cannot be made: {error}");
        Refused::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
    }
}

impl From<Invalid> for Refused {
    fn from(invalid: Invalid) -> Refused {
        Refused {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            body: json!({"message": invalid.kind.message(), "details": invalid.details}),
            allow: None,
            challenge: None,
        }
    }
}

impl From<meseta_http::Refusal> for Refused {
    fn from(refusal: meseta_http::Refusal) -> Refused {
        Refused::new(refusal.status, refusal.text)
    }
}

impl From<CallError> for Refused {
    fn from(error: CallError) -> Refused {
        let refusal = match error {
            CallError::Unavailable => return Refused::unavailable(error.to_string()),
            CallError::Refused(refusal) => refusal,
        };
        let message = refusal.to_string();
        match refusal {
            Refusal::AppNotFound(_) | Refusal::DeploymentNotFound(_) | Refusal::NotInQueue(_) => {
                Refused::not_found(message)
            }
            Refusal::AppExists(_) | Refusal::Stale(_) => Refused::new(StatusCode::CONFLICT, message),
            Refusal::Locked(deployments) => Refused {
                status: StatusCode::CONFLICT,
                body: json!({
                    "message": message,
                    "deployments": deployments.iter().map(|id| json!({"id": &*id.0})).collect::<Vec<_>>(),
                }),
                allow: None,
                challenge: None,
            },
            Refusal::Cycle(_) => Invalid::rule(
                "/",
                format!("Dependency graph has cyclic dependencies: {message}"),
            )
            .into(),
            Refusal::TooManyDeployments(_) => Refused::new(StatusCode::FORBIDDEN, message),
            Refusal::NotStored(_) => Refused::unavailable(message),
        }
    }
}

impl From<Refused> for Response {
    fn from(refused: Refused) -> Response {
        let mut response = reply::json(refused.status, &refused.body);
        if let Some(allowed) = refused.allow
            && let Ok(value) = HeaderValue::from_str(&allowed.join(", "))
        {
            response.headers_mut().insert(ALLOW, value);
        }
        if let Some(challenge) = refused.challenge
            && let Ok(value) = HeaderValue::from_str(&challenge)
        {
            response.headers_mut().insert(WWW_AUTHENTICATE, value);
        }
        response
    }
}
