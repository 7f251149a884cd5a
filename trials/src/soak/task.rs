//! What customers want, made from the seed alone.

use super::WORD;
use crate::crash::Noise;

/// Cabinets, machines and lanes that each thread has for itself.
pub(super) const CABINETS: usize = 16;
pub(super) const MACHINES: usize = 4;
pub(super) const LANES: usize = 4;

/// One act of a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// A door of a Yopoint cabinet. `own`: the firmware gives a number of its own.
    Door { cabinet: String, own: bool },
    /// A code of Dingshang's, redeemed; then its goods are dispensed, or the money is asked back.
    Pickup { machine: String, product: String, code: String, refund: bool },
    /// An order of Dingshang's, made and paid.
    Buy { machine: String, product: String },
    /// A lane of a Dingshang machine, tested by a technician.
    Lane { machine: String, lane: String },
    /// A code of a Youzan shop.
    Redeem { code: String },
}

/// A customer's act, made from the seed and its number alone.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub number: usize,
    pub id: String,
    pub act: Act,
    /// Another kiosk or person uses the same code, so long after the customer's first try began.
    pub rival_after_ms: Option<u64>,
    pub dice: Noise,
}

impl Task {
    /// The names of its commands.
    pub fn ids(&self) -> Vec<String> {
        let of = |words: &[&str]| words.iter().map(|w| format!("{}-{w}", self.id)).collect();
        match &self.act {
            Act::Pickup { refund: false, .. } => of(&["r", "d"]),
            Act::Pickup { refund: true, .. } => of(&["r", "f"]),
            Act::Buy { .. } => of(&["o", "p"]),
            _ => vec![self.id.clone()],
        }
    }

    pub fn platform(&self) -> &'static str {
        match self.act {
            Act::Door { .. } => "yopoint",
            Act::Pickup { .. } | Act::Buy { .. } | Act::Lane { .. } => "dingshang",
            Act::Redeem { .. } => "youzan",
        }
    }

    /// The operation of its command of this place, as the simulator names it.
    pub fn operation(&self, place: usize) -> &'static str {
        match (&self.act, place) {
            (Act::Door { .. }, _) => "cabinet.open.door",
            (Act::Lane { .. }, _) => "delivery_debug",
            (Act::Pickup { .. }, 0) => "consume",
            (Act::Pickup { refund: false, .. }, _) => "deliver",
            (Act::Pickup { refund: true, .. }, _) | (Act::Buy { .. }, 1) => "order_update",
            (Act::Buy { .. }, _) => "order_create",
            (Act::Redeem { .. }, _) => "youzan.trade.selffetchcode.apply",
        }
    }
}

pub(super) fn machine_no(index: usize) -> String {
    format!("{}", 20_000_000 + index)
}

pub(super) fn product_id(machine: usize, lane: usize) -> i64 {
    (100_000 + machine * 10 + lane) as i64
}

/// Task `number`, which one of so many threads does.
pub(super) fn task(seed: u64, number: usize, threads: usize) -> Task {
    let mut dice = Noise(seed ^ (number as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93));
    dice.next();
    let thread = number % threads;
    let index = thread * MACHINES + dice.below(MACHINES);
    let lane = dice.below(LANES);
    let (machine, product) = (machine_no(index), product_id(index, lane).to_string());
    let act = match dice.below(100) {
        // Ids as `generate` makes them.
        0..50 => Act::Door {
            cabinet: format!("5e00{:020x}", thread * CABINETS + dice.below(CABINETS)),
            own: dice.percent(10),
        },
        50..72 => Act::Pickup {
            machine,
            product,
            code: format!("{:07}", number + 1_000_000),
            refund: dice.percent(8),
        },
        72..74 => Act::Buy { machine, product },
        74 => Act::Lane { machine, lane: format!("A2{lane}") },
        _ => Act::Redeem { code: format!("{}", 40_000_000_000 + number) },
    };
    let rival = matches!(act, Act::Pickup { .. } | Act::Redeem { .. }) && dice.percent(3);
    let rival_after_ms = rival.then(|| [0, 300, 5_000, 60_000][dice.below(4)]);
    Task { number, id: format!("{WORD}{seed}-{number}"), act, rival_after_ms, dice }
}
