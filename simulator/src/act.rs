//! The record of what physically happened and of what was booked, whatever any answer said of it.

use serde::Serialize;

/// The request that is being acted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doing {
    /// Its number in the request log.
    pub request: u64,
    /// The connection it came on.
    pub connection: u64,
    /// When it was received, on the platforms' clock.
    pub received_ms: i64,
}

/// One act: a door opened, a piece fell, a code was used up, money or an order was booked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Act {
    /// Its number, from 1.
    pub number: u64,
    /// The platform it happened at.
    pub platform: String,
    /// `open_door`, `dispense`, `redeem`, `order`, `pay`, `pay_failed`, `cancel`, `refund_apply`, `refund`, `appeal`,
    /// `code_create`, `code_cancel`.
    pub kind: String,
    /// Who made it happen: `request`, `other` (somebody else, by the control API or a dialect), `control` (a person
    /// at the machine or staff), `platform` (by itself).
    pub by: String,
    /// The cabinet or machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cabinet: Option<String>,
    /// The door, or the lane's place, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door: Option<u32>,
    /// The lane's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lane: Option<String>,
    /// The code that was used up, made or cancelled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The platform's number of the order or delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// The number that the client sent: `TradeNo`, `trade_id`, `extra_info`, `trade_no`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<String>,
    /// The address that the client wants to be told at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify_url: Option<String>,
    /// Money, in fen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// When, in Unix milliseconds of the platforms' clock.
    pub at_ms: i64,
    /// The request in the request log; none if no request did it.
    pub request: Option<u64>,
    /// The connection of that request.
    pub connection: Option<u64>,
    /// When that request was received.
    pub received_ms: Option<i64>,
}

impl Act {
    /// An act at a platform, with nothing told yet.
    pub fn new(platform: &str, kind: &str) -> Self {
        Self { platform: platform.to_owned(), kind: kind.to_owned(), ..Self::default() }
    }

    /// Says which order it is about.
    pub fn order(mut self, order: impl ToString) -> Self {
        self.order = Some(order.to_string());
        self
    }

    /// Says which code it is about.
    pub fn code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// Says at which cabinet or machine it happened.
    pub fn cabinet(mut self, cabinet: &str) -> Self {
        self.cabinet = Some(cabinet.to_owned());
        self
    }

    /// Gives the number that the client sent; an empty one is none.
    pub fn mark(mut self, mark: &str) -> Self {
        self.mark = (!mark.is_empty()).then(|| mark.to_owned());
        self
    }

    /// Says how much money, in fen.
    pub fn amount(mut self, fen: i64) -> Self {
        self.amount = Some(fen);
        self
    }
}
