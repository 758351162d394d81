//! Views for readers: made on demand, one for all who wait, never more often than every 10 ms.

use meseta_master_core::{MasterCore, View};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Least time between two views of a changing state: a view makes the core copy pages it writes to afterwards.
const INTERVAL: Duration = Duration::from_millis(10);

/// Those who wait for a view.
#[derive(Debug, Default)]
pub(super) struct Readers {
    waiting: Vec<oneshot::Sender<Arc<View>>>,
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

    pub(super) fn wait(&mut self, reader: oneshot::Sender<Arc<View>>) {
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

    /// Serves all who wait, if it is time.
    pub(super) fn serve(&mut self, core: &MasterCore) {
        if self.waiting.is_empty() {
            return;
        }
        let last = if self.stale { None } else { self.last.upgrade() };
        let view = match last {
            Some(view) => view,
            None if self.due().is_some_and(|due| due > Instant::now()) => return,
            None => {
                let view = core.view();
                self.last = Arc::downgrade(&view);
                self.made = Some(Instant::now());
                self.stale = false;
                view
            }
        };
        for reader in self.waiting.drain(..) {
            let _who_left_needs_none = reader.send(Arc::clone(&view));
        }
    }
}
