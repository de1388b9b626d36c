//! How many links each adapter bears, and who has them. An adapter opens one link at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use super::AdapterName;
use crate::reading::StrapId;

/// The table of adapters.
#[derive(Debug)]
pub(super) struct Slots {
    limit: usize,
    adapters: BTreeMap<AdapterName, Adapter>,
}

#[derive(Debug)]
struct Adapter {
    limit: usize,
    /// Learned from a refusal, and until when it is believed: a controller may only have been slow to let go.
    learned: Option<(usize, Instant)>,
    links: BTreeSet<StrapId>,
    opening: Option<StrapId>,
}

/// How long a learned limit holds.
const BELIEVED_FOR: Duration = Duration::from_secs(60);

impl Adapter {
    fn full(&self) -> bool {
        let learned = self.learned.filter(|(_, until)| Instant::now() < *until);
        let limit = learned.map_or(self.limit, |(limit, _)| limit.min(self.limit));
        self.links.len() >= limit
    }
}

impl Slots {
    /// Adapters may bear `limit` links each, until one says that it bears fewer.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, adapters: BTreeMap::new() }
    }

    pub(super) fn adapter_up(&mut self, name: &AdapterName) {
        let fresh =
            Adapter { limit: self.limit, learned: None, links: BTreeSet::new(), opening: None };
        let back = |adapter: &mut Adapter| adapter.limit = self.limit;
        self.adapters.entry(name.clone()).and_modify(back).or_insert(fresh);
    }

    /// Its links are given back one by one as they end.
    pub(super) fn adapter_down(&mut self, name: &AdapterName) {
        if let Some(adapter) = self.adapters.get_mut(name) {
            adapter.limit = 0;
        }
        self.adapters.retain(|_, adapter| adapter.limit > 0 || !adapter.links.is_empty());
    }

    /// Adapters that can open a link now.
    pub(super) fn ready(&self) -> Vec<AdapterName> {
        let ready = |adapter: &Adapter| adapter.opening.is_none() && !adapter.full();
        self.adapters
            .iter()
            .filter(|(_, adapter)| ready(adapter))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Whether every adapter is full, rather than just busy opening a link.
    pub(super) fn full(&self) -> bool {
        self.adapters.values().all(Adapter::full)
    }

    pub(super) fn open(&mut self, name: &AdapterName, strap: &StrapId) {
        if let Some(adapter) = self.adapters.get_mut(name) {
            adapter.links.insert(strap.clone());
            adapter.opening = Some(strap.clone());
        }
    }

    /// The link is up: the adapter may open the next one.
    pub(super) fn opened(&mut self, name: &AdapterName, strap: &StrapId) {
        if let Some(adapter) = self.adapters.get_mut(name)
            && adapter.opening.as_ref() == Some(strap)
        {
            adapter.opening = None;
        }
    }

    pub(super) fn release(&mut self, name: &AdapterName, strap: &StrapId) {
        self.opened(name, strap);
        if let Some(adapter) = self.adapters.get_mut(name) {
            adapter.links.remove(strap);
        }
        self.adapters.retain(|_, adapter| adapter.limit > 0 || !adapter.links.is_empty());
    }

    /// The adapter said that it bears no further link: what it has now, without the refused one, is its limit for now.
    pub(super) fn refused(&mut self, name: &AdapterName) {
        if let Some(adapter) = self.adapters.get_mut(name) {
            let bears = adapter.links.len().saturating_sub(1);
            adapter.learned = Some((bears, Instant::now() + BELIEVED_FOR));
        }
    }

    pub(super) fn links(&self, name: &AdapterName) -> usize {
        self.adapters.get(name).map_or(0, |adapter| adapter.links.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strap(n: usize) -> StrapId {
        StrapId::new(&format!("S{n}")).unwrap()
    }

    #[test]
    fn one_link_is_opened_at_a_time_up_to_the_limit() {
        let mut slots = Slots::new(2);
        let hci0: AdapterName = "hci0".into();
        assert!(slots.ready().is_empty());
        slots.adapter_up(&hci0);
        slots.open(&hci0, &strap(1));
        assert!(slots.ready().is_empty() && !slots.full());
        slots.opened(&hci0, &strap(1));
        assert_eq!(slots.ready(), std::slice::from_ref(&hci0));
        slots.open(&hci0, &strap(2));
        slots.opened(&hci0, &strap(2));
        assert!(slots.ready().is_empty() && slots.full());
        slots.release(&hci0, &strap(1));
        assert_eq!(slots.ready(), std::slice::from_ref(&hci0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_teaches_the_limit_for_a_while() {
        let mut slots = Slots::new(7);
        let hci0: AdapterName = "hci0".into();
        slots.adapter_up(&hci0);
        slots.open(&hci0, &strap(1));
        slots.refused(&hci0);
        slots.release(&hci0, &strap(1));
        assert!(slots.full(), "others have its links: none is left");
        tokio::time::advance(BELIEVED_FOR).await;
        assert_eq!(slots.ready(), [hci0]);
    }

    #[test]
    fn a_refusal_teaches_the_limit_and_a_lost_adapter_is_never_ready() {
        let mut slots = Slots::new(7);
        let hci0: AdapterName = "hci0".into();
        slots.adapter_up(&hci0);
        for n in 0..4 {
            slots.open(&hci0, &strap(n));
        }
        slots.refused(&hci0);
        slots.release(&hci0, &strap(3));
        assert!(slots.full(), "three links are what it bears");
        slots.adapter_down(&hci0);
        slots.release(&hci0, &strap(0));
        assert!(slots.ready().is_empty());
        // It may be back before its last old link has ended.
        slots.adapter_up(&hci0);
        slots.release(&hci0, &strap(1));
        slots.release(&hci0, &strap(2));
        assert_eq!(slots.ready(), [hci0]);
    }
}
