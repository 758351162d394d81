//! What came and the author has not taken yet: bounded without ceasing to read the master.
//!
//! Offers beyond a bound are handed back to be declined. Agent-made updates are bounded by nature (the next one of a
//! task comes only after its acknowledgement; a repeated one replaces itself). Master-made ones replace the older one
//! of the same task. Rescinds erase offers. Messages live in a ring; what it loses is counted. So memory is bounded
//! by tasks plus constants, however slow the author. Pure: the shell calls it.

use super::event::Lagged;
use crate::driver::{Epoch, Notice};
use meseta_proto::mesos::v1;
use meseta_proto::mesos::v1::scheduler::{self, event};
use prost::Message;
use std::collections::BTreeMap;

/// Offers kept for a slow author. A cluster of 2,000 agents fits; what comes beyond is declined for a few seconds
/// and offered again.
const OFFERS_MAX: usize = 2_000;
/// The same in bytes: offers of agents with many attributes and reservations are large.
const OFFER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Messages of executors kept, in bytes.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Hints (`FAILURE`, inverse offers, unknown events) kept. They repeat what updates say.
const HINTS_MAX: usize = 10_000;

/// One undelivered thing.
#[derive(Debug, PartialEq)]
pub(super) enum Item {
    Subscribed(Box<Notice>),
    Disconnected(Box<Notice>),
    Offers(Epoch, Vec<v1::Offer>),
    Event(Epoch, Box<scheduler::Event>),
    Lagged(Lagged),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// The newest word of a task: by its agent, or by the master.
    Task {
        task: String,
        by_agent: bool,
    },
    Operation(String),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    next: u64,
    items: BTreeMap<u64, Item>,
    keyed: BTreeMap<Key, u64>,
    /// Offers by id, so that a rescind finds them: position and size.
    offers: BTreeMap<String, (u64, usize)>,
    offer_bytes: usize,
    /// Positions of messages and hints, oldest first.
    messages: BTreeMap<u64, usize>,
    message_bytes: usize,
    hints: BTreeMap<u64, ()>,
    /// Positions of connection news.
    connection: BTreeMap<u64, ()>,
    lagged: Lagged,
}

impl Inbox {
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.lagged == Lagged::default()
    }

    /// Takes a notice; returns the offers there is no room for.
    pub(super) fn push(&mut self, notice: Notice) -> Vec<v1::Offer> {
        match notice {
            Notice::Subscribed { .. } => {
                self.void_offers();
                let at = self.put(Item::Subscribed(Box::new(notice)));
                self.connection.insert(at, ());
                Vec::new()
            }
            Notice::Disconnected { .. } => {
                self.void_offers();
                // Only the last of a run of connections and disconnections matters to somebody who saw none.
                for (at, ()) in std::mem::take(&mut self.connection) {
                    self.items.remove(&at);
                }
                let at = self.put(Item::Disconnected(Box::new(notice)));
                self.connection.insert(at, ());
                Vec::new()
            }
            Notice::Event { epoch, event } => self.push_event(epoch, event),
        }
    }

    fn push_event(&mut self, epoch: Epoch, mut event: Box<scheduler::Event>) -> Vec<v1::Offer> {
        match event.r#type() {
            event::Type::Offers => {
                let offers = event.offers.take().map(|o| o.offers).unwrap_or_default();
                return self.push_offers(epoch, offers);
            }
            event::Type::Rescind => {
                let erased = event
                    .rescind
                    .as_ref()
                    .is_some_and(|r| self.erase_offer(&r.offer_id.value));
                if !erased {
                    self.put_hint(epoch, event);
                }
            }
            event::Type::Update => {
                let key = event.update.as_ref().map(|u| Key::Task {
                    task: u.status.task_id.value.clone(),
                    by_agent: u.status.uuid.is_some(),
                });
                self.put_keyed(key, epoch, event);
            }
            event::Type::UpdateOperationStatus => {
                let status = event.update_operation_status.as_ref().map(|u| &u.status);
                let key = status
                    .and_then(|s| s.operation_id.as_ref())
                    .map(|id| Key::Operation(id.value.clone()));
                self.put_keyed(key, epoch, event);
            }
            event::Type::Message => self.put_message(epoch, event),
            _ => self.put_hint(epoch, event),
        }
        Vec::new()
    }

    fn push_offers(&mut self, epoch: Epoch, offers: Vec<v1::Offer>) -> Vec<v1::Offer> {
        let at = self.next;
        let mut kept = Vec::new();
        let mut excess = Vec::new();
        for offer in offers {
            let bytes = offer.encoded_len();
            let room = self.offers.len() < OFFERS_MAX && self.offer_bytes + bytes <= OFFER_BYTES_MAX;
            if room {
                self.offers.insert(offer.id.value.clone(), (at, bytes));
                self.offer_bytes += bytes;
                kept.push(offer);
            } else {
                excess.push(offer);
            }
        }
        self.lagged.offers += excess.len() as u64;
        if !kept.is_empty() {
            self.put(Item::Offers(epoch, kept));
        }
        excess
    }

    /// Takes an undelivered offer away; false if there is none.
    fn erase_offer(&mut self, id: &str) -> bool {
        let Some((at, bytes)) = self.offers.remove(id) else {
            return false;
        };
        self.offer_bytes -= bytes;
        if let Some(Item::Offers(_, offers)) = self.items.get_mut(&at) {
            offers.retain(|o| o.id.value != id);
            if offers.is_empty() {
                self.items.remove(&at);
            }
        }
        true
    }

    fn void_offers(&mut self) {
        for (at, _) in std::mem::take(&mut self.offers).into_values() {
            self.items.remove(&at);
        }
        self.offer_bytes = 0;
    }

    fn put(&mut self, item: Item) -> u64 {
        let at = self.next;
        self.next += 1;
        self.items.insert(at, item);
        at
    }

    /// A newer word of the same source about the same thing replaces the older one, at the end of the queue.
    fn put_keyed(&mut self, key: Option<Key>, epoch: Epoch, event: Box<scheduler::Event>) {
        let Some(key) = key else {
            return self.put_hint(epoch, event);
        };
        let at = self.put(Item::Event(epoch, event));
        if let Some(older) = self.keyed.insert(key, at) {
            self.items.remove(&older);
        }
    }

    fn put_message(&mut self, epoch: Epoch, event: Box<scheduler::Event>) {
        let bytes = event.message.as_ref().map_or(0, |m| m.data.len());
        let at = self.put(Item::Event(epoch, event));
        self.messages.insert(at, bytes);
        self.message_bytes += bytes;
        while self.message_bytes > MESSAGE_BYTES_MAX || self.messages.len() > HINTS_MAX {
            let Some((oldest, bytes)) = self.messages.pop_first() else {
                return;
            };
            self.items.remove(&oldest);
            self.message_bytes -= bytes;
            self.lagged.messages += 1;
        }
    }

    fn put_hint(&mut self, epoch: Epoch, event: Box<scheduler::Event>) {
        let at = self.put(Item::Event(epoch, event));
        self.hints.insert(at, ());
        if self.hints.len() > HINTS_MAX
            && let Some((oldest, ())) = self.hints.pop_first()
        {
            self.items.remove(&oldest);
            self.lagged.hints += 1;
        }
    }

    /// The oldest undelivered thing; losses are told first.
    pub(super) fn pop(&mut self) -> Option<Item> {
        if self.lagged != Lagged::default() {
            return Some(Item::Lagged(std::mem::take(&mut self.lagged)));
        }
        let (at, item) = self.items.pop_first()?;
        match &item {
            Item::Offers(_, offers) => {
                for offer in offers {
                    if let Some((_, bytes)) = self.offers.remove(&offer.id.value) {
                        self.offer_bytes -= bytes;
                    }
                }
            }
            Item::Event(_, event) => self.delivered(at, event),
            Item::Subscribed(_) | Item::Disconnected(_) => {
                self.connection.remove(&at);
            }
            Item::Lagged(_) => {}
        }
        Some(item)
    }

    fn delivered(&mut self, at: u64, event: &scheduler::Event) {
        if let Some(bytes) = self.messages.remove(&at) {
            self.message_bytes -= bytes;
        }
        self.hints.remove(&at);
        let key = match (&event.update, &event.update_operation_status) {
            (Some(u), _) => Some(Key::Task {
                task: u.status.task_id.value.clone(),
                by_agent: u.status.uuid.is_some(),
            }),
            (_, Some(u)) => u
                .status
                .operation_id
                .as_ref()
                .map(|id| Key::Operation(id.value.clone())),
            _ => None,
        };
        if let Some(key) = key
            && self.keyed.get(&key) == Some(&at)
        {
            self.keyed.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meseta_types::{FrameworkId, Mono};

    fn offer(id: &str) -> v1::Offer {
        v1::Offer {
            id: v1::OfferId { value: id.into() },
            ..Default::default()
        }
    }

    fn offers(ids: &[&str]) -> Notice {
        event(scheduler::Event {
            r#type: Some(event::Type::Offers as i32),
            offers: Some(event::Offers {
                offers: ids.iter().map(|id| offer(id)).collect(),
            }),
            ..Default::default()
        })
    }

    fn event(event: scheduler::Event) -> Notice {
        Notice::Event {
            epoch: Epoch(1),
            event: Box::new(event),
        }
    }

    fn rescind(id: &str) -> Notice {
        event(scheduler::Event {
            r#type: Some(event::Type::Rescind as i32),
            rescind: Some(event::Rescind {
                offer_id: v1::OfferId { value: id.into() },
            }),
            ..Default::default()
        })
    }

    fn update(task: &str, uuid: Option<u8>, message: &str) -> Notice {
        event(scheduler::Event {
            r#type: Some(event::Type::Update as i32),
            update: Some(event::Update {
                status: v1::TaskStatus {
                    task_id: v1::TaskId { value: task.into() },
                    uuid: uuid.map(|u| vec![u; 16].into()),
                    message: Some(message.into()),
                    ..Default::default()
                },
            }),
            ..Default::default()
        })
    }

    fn message(bytes: usize) -> Notice {
        event(scheduler::Event {
            r#type: Some(event::Type::Message as i32),
            message: Some(event::Message {
                data: vec![0; bytes].into(),
                ..Default::default()
            }),
            ..Default::default()
        })
    }

    fn disconnected() -> Notice {
        Notice::Disconnected {
            why: "x".into(),
            retry_at: Mono(0),
            retry_in: std::time::Duration::ZERO,
        }
    }

    fn subscribed() -> Notice {
        Notice::Subscribed {
            epoch: Epoch(2),
            framework_id: FrameworkId::as_written("f"),
            master: None,
        }
    }

    fn drain(inbox: &mut Inbox) -> Vec<String> {
        std::iter::from_fn(|| inbox.pop())
            .map(|item| match item {
                Item::Subscribed(_) => "subscribed".to_owned(),
                Item::Disconnected(_) => "disconnected".to_owned(),
                Item::Offers(_, offers) => {
                    let ids: Vec<_> = offers.iter().map(|o| o.id.value.as_str()).collect();
                    format!("offers {}", ids.join(" "))
                }
                Item::Event(_, e) => match (e.update, e.rescind, e.message) {
                    (Some(u), ..) => format!("update {} {}", u.status.task_id.value, u.status.message()),
                    (_, Some(r), _) => format!("rescind {}", r.offer_id.value),
                    (.., Some(m)) => format!("message of {}", m.data.len()),
                    _ => "other".to_owned(),
                },
                Item::Lagged(l) => format!("{l:?}"),
            })
            .collect()
    }

    #[test]
    fn a_rescind_erases_an_undelivered_offer_and_is_told_otherwise() {
        let mut inbox = Inbox::default();
        inbox.push(offers(&["o1", "o2"]));
        inbox.push(rescind("o1"));
        inbox.push(rescind("o3"));
        assert_eq!(drain(&mut inbox), ["offers o2", "rescind o3"]);
        assert_eq!(inbox.offer_bytes, 0);
    }

    #[test]
    fn offers_beyond_the_bound_come_back_to_be_declined() {
        let mut inbox = Inbox::default();
        let ids: Vec<String> = (0..OFFERS_MAX + 3).map(|n| n.to_string()).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        assert_eq!(inbox.push(offers(&ids)).len(), 3);
        assert_eq!(inbox.push(offers(&["more"])).len(), 1);
        assert!(matches!(
            inbox.pop(),
            Some(Item::Lagged(Lagged { offers: 4, .. }))
        ));
        inbox.pop();
        assert_eq!(inbox.push(offers(&["more"])), []);
    }

    #[test]
    fn a_lost_connection_voids_offers_and_only_its_last_news_is_kept() {
        let mut inbox = Inbox::default();
        inbox.push(offers(&["o1"]));
        for _ in 0..5 {
            inbox.push(disconnected());
            inbox.push(subscribed());
            inbox.push(offers(&["o2"]));
        }
        assert_eq!(drain(&mut inbox), ["disconnected", "subscribed", "offers o2"]);
    }

    #[test]
    fn newer_words_replace_older_ones_of_the_same_source_only() {
        let mut inbox = Inbox::default();
        inbox.push(update("t", Some(1), "agent"));
        inbox.push(update("t", None, "master 1"));
        inbox.push(update("u", Some(2), "agent"));
        inbox.push(update("t", None, "master 2"));
        inbox.push(update("u", Some(2), "agent again"));
        assert_eq!(
            drain(&mut inbox),
            ["update t agent", "update t master 2", "update u agent again"]
        );
        assert!(inbox.keyed.is_empty());
    }

    #[test]
    fn messages_live_in_a_ring_and_losses_are_counted() {
        let mut inbox = Inbox::default();
        for _ in 0..5 {
            inbox.push(message(MESSAGE_BYTES_MAX / 2));
        }
        inbox.push(message(10));
        let told = drain(&mut inbox);
        assert!(told[0].contains("messages: 4"), "{told:?}");
        assert_eq!(told.len(), 3);
        assert_eq!(inbox.message_bytes, 0);
    }

    #[test]
    fn nothing_is_left_behind_when_everything_was_taken() {
        let mut inbox = Inbox::default();
        for n in 0..100u8 {
            inbox.push(offers(&[&n.to_string()]));
            inbox.push(update(&n.to_string(), Some(n), "x"));
            inbox.push(message(1));
            inbox.push(rescind("unknown"));
            inbox.push(subscribed());
        }
        drain(&mut inbox);
        assert!(inbox.is_empty());
        let left = (inbox.keyed.len(), inbox.offers.len(), inbox.messages.len());
        assert_eq!(left, (0, 0, 0));
        assert_eq!((inbox.hints.len(), inbox.connection.len()), (0, 0));
    }
}
