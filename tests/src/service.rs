//! The service framework as its users see it: apps with waits instead of sleeps.

use crate::rest::{Reply, Server};
use crate::wait;
use serde_json::{Value, json};

/// The service framework of a cluster.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// Its REST API.
    pub rest: Server,
}

/// An app of one test; deleted when dropped.
#[derive(Debug)]
pub struct App {
    /// The service it belongs to.
    pub service: Service,
    /// Absolute.
    pub id: String,
}

/// An app that sleeps, small enough for many beside each other, with a test's fields over it.
pub fn sleeper(id: &str, more: &Value) -> Value {
    let mut app = json!({"id": id, "cmd": "sleep 1000", "cpus": 0.01, "mem": 16});
    merge(&mut app, more);
    app
}

/// Writes the members of one object over another.
pub fn merge(into: &mut Value, more: &Value) {
    if let (Some(into), Some(more)) = (into.as_object_mut(), more.as_object()) {
        for (name, value) in more {
            if value.is_null() {
                into.remove(name);
            } else {
                into.insert(name.clone(), value.clone());
            }
        }
    }
}

impl Service {
    /// Creates an app and waits until its deployment has ended.
    ///
    /// # Panics
    /// When it is refused or does not end.
    #[track_caller]
    pub fn deploy(&self, app: &Value) -> App {
        let app = self.create(app);
        app.settled();
        app
    }

    /// Creates an app.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn create(&self, app: &Value) -> App {
        let reply = self.rest.post("/v2/apps", app).expect(201);
        let id = text(&reply.json()["id"]);
        App { service: *self, id }
    }

    /// Ids of deployments under way that touch an app.
    ///
    /// # Errors
    /// When the service does not answer, for a wait's message.
    pub fn deployments_of(&self, id: &str) -> Result<Vec<String>, String> {
        let all = self.rest.json("/v2/deployments")?;
        let all = all.as_array().ok_or_else(|| format!("not a list: {all}"))?;
        let touches = |d: &&Value| {
            d["affectedApps"]
                .as_array()
                .is_some_and(|apps| apps.iter().any(|a| a == id))
        };
        Ok(all.iter().filter(touches).map(|d| text(&d["id"])).collect())
    }
}

impl App {
    /// Of the app's own URL.
    pub fn path(&self, rest: &str) -> String {
        format!("/v2/apps{}{rest}", self.id)
    }

    /// Waits until no deployment touches it.
    ///
    /// # Panics
    /// When one goes on.
    #[track_caller]
    pub fn settled(&self) {
        wait::until(&format!("the deployments of {} end", self.id), || {
            let under_way = self.service.deployments_of(&self.id)?;
            if under_way.is_empty() {
                Ok(())
            } else {
                Err(format!(
                    "{under_way:?}; {:?}",
                    self.service.rest.json(&self.path(""))
                ))
            }
        });
    }

    /// The app as it is served now.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn show(&self) -> Value {
        self.service.rest.get(&self.path("")).expect(200).json()["app"].clone()
    }

    /// Its tasks.
    ///
    /// # Panics
    /// When there is no such app.
    #[track_caller]
    pub fn tasks(&self) -> Vec<Value> {
        let reply = self.service.rest.get(&self.path("/tasks")).expect(200).json();
        reply["tasks"].as_array().cloned().unwrap_or_default()
    }

    /// Ids of its tasks, sorted.
    #[track_caller]
    pub fn task_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = self.tasks().iter().map(|t| text(&t["id"])).collect();
        ids.sort();
        ids
    }

    /// Waits until the app is as wanted, and returns it.
    ///
    /// # Panics
    /// When it does not become so.
    #[track_caller]
    pub fn until(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        wait::until(&format!("{}: {what}", self.id), || {
            let app = self.service.rest.json(&self.path(""))?["app"].clone();
            if fits(&app) { Ok(app) } else { Err(app.to_string()) }
        })
    }

    /// Waits until so many tasks are running and no others are there, and returns them.
    ///
    /// # Panics
    /// When it does not become so.
    #[track_caller]
    pub fn running(&self, count: usize) -> Vec<Value> {
        wait::until(&format!("{}: {count} running tasks", self.id), || {
            let reply = self.service.rest.json(&self.path("/tasks"))?;
            let tasks = reply["tasks"].as_array().cloned().unwrap_or_default();
            let all = tasks.iter().all(|t| t["state"] == "TASK_RUNNING");
            if tasks.len() == count && all {
                Ok(tasks)
            } else {
                Err(reply.to_string())
            }
        })
    }

    /// Changes it, and waits until that is deployed.
    ///
    /// # Panics
    /// When it is refused or the deployment does not end.
    #[track_caller]
    pub fn update(&self, change: &Value) -> Reply {
        let reply = self.service.rest.put(&self.path(""), change).expect(200);
        self.settled();
        reply
    }

    /// Its entry in the launch queue, if it waits there.
    ///
    /// # Errors
    /// When the service does not answer, for a wait's message.
    pub fn queued(&self) -> Result<Option<Value>, String> {
        let queue = self.service.rest.json("/v2/queue?embed=lastUnusedOffers")?;
        let all = queue["queue"]
            .as_array()
            .ok_or_else(|| format!("no queue: {queue}"))?;
        Ok(all.iter().find(|item| item["app"]["id"] == self.id).cloned())
    }

    /// Waits until its entry in the queue fits.
    ///
    /// # Panics
    /// When it does not become so.
    #[track_caller]
    pub fn until_queued(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        wait::until(&format!("{} in the queue: {what}", self.id), || {
            match self.queued()? {
                Some(item) if fits(&item) => Ok(item),
                other => Err(format!("{other:?}")),
            }
        })
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // Gone already is fine, and so is a service that the test has ended.
        let _ = self
            .service
            .rest
            .try_call("DELETE", &self.path("?force=true"), &[], None);
    }
}

/// A text of an answer, empty where it is none.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
