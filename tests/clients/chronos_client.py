#!/usr/bin/env python3
"""What a user of the package `chronos-python` does, against a running cron framework.

    chronos_client.py HOST:PORT

Prints one line per thing that worked; an assertion ends it with a trace.
"""

import sys
import time

import chronos

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


def job(name, command="true", **more):
    definition = dict(name=name, command=command, owner="", disabled=False, cpus=0.01, mem=16)
    if "parents" not in more:
        definition["schedule"] = "R0/2014-09-25T17:22:00Z/PT60M"
    return dict(definition, **more)


def with_version(address, version):
    client = chronos.connect([address], scheduler_api_version=version)
    prefix = f"{version or 'old'}-"
    legacy = {"async": False} if version is None else {}

    def one(name):
        found = [j for j in client.list() if j["name"] == prefix + name]
        return found and found[0]

    assert client.add(job(prefix + "a", description="first", **legacy)) is None
    shown = one("a")
    assert shown["description"] == "first" and shown["schedule"] == "R0/2014-09-25T17:22:00Z/PT60M", shown
    assert client.update(job(prefix + "a", description="second", **legacy)) is None
    assert one("a")["description"] == "second"
    assert [j["name"] for j in client.search(name=prefix + "a")] == [prefix + "a"]
    assert client.search(name=prefix + "a", command="something else") == []
    done(f"{prefix}jobs are added, changed and found")

    stat = client.job_stat(prefix + "a")
    zeros = {"75thPercentile": 0.0, "95thPercentile": 0.0, "98thPercentile": 0.0, "99thPercentile": 0.0,
             "median": 0.0, "mean": 0.0, "count": 0}
    assert stat == {"histogram": zeros, "taskStatHistory": []}, stat

    assert client.add(job(prefix + "b", parents=[prefix + "a"], **legacy)) is None
    graph = client.scheduler_graph()
    assert f"link,{prefix}a,{prefix}b" in graph and f"node,{prefix}a,fresh,idle" in graph, graph
    assert client.run(prefix + "a") is None
    until("both ran", lambda: one("a")["successCount"] == 1 and one("b")["successCount"] == 1)
    assert client.job_stat(prefix + "a")["histogram"]["count"] == 1
    for call in (client.scheduler_stat_99th, client.scheduler_stat_98th, client.scheduler_stat_95th,
                 client.scheduler_stat_75th, client.scheduler_stat_median, client.scheduler_stat_mean):
        assert [s for s in call() if s["jobNameLabel"] == prefix + "a"], call
    metrics = client.metrics()
    assert "gauges" in metrics and metrics["counters"][f"jobs.run.success.{prefix}a"]["count"] == 1, metrics
    done(f"{prefix}runs are counted")

    assert client.add(job(prefix + "long", command="sleep 1000", **legacy)) is None
    assert client.run(prefix + "long") is None
    until("it runs", lambda: f"node,{prefix}long,fresh,1 running" in client.scheduler_graph())
    assert client.delete_tasks(prefix + "long") is None
    until("it was killed", lambda: f"node,{prefix}long,fresh,idle" in client.scheduler_graph())
    done(f"{prefix}a run is killed")

    try:
        client.delete(prefix + "unknown")
        raise AssertionError("deleted what is not there")
    except chronos.ChronosAPIError:
        pass
    try:
        client.add(job(prefix + "bad", schedule="every day", **legacy))
        raise AssertionError("took a schedule that is none")
    except chronos.ChronosAPIError:
        pass
    for name in ("b", "a", "long"):
        assert client.delete(prefix + name) is None
    assert not any(j["name"].startswith(prefix) for j in client.list())
    done(f"{prefix}jobs are deleted")


def main():
    address = sys.argv[1]
    with_version(address, "v1")
    with_version(address, None)


main()
