#!/usr/bin/env python3
"""What a user of the package `marathon` does, against a running service framework.

    marathon_client.py HOST:PORT

Prints one line per thing that worked; an assertion ends it with a trace.
"""

import collections
import collections.abc
import sys
import threading
import time

# The package is older than Python 3.10, which took these names away.
for name in ("Iterable", "Mapping", "MutableMapping", "Sequence"):
    setattr(collections, name, getattr(collections.abc, name))

from marathon import MarathonClient, MarathonHttpError, NotFoundError
from marathon.exceptions import ConflictError
from marathon.models import MarathonApp, MarathonHealthCheck

PATIENCE = 60  # seconds


def done(what):
    print(what, flush=True)


def until(what, look):
    deadline = time.monotonic() + PATIENCE
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


def settled(client, app_id):
    def look():
        return not [d for d in client.list_deployments() if app_id in d.affected_apps]

    until(f"the deployments of {app_id} end", look)


def main():
    address = sys.argv[1]
    client = MarathonClient(f"http://{address}", timeout=30)
    assert client.ping() in (b"pong", b'"pong"')
    info = client.get_info()
    assert info.framework_id and info.elected and info.leader == address, info
    assert client.get_leader() == {"leader": address}
    assert "gauges" in client.get_metrics()
    done("ping, info, leader and metrics")

    heard = []

    def listen():
        types = ["status_update_event", "health_status_changed_event", "deployment_success", "api_post_event"]
        for event in client.event_stream(event_types=types):
            heard.append(event)

    threading.Thread(target=listen, daemon=True).start()

    check = MarathonHealthCheck(
        protocol="COMMAND", command="true", interval_seconds=1, timeout_seconds=1, grace_period_seconds=30)
    app = MarathonApp(
        cmd="sleep 1000", cpus=0.01, mem=16, instances=2, labels={"team": "a"}, env={"A": "b"},
        health_checks=[check], backoff_seconds=1)
    created = client.create_app("py/web", app)
    assert created and created.id == "/py/web" and created.deployments, created
    settled(client, "/py/web")
    done("an app is created and deployed")

    shown = client.get_app("/py/web", embed_tasks=True)
    assert (shown.tasks_running, shown.tasks_healthy, len(shown.tasks)) == (2, 2, 2), vars(shown)
    task = shown.tasks[0]
    assert task.state == "TASK_RUNNING" and task.ports and task.started_at and task.health_check_results[0].alive
    assert any(a.id == "/py/web" for a in client.list_apps(embed_tasks=True, embed_counts=True, embed_deployments=True))
    assert [a.id for a in client.list_apps(label="team==a", cmd="SLEEP", app_id="py/web")] == ["/py/web"]
    assert len(client.list_tasks("/py/web")) == 2 and len(client.list_tasks()) >= 2
    assert any(e.task_id for e in client.list_endpoints())
    done("it is read with its tasks")

    try:
        client.create_app("py/web", MarathonApp(cmd="sleep 1", cpus=0.01, mem=16))
        raise AssertionError("created twice")
    except ConflictError as error:
        assert "py/web" in str(error), error
    try:
        client.get_app("py/none")
        raise AssertionError("found what is not there")
    except NotFoundError as error:
        assert "does not exist" in str(error), error
    try:
        client.create_app("py/bad", MarathonApp(cmd="sleep 1", cpus=-1))
        raise AssertionError("took a negative number")
    except MarathonHttpError as error:
        assert error.status_code == 422 and error.error_details, error
    done("refusals are understood")

    result = client.update_app("/py/web", MarathonApp(cmd="sleep 1001", labels={"team": "b"}))
    assert result["deploymentId"], result
    settled(client, "/py/web")
    client.scale_app("/py/web", delta=1)
    settled(client, "/py/web")
    assert client.get_app("/py/web").instances == 3
    client.scale_app("/py/web", instances=2, force=True)
    settled(client, "/py/web")
    client.restart_app("/py/web")
    settled(client, "/py/web")
    versions = client.list_versions("/py/web")
    assert len(versions) >= 3, versions
    first = client.get_version("/py/web", versions[-1])
    assert first.cmd == "sleep 1000", first
    client.rollback_app("/py/web", versions[-1], force=True)
    settled(client, "/py/web")
    assert client.get_app("/py/web").labels == {"team": "a"}
    done("it is updated, scaled, restarted and rolled back")

    client.update_apps([MarathonApp(id="/py/one", cmd="sleep 1000", cpus=0.01, mem=16, instances=0),
                        MarathonApp(id="/py/two", cmd="sleep 1000", cpus=0.01, mem=16, instances=0)])
    settled(client, "/py/one")
    assert {a.id for a in client.list_apps(app_id="/py/")} == {"/py/one", "/py/two", "/py/web"}
    done("a list of apps is put")

    victim = client.list_tasks("/py/web")[0].id
    killed = client.kill_task("/py/web", victim)
    assert killed.id == victim, killed
    until("a replacement", lambda: sorted(
        t.state for t in client.list_tasks("/py/web") if t.id != victim) == ["TASK_RUNNING"] * 2)
    assert client.kill_given_tasks([client.list_tasks("/py/web")[0].id], force=True)
    until("another", lambda: [t.state for t in client.list_tasks("/py/web")] == ["TASK_RUNNING"] * 2)
    assert len(client.kill_tasks("/py/web")) == 2
    until("and another", lambda: [t.state for t in client.list_tasks("/py/web")] == ["TASK_RUNNING"] * 2)
    client.kill_task("/py/web", client.list_tasks("/py/web")[0].id, scale=True)
    settled(client, "/py/web")
    assert client.get_app("/py/web").instances == 1
    done("tasks are killed in every way")

    client.create_app("py/large", MarathonApp(cmd="sleep 1", cpus=10000, mem=16))

    def waits():
        items = [item for item in client.list_queue(embed_last_unused_offers=True) if item.app.id == "/py/large"]
        return items and items[0].last_unused_offers and items[0]

    item = until("it waits in the queue", waits)
    assert item.count == 1 and item.delay.overdue and item.processed_offers_summary, vars(item)
    client.reset_delay("/py/large")
    deployment = [d for d in client.list_deployments() if "/py/large" in d.affected_apps][0]
    assert deployment.total_steps >= 1 and deployment.current_actions, vars(deployment)
    undo = client.delete_deployment(deployment.id)
    assert undo["deploymentId"], undo
    settled(client, "/py/large")
    try:
        client.get_app("/py/large")
        raise AssertionError("still there")
    except NotFoundError:
        pass
    client.create_app("py/large", MarathonApp(cmd="sleep 1", cpus=10000, mem=16))
    deployment = [d for d in client.list_deployments() if "/py/large" in d.affected_apps][0]
    assert client.delete_deployment(deployment.id, force=True) == {}
    done("queue and deployments")

    for app_id in ("/py/web", "/py/one", "/py/two", "/py/large"):
        assert client.delete_app(app_id, force=True)["deploymentId"]
    until("all are gone", lambda: client.list_apps(app_id="/py/") == [])
    kinds = {type(event).__name__ for event in heard}
    assert kinds >= {"MarathonStatusUpdateEvent", "MarathonHealthStatusChangedEvent", "MarathonDeploymentSuccess",
                     "MarathonApiPostEvent"}, kinds
    done("events were understood")


main()
