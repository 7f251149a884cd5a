//! Callbacks: what a platform tells by itself. Verified and parsed by the platform's module, de-duplicated here.

use crate::model::{Cabinet, DeliveryState, DoorState, Order, OrderLine};
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// What a callback is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum EventKind {
    /// A kind that this version does not know; see `method` and `json`.
    #[default]
    Other = 0,
    /// The platform probes the callback address.
    Test = 1,
    /// A door was shut, or never opened: see `door`.
    DoorClosed = 2,
    /// The goods a customer took are recognised: charge, then report the payment to `report_url`.
    Recognized = 3,
    /// An order is paid.
    OrderPaid = 4,
    /// A refund was approved: refund through your own channel and answer with the result.
    RefundApproved = 5,
    /// After an appeal: a new order replaces an old one. Charge it and report to `report_url`.
    OrderReplaced = 6,
    /// A vending machine pushed goods out, or failed to: see `delivery`.
    Delivery = 7,
    /// A voucher code was redeemed.
    VoucherRedeemed = 8,
    /// A cabinet's settings changed: see `cabinet`.
    CabinetChanged = 9,
    /// A return slip was made.
    ReturnSlip = 10,
    /// Older vending flow: refund this order now and answer with the channel's raw result.
    RefundRequested = 11,
    /// Older vending flow: a refund is finished.
    RefundFinished = 12,
    /// Older vending flow: the customer was sent to the payment page.
    PayPage = 13,
    /// An order was made, shipped or changed; `method` says what happened.
    OrderChanged = 14,
    /// An order is finished: the goods are handed over.
    OrderFinished = 15,
    /// An order was closed: it will not be handed over.
    OrderClosed = 16,
    /// A refund was asked for, decided or made; `method` says which.
    RefundChanged = 17,
    /// The goods on sale or their stock changed: fetch them again.
    StockChanged = 18,
    /// The application's own subscription on the platform's market changed.
    AppChanged = 19,
}

/// Which secret a callback was signed with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum SignedWith {
    /// Nothing: anybody could have sent it. A hint, to be confirmed by asking for the order.
    Nothing = 0,
    #[default]
    AppSecret = 1,
    PayKey = 2,
    /// The account's secret, but over the content alone: what stands beside it is not covered (Youzan without the
    /// header `Event-Sign`).
    ContentOnly = 3,
    /// Not signed but encrypted with the account's secret (Youzan's market messages).
    Encrypted = 4,
}

/// One callback, verified where the platform signs it: see `signed_with`.
#[derive(Clone, Debug, Default)]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// The platform's own name for it.
    pub method: String,
    /// Which secret it was signed with.
    pub signed_with: SignedWith,
    /// It was seen before by this client and taken: answer it again, do nothing else.
    pub duplicate: bool,
    /// The account it is for, if it says so.
    pub app_id: String,
    /// When the platform signed it, Unix seconds; 0 if it does not say.
    pub sent_at: i64,
    /// The platform's id of this notice, by which repeats are known; empty if it has none.
    pub notice_id: String,
    /// The order.
    pub order_no: String,
    /// The item of the order, where the platform numbers them (Dingshang: `record_id`).
    pub item_no: String,
    /// The payment channel's number.
    pub trade_no: String,
    /// The cabinet or machine.
    pub cabinet_id: String,
    /// What is known of the door.
    pub door: DoorState,
    /// What became of the goods.
    pub delivery: DeliveryState,
    /// The platform's words about it.
    pub message: String,
    /// The sum, in fen; -1 if unknown.
    pub amount: i64,
    /// When it was paid, or made, Unix seconds; 0 if unknown.
    pub at: i64,
    /// Where the payment must be reported.
    pub report_url: String,
    /// The voucher.
    pub voucher_id: String,
    /// The voucher's code.
    pub voucher_code: String,
    /// The store room of a return slip.
    pub depot_id: String,
    /// The account of the restocker.
    pub account_id: String,
    /// The business number of a return slip.
    pub biz_id: String,
    /// The goods.
    pub lines: Vec<OrderLine>,
    /// The order's fields, where the callback carries them.
    pub order: Option<Box<Order>>,
    /// The cabinet's fields, where the callback carries them.
    pub cabinet: Option<Box<Cabinet>>,
    /// The platform's own content.
    pub json: String,
    /// The platform's version of what the notice is about, higher for newer; 0 if it gives none.
    pub version: i64,
    /// A newer version of the same was seen before by this client: what this notice says is no longer true.
    pub stale: bool,
    /// What makes two callbacks the same notice; `NO_IDENTITY` if nothing does.
    pub(crate) identity: [u8; 16],
    /// What makes two callbacks versions of the same thing.
    pub(crate) subject: [u8; 16],
}

impl Event {
    /// The same for two callbacks that are one notice; `None` if it cannot be told from others of its kind.
    #[cfg(feature = "ledger")]
    pub fn identity(&self) -> Option<&[u8; 16]> {
        Some(&self.identity).filter(|identity| **identity != NO_IDENTITY)
    }
}

/// Of a callback that cannot be told from others of its kind: it never counts as a duplicate.
pub(crate) const NO_IDENTITY: [u8; 16] = [0; 16];

/// More than a platform sends in any retry window we know of; 64 KiB at most.
const REMEMBERED: usize = 4096;

/// The highest version seen of each thing, newest last, within the same bound.
#[derive(Debug, Default)]
pub(crate) struct Versions(Mutex<VecDeque<([u8; 16], i64)>>);

impl Versions {
    /// Remembers a version; whether a higher one of the same thing was known already.
    pub(crate) fn outdated(&self, subject: &[u8; 16], version: i64) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) = all.iter_mut().find(|(s, _)| s == subject) {
            let outdated = version < *known;
            *known = version.max(*known);
            return outdated;
        }
        if all.len() == REMEMBERED {
            all.pop_front();
        }
        all.push_back((*subject, version));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lower_version_is_outdated() {
        let versions = Versions::default();
        assert!(!versions.outdated(&[1; 16], 5) && !versions.outdated(&[1; 16], 5));
        assert!(versions.outdated(&[1; 16], 4) && !versions.outdated(&[2; 16], 4));
        assert!(!versions.outdated(&[1; 16], 6) && versions.outdated(&[1; 16], 5));
    }
}
