//! Views for readers: made on demand, one for all who wait, never more often than every 10 ms.

use crate::intake::Watcher;
use meseta_master_core::{MasterCore, View};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Least time between two views of a changing state: a view makes the core copy pages it writes to afterwards.
const INTERVAL: Duration = Duration::from_millis(10);

/// Who waits for a view.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) view: oneshot::Sender<Arc<View>>,
    /// Gets everything that follows from then on.
    pub(super) watcher: Option<Watcher>,
}

/// Those who wait for a view.
#[derive(Debug, Default)]
pub(super) struct Readers {
    waiting: Vec<Reader>,
    /// The last view, as long as somebody reads it.
    last: Weak<View>,
    made: Option<Instant>,
    /// Whether the state changed since.
    stale: bool,
}

impl Readers {
    /// The core has applied an input.
    pub(super) fn changed(&mut self) {
        self.stale = true;
    }

    pub(super) fn wait(&mut self, reader: Reader) {
        self.waiting.push(reader);
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// When waiting readers may be served.
    pub(super) fn due(&self) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        Some(self.made.map_or_else(Instant::now, |made| made + INTERVAL))
    }

    /// Serves all who wait, if it is time; gives those who watch from now on. All effects so far must be carried out:
    /// what they tell watchers is in the view already.
    pub(super) fn serve(&mut self, core: &MasterCore) -> Vec<Watcher> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let last = if self.stale { None } else { self.last.upgrade() };
        let view = match last {
            Some(view) => view,
            None if self.due().is_some_and(|due| due > Instant::now()) => return Vec::new(),
            None => {
                let view = core.view();
                self.last = Arc::downgrade(&view);
                self.made = Some(Instant::now());
                self.stale = false;
                view
            }
        };
        let served = self.waiting.drain(..).filter_map(|reader| {
            let stayed = reader.view.send(Arc::clone(&view)).is_ok();
            reader.watcher.filter(|_| stayed)
        });
        served.collect()
    }
}
