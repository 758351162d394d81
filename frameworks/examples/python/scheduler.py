#!/usr/bin/env python3
"""A framework in Python, written with pymesos: it runs a batch of tasks, keeps a service, and can be replaced.

    scheduler.py --master HOST:PORT                        a batch, then everything is torn down
    scheduler.py --master HOST:PORT --leave                the same, but the service is left running
    scheduler.py --master HOST:PORT --framework-id ID      takes over from one that left, then tears down

Half of the batch are command tasks, half run under executor.py. Everything that happens is printed as one JSON object
a line. Exits with 0 when all of it went as it should.
"""

import argparse
import getpass
import json
import os
import sys
import threading

from pymesos import MesosSchedulerDriver, Scheduler, decode_data, encode_data

HERE = os.path.dirname(os.path.abspath(__file__))
PATIENCE = 60  # seconds to wait for any one thing
TERMINAL = {
    "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST",
    "TASK_DROPPED", "TASK_GONE", "TASK_GONE_BY_OPERATOR",
}


def say(event, **more):
    print(json.dumps(dict(event=event, **more)), flush=True)


def scalar(name, value):
    return dict(name=name, type="SCALAR", scalar=dict(value=value))


def amount(resources, name):
    return sum(r["scalar"]["value"] for r in resources if r["name"] == name and "scalar" in r)


def task(name, cpus=0.05, mem=16, **more):
    return dict(name=name, task_id=dict(value=name), resources=[scalar("cpus", cpus), scalar("mem", mem)], **more)


def command_task(name, line):
    return task(name, command=dict(value=line, shell=True))


def executor_task(name, numbers):
    executor = dict(
        type="CUSTOM",
        executor_id=dict(value="sums"),
        name="sums of squares",
        command=dict(value="exec {} {}/executor.py".format(sys.executable, HERE), shell=True),
        resources=[scalar("cpus", 0.1), scalar("mem", 64)],
    )
    return task(name, executor=executor, data=encode_data(json.dumps(numbers).encode()))


class Batch(Scheduler):
    """Launches what waits, as offers come, and remembers every state it hears of."""

    def __init__(self, waiting):
        self.changed = threading.Condition()
        self.waiting = waiting
        self.states = {}
        self.reasons = {}
        self.answers = {}
        self.messages = []
        self.executor_on = None
        self.framework_id = None

    # what the driver calls, on its own thread

    def registered(self, driver, framework_id, master):
        self.subscribed("registered", driver, master)

    def reregistered(self, driver, master):
        self.subscribed("reregistered", driver, master)

    def subscribed(self, how, driver, master):
        say(how, framework_id=driver.framework_id, master_version=master.get("version"))
        with self.changed:
            self.framework_id = driver.framework_id
            self.changed.notify_all()

    def resourceOffers(self, driver, offers):
        for offer in offers:
            cpus, mem = amount(offer["resources"], "cpus"), amount(offer["resources"], "mem")
            say("offer", cpus=cpus, mem=mem)
            chosen = []
            with self.changed:
                while self.waiting:
                    needs = list(self.waiting[0]["resources"])
                    if "executor" in self.waiting[0] and self.executor_on is None:
                        needs += self.waiting[0]["executor"]["resources"]
                    if amount(needs, "cpus") > cpus or amount(needs, "mem") > mem:
                        break
                    cpus, mem = cpus - amount(needs, "cpus"), mem - amount(needs, "mem")
                    if "executor" in self.waiting[0]:
                        self.executor_on = offer["agent_id"]
                    chosen.append(dict(self.waiting.pop(0), agent_id=offer["agent_id"]))
            if chosen:
                driver.launchTasks(offer["id"], chosen, dict(refuse_seconds=0.1))
            else:
                driver.declineOffer(offer["id"], dict(refuse_seconds=5))

    def statusUpdate(self, driver, status):
        name, state = status["task_id"]["value"], status["state"]
        say("status", task=name, state=state, reason=status.get("reason"), acknowledged="uuid" in status)
        with self.changed:
            self.states.setdefault(name, []).append(state)
            self.reasons.setdefault(name, []).append(status.get("reason"))
            if "data" in status:
                self.answers[name] = decode_data(status["data"]).decode()
            self.changed.notify_all()

    def frameworkMessage(self, driver, executor_id, agent_id, message):
        text = decode_data(message).decode()
        say("message", text=text)
        with self.changed:
            self.messages.append(text)
            self.changed.notify_all()

    def error(self, driver, message):
        say("error", message=message)

    # what the main thread asks

    def wait(self, what, done):
        with self.changed:
            if not self.changed.wait_for(done, PATIENCE):
                raise SystemExit("waited in vain until {}; states: {}".format(what, self.states))

    def last(self, name):
        return self.states.get(name, [None])[-1]

    def reconciled(self, name):
        return "REASON_RECONCILIATION" in self.reasons.get(name, [])


def run_batch(driver, batch, commands, sums):
    names = commands + sums
    batch.wait("the batch ended", lambda: all(batch.last(name) in TERMINAL for name in names))
    for name in names:
        seen = batch.states[name]
        if seen[-1] != "TASK_FINISHED" or "TASK_RUNNING" not in seen:
            raise SystemExit("{} did not run to its end: {}".format(name, seen))
    for n, name in enumerate(sums):
        if batch.answers.get(name) != str(n * n + 1):
            raise SystemExit("{} answered {}".format(name, batch.answers.get(name)))
    driver.sendFrameworkMessage(dict(value="sums"), batch.executor_on, encode_data(b"hello"))
    batch.wait("the executor answered", lambda: "HELLO" in batch.messages)


def kill_one(driver, batch):
    batch.wait("the tasks to be kept run", lambda: all(batch.last(n) == "TASK_RUNNING" for n in ("victim", "service")))
    driver.killTask(dict(value="victim"))
    batch.wait("the victim is dead", lambda: batch.last("victim") == "TASK_KILLED")
    if "TASK_KILLING" not in batch.states["victim"]:
        raise SystemExit("no TASK_KILLING before TASK_KILLED: {}".format(batch.states["victim"]))


def reconcile(driver, batch, lost):
    """What is known is told again; what nobody knows is lost."""
    driver.reconcileTasks([dict(task_id=dict(value=lost))])
    batch.wait("the unknown task is lost", lambda: batch.last(lost) == "TASK_LOST" and batch.reconciled(lost))
    driver.reconcileTasks([])
    batch.wait("the service is told", lambda: batch.reconciled("service") and batch.last("service") == "TASK_RUNNING")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--master", required=True)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--framework-id")
    parser.add_argument("--leave", action="store_true")
    args = parser.parse_args()

    framework = dict(
        name="python batch", user=getpass.getuser(), checkpoint=True, failover_timeout=600,
        capabilities=[dict(type="TASK_KILLING_STATE")],
    )
    commands = ["command-{}".format(n) for n in range(args.tasks - args.tasks // 2)]
    sums = ["sum-{}".format(n) for n in range(args.tasks // 2)]
    if args.framework_id:
        framework["id"] = dict(value=args.framework_id)
        batch = Batch([])
    else:
        kept = [command_task(name, "exec sleep 1000") for name in ("victim", "service")]
        batch = Batch(
            [command_task(name, "true") for name in commands]
            + [executor_task(name, [n, 1]) for n, name in enumerate(sums)]
            + kept
        )

    driver = MesosSchedulerDriver(batch, framework, args.master)
    driver.start()
    batch.wait("the framework is registered", lambda: batch.framework_id)
    if args.framework_id:
        reconcile(driver, batch, "nobody")
    else:
        run_batch(driver, batch, commands, sums)
        kill_one(driver, batch)
        reconcile(driver, batch, "nobody")
    driver.stop(failover=args.leave)
    driver.join()
    say("left" if args.leave else "torn down")


if __name__ == "__main__":
    main()
