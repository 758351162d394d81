#!/bin/sh
# What the public documentation of Marathon and Chronos does with curl, in our own words and with our own data.
#
#   curl.sh SERVICE CRON        both as host:port
#
# Prints what was done and the status; ends with 1 when a status is not the expected one.
set -eu
service=$1 cron=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# want STATUS WHAT CURL-ARGUMENTS...: the body goes to $work/body
want() {
  status=$1 what=$2
  shift 2
  got=$(curl -sS -L -o "$work/body" -w '%{http_code}' --max-time 30 "$@")
  echo "$what: $got"
  if [ "$got" != "$status" ]; then
    echo "expected $status:" >&2
    cat "$work/body" >&2
    exit 1
  fi
}

# eventually TEXT URL: until the text is in the answer, at most a minute
eventually() {
  for _ in $(seq 300); do
    if curl -sS --max-time 30 "$2" | grep -q "$1"; then return; fi
    sleep 0.2
  done
  echo "$2 never held: $1" >&2
  exit 1
}

cat > "$work/app.json" <<'JSON'
{"id": "/curl/app", "cmd": "while sleep 10; do date -u +%T; done", "cpus": 0.01, "mem": 16.0, "instances": 1}
JSON
want 201 "create an app" -X POST "http://$service/v2/apps" -d @"$work/app.json" -H 'Content-type: application/json'
eventually '"tasksRunning":1' "http://$service/v2/apps/curl/app"
want 200 "list apps" "http://$service/v2/apps"
want 200 "one app" "http://$service/v2/apps//curl/app?embed=app.taskStats"
want 200 "its versions" "http://$service/v2/apps/curl/app/versions"
want 200 "its tasks" -H 'Accept: application/json' "http://$service/v2/apps/curl/app/tasks"
want 200 "all tasks" "http://$service/v2/tasks?status=running"
want 200 "scale it" -X PUT -H 'Content-Type: application/json' -d '{"instances": 2}' "http://$service/v2/apps/curl/app"
eventually '"tasksRunning":2' "http://$service/v2/apps/curl/app"
want 200 "change it without a content type" -X PUT -d '{"env": {"LEVEL": "debug"}}' "http://$service/v2/apps/curl/app?force=true"
want 200 "deployments" "http://$service/v2/deployments"
want 200 "restart it" -X POST "http://$service/v2/apps/curl/app/restart?force=true"
want 200 "queue" "http://$service/v2/queue"
want 200 "info" "http://$service/v2/info"
want 200 "leader" "http://$service/v2/leader"
want 200 "ping" "http://$service/ping"
want 200 "metrics" "http://$service/metrics"
curl -sS -N --max-time 2 -H 'Accept: text/event-stream' "http://$service/v2/events" > "$work/events" || true
grep -q '^event: *event_stream_attached' "$work/events"
echo "events: stream"
want 200 "delete it" -X DELETE "http://$service/v2/apps/curl/app"
want 404 "what is not there" "http://$service/v2/apps/curl/none"

json='Content-Type: application/json'
want 204 "a scheduled job" -X POST -H "$json" "http://$cron/v1/scheduler/iso8601" -d '{
  "name": "curl_hourly", "command": "echo hourly >> /dev/null", "schedule": "R10/2035-10-01T05:52:00Z/PT1H",
  "epsilon": "PT30M", "owner": "somebody@localhost", "async": false, "cpus": 0.01, "mem": 16}'
want 204 "a dependent job" -X POST -H "$json" "http://$cron/v1/scheduler/dependency" -d '{
  "name": "curl_dependent", "command": "echo dependent", "parents": ["curl_hourly"], "cpus": 0.01, "mem": 16}'
want 204 "a job in a container, never due" -X POST -H "$json" "http://$cron/v1/scheduler/iso8601" -d '{
  "name": "curl_container", "command": "while sleep 10; do date -u +%T; done", "schedule": "R0/2014-09-25T17:22:00Z/PT2M",
  "container": {"type": "DOCKER", "image": "busybox", "network": "BRIDGE",
    "volumes": [{"containerPath": "/var/log", "hostPath": "/logs", "mode": "RW"}]},
  "cpus": "0.5", "mem": "512", "uris": []}'
want 200 "list jobs" "http://$cron/v1/scheduler/jobs"
want 200 "search jobs" "http://$cron/v1/scheduler/jobs/search?name=curl_"
want 204 "start a job" -X PUT "http://$cron/v1/scheduler/job/curl_hourly"
want 204 "start a job with arguments" -X PUT "http://$cron/v1/scheduler/job/curl_hourly?arguments=-debug"
want 200 "statistics of a job" "http://$cron/v1/scheduler/job/stat/curl_hourly"
want 200 "statistics of all" "http://$cron/v1/scheduler/stats/median"
want 200 "graph as dot" "http://$cron/v1/scheduler/graph/dot"
want 200 "graph as csv" "http://$cron/v1/scheduler/graph/csv"
want 204 "kill its tasks" -X DELETE "http://$cron/v1/scheduler/task/kill/curl_hourly"
want 200 "mark it successful" -X PUT "http://$cron/v1/scheduler/job/success/curl_hourly"
want 200 "leader of the scheduler" "http://$cron/v1/scheduler/leader"
want 200 "metrics of the scheduler" "http://$cron/metrics"
for name in curl_dependent curl_hourly curl_container; do
  want 204 "delete $name" -X DELETE "http://$cron/v1/scheduler/job/$name"
done
want 400 "an unknown job" -X DELETE "http://$cron/v1/scheduler/job/curl_hourly"
