//! What a request is about, from its path. Ids may hold slashes, so the words after them are looked for from the right.

/// A resource. Ids are as they stand in the path; they are parsed by whoever uses them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Ping,
    Metrics,
    Prometheus,
    /// Ours: what the engine was told last.
    LastInputs,
    Info,
    Leader,
    Events,
    Apps,
    App(String),
    /// All apps below a path: `/v2/apps/group/*`.
    AppsBelow(String),
    Restart(String),
    Versions(String),
    Version(String, String),
    AppTasks(String),
    TasksBelow(String),
    AppTask(String, String),
    Tasks,
    TasksDelete,
    Deployments,
    Deployment(String),
    Queue,
    QueueDelay(String),
    Unknown,
}

impl Route {
    /// The resource of a decoded path. Slashes at the end do not count, nor do repeated ones.
    pub(super) fn of(path: &str) -> Route {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            ["ping"] => Route::Ping,
            ["metrics"] => Route::Metrics,
            ["metrics", "prometheus"] => Route::Prometheus,
            ["meseta", "v1", "last_inputs"] => Route::LastInputs,
            ["v2", "info"] => Route::Info,
            ["v2", "leader"] => Route::Leader,
            ["v2", "events"] => Route::Events,
            ["v2", "tasks"] => Route::Tasks,
            ["v2", "tasks", "delete"] => Route::TasksDelete,
            ["v2", "deployments"] => Route::Deployments,
            ["v2", "deployments", id] => Route::Deployment((*id).to_owned()),
            ["v2", "queue"] => Route::Queue,
            ["v2", "queue", id @ .., "delay"] if !id.is_empty() => Route::QueueDelay(absolute(id)),
            ["v2", "apps"] => Route::Apps,
            ["v2", "apps", rest @ ..] => Route::below_apps(rest),
            _ => Route::Unknown,
        }
    }

    fn below_apps(rest: &[&str]) -> Route {
        match rest {
            [group @ .., "*"] => Route::AppsBelow(absolute(group)),
            [group @ .., "*", "tasks"] => Route::TasksBelow(absolute(group)),
            [id @ .., "restart"] if !id.is_empty() => Route::Restart(absolute(id)),
            [id @ .., "tasks"] if !id.is_empty() => Route::AppTasks(absolute(id)),
            [id @ .., "versions"] if !id.is_empty() => Route::Versions(absolute(id)),
            [id @ .., "tasks", task] if !id.is_empty() => Route::AppTask(absolute(id), (*task).to_owned()),
            [id @ .., "versions", version] if !id.is_empty() => {
                Route::Version(absolute(id), (*version).to_owned())
            }
            id => Route::App(absolute(id)),
        }
    }

    /// The methods of a resource, for `Allow`.
    pub(super) fn methods(&self) -> &'static [&'static str] {
        match self {
            Route::Apps => &["GET", "HEAD", "POST", "PUT", "PATCH"],
            Route::App(_) => &["GET", "HEAD", "PUT", "PATCH", "DELETE"],
            Route::Leader | Route::AppTasks(_) => &["GET", "HEAD", "DELETE"],
            Route::AppTask(..) | Route::Deployment(_) | Route::QueueDelay(_) => &["DELETE"],
            Route::Restart(_) | Route::TasksDelete => &["POST"],
            Route::Ping
            | Route::Metrics
            | Route::Prometheus
            | Route::LastInputs
            | Route::Info
            | Route::Events
            | Route::AppsBelow(_)
            | Route::Versions(_)
            | Route::Version(..)
            | Route::TasksBelow(_)
            | Route::Tasks
            | Route::Deployments
            | Route::Queue => &["GET", "HEAD"],
            Route::Unknown => &[],
        }
    }
}

fn absolute(parts: &[&str]) -> String {
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_resource() {
        let id = || "/a/b".to_owned();
        for (path, route) in [
            ("/ping", Route::Ping),
            ("/metrics/prometheus", Route::Prometheus),
            ("/v2/apps", Route::Apps),
            ("/v2/apps/", Route::Apps),
            ("/v2/apps//a/b", Route::App(id())),
            ("/v2/apps/a/b", Route::App(id())),
            ("/v2/apps/a/b/", Route::App(id())),
            ("/v2/apps/a/b/restart", Route::Restart(id())),
            ("/v2/apps//a/b/tasks", Route::AppTasks(id())),
            ("/v2/apps/a/b/tasks/t.1", Route::AppTask(id(), "t.1".to_owned())),
            ("/v2/apps/a/b/versions", Route::Versions(id())),
            (
                "/v2/apps/a/b/versions/2015-04-02T09:37:00.596Z",
                Route::Version(id(), "2015-04-02T09:37:00.596Z".to_owned()),
            ),
            ("/v2/apps/a/b/*", Route::AppsBelow(id())),
            ("/v2/apps/*", Route::AppsBelow("/".to_owned())),
            ("/v2/apps/a/b/*/tasks", Route::TasksBelow(id())),
            ("/v2/apps/tasks", Route::App("/tasks".to_owned())),
            ("/v2/tasks/delete", Route::TasksDelete),
            ("/v2/queue//a/b/delay", Route::QueueDelay(id())),
            ("/v2/deployments/x", Route::Deployment("x".to_owned())),
            ("/v2", Route::Unknown),
            ("/v2/groups", Route::Unknown),
            ("/", Route::Unknown),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }
}
