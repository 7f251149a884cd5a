//! What takes more than one call: making codes on a platform that does not tell them, and finding out who used one.

use crate::client::Client;
use crate::command::{Ticket, not_done, unknown};
use crate::error::{Error, Outcome, Result};
use crate::log::log_line;
use crate::model::*;
use crate::platform::{Answer, Op};
use crate::status::*;
use crate::time::Deadline;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often the list is read after a creation that it does not show yet.
const LOOKS: u32 = 3;
/// The pause before the second look; twice as long before the third.
const PAUSE_MS: u64 = 300;
/// How often it is tried to come next.
const TURN_MS: u64 = 20;

/// The cabinets for which codes are being made: one maker at a time for each, or each would take the other's new
/// codes for its own.
#[derive(Debug, Default)]
pub(crate) struct Turns(Mutex<Vec<String>>);

#[derive(Debug)]
struct Turn<'a> {
    turns: &'a Turns,
    cabinet_id: &'a str,
}

impl Turns {
    fn try_take<'a>(&'a self, cabinet_id: &'a str) -> Option<Turn<'a>> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.iter().any(|c| c == cabinet_id) {
            return None;
        }
        taken.push(cabinet_id.to_owned());
        Some(Turn { turns: self, cabinet_id })
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|c| c != self.cabinet_id);
    }
}

/// Makes codes and gives exactly the new ones. Each step has the client's `timeout_ms`.
pub(crate) fn create(client: &Client, request: &CodeCreate) -> Result<Vec<PickupCode>> {
    let op = Op::CodeCreate(request);
    client.platform_module().draft(&op).map_err(not_done)?;
    if !client.platform_module().creates_blindly() {
        return match client.write_any(&op)? {
            Answer::Codes(page) => Ok(page.items),
            other => Err(unknown(crate::client::mismatch(&other))),
        };
    }
    let _turn = wait(client, &request.cabinet_id).map_err(not_done)?;
    let products = products(client, request).map_err(not_done)?;
    let before: HashSet<String> =
        listed(client, request, &products).map_err(not_done)?.into_iter().map(|c| c.id).collect();
    let lost = match client.write_any(&op) {
        Ok(_) => None,
        Err(e) if e.details().outcome == Outcome::NotDone => return Err(e),
        Err(e) => Some(e),
    };
    // For all goods there is one code each; what an empty lane gets is not documented.
    let wanted = if request.product_id.is_empty() { products.len() } else { request.count.max(1) as usize };
    let mut look = 0;
    let mut new = loop {
        look += 1;
        let now = listed(client, request, &products).map_err(|e| unseen(lost.as_ref(), e))?;
        let new: Vec<_> = now.into_iter().filter(|c| !before.contains(&c.id)).collect();
        if new.len() >= wanted || look == LOOKS {
            break new;
        }
        client.pause(Duration::from_millis(PAUSE_MS << (look - 1))).map_err(|e| unseen(lost.as_ref(), e))?;
    };
    if new.len() > wanted {
        // Somebody made others meanwhile, in the dashboard or on another device.
        new.retain(|c| c.expires_at == request.expires_at);
        if request.length != 0 {
            new.retain(|c| c.code.len() == request.length as usize);
        }
    }
    let enough = new.len() == wanted || lost.is_none() && request.product_id.is_empty() && !new.is_empty();
    if enough {
        if let Some(e) = lost {
            log_line!(
                Info,
                "the answer was lost, but the list shows the {} new codes: {}",
                new.len(),
                e.message()
            );
        }
        return Ok(new);
    }
    let found = format!("listed afterwards: {} new codes of {wanted}", new.len());
    Err(match lost {
        Some(e) => e.with(|d| d.message = [&d.message, "; ", &found].concat()),
        None => unknown(Error::new(
            KL_E_PROTOCOL,
            format!("the codes were made, but which are ours cannot be told; {found}"),
        )),
    })
}

/// The creation was sent, and then the list could not be read.
fn unseen(lost: Option<&Error>, why: Error) -> Error {
    let said = lost.map_or("the codes were made", |e| e.message());
    unknown(why.with(|d| d.message = [said, "; they could not be listed: ", &d.message].concat()))
}

fn wait<'a>(client: &'a Client, cabinet_id: &'a str) -> Result<Turn<'a>> {
    let deadline = Deadline::after(client.timeout());
    loop {
        if let Some(turn) = client.turns().try_take(cabinet_id) {
            return Ok(turn);
        }
        if deadline.expired() {
            return Err(Error::new(KL_E_BUSY, "another thread is making codes for this cabinet"));
        }
        client.pause(Duration::from_millis(TURN_MS))?;
    }
}

/// The goods for which codes are made.
fn products(client: &Client, request: &CodeCreate) -> Result<Vec<String>> {
    if !request.product_id.is_empty() {
        return Ok(vec![request.product_id.clone()]);
    }
    let all = client.stock(&request.cabinet_id, 0, Some(r#"{"select_all":"1"}"#)).collect_all()?;
    let mut ids: Vec<String> = all.into_iter().map(|item| item.id).collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn listed(client: &Client, request: &CodeCreate, products: &[String]) -> Result<Vec<PickupCode>> {
    let mut codes = Vec::new();
    for product_id in products {
        let query = CodeQuery {
            cabinet_id: request.cabinet_id.clone(),
            product_id: product_id.clone(),
            ..CodeQuery::default()
        };
        codes.extend(client.code_list(&query)?.items);
    }
    Ok(codes)
}

/// A code turned out to be used: by this very request, whose answer was lost, or by somebody else. The order tells.
pub(crate) fn whose(
    client: &Client,
    op: &Op<'_>,
    order_no: String,
    refusal: Error,
    ticket: &Ticket<'_>,
    deadline: Deadline,
) -> Result<Receipt> {
    let Op::CodeRedeem(request) = op else { return Err(unknown(refusal)) };
    let query = OrderRef {
        kind: OrderKind::Vending,
        order_no,
        cabinet_id: request.cabinet_id.clone(),
        ..OrderRef::default()
    };
    let by = |said: &str| {
        let order_no = &query.order_no;
        let refusal = refusal.clone();
        refusal.with(|d| d.message = [&d.message, "; by order ", order_no, said].concat())
    };
    match client.read_within(&Op::OrderGet(&query), deadline) {
        Ok(Answer::Order(order)) => match client.platform_module().receipt_of(op, &order) {
            Some(receipt) => Ok(receipt),
            None => Err(not_done(by(", which is not of this request"))),
        },
        Ok(other) => Err(unknown(crate::client::mismatch(&other))),
        // Too old to be asked for, so not of a request that was never sent before.
        Err(e) if matches!(e.status(), KL_E_ORDER_STATE | KL_E_NOT_FOUND) => {
            Err(ticket.doubt(not_done(by(", which cannot be asked for any more"))))
        }
        Err(e) => Err(unknown(e.with(|d| {
            d.message = [
                "the code is used, by order ",
                &query.order_no,
                ", but whose that is could not be asked: ",
                &d.message,
            ]
            .concat();
        }))),
    }
}
