//! Pages about what belongs to no single command.

/// Names and pages.
pub(super) const TOPICS: &[(&str, &str)] = &[
    (
        "exit-codes",
        "\
An exit code means one thing in every command.

    0      done as asked; already so counts as done
    1      it was tried and failed: a deployment, a run, a task
    2      usage: flags, words, a local file, a question without a terminal
    3      no such app, job, task, node, version
    4      refused: invalid, locked, changed meanwhile, exists, ambiguous
    5      --timeout passed
    6      no server or leader: worth repeating
    7      not logged in, or not allowed
    8      differences found (only with --exit-code)
    9      several things, some of which failed
  125-127  execute: our failure, not executable, not found; else its own code
  130      ended by Ctrl-C          141  by a closed pipe
  143      ended by SIGTERM

Servers (master, agent, service, cron): 0 after a clean stop, 1 broken,
2 flags, 75 try again, 103 another process took over, 110 framework removed.
",
    ),
    (
        "output",
        "\
Standard output is the answer, standard error the conversation.

  -o table    columns for people (without a terminal: the same, in full)
  -o wide     more columns
  -o json     one array of a list, one object of a thing; also --json
  -o jsonl    an object per line
  -o name     names only, a line each; also -q
  -o csv      all columns of a list

Lists: --columns id,status   only these          --sort -age    by a column
       --no-headers          no first line       --no-trunc     full values
       --time local|utc      times, not ages     -w             what changes

--format '{{ id }} {{ tasksRunning }}' prints each thing by a template; the
names are those that --json prints, and | default('-') stands in for what an
object does not have.

Objects are the API's own: meseta app show web --json | meseta apply -
Fields are added, never renamed. Errors under --json are an object too:
  {\"error\":{\"code\":...,\"message\":...,\"details\":[...],\"hint\":...,\"exit\":4}}

Colour: --color auto|always|never, NO_COLOR, FORCE_COLOR, TERM=dumb.
",
    ),
    (
        "environment",
        "\
A flag wins over the environment, that over the context, that over [defaults].

  MESETA_MASTER        --master            MESETA_CONTEXT      --context
  MESETA_SERVICE_URL   --service-url       MESETA_CRON_URL     --cron-url
  MESETA_OUTPUT        --output            MESETA_TIME         --time
  MESETA_TIMEOUT       --timeout           MESETA_PROGRESS     --progress
  MESETA_NO_INPUT      --no-input          MESETA_CONFIG       file of contexts

Of others: NO_COLOR FORCE_COLOR TERM COLUMNS EDITOR.

Servers read each of their flags from MESETA_NAME; master and agent also from
MESOS_NAME, service from MARATHON_NAME and cron from CHRONOS_NAME. What is
given as an argument wins.

meseta context show --origin says which value counts, and who gave it.
",
    ),
    (
        "contexts",
        "\
A context is one cluster's addresses under a name, in
~/.config/meseta/config.toml (MESETA_CONFIG names another file).

  current = \"prod\"
  [defaults]
  output = \"wide\"
  [contexts.prod]
  master  = \"m1:5050,m2:5050\"
  protect = true               # questions before something is lost ask
                               # for the name \"prod\"

meseta context add prod m1:5050    meseta context use prod
meseta --context prod app list     this command only

The running `meseta up` of this user is the context `up`.
",
    ),
    (
        "selectors",
        "\
Labels choose apps and tasks, in Marathon's grammar: meseta app list -l ...

  tier              has the label              tier==web      has this value
  tier!=web         has another value          tier in (a,b)  one of these
  tier notin (a,b)  none of these

Several, separated by commas, must all hold. A backslash takes the next
character as it is.
",
    ),
    (
        "schedules",
        "\
A job has a schedule, or parents after whose success it runs.

  R/2026-01-01T02:30:00Z/P1D   ISO 8601: how often / from when / period
  R5//PT10M                    five times, from now, every ten minutes
  30 2 * * *                   cron: minute hour day month weekday
  */10 * * * * *               the same with seconds before

scheduleTimeZone (--zone) is a name such as Europe/Paris, otherwise UTC.

meseta job next --schedule '30 2 * * *' --zone Europe/Paris   when it runs
",
    ),
    (
        "why",
        "\
meseta why NAME says what an app or a job waits for: first one sentence with
numbers, then the evidence, at the end the commands that would help.

For an app each agent is counted once, in the first stage that it fails: role,
constraint, attributes, cpus, mem, disk, ports. The counts are those of
/v2/queue. meseta app why --file web.json asks before anything is submitted.

Exit code 0, whatever the reason is.
",
    ),
];
