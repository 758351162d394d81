#!/bin/sh
# The exercise of every course on orchestration, as one script: a cluster of three agents, a service of three instances, a
# rolling update while it is used, and a machine that goes away.
#
#   examples/exercise.sh          needs `meseta` in the PATH, and free ports from 5050 on (PORT_OFFSET is added to each)
set -eu
offset=${PORT_OFFSET:-0}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
export MESETA_MASTER="127.0.0.1:$((5050 + offset))"

up='' third=''
finish() {
  status=$?
  [ -z "$third" ] || kill -USR2 "$third" 2>/dev/null || true
  [ -z "$up" ] || kill -INT "$up" 2>/dev/null || true
  wait 2>/dev/null || true
  if [ "$status" != 0 ]; then tail -n 20 "$work"/*.log >&2; fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT

part() { printf '\n== %s\n' "$*"; }

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
has() { meseta node list | grep -q "$1"; }

part "a cluster of two agents, and a machine that joins it"
meseta up --agents 2 --dir "$work/up" --port-offset "$offset" >"$work/up.log" 2>&1 &
up=$!
until_it "the cluster is up" meseta app list
meseta agent --master="$MESETA_MASTER" --ip=127.0.0.1 --hostname=third --port=$((5060 + offset)) \
  --work_dir="$work/third" --runtime_dir="$work/third-run" \
  --resources='cpus:4;mem:1024;disk:1024;ports:[20000-20099]' \
  --executor_environment_variables="{\"PATH\": \"$PATH\"}" >"$work/third.log" 2>&1 &
third=$!
until_it "the third agent has joined" has third
meseta node list

part "a service of three instances"
meseta apply "$here/web.json"
meseta app list

part "scaled to six, and back to three"
meseta app scale web 6
meseta task list web
meseta app scale web 3

part "a rolling update: another greeting, never fewer than three healthy"
meseta app update web --env GREETING=greetings
meseta app versions web

part "a machine goes away: its instances start elsewhere"
meseta task list web --node third
kill -USR1 "$third"
wait "$third" || true
third=''
meseta app wait web --for healthy
meseta task list web
meseta node list

part "and back to the version before"
meseta app rollback web --yes
meseta app show web

part "done"
