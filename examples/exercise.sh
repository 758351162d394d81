#!/bin/sh
# The exercise of every course on orchestration, as one script: a cluster of three agents, a service of three instances that
# is scaled, a rolling update, and a machine that goes away. The processes are started one by one, as on real machines.
#
#   examples/exercise.sh          needs `meseta` in the PATH, and free ports from 5050 and 8080 on (PORT_OFFSET is added)
set -eu
offset=${PORT_OFFSET:-0}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
export MESETA_MASTER="127.0.0.1:$((5050 + offset))"

finish() {
  status=$?
  # USR2 ends an agent with its containers; what went away already is no failure.
  for agent in "$work"/node-*.pid; do kill -USR2 "$(cat "$agent")" 2>/dev/null || true; done
  kill "$(cat "$work/service.pid")" "$(cat "$work/master.pid")" 2>/dev/null || true
  wait 2>/dev/null || true
  if [ "$status" != 0 ]; then tail -n 20 "$work"/*.log >&2; fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT

part() { printf '\n== %s\n' "$*"; }

# start NAME COMMAND...: in the background, with its log and its process id
start() {
  name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 &
  echo $! >"$work/$name.pid"
}

# until_it WHAT COMMAND...: at most a minute
until_it() {
  what=$1
  shift
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  echo "not within a minute: $what" >&2
  exit 1
}
three() { [ "$(meseta node list --no-headers | grep -c ' ready ')" = 3 ]; }

part "a cluster of three agents"
start master meseta master --ip=127.0.0.1 --port=$((5050 + offset)) --work_dir="$work/master"
for n in 1 2 3; do
  start "node-$n" meseta agent --master="$MESETA_MASTER" --ip=127.0.0.1 --port=$((5050 + n + offset)) \
    --hostname="node-$n" --work_dir="$work/node-$n" --runtime_dir="$work/run-$n" \
    --resources="cpus:2;mem:1024;disk:1024;ports:[2${n}000-2${n}099]" \
    --executor_environment_variables="{\"PATH\": \"$PATH\"}"
done
start service meseta service --master="$MESETA_MASTER" --http_address=127.0.0.1 --hostname=127.0.0.1 \
  --http_port=$((8080 + offset)) --work_dir="$work/service"
until_it "three agents have joined" three
until_it "the service answers" meseta app list
meseta node list

part "a service of three instances"
meseta apply "$here/web.json"
meseta app list

part "scaled to six, and back to three"
meseta app scale web 6
meseta app scale web 3

part "a rolling update: another greeting; old instances end as new ones are healthy"
meseta app update web --env GREETING=greetings
meseta app versions web
meseta task list

part "a machine goes away: its instances start elsewhere"
node=$(meseta task list --no-headers | grep -o 'node-[123]' | head -n 1)
meseta task list --node "$node"
kill -USR1 "$(cat "$work/$node.pid")"
until_it "$node is gone" sh -c "! meseta node list --no-headers | grep -q '^$node .*ready'"
meseta app wait web --for healthy
meseta task list
meseta node list

part "and back to the version before"
meseta app rollback web --yes
meseta app show web

part "done"
