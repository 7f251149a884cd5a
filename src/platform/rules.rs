//! What can be known of each platform's commands: one table, which the resolver obeys, `docs/journal.md` prints and the
//! tests hold the simulator to.

use super::Kind;
use crate::command::Act;

/// What can be done about one command of one platform when its answer was lost.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The platform.
    pub platform: Kind,
    /// The verb.
    pub verb: &'static str,
    /// The platform's own call.
    pub call: &'static str,
    /// What the platform knows it by.
    pub key: &'static str,
    /// Sending it again under the same key is the platform's way to ask.
    pub repeat_asks: bool,
    /// The read that tells whether it happened; empty if there is none.
    pub query: &'static str,
    /// What tells whether the machine moved; empty if nothing moves.
    pub movement: &'static str,
    /// What stays unknown.
    pub unknowable: &'static str,
}

/// The table.
#[rustfmt::skip]
pub const RULES: &[Rule] = &[
    Rule {
        platform: Kind::Yopoint, verb: "door_open", call: "cabinet.open.door",
        key: "TradeNo (inferred): order_no, or a number of the library's unless own_trade_no=no",
        repeat_asks: false,
        query: "cabinet.order.get by TradeNo, then cabinet.order.list around the sending: an order with that number is there, so it was taken; the recognition callback with that TradeNo says the same, and where to report the payment (inferred)",
        movement: "notify.close.door; else cabinet.order.get: DoorStatus",
        unknowable: "an order that is not there (yet) proves nothing; after the payment report the order bears the payment's number: a sensor or a person decides",
    },
    Rule {
        platform: Kind::Yopoint, verb: "code_redeem", call: "activity.voucher.exchange",
        key: "Code and TID",
        repeat_asks: false,
        query: "activity.vouchercode.get, if it tells machine and time (inferred); the callback notify.activity.voucher.exchangecode with the same code and machine",
        movement: "the callback's ShipmentsStatus; else consumer.order.get",
        unknowable: "a use that is told without machine or time, or at another time; an unused code may still be on its way",
    },
    Rule {
        platform: Kind::Dingshang, verb: "code_redeem", call: "POST /consumes",
        key: "trade_id: trade_no, or one made of request_id",
        repeat_asks: true,
        query: "the same again: 10025 names the order, which bears the trade_id",
        movement: "",
        unknowable: "nothing, while the order can be read",
    },
    Rule {
        platform: Kind::Dingshang, verb: "door_open", call: "POST /deliveries",
        key: "order_id and record_id",
        repeat_asks: false,
        query: "POST /orders/{id}: the record is being delivered, was delivered, failed or timed out",
        movement: "POST /orders/{id}; the callback device.delivery.response is unsigned, so it only makes us ask",
        unknowable: "a record that waits (未取货) may be untouched or just on its way; after IS_TIMEOUT nobody knows what moved",
    },
    Rule {
        platform: Kind::Dingshang, verb: "door_open (lane)", call: "POST /deliveries/debug",
        key: "none",
        repeat_asks: false,
        query: "",
        movement: "POST /deliveries/{id}",
        unknowable: "whether it was taken: without its answer there is no delivery_id",
    },
    Rule {
        platform: Kind::Youzan, verb: "code_redeem", call: "selffetchcode.apply, virtualcode.apply, virtualticket.verifyticket",
        key: "the code",
        repeat_asks: false,
        query: "selffetchcode.get, virtualcode.get, virtualticket.get: used since it was begun, or still unused a minute later",
        movement: "",
        unknowable: "a used code whose lookup gives no time (self-fetch codes), or when the platform's time was not known then; a single ticket has no lookup",
    },
];

/// Whether sending this act again under the same key asks what became of it.
pub(crate) fn repeat_asks(platform: Kind, act: &Act) -> bool {
    let verb = match act {
        Act::Door(_) => "door_open",
        Act::Redeem(_) => "code_redeem",
        Act::Write { .. } => return false,
    };
    RULES.iter().any(|r| r.platform == platform && r.verb == verb && r.repeat_asks)
}
