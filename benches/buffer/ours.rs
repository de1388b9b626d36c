//! Our buffer as a store. Whatever its interface becomes, here is the only place that calls it.

use std::path::Path;

use pulsegate::buffer::{Buffer, Cursor, Keeper, Options, Purpose, Span, State};
use pulsegate::clock::{Clock, SyncSource};
use pulsegate::reading::{Entry, EntryId, Fact};
use tokio::runtime::Runtime;

use crate::readings::{BATCH, COMMIT_EVERY, Store};

pub struct Ours {
    runtime: Runtime,
    buffer: Buffer,
    keeper: Keeper,
}

impl Ours {
    pub fn open(folder: &Path, max_bytes: u64) -> Self {
        let options = Options {
            data_dir: folder.to_owned(),
            commit_every: COMMIT_EVERY,
            max_bytes,
            max_age: None,
            first: EntryId(0),
            sinks: Vec::new(),
            purpose: Purpose::Collect,
        };
        let clock = Clock::new(SyncSource::Vouched).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (buffer, keeper) = Buffer::open(&options, &clock).unwrap();
        runtime.block_on(buffer.responds()).unwrap();
        Self { runtime, buffer, keeper }
    }

    pub fn state(&self) -> State {
        self.buffer.state().borrow().clone()
    }

    /// Commits one after the other as well, but as facts come in the daemon: the next ones while a commit is under way.
    pub fn append_flowing(&mut self, commits: Vec<Vec<Fact>>) {
        self.runtime.block_on(async {
            let mut under_way = None;
            for commit in commits {
                let mut last = None;
                for fact in commit {
                    last = Some(self.buffer.append(fact).await.unwrap());
                }
                if let Some(id) = under_way {
                    self.buffer.durable(id).await.unwrap();
                }
                self.buffer.flush();
                under_way = last;
            }
            self.buffer.durable(under_way.unwrap()).await.unwrap();
        });
    }

    pub fn close(mut self) {
        self.buffer.close();
        self.runtime.block_on(self.keeper.ended()).unwrap();
        self.keeper.join();
    }

    /// Tells the buffer that the sink has taken everything in the range.
    fn taken(&self, sink: &str, range: &std::ops::Range<EntryId>) {
        self.buffer.taken(sink, Span::new(range.start, range.end), Vec::new());
    }
}

impl Store for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn append(&mut self, facts: Vec<Fact>) {
        self.runtime.block_on(async {
            let mut last = None;
            for fact in facts {
                last = Some(self.buffer.append(fact).await.unwrap());
            }
            self.buffer.flush();
            self.buffer.durable(last.unwrap()).await.unwrap();
        });
    }

    fn drain(&mut self, sink: &str, take: &mut dyn FnMut(Vec<Entry>)) {
        self.runtime.block_on(async {
            let mut next = self.buffer.register(sink).await.unwrap().next;
            let mut reader = self.buffer.reader();
            loop {
                let entries = reader.read(next, EntryId(u64::MAX), BATCH).await.unwrap();
                let (Some(first), Some(last)) = (entries.first(), entries.last()) else { break };
                let range = first.id..last.id.plus(1);
                take(entries);
                self.taken(sink, &range);
                next = range.end;
            }
            self.buffer.flush();
            let mut state = self.buffer.state();
            state
                .wait_for(|state| state.cursors.get(sink) == Some(&Cursor::at(next)))
                .await
                .unwrap();
        });
    }
}
