//! What a caller wants to see of apps beyond their definition.

/// What is embedded in each app. Counts and deployments always are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Embed {
    pub(super) tasks: bool,
    pub(super) failure: bool,
    pub(super) readiness: bool,
    pub(super) stats: bool,
}

impl Embed {
    /// Reads the values of `embed`. Unknown ones are ignored, as in Marathon.
    pub(super) fn of<'a>(values: impl Iterator<Item = &'a str>) -> Embed {
        let mut embed = Embed::default();
        for value in values {
            let name = ["group.apps.", "apps.", "app."]
                .iter()
                .find_map(|prefix| value.strip_prefix(prefix))
                .unwrap_or(value);
            match name {
                "tasks" => embed.tasks = true,
                "lastTaskFailure" => embed.failure = true,
                "failures" => {
                    embed.failure = true;
                    embed.tasks = true;
                }
                "readiness" => embed.readiness = true,
                "taskStats" => embed.stats = true,
                "counts" | "count" | "deployments" => {}
                _ => tracing::debug!(value, "an unknown embed value is ignored"),
            }
        }
        embed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_do_not_matter_and_unknown_values_are_ignored() {
        let tasks = Embed {
            tasks: true,
            ..Embed::default()
        };
        for value in ["tasks", "apps.tasks", "app.tasks", "group.apps.tasks"] {
            assert_eq!(Embed::of([value].into_iter()), tasks, "{value}");
        }
        let values = [
            "apps.counts",
            "nonsense",
            "apps.taskStats",
            "apps.failures",
            "app.readiness",
        ];
        let embed = Embed::of(values.into_iter());
        assert!(embed.stats && embed.failure && embed.readiness && embed.tasks);
    }
}
