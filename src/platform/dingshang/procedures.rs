//! The verbs that take more than one call, as steps: making codes, which the platform does not tell, and redeeming one, where
//! it names an order instead of saying whose it is.

use super::records::redeemed;
use super::recovery::{Whose, whose};
use super::requests::{is_part, trade_id};
use crate::error::{Advice, Error, Outcome, Result};
use crate::json;
use crate::json::Complains as _;
use crate::model::*;
use crate::platform::{Answer, Procedure, Query, Step};
use crate::status::*;
use std::collections::HashSet;

/// How often the list is read after a creation that it does not show yet.
const LOOKS: u32 = 3;
/// The pause before the second look; twice as long before the third.
const PAUSE_MS: u32 = 300;
/// The length of a code for which none was asked.
const USUAL_LENGTH: usize = 6;

/// Ends with an error of which it is known that nothing was made.
fn not_done(error: Error) -> Step {
    Step::End(Err(error.with(|d| d.outcome = Outcome::NotDone)))
}

/// Ends with an error after which it is not known what was done.
fn unknown(error: Error) -> Step {
    Step::End(Err(error.with(|d| {
        d.outcome = Outcome::Unknown;
        d.advice = Advice::AskFirst;
    })))
}

/// A step was answered with something that does not belong to it.
fn mismatch() -> Error {
    Error::new(KL_E_INTERNAL, "a step of the procedure was answered with another's answer")
}

/// Makes codes and gives exactly the new ones. The platform answers without them, and they bear nothing of ours, so the
/// unused codes are listed before and after.
pub(super) struct CreateCodes<'a> {
    request: &'a CodeCreate,
    /// The goods for which codes are made, with how many pieces there are (-1 if that does not matter).
    products: Vec<(String, i32)>,
    at: At,
    /// The ids of the codes before.
    before: HashSet<String>,
    /// The codes of the list that is being read.
    listed: Vec<PickupCode>,
    looks: u32,
    /// Why it is not known whether the creation was taken.
    lost: Option<Error>,
}

/// What the answer to come belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Start,
    Goods,
    /// The list of this product, before.
    Before(usize),
    Sent,
    /// The list of this product, after.
    After(usize),
    Paused,
}

impl<'a> CreateCodes<'a> {
    pub(super) fn new(request: &'a CodeCreate) -> CreateCodes<'a> {
        let product = request.product_id.clone();
        CreateCodes {
            request,
            products: if product.is_empty() { Vec::new() } else { vec![(product, -1)] },
            at: At::Start,
            before: HashSet::new(),
            listed: Vec::new(),
            looks: 0,
            lost: None,
        }
    }

    fn ask(&mut self, at: At, product: usize) -> Step {
        self.at = at;
        Step::Ask(Query::Codes(CodeQuery {
            cabinet_id: self.request.cabinet_id.clone(),
            product_id: self.products[product].0.clone(),
            ..CodeQuery::default()
        }))
    }

    /// The goods of the machine, for which there will be a code each.
    fn goods(&mut self, stock: Vec<StockItem>) -> Step {
        let mut all: Vec<(String, i32)> = stock.into_iter().map(|item| (item.id, item.stock)).collect();
        all.sort_unstable();
        all.dedup_by(|a, b| a.0 == b.0);
        if all.is_empty() {
            return not_done(Error::new(KL_E_NOT_FOUND, "the machine has no goods to make codes for"));
        }
        if !all.iter().all(|(id, _)| is_part(id)) {
            return not_done(json::missing("data.id").error("the list of goods"));
        }
        self.products = all;
        self.ask(At::Before(0), 0)
    }

    /// One list more, before or after. Codes without an id cannot be told apart: then nothing can be said.
    fn list(&mut self, codes: Vec<PickupCode>) -> Result<()> {
        if codes.iter().any(|c| c.id.is_empty()) {
            return Err(json::missing("data.id").error("the list of codes"));
        }
        self.listed.extend(codes);
        Ok(())
    }

    /// The whole list after the creation.
    fn seen(&mut self) -> Step {
        self.looks += 1;
        let new: Vec<PickupCode> = self.listed.drain(..).filter(|c| !self.before.contains(&c.id)).collect();
        if let Some(lost) = &self.lost {
            // Whatever is new may be somebody else's: codes bear nothing of ours.
            let ids: Vec<&str> = new.iter().map(|c| c.id.as_str()).collect();
            let count = ids.len().to_string();
            let found = match ids.len() {
                0 => "the list shows no new code".to_owned(),
                _ => {
                    let ids = ids.join(", ");
                    ["the list shows ", &count, " new: id ", &ids, ", ours or somebody else's"].concat()
                }
            };
            let error = lost.clone();
            return unknown(error.with(|d| d.message = [&d.message, "; ", &found].concat()));
        }
        let count = new.len().to_string();
        if let Some(ours) = self.ours(new) {
            let total = Some(ours.len() as u64);
            return Step::End(Ok(Answer::Codes(Page { items: ours, total, more: Some(false) })));
        }
        if self.looks < LOOKS {
            self.at = At::Paused;
            return Step::Pause(PAUSE_MS << (self.looks - 1));
        }
        let message = [
            "the codes were made, but which are ours cannot be told; listed afterwards: ",
            &count,
            " new codes",
        ];
        unknown(Error::new(KL_E_PROTOCOL, message.concat()))
    }

    /// The new codes, if they are exactly those that the platform said it made: all of them, or, where somebody made others
    /// meanwhile, all that are as they were asked for.
    fn ours(&self, new: Vec<PickupCode>) -> Option<Vec<PickupCode>> {
        if self.is_whole(&new) {
            return Some(new);
        }
        let length = if self.request.length == 0 { USUAL_LENGTH } else { self.request.length as usize };
        let alike: Vec<PickupCode> = new
            .into_iter()
            .filter(|c| c.expires_at == self.request.expires_at && c.code.len() == length)
            .collect();
        self.is_whole(&alike).then_some(alike)
    }

    /// Whether these are as many codes as were asked for. For all goods together that is one for each, or one for each that
    /// is there, or one for each piece: which of them is not documented.
    fn is_whole(&self, new: &[PickupCode]) -> bool {
        if !self.request.product_id.is_empty() {
            return new.len() == self.request.count.max(1) as usize;
        }
        let of = |id: &str| new.iter().filter(|c| c.product_id == id).count();
        let each = |wanted: &dyn Fn(i32) -> i32| {
            self.products.iter().all(|(id, stock)| i32::try_from(of(id)).is_ok_and(|n| n == wanted(*stock)))
        };
        !new.is_empty() && (each(&|_| 1) || each(&|stock| stock.min(1)) || each(&|stock| stock))
    }
}

impl Procedure for CreateCodes<'_> {
    /// Of two makers each would take the other's new codes for its own.
    fn exclusive(&self) -> Option<String> {
        Some(["codes of ", &self.request.cabinet_id].concat())
    }

    fn next(&mut self, last: Option<Result<Answer>>) -> Step {
        match (self.at, last) {
            (At::Start, _) if self.products.is_empty() => {
                self.at = At::Goods;
                let all = Some(r#"{"select_all":"1"}"#.to_owned());
                Step::Ask(Query::Stock(self.request.cabinet_id.clone(), all))
            }
            (At::Start, _) => self.ask(At::Before(0), 0),
            (At::Goods, Some(Ok(Answer::Stock(page)))) => self.goods(page.items),
            (At::Before(i), Some(Ok(Answer::Codes(page)))) => {
                if let Err(e) = self.list(page.items) {
                    return not_done(e);
                }
                if i + 1 < self.products.len() {
                    return self.ask(At::Before(i + 1), i + 1);
                }
                self.before = self.listed.drain(..).map(|c| c.id).collect();
                self.at = At::Sent;
                Step::Send
            }
            (At::Goods | At::Before(_), Some(Err(e))) => not_done(e),
            (At::Goods | At::Before(_), _) => not_done(mismatch()),
            (At::Sent, Some(Err(e))) if e.details().outcome == Outcome::NotDone => Step::End(Err(e)),
            (At::Sent, answer) => {
                self.lost = answer.unwrap_or_else(|| Err(mismatch())).err();
                self.ask(At::After(0), 0)
            }
            (At::After(i), Some(Ok(Answer::Codes(page)))) => {
                if let Err(e) = self.list(page.items) {
                    return unknown(self.unseen(e));
                }
                if i + 1 < self.products.len() { self.ask(At::After(i + 1), i + 1) } else { self.seen() }
            }
            (At::After(_), Some(Err(e))) => unknown(self.unseen(e)),
            (At::After(_), _) => unknown(self.unseen(mismatch())),
            (At::Paused, _) => self.ask(At::After(0), 0),
        }
    }
}

impl CreateCodes<'_> {
    /// The creation was sent, and then the list could not be read.
    fn unseen(&self, why: Error) -> Error {
        let said = self.lost.as_ref().map_or("the codes were made", |e| e.message()).to_owned();
        why.with(|d| d.message = [&said, "; they could not be listed: ", &d.message].concat())
    }
}

/// Uses a code. Where the platform says that it is used already, by an order that it names, that order tells whether it is
/// ours: made by an earlier try, whose answer was lost.
pub(super) struct Redeem<'a> {
    request: &'a RedeemRequest,
    sent: bool,
    /// The order that used the code, and the platform's refusal.
    used: Option<(String, Error)>,
}

impl<'a> Redeem<'a> {
    pub(super) fn new(request: &'a RedeemRequest) -> Redeem<'a> {
        Redeem { request, sent: false, used: None }
    }

    /// The order that used the code was asked for.
    fn told(&self, order_no: &str, refusal: &Error, answer: Option<Result<Answer>>) -> Step {
        let by = |said: &str| {
            let refusal = refusal.clone();
            refusal.with(|d| d.message = [&d.message, "; by order ", order_no, said].concat())
        };
        let order = match answer {
            Some(Ok(Answer::Order(order))) => order,
            Some(Err(why)) => {
                let message = [
                    "the code is used, by order ",
                    order_no,
                    ", but whose that is could not be asked: ",
                    why.message(),
                ]
                .concat();
                return unknown(why.with(|d| d.message = message));
            }
            _ => return unknown(mismatch()),
        };
        if order.order_no != order_no {
            return unknown(by(", but another one was shown"));
        }
        let sent = match trade_id(self.request) {
            Ok(sent) => sent,
            Err(e) => return unknown(e),
        };
        match whose(&sent, &order.trade_no) {
            Whose::Others => not_done(by(", which is not of this request")),
            Whose::Untold => unknown(by(", whose trade_id does not tell whether it is of this request")),
            // A number of the caller's own may be on an older order, and an order has no time of day.
            Whose::Ours if !self.request.trade_no.is_empty() => unknown(by(
                ", which bears the trade_no that was given; whether it is older than this request is not told",
            )),
            Whose::Ours => {
                let receipt = redeemed(&order);
                if receipt.item_no.is_empty() {
                    return unknown(by(", which is of this request but does not show its item"));
                }
                Step::End(Ok(Answer::Taken(receipt)))
            }
        }
    }
}

impl Procedure for Redeem<'_> {
    fn next(&mut self, last: Option<Result<Answer>>) -> Step {
        if let Some((order_no, refusal)) = self.used.take() {
            return self.told(&order_no, &refusal, last);
        }
        match last {
            None if !self.sent => {
                self.sent = true;
                Step::Send
            }
            Some(Ok(Answer::UsedBy { order_no, refusal })) if is_part(&order_no) => {
                self.used = Some((order_no.clone(), refusal));
                Step::Ask(Query::Order(OrderRef {
                    kind: OrderKind::Vending,
                    order_no,
                    cabinet_id: self.request.cabinet_id.clone(),
                    ..OrderRef::default()
                }))
            }
            Some(Ok(Answer::UsedBy { refusal, .. })) => unknown(refusal),
            Some(Ok(Answer::Taken(receipt))) => Step::End(Ok(Answer::Taken(receipt))),
            Some(Err(e)) => Step::End(Err(e)),
            Some(Ok(_)) | None => unknown(mismatch()),
        }
    }
}
