//! An Azure Storage queue in memory, with the behaviour of the host's extension (`docs/specs/functions-host.md`, "3.
//! Queue trigger and output binding").

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use base64::prelude::{BASE64_STANDARD, Engine};
use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

/// Of the stored text.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// One queue with its poison queue. Clones are the same queue, since the instances of an app share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    messages: VecDeque<Stored>,
    poison: Vec<String>,
    /// The number of next sends that fail.
    failing_sends: u32,
}

#[derive(Debug)]
struct Stored {
    id: Uuid,
    /// The stored text.
    text: String,
    dequeues: u32,
    visible_at: Instant,
    inserted: Timestamp,
    receipt: Uuid,
}

/// A message that was received and is invisible for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) id: Uuid,
    pub(crate) receipt: Uuid,
    pub(crate) dequeues: u32,
    pub(crate) inserted: Timestamp,
    /// `None` outside the queue.
    pub(crate) received: Option<Timestamp>,
    /// Decoded; `None` if it is not UTF-8, which the host detects only when it binds the message.
    pub(crate) text: Option<String>,
}

impl Delivery {
    /// A message of the admin API, which is not settled.
    pub(super) fn outside_the_queue(text: &str) -> Self {
        Self {
            id: Uuid::new_v4(),
            receipt: Uuid::new_v4(),
            dequeues: 0,
            inserted: Timestamp::now(),
            received: None,
            text: Some(text.to_owned()),
        }
    }
}

impl Queue {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// What the output binding sends.
    pub(crate) fn send(&self, text: &[u8]) -> Result<(), String> {
        let mut inner = self.inner();
        if inner.failing_sends > 0 {
            inner.failing_sends -= 1;
            return Err("the queue refused the message".to_owned());
        }
        let text = BASE64_STANDARD.encode(text);
        if text.len() > MESSAGE_BYTES_MAX {
            return Err(format!("the message has {} bytes", text.len()));
        }
        drop(inner);
        self.put_raw(&text);
        Ok(())
    }

    /// Stores a text directly, as another producer would.
    pub(crate) fn put_raw(&self, text: &str) {
        self.inner().messages.push_back(Stored {
            id: Uuid::new_v4(),
            text: text.to_owned(),
            dequeues: 0,
            visible_at: Instant::now(),
            inserted: Timestamp::now(),
            receipt: Uuid::new_v4(),
        });
    }

    /// Storage does not guarantee the order.
    pub(crate) fn reverse(&self) {
        self.inner().messages.make_contiguous().reverse();
    }

    pub(crate) fn fail_sends(&self, times: u32) {
        self.inner().failing_sends = times;
    }

    /// The next visible message. A message that cannot be decoded, or was received too often, is moved to the poison
    /// queue instead (3.2).
    pub(crate) fn receive(&self, lease: Duration, dequeues_max: u32) -> Option<Delivery> {
        let now = Instant::now();
        let mut inner = self.inner();
        loop {
            let at = inner
                .messages
                .iter()
                .position(|message| message.visible_at <= now)?;
            let message = &mut inner.messages[at];
            message.dequeues += 1;
            message.visible_at = now + lease;
            message.receipt = Uuid::new_v4();
            let decoded = BASE64_STANDARD.decode(&message.text);
            if let Ok(bytes) = decoded
                && message.dequeues <= dequeues_max
            {
                return Some(Delivery {
                    id: message.id,
                    receipt: message.receipt,
                    dequeues: message.dequeues,
                    inserted: message.inserted,
                    received: Some(Timestamp::now()),
                    text: String::from_utf8(bytes).ok(),
                });
            }
            let message = inner.messages.remove(at).unwrap();
            inner.poison.push(message.text);
        }
    }

    fn with<T>(&self, delivery: &Delivery, act: impl FnOnce(&mut Inner, usize) -> T) -> Option<T> {
        let mut inner = self.inner();
        let at = inner
            .messages
            .iter()
            .position(|message| message.id == delivery.id && message.receipt == delivery.receipt)?;
        Some(act(&mut inner, at))
    }

    /// While an invocation runs, its message stays invisible.
    pub(crate) fn renew(&self, delivery: &Delivery, lease: Duration) {
        self.with(delivery, |inner, at| {
            inner.messages[at].visible_at = Instant::now() + lease;
        });
    }

    pub(crate) fn delete(&self, delivery: &Delivery) {
        self.with(delivery, |inner, at| drop(inner.messages.remove(at)));
    }

    /// After a failure: visible again later, or moved to the poison queue.
    pub(crate) fn release(&self, delivery: &Delivery, pause: Duration, dequeues_max: u32) {
        self.with(delivery, |inner, at| {
            if delivery.dequeues >= dequeues_max {
                let message = inner.messages.remove(at).unwrap();
                inner.poison.push(message.text);
            } else {
                inner.messages[at].visible_at = Instant::now() + pause;
            }
        });
    }

    pub(crate) fn len(&self) -> usize {
        self.inner().messages.len()
    }

    /// Decoded texts of the waiting messages.
    pub(crate) fn texts(&self) -> Vec<String> {
        let inner = self.inner();
        let texts = inner.messages.iter().map(|message| &message.text);
        texts
            .map(|text| String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap())
            .collect()
    }

    /// Removes the oldest message and returns its decoded text.
    pub(crate) fn take_out(&self) -> String {
        let message = self.inner().messages.pop_front().unwrap();
        String::from_utf8(BASE64_STANDARD.decode(message.text).unwrap()).unwrap()
    }

    /// The stored texts.
    pub(crate) fn poison(&self) -> Vec<String> {
        self.inner().poison.clone()
    }
}
