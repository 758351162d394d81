//! Whether offers are wanted, told to the master: at once, but not without end.
//!
//! A REVIVE makes the master forget what was declined, so each costs a round of offers. There is a bucket of them: a
//! burst of new apps is served at once, and a stream of them at a bounded rate. SUPPRESS costs nothing.

use crate::metrics::Counters;
use meseta_sdk::Client;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// REVIVEs that may be sent at once.
const BUCKET: u32 = 10;

/// One more may be sent after so long.
const REFILL: Duration = Duration::from_millis(500);

/// The bucket.
#[derive(Debug)]
struct Bucket {
    /// When it will be full.
    full_at: Instant,
}

impl Bucket {
    /// Takes one; returns how long to wait before it may be used.
    fn take(&mut self, now: Instant) -> Duration {
        let full_at = self.full_at.max(now) + REFILL;
        self.full_at = full_at;
        let room = REFILL * BUCKET;
        full_at.saturating_duration_since(now).saturating_sub(room)
    }
}

/// The way to say what is wanted. The last word counts.
#[derive(Debug)]
pub(crate) struct Wishes(watch::Sender<Wish>);

#[derive(Clone, Copy, Debug, Default)]
struct Wish {
    wanted: bool,
    /// Counts words, so that a REVIVE can be asked for again.
    word: u64,
}

impl Wishes {
    /// Starts the task that tells the master. It ends when this is dropped.
    pub(crate) fn start(client: Client, role: String, counters: Arc<Counters>) -> Wishes {
        let (wishes, mut wished) = watch::channel(Wish::default());
        tokio::spawn(async move {
            let mut bucket = Bucket {
                full_at: Instant::now(),
            };
            while wished.changed().await.is_ok() {
                let wish = *wished.borrow_and_update();
                if wish.wanted {
                    tokio::time::sleep(bucket.take(Instant::now())).await;
                    // Meanwhile the wish may have changed; a further REVIVE is covered by this one.
                    if !wished.borrow_and_update().wanted {
                        tell(&client, false, &role, &counters).await;
                        continue;
                    }
                }
                tell(&client, wish.wanted, &role, &counters).await;
            }
        });
        Wishes(wishes)
    }

    /// Offers are wanted (again), or not any more.
    pub(crate) fn want(&self, wanted: bool) {
        self.0.send_modify(|wish| {
            wish.wanted = wanted;
            wish.word += 1;
        });
    }
}

async fn tell(client: &Client, wanted: bool, role: &str, counters: &Counters) {
    let roles = vec![role.to_owned()];
    let told = if wanted {
        counters.revive();
        client.revive(roles).await
    } else {
        counters.suppress();
        client.suppress(roles).await
    };
    // What is wanted is told anew with each subscription.
    if let Err(error) = told {
        tracing::info!(%error, wanted, "the master was not told whether offers are wanted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_revives_go_at_once_and_then_one_each_half_second() {
        let start = Instant::now();
        let mut bucket = Bucket { full_at: start };
        for _ in 0..BUCKET {
            assert_eq!(bucket.take(start), Duration::ZERO);
        }
        assert_eq!(bucket.take(start), REFILL);
        assert_eq!(bucket.take(start + REFILL), REFILL);
        let later = start + Duration::from_secs(60);
        assert_eq!(bucket.take(later), Duration::ZERO);
    }
}
