//! Journals and what their readers make of them. Every journal that comes up in a search is kept once, with the state that
//! the real rules make of its records; a record goes through its written form first.

use kiosklink::command::record::{At, Record};
use kiosklink::command::rules::{self, Limits, State};
use std::collections::HashMap;

/// A journal as one reader sees it.
pub type Node = u32;

/// What a journal came from.
#[derive(Clone, PartialEq, Eq, Hash)]
enum How {
    /// The one with which the search begins.
    Start,
    /// A record more; 0 is the number of one that is in memory only.
    Record(Node, u32, u64),
    /// What the rules forget was left out, in memory.
    Forgotten(Node, Limits),
    /// Written anew from a snapshot.
    Anew(Vec<(u64, u32)>, u64),
}

struct Page {
    state: State,
    next: u64,
}

/// All journals of a search.
pub struct Books {
    pages: Vec<Page>,
    known: HashMap<How, Node>,
    records: Vec<Record>,
    texts: HashMap<String, u32>,
}

/// A name's fingerprint.
pub fn print(name: &str) -> [u8; 12] {
    let mut print = [0u8; 12];
    for (i, b) in name.bytes().enumerate() {
        print[i % 12] = print[i % 12].wrapping_mul(31) ^ b;
    }
    print
}

impl Books {
    /// With one empty journal, number 0.
    pub fn new() -> Books {
        let mut books =
            Books { pages: Vec::new(), known: HashMap::new(), records: Vec::new(), texts: HashMap::new() };
        books.keep(How::Start, State::default(), 1);
        books
    }

    /// What its reader knows.
    pub fn state(&self, node: Node) -> &State {
        &self.pages[node as usize].state
    }

    /// The number of its next record.
    pub fn next(&self, node: Node) -> u64 {
        self.pages[node as usize].next
    }

    /// A kept record.
    pub fn record(&self, id: u32) -> &Record {
        &self.records[id as usize]
    }

    /// How many journals there are.
    pub fn count(&self) -> usize {
        self.pages.len()
    }

    /// Keeps a record as it is read back.
    pub fn intern(&mut self, record: &Record) -> u32 {
        let text = record.to_text(0, At::default());
        if let Some(id) = self.texts.get(&text) {
            return *id;
        }
        let (_, record) = Record::from_text(&text).expect("a record is read back");
        let id = self.records.len() as u32;
        self.records.push(record);
        self.texts.insert(text, id);
        id
    }

    /// The journal with this record behind it, under its next number.
    pub fn append(&mut self, node: Node, record: u32) -> Node {
        let n = self.next(node);
        self.add(node, record, n)
    }

    /// A reader's memory with this record.
    pub fn add(&mut self, node: Node, record: u32, n: u64) -> Node {
        let how = How::Record(node, record, n);
        if let Some(known) = self.known.get(&how) {
            return *known;
        }
        let mut state = self.state(node).clone();
        rules::apply(&mut state, n, self.records[record as usize].clone());
        let next = self.next(node).max(n + 1);
        self.keep(how, state, next)
    }

    /// A reader's memory after it has forgotten.
    pub fn forget(&mut self, node: Node, limits: Limits) -> Node {
        let how = How::Forgotten(node, limits);
        if let Some(known) = self.known.get(&how) {
            return *known;
        }
        let mut state = self.state(node).clone();
        rules::forget_beyond(&mut state, limits, &print);
        let next = self.next(node);
        self.keep(how, state, next)
    }

    /// A new file with everything that this reader knows. `less` leaves records out.
    pub fn anew(&mut self, node: Node, less: &dyn Fn(&Record) -> bool) -> Node {
        let all = rules::snapshot(self.state(node));
        let all: Vec<(u64, u32)> =
            all.iter().filter(|(_, r)| !less(r)).map(|(n, r)| (*n, self.intern(r))).collect();
        let next = self.next(node);
        let how = How::Anew(all.clone(), next);
        if let Some(known) = self.known.get(&how) {
            return *known;
        }
        let mut state = State::default();
        for (n, id) in all {
            rules::apply(&mut state, n, self.records[id as usize].clone());
        }
        self.keep(how, state, next)
    }

    fn keep(&mut self, how: How, state: State, next: u64) -> Node {
        let node = self.pages.len() as Node;
        self.pages.push(Page { state, next });
        self.known.insert(how, node);
        node
    }
}

impl Default for Books {
    fn default() -> Books {
        Books::new()
    }
}
