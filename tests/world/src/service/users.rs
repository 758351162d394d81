//! Users of the service framework: what they ask for, and what they may rely on afterwards.

use super::Durable;
use crate::client::{ClientEvent, SERVICE};
use crate::marks::Mark;
use crate::script::Script;
use crate::world::{Event, World};
use bytes::Bytes;
use meseta_service_core::app::{
    AppId, AppSpec, Backoff, Demand, HostPort, KillSelection, UnreachableStrategy, UpgradeStrategy, Version,
};
use meseta_service_core::engine::Engine;
use meseta_service_core::instance::InstanceId;
use meseta_service_core::io::{Answer, AppChange, Call, Deployment, Input, KillHow, Refusal, RequestId};
use meseta_types::random::Random;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Their apps; each depends on none but perhaps the one before it.
const APPS: [&str; 4] = ["/a", "/b", "/c", "/d"];

/// What a definition is told from others by.
#[derive(Clone, Debug, PartialEq)]
struct Wish {
    instances: u32,
    wire: Bytes,
}

fn wish(spec: &AppSpec) -> Wish {
    Wish {
        instances: spec.instances,
        wire: spec.wire.clone(),
    }
}

/// A call, what its apps will be if it is taken, and the instances it ends.
type Asked = (Call, Vec<(AppId, Becomes)>, Vec<InstanceId>);

/// What an app will be if a call is taken.
#[derive(Clone, Debug)]
enum Becomes {
    /// As this; `None`: deleted.
    This(Option<Wish>),
    /// As the engine finds right.
    Anything,
}

/// Users, and what they remember.
#[derive(Debug)]
pub(crate) struct AppUsers {
    random: Random,
    requests: u64,
    wires: u64,
    /// Calls without an answer, and what they make of which app.
    asked: BTreeMap<RequestId, Vec<(AppId, Becomes)>>,
    /// What each app may be: more than one thing after a call whose answer never came. Empty: anything.
    may_be: BTreeMap<AppId, Vec<Option<Wish>>>,
    healed: bool,
    /// Calls up to this one were made before the healing.
    asked_before: u64,
    /// Apps that got their last definition.
    finished: BTreeMap<AppId, bool>,
}

impl AppUsers {
    pub(crate) fn new(random: Random) -> AppUsers {
        let apps = APPS.map(AppId::recorded);
        AppUsers {
            random,
            requests: 0,
            wires: 0,
            asked: BTreeMap::new(),
            may_be: apps.iter().map(|app| (app.clone(), vec![None])).collect(),
            healed: false,
            asked_before: 0,
            finished: apps.into_iter().map(|app| (app, false)).collect(),
        }
    }

    pub(crate) fn heal(&mut self) {
        self.healed = true;
        self.asked_before = self.requests;
    }

    /// Its callers hear nothing any more: what they asked for was done or was not.
    pub(crate) fn service_is_gone(&mut self) {
        for (_, apps) in std::mem::take(&mut self.asked) {
            for (app, becomes) in apps {
                let may_be = self.may_be.entry(app).or_default();
                match becomes {
                    Becomes::Anything => may_be.clear(),
                    Becomes::This(_) if may_be.is_empty() => {}
                    Becomes::This(wish) => may_be.push(wish),
                }
            }
        }
    }

    /// What was acknowledged is still so.
    ///
    /// # Errors
    /// An app that is what nobody asked for.
    pub(crate) fn service_is_back(&mut self, durable: &Durable) -> Result<(), String> {
        for app in APPS.map(AppId::recorded) {
            self.must_be(&app, durable)?;
        }
        Ok(())
    }

    /// An app is one of the things it may be; from now on it is that one.
    fn must_be(&mut self, app: &AppId, durable: &Durable) -> Result<(), String> {
        let is = durable.spec(app).map(|spec| wish(spec));
        let may_be = self.may_be.entry(app.clone()).or_default();
        if !may_be.is_empty() && !may_be.contains(&is) {
            return Err(format!("{app} is {is:?}, and may be {may_be:?}"));
        }
        *may_be = vec![is];
        Ok(())
    }

    fn is_busy(&self, app: &AppId) -> bool {
        self.asked.values().flatten().any(|(busy, _)| busy == app)
    }

    fn wire(&mut self, script: Script) -> Bytes {
        self.wires += 1;
        let mut wire = script.encode().to_vec();
        wire.extend(self.wires.to_le_bytes());
        wire.into()
    }

    fn script(&mut self) -> Script {
        let r = &mut self.random;
        let good = Script {
            launch: Duration::from_millis(5 + r.below(300)),
            run: None,
            exit: 0,
            obey: Some(Duration::from_millis(r.below(1000))),
            unlaunchable: false,
            health: 255,
        };
        match r.below(20) {
            0..=2 => Script {
                run: Some(Duration::from_millis(r.below(40_000))),
                exit: if r.below(3) == 0 { 0 } else { 3 },
                ..good
            },
            3 | 4 => Script { health: 40, ..good },
            5 => Script { health: 225, ..good },
            6 => Script {
                unlaunchable: true,
                ..good
            },
            7 => Script { obey: None, ..good },
            8 => Script {
                launch: Duration::from_millis(2000 + r.below(3000)),
                ..good
            },
            _ => good,
        }
    }

    fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.below(of.len() as u64) as usize]
    }

    fn spec(&mut self, app: &AppId) -> AppSpec {
        let script = if self.healed {
            Script {
                launch: Duration::from_millis(20),
                run: None,
                exit: 0,
                obey: Some(Duration::ZERO),
                unlaunchable: false,
                health: 255,
            }
        } else {
            self.script()
        };
        let minimum_health = self.one_of(&[0.0, 0.3, 0.5, 0.75, 1.0, 1.0]);
        let maximum_over = self.one_of(&[0.0, 0.25, 0.5, 1.0, 1.0]);
        let before = APPS
            .iter()
            .position(|a| *a == app.as_str())
            .and_then(|i| i.checked_sub(1));
        let depends = before.filter(|_| self.random.below(3) == 0);
        let wire = self.wire(script);
        let r = &mut self.random;
        AppSpec {
            id: app.clone(),
            version: Version(0),
            config_version: Version(0),
            instances: r.below(5) as u32,
            demand: Demand {
                cpus: 0.1 + 0.1 * r.below(4) as f64,
                mem: 32.0 + 32.0 * r.below(3) as f64,
                disk: 0.0,
                gpus: 0.0,
            },
            ports: vec![HostPort::Any; r.below(3) as usize],
            accepted_roles: Default::default(),
            has_health_checks: r.below(5) < 3,
            has_readiness_checks: false,
            upgrade: UpgradeStrategy {
                minimum_health,
                maximum_over,
            },
            backoff: Backoff {
                first: Duration::from_millis(300 + r.below(1000)),
                factor: 1.5,
                max: Duration::from_secs(12),
            },
            kill_selection: match r.below(2) {
                0 => KillSelection::YoungestFirst,
                _ => KillSelection::OldestFirst,
            },
            unreachable: match r.below(4) {
                0 => UnreachableStrategy::Disabled,
                _ => UnreachableStrategy::Enabled {
                    inactive_after: Duration::from_secs(r.below(8)),
                    expunge_after: Duration::from_secs(10 + r.below(50)),
                },
            },
            dependencies: depends.map(|i| AppId::recorded(APPS[i])).into_iter().collect(),
            wire,
        }
    }

    /// An update of one app: another configuration, another number, a restart, or its end.
    fn update(&mut self, app: &AppId, engine: &Engine) -> (AppChange, Becomes) {
        let present = engine.app(app).map(|app| Arc::clone(&app.spec));
        let base = present.as_ref().map(|spec| spec.version);
        let lot = self.random.below(12);
        let (spec, restart) = match (&present, lot) {
            (Some(_), 0) => (None, false),
            (Some(spec), 1) => (Some(AppSpec::clone(spec)), true),
            (Some(spec), 2..=5) => {
                let instances = self.random.below(6) as u32;
                let spec = AppSpec {
                    instances,
                    ..AppSpec::clone(spec)
                };
                (Some(spec), false)
            }
            _ => (Some(self.spec(app)), false),
        };
        let becomes = Becomes::This(spec.as_ref().map(wish));
        let change = AppChange {
            id: app.clone(),
            base,
            spec,
            restart,
        };
        (change, becomes)
    }

    /// The next call, unless all is busy.
    fn next(&mut self, engine: &Engine) -> Option<Asked> {
        let app = AppId::recorded(APPS[self.random.below(APPS.len() as u64) as usize]);
        if self.is_busy(&app) {
            return None;
        }
        let force = self.random.below(5) < 2;
        let lot = self.random.below(20);
        match lot {
            0..=2 => self.kill(&app, engine, force),
            3 => self.cancel(engine, force),
            4 => Some((Call::ResetDelay(app), Vec::new(), Vec::new())),
            5 => {
                // Two apps in one deployment.
                let free = APPS.map(AppId::recorded).into_iter();
                let free: Vec<AppId> = free.filter(|a| !self.is_busy(a)).take(2).collect();
                let both: Vec<_> = free.iter().map(|a| self.update(a, engine)).collect();
                let (apps, becomes): (Vec<_>, Vec<_>) = both.into_iter().unzip();
                let becomes = free.into_iter().zip(becomes).collect();
                Some((Call::Update { apps, force }, becomes, Vec::new()))
            }
            _ => {
                let (change, becomes) = self.update(&app, engine);
                let apps = vec![change];
                Some((Call::Update { apps, force }, vec![(app, becomes)], Vec::new()))
            }
        }
    }

    fn kill(&mut self, app: &AppId, engine: &Engine, force: bool) -> Option<Asked> {
        let all: Vec<InstanceId> = engine.instances_of(app).map(|i| i.id.clone()).collect();
        let some: Vec<InstanceId> = all.into_iter().filter(|_| self.random.below(2) == 0).collect();
        if some.is_empty() {
            return None;
        }
        let how = self.one_of(&[KillHow::Restart, KillHow::Wipe, KillHow::Scale]);
        let becomes = match how {
            KillHow::Scale => vec![(app.clone(), Becomes::Anything)],
            KillHow::Restart | KillHow::Wipe => Vec::new(),
        };
        let call = Call::Kill {
            instances: some.clone(),
            how,
            force,
        };
        Some((call, becomes, some))
    }

    fn cancel(&mut self, engine: &Engine, force: bool) -> Option<Asked> {
        let deployment: Arc<Deployment> = engine.deployments().next().cloned()?;
        let apps: Vec<AppId> = deployment.before.iter().map(|(app, _)| app.clone()).collect();
        if apps.iter().any(|app| self.is_busy(app)) {
            return None;
        }
        let becomes = match force {
            true => Vec::new(),
            false => apps.into_iter().map(|app| (app, Becomes::Anything)).collect(),
        };
        let call = Call::Cancel {
            deployment: deployment.id.clone(),
            force,
        };
        Some((call, becomes, Vec::new()))
    }

    /// After the healing: each app gets a definition that works, by force.
    fn last(&mut self, engine: &Engine) -> Option<(Call, Vec<(AppId, Becomes)>)> {
        let mut open = self.finished.iter().filter(|(_, done)| !**done);
        let app = open
            .find(|(app, _)| !self.is_busy(app))
            .map(|(app, _)| app.clone())?;
        let spec = AppSpec {
            dependencies: Default::default(),
            ..self.spec(&app)
        };
        let becomes = Becomes::This(Some(wish(&spec)));
        let change = AppChange {
            base: engine.app(&app).map(|app| app.spec.version),
            id: app.clone(),
            spec: Some(spec),
            restart: false,
        };
        let call = Call::Update {
            apps: vec![change],
            force: true,
        };
        Some((call, vec![(app, becomes)]))
    }

    /// Whether users still want something.
    pub(crate) fn unsettled(&self, engine: &Engine) -> Option<String> {
        let open = self.finished.iter().find(|(_, done)| !**done);
        if let Some((app, _)) = open {
            return Some(format!("the user of {app} still waits for an answer"));
        }
        self.may_be.iter().find_map(|(app, may_be)| {
            let is = engine.app(app).map(|app| wish(&app.spec));
            (!may_be.contains(&is)).then(|| format!("{app} is {is:?} and shall be {may_be:?}"))
        })
    }
}

impl World {
    pub(crate) fn app_user_acts(&mut self) {
        let users = &mut self.service.users;
        let wait = match users.healed {
            true => Duration::from_millis(500),
            false => Duration::from_millis(500) + users.random.duration_below(Duration::from_secs(20)),
        };
        self.at(wait, Event::Client(SERVICE, ClientEvent::User));
        let node = &mut self.service;
        let Some(engine) = &node.engine else { return };
        let next = match node.users.healed {
            true => node
                .users
                .last(engine)
                .map(|(call, becomes)| (call, becomes, Vec::new())),
            false => node.users.next(engine),
        };
        let Some((call, becomes, ends)) = next else { return };
        node.oracle.users_end(ends);
        node.users.requests += 1;
        let request = RequestId(node.users.requests);
        node.users.asked.insert(request, becomes);
        self.service_input(Input::Call(request, call));
    }

    /// An answer: what it acknowledges is durable, what it refuses changed nothing.
    pub(crate) fn app_user_hears(&mut self, request: RequestId, answer: Result<Answer, Refusal>) {
        match &answer {
            Err(Refusal::Locked(_)) => self.see(Mark::Locked),
            Err(Refusal::NotStored(_)) => self.see(Mark::AnsweredNotStored),
            _ => {}
        }
        let node = &mut self.service;
        let Some(apps) = node.users.asked.remove(&request) else {
            return self.fail(format!(
                "service: {request:?} is answered, and was not asked or is twice"
            ));
        };
        for (app, becomes) in apps {
            if answer.is_ok() {
                let may_be = match becomes {
                    Becomes::This(wish) => vec![wish],
                    Becomes::Anything => Vec::new(),
                };
                node.users.may_be.insert(app.clone(), may_be);
            }
            if let Err(why) = node.users.must_be(&app, &node.durable) {
                return self.fail(format!("service: {answer:?} was answered, but {why}"));
            }
            let is_last = node.users.healed && request.0 > node.users.asked_before;
            if is_last && answer.is_ok() {
                node.users.finished.insert(app, true);
            }
        }
    }
}
