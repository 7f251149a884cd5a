//! What proves what: the rows of `docs/proof.md`. Each platform keeps its own beside the code that obeys them, in
//! `recovery.rs`.

use super::{Kind, dingshang, refusals, yopoint, youzan, zhiyun};

/// Every platform's rows.
pub fn rows() -> [(Kind, &'static [Row]); 4] {
    [
        (Kind::Yopoint, yopoint::PROOF),
        (Kind::Dingshang, dingshang::PROOF),
        (Kind::Youzan, youzan::PROOF),
        (Kind::Zhiyun, zhiyun::PROOF),
    ]
}

/// A platform's own table of refusals, without an operator's rows. Of Youzan the table of its calls.
pub fn refusals(kind: Kind) -> refusals::Table {
    match kind {
        Kind::Yopoint => yopoint::refusals::PACK.table(),
        Kind::Dingshang => dingshang::REFUSALS.table(),
        Kind::Youzan => youzan::REFUSALS.table(),
        Kind::Zhiyun => zhiyun::REFUSALS.table(),
    }
}

/// One act of one platform.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The verb, as the Rust method is called; with what tells two ways of it apart, `door_open (lane)`.
    pub verb: &'static str,
    /// The platform's own call.
    pub call: &'static str,
    /// What the platform's record bears that only we can have left; empty if it keeps nothing.
    pub mark: &'static str,
    /// What proves *done* after a lost answer, the surest first.
    pub done: &'static str,
    /// What proves *not done*: rows of the table of refusals, or an absence that counts.
    pub not_done: &'static str,
    /// What tells whether the machine moved; empty if nothing moves.
    pub movement: &'static str,
    /// What stays unknown until a sensor or a person tells.
    pub unknowable: &'static str,
    /// Where this is written: the vendor's page, and whether it is known or inferred.
    pub source: &'static str,
    /// What the vendor would have to confirm so that less stays unknown.
    pub to_confirm: &'static str,
}
