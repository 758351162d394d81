//! What the codes of errors and warnings mean. A code keeps its meaning.

/// Codes, in the order of the alphabet, and what they mean; the first line stands for itself.
pub(super) const ERRORS: &[(&str, &str)] = &[
    (
        "agent-lost",
        "The agent that ran a task cannot be asked.\nIts tasks may still run. meseta node list says which agents the master sees.",
    ),
    (
        "already-exists",
        "There is an app or a job of that name.\n`create` makes new ones only; `update` and `apply` change what is there.",
    ),
    (
        "ambiguous",
        "A name stands for several things.\nThey are listed; app/NAME, job/NAME or a longer beginning tells them apart.",
    ),
    (
        "app-locked",
        "Another deployment is changing the app.\nWait for it (meseta deployment watch ID), replace it (--force), or undo it\n(meseta deployment rollback ID).",
    ),
    (
        "bad-address",
        "An address cannot be understood.\nAddresses are HOST:PORT or http://HOST:PORT.",
    ),
    (
        "bad-column",
        "A list has no column of that name.\nNames are the printed ones in lower case; -o wide shows all of them.",
    ),
    (
        "bad-config",
        "The file of contexts and defaults cannot be understood.\nThe message has the place; meseta help contexts shows the form.",
    ),
    (
        "bad-count",
        "A number of instances is a number from 0, or +N or -N.",
    ),
    ("bad-field", "A field is named that cannot be set."),
    ("bad-flag", "A flag, or its value, means nothing there."),
    ("bad-flags", "Flags that do not go together."),
    ("bad-name", "A name has characters that names cannot have."),
    (
        "bad-schedule",
        "A schedule is neither an ISO 8601 interval nor a cron expression.\nmeseta help schedules shows both.",
    ),
    (
        "bad-template",
        "The template of --format cannot be understood, or names a field that the\nobject does not have.\nThe names are those that --json prints.",
    ),
    (
        "bad-usage",
        "Words or flags that mean nothing here. Nothing was done.",
    ),
    (
        "bad-version",
        "A version is a time stamp of `app versions`, or -1 for the one before.",
    ),
    (
        "bad-zone",
        "A time zone that is not known here.\nNames are those of the IANA database: Europe/Paris.",
    ),
    (
        "changed-meanwhile",
        "Somebody else changed the app after it was read.\nSee what differs (meseta diff FILE), then use the new --if-version.",
    ),
    (
        "declined",
        "A question was answered with no. Nothing was changed.",
    ),
    (
        "deployment-failed",
        "A deployment did not succeed: it failed, was rolled back, or was replaced.",
    ),
    (
        "framework-ended",
        "The master ended the framework that ran a command.",
    ),
    (
        "given-twice",
        "The same app, job or field is described twice: which should count?",
    ),
    (
        "invalid-app",
        "A definition of an app breaks its rules; each is told with its place.",
    ),
    (
        "invalid-file",
        "A file describes something that breaks its rules, or nothing that is known.",
    ),
    (
        "invalid-job",
        "A definition of a job breaks its rules; each is told with its place.",
    ),
    ("invalid-json", "A file is no JSON; the message has the place."),
    ("locked", "Something else is changing it just now. Try again."),
    (
        "needs-yes",
        "A question could not be asked, since nobody is there.\nThe same command with --yes answers it.",
    ),
    (
        "no-answer",
        "A question could not be asked: the terminal cannot be read.",
    ),
    (
        "no-config",
        "The file of contexts cannot be written.\nMESETA_CONFIG=FILE names another place.",
    ),
    (
        "no-context",
        "There is no cluster of that name.\nmeseta context list has those there are; meseta context add makes one.",
    ),
    (
        "no-count",
        "It is not known how many instances the app had.\nmeseta app resume NAME N says how many there shall be.",
    ),
    (
        "no-cron",
        "The cluster has no cron framework, so there are no jobs.\nmeseta up starts one, as does meseta cron --master=HOST:5050.",
    ),
    ("no-editor", "There is no editor.\nEDITOR=vi names one."),
    ("no-file", "A file cannot be read or written."),
    (
        "no-fit",
        "Instances found no room within --timeout; the deployment goes on.\nmeseta app why NAME says what is missing, and ways out.",
    ),
    ("no-id", "An app needs an id: --id NAME, or a file that has one."),
    ("no-job", "A file that should have jobs has something else."),
    (
        "no-leader",
        "Masters answer, but none of them leads.\nAn election takes seconds; meseta status says when it is over.",
    ),
    ("no-logs", "The run never started, so it wrote nothing."),
    ("no-name", "The command needs a name."),
    (
        "no-runtime",
        "This process cannot start its threads: the system refuses more.",
    ),
    (
        "no-service",
        "The cluster has no service framework, so there are no apps.\nmeseta up starts one, as does meseta service --master=HOST:5050.",
    ),
    (
        "no-signals",
        "This process cannot listen to signals: the system refuses.",
    ),
    (
        "no-state",
        "The folder of the state cannot be written.\nMake room, or give another one: meseta up --dir DIR.",
    ),
    (
        "not-allowed",
        "The server does not allow it, or wants to know who asks.",
    ),
    ("not-found", "There is nothing of that name."),
    (
        "not-healthy",
        "The app is not healthy yet; it was not waited for longer.",
    ),
    (
        "not-here",
        "The cluster was started without what a file describes.",
    ),
    ("not-json", "The address answers, but not as this server does."),
    (
        "not-mesos",
        "The address answers, but not as a master does.\nThe port of masters is 5050.",
    ),
    ("not-run", "A command or a job could not be started."),
    ("nothing-asked", "No change was asked for."),
    (
        "old-field",
        "An older name of a field: accepted, stored under the newer one.",
    ),
    (
        "other-job",
        "A file describes another job than the one that is named.",
    ),
    (
        "port-taken",
        "Another process listens on a port that is needed.\nmeseta up --port-offset 100 uses others.",
    ),
    ("refused", "The server refuses it and says why."),
    (
        "renamed",
        "An app or a job cannot be renamed: make a new one, delete the old one.",
    ),
    (
        "run-failed",
        "The run ended, and not with success.\nmeseta run show RUN says how; meseta logs RUN what it wrote.",
    ),
    (
        "some-failed",
        "Several things were asked for, and some of them failed.",
    ),
    (
        "store-in-use",
        "Another process holds the state.\nmeseta up --stop ends a cluster that runs in that folder.",
    ),
    ("timeout", "--timeout passed. What was waited for goes on."),
    ("too-many", "More at once than can be followed."),
    (
        "unknown-field",
        "A field that no app or job has.\nA near miss is an error, any other unknown field a warning.",
    ),
    (
        "unreachable",
        "The server cannot be reached.\nIs it running there? Without -m, the cluster of `meseta up` is asked.",
    ),
    (
        "up-failed",
        "The cluster cannot be started; the message has the cause.",
    ),
];
