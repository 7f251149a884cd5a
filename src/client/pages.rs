//! Lists: page after page, and periods longer than a platform lists at once.

use crate::command::{Command, Visit};
use crate::error::{Error, Result};
use crate::model::*;
use crate::status::*;

/// Follows the pages of a list and hands out one item after the other; holds one page at a time.
pub struct Pages<T> {
    fetch: Box<dyn FnMut(PageRequest) -> Result<Page<T>> + Send>,
    walk: Walk<T>,
}

/// How far a list was walked.
struct Walk<T> {
    items: std::vec::IntoIter<T>,
    page: PageRequest,
    fetched: u64,
    first_of_page: String,
    finished: bool,
}

/// All pages of a list whose fetching shares one call.
pub(super) fn collect<T: Record>(fetch: impl FnMut(PageRequest) -> Result<Page<T>>) -> Result<Vec<T>> {
    let mut walk = Walk::new(0);
    let mut fetch = fetch;
    let mut all = Vec::new();
    while let Some(item) = walk.next_item(&mut fetch)? {
        all.push(item);
    }
    Ok(all)
}

/// Items that can be told apart by the platform's own record.
pub trait Record {
    /// The record's text.
    fn json(&self) -> &str;
}

macro_rules! record {
    ($($t:ty),*) => { $(impl Record for $t { fn json(&self) -> &str { &self.json } })* };
}
record!(Cabinet, StockItem, Order, PickupCode);

/// A visit is no record of a platform's.
impl Record for Visit {
    fn json(&self) -> &str {
        ""
    }
}

impl Record for Command {
    fn json(&self) -> &str {
        &self.receipt.json
    }
}

impl<T: Record> Pages<T> {
    pub(super) fn new(
        size: u32,
        fetch: impl FnMut(PageRequest) -> Result<Page<T>> + Send + 'static,
    ) -> Pages<T> {
        Pages { fetch: Box::new(fetch), walk: Walk::new(size) }
    }

    /// The next item, `None` after the last. After an error the same page is asked for again.
    pub fn next_item(&mut self) -> Result<Option<T>> {
        self.walk.next_item(&mut *self.fetch)
    }

    /// All that is left.
    pub fn collect_all(mut self) -> Result<Vec<T>> {
        let mut all = Vec::new();
        while let Some(item) = self.next_item()? {
            all.push(item);
        }
        Ok(all)
    }
}

impl<T: Record> Walk<T> {
    fn new(size: u32) -> Walk<T> {
        Walk {
            items: Vec::new().into_iter(),
            page: PageRequest { number: 1, size },
            fetched: 0,
            first_of_page: String::new(),
            finished: false,
        }
    }

    fn next_item(&mut self, fetch: &mut dyn FnMut(PageRequest) -> Result<Page<T>>) -> Result<Option<T>> {
        loop {
            if let Some(item) = self.items.next() {
                return Ok(Some(item));
            }
            if self.finished {
                return Ok(None);
            }
            let page = fetch(self.page)?;
            let first = page.items.first().map_or("", Record::json);
            let repeated = !first.is_empty() && first == self.first_of_page;
            if repeated && page.more == Some(true) {
                return Err(Error::new(
                    KL_E_PROTOCOL,
                    format!("the answer: page {} is page {} again", self.page.number, self.page.number - 1),
                ));
            }
            if repeated {
                // Some gateways answer with the last page to every number behind it.
                self.finished = true;
                continue;
            }
            self.first_of_page = first.to_owned();
            self.fetched += page.items.len() as u64;
            self.finished = match (page.more, page.total) {
                (Some(more), _) => !more,
                (None, Some(total)) => self.fetched >= total,
                // A bare array says nothing: a short page is the last one, if the size is known at all.
                (None, None) => page.items.is_empty() || page.items.len() < self.page.size as usize,
            };
            self.page.number = self
                .page
                .number
                .checked_add(1)
                .ok_or_else(|| Error::new(KL_E_PROTOCOL, "the answer: the list has no end"))?;
            self.items = page.items.into_iter();
        }
    }
}

/// A period cut into windows no longer than a platform lists at once, and into shorter ones where a window has more
/// pages than it gives out. Windows follow each other from the oldest to the newest and share no second.
pub(super) struct Windows {
    /// The next one last.
    todo: Vec<(i64, i64)>,
    last_page: u32,
    page: u32,
}

/// The size that is asked for when the caller leaves it open.
const WINDOW_PAGE: u32 = 100;

impl Windows {
    pub(super) fn new(from: i64, to: i64, (longest_s, last_page): (i64, u32)) -> Windows {
        let mut todo = Vec::new();
        if from < 0 || to < from || to - from > 200 * 366 * 86_400 {
            // Nonsense is for the platform's module to refuse, in words.
            todo.push((from, to));
        } else {
            let mut start = from;
            while start <= to {
                let end = to.min(start + longest_s - 1);
                todo.push((start, end));
                start = end + 1;
            }
        }
        todo.reverse();
        Windows { todo, last_page, page: 1 }
    }

    /// The next page of all. After an error the same one is asked for again.
    pub(super) fn next_page<T>(
        &mut self,
        size: u32,
        mut fetch: impl FnMut(i64, i64, PageRequest) -> Result<Page<T>>,
    ) -> Result<Page<T>> {
        let size = if size == 0 { WINDOW_PAGE } else { size };
        loop {
            let Some(&(from, to)) = self.todo.last() else {
                return Ok(Page { items: Vec::new(), total: None, more: Some(false) });
            };
            let page = fetch(from, to, PageRequest { number: self.page, size })?;
            let reach = u64::from(self.last_page) * u64::from(size);
            if self.page == 1 && page.total.is_some_and(|total| total > reach) && from < to {
                let middle = from + (to - from) / 2;
                self.todo.pop();
                self.todo.extend([(middle + 1, to), (from, middle)]);
                continue;
            }
            let seen = u64::from(self.page - 1) * u64::from(size) + page.items.len() as u64;
            let done = page.items.is_empty()
                || match (page.more, page.total) {
                    (Some(more), _) => !more,
                    (None, Some(total)) => seen >= total,
                    (None, None) => page.items.len() < size as usize,
                };
            if done {
                self.todo.pop();
                self.page = 1;
            } else {
                self.page += 1;
            }
            return Ok(Page { items: page.items, total: None, more: Some(!self.todo.is_empty()) });
        }
    }
}

pub(super) fn checked(page: PageRequest) -> Result<PageRequest> {
    if page.number == 0 { Err(Error::new(KL_E_ARGUMENT, "pages are counted from 1")) } else { Ok(page) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(n: u32) -> Cabinet {
        Cabinet { json: format!("{{\"n\":{n}}}"), ..Cabinet::default() }
    }

    fn walk(
        size: u32,
        fetch: impl FnMut(PageRequest) -> Result<Page<Cabinet>> + Send + 'static,
    ) -> Result<usize> {
        Pages::new(size, fetch).collect_all().map(|all| all.len())
    }

    fn bare(items: Vec<Cabinet>) -> Result<Page<Cabinet>> {
        Ok(Page { items, total: None, more: None })
    }

    #[test]
    fn a_bare_list_ends_at_a_short_an_empty_or_a_repeated_page() {
        assert_eq!(
            walk(2, |p| bare(if p.number < 3 {
                vec![item(p.number * 2), item(p.number * 2 + 1)]
            } else {
                vec![item(9)]
            }))
            .unwrap(),
            5
        );
        assert_eq!(
            walk(2, |p| bare(if p.number < 3 {
                vec![item(p.number * 2), item(p.number * 2 + 1)]
            } else {
                vec![]
            }))
            .unwrap(),
            4
        );
        assert_eq!(walk(0, |p| bare(vec![item(p.number.min(3))])).unwrap(), 3);
    }

    #[test]
    fn a_paginator_is_believed_but_not_forever() {
        let total = |p: PageRequest| Ok(Page { items: vec![item(p.number)], total: Some(3), more: None });
        assert_eq!(walk(1, total).unwrap(), 3);
        let liar = |_| Ok(Page { items: vec![item(1)], total: None, more: Some(true) });
        assert_eq!(walk(1, liar).unwrap_err().status(), KL_E_PROTOCOL);
    }

    /// Every second from `from` to `to` holds `each` items.
    fn windowed(from: i64, to: i64, bounds: (i64, u32), size: u32, each: i64) -> (Vec<i64>, u32) {
        let mut windows = Windows::new(from, to, bounds);
        let (mut seen, mut calls) = (Vec::new(), 0);
        loop {
            let page = windows
                .next_page(size, |from, to, page| {
                    calls += 1;
                    assert!(to - from < bounds.0 && page.number <= bounds.1);
                    let all: Vec<i64> = (from * each..(to + 1) * each).collect();
                    let start = ((page.number - 1) * size) as usize;
                    let items: Vec<i64> = all.iter().skip(start).take(size as usize).copied().collect();
                    Ok(Page { items, total: Some(all.len() as u64), more: None })
                })
                .unwrap();
            seen.extend(page.items);
            if page.more == Some(false) {
                return (seen, calls);
            }
        }
    }

    #[test]
    fn periods_are_split_and_joined_in_order() {
        // Longer than one list covers; more pages than one list has; both.
        for (from, to, bounds, size, each) in
            [(5, 24, (7, 100), 10, 1), (0, 9, (100, 2), 3, 1), (3, 99, (10, 3), 4, 2), (7, 7, (10, 1), 5, 1)]
        {
            let (seen, _) = windowed(from, to, bounds, size, each);
            assert_eq!(seen, (from * each..(to + 1) * each).collect::<Vec<_>>());
        }
        assert_eq!(windowed(0, 6, (7, 100), 10, 1).1, 1);
        // An empty window in the middle is no end, and an error asks for the same page again.
        let mut windows = Windows::new(0, 29, (10, 100));
        let mut failed = false;
        let pages = Pages::new(2, move |page| {
            windows.next_page(page.size, |from, _, _| {
                if from == 20 && !std::mem::replace(&mut failed, true) {
                    return Err(Error::new(KL_E_LOST, "lost"));
                }
                bare(if from == 10 { vec![] } else { vec![item(from as u32)] })
            })
        });
        let mut pages = pages;
        assert_eq!(pages.next_item().unwrap(), Some(item(0)));
        assert_eq!(pages.next_item().unwrap_err().status(), KL_E_LOST);
        assert_eq!(pages.next_item().unwrap(), Some(item(20)));
        assert_eq!(pages.next_item().unwrap(), None);
    }

    #[test]
    fn after_an_error_the_same_page_is_asked_for_again() {
        let mut failed = false;
        let mut pages = Pages::new(1, move |p: PageRequest| {
            if p.number == 2 && !std::mem::replace(&mut failed, true) {
                return Err(Error::new(KL_E_LOST, "lost"));
            }
            bare(if p.number < 3 { vec![item(p.number)] } else { vec![] })
        });
        assert!(pages.next_item().unwrap().is_some());
        assert_eq!(pages.next_item().unwrap_err().status(), KL_E_LOST);
        assert_eq!(pages.next_item().unwrap().unwrap(), item(2));
        assert!(pages.next_item().unwrap().is_none());
    }
}
