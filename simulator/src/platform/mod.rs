//! The platforms. Each owns a path prefix, its settings, its orders and its oddities; the cabinets, the clock,
//! the callbacks and the faults are shared and reach it through [`Core`].
//!
//! A new platform is one module that implements [`Platform`] and one line in [`all`].

pub mod dingshang;
pub mod yopoint;
pub mod youzan;
pub mod zhiyun;

use serde_json::{Map, Value};

use crate::callback::{Outgoing, Rendered, Style};
use crate::dialect::Accent;
use crate::message::{Reply, Request};
use crate::state::Core;
use crate::world::Opening;

/// What a platform tells the request log about a request.
#[derive(Clone, Debug, Default)]
pub struct Exchange {
    /// The parameters as they were understood.
    pub params: Value,
    /// The signature: the one given, the one expected, the text that should have been signed with its secret
    /// masked, and what differs.
    pub signature: Value,
}

/// A platform behind a path prefix.
pub trait Platform: Send {
    /// Its name, which is also its path prefix and its name in the control API.
    fn name(&self) -> &'static str;

    /// The account to use, in the words of a kiosklink accounts file (without `platform`, `base_url`, `ca_file`).
    fn credentials(&self) -> Map<String, Value>;

    /// The operation that a request asks for, to find its faults and for the log. Empty if it cannot be told.
    fn operation(&self, request: &Request) -> String;

    /// What a request says, for rules that look for a word in it.
    fn says(&self, request: &Request) -> String {
        format!("{}?{} {}", request.path, request.query, String::from_utf8_lossy(&request.body))
    }

    /// Acts on a request.
    fn handle(&mut self, core: &mut Core, request: &Request, exchange: &mut Exchange) -> Reply;

    /// A door that this platform had opened is shut again.
    fn door_shut(&mut self, _core: &mut Core, _opening: &Opening) {}

    /// A cabinet has its connection back.
    fn cabinet_online(&mut self, _core: &mut Core, _cabinet: &str) {}

    /// A time that was set with [`Core::after`] has come.
    fn timer(&mut self, _core: &mut Core, _event: &Value) {}

    /// Makes a callback out once more, for a delivery that is sent again in another style.
    fn render(&self, _what: &Outgoing, _style: Style, _now_ms: i64) -> Rendered {
        Rendered::default()
    }

    /// Makes a callback out for its n-th repetition, where repetitions differ from the first.
    fn render_again(&self, _what: &Outgoing, _style: Style, _resend: usize) -> Option<Rendered> {
        None
    }

    /// The pauses before a callback comes again, where they are the platform's own.
    fn retries(&self) -> Option<Vec<i64>> {
        None
    }

    /// Says whether an answer means that a callback was taken, and acts on it.
    fn answered(
        &mut self,
        _core: &mut Core,
        _what: &Outgoing,
        status: u16,
        _answer: &str,
    ) -> Result<(), String> {
        if status == 200 { Ok(()) } else { Err(format!("status {status}")) }
    }

    /// Its settings.
    fn settings(&self) -> Value;

    /// Changes some settings.
    fn patch_settings(&mut self, patch: &Value) -> Result<(), String>;

    /// What it remembers: orders, codes, tokens.
    fn world(&self) -> Value;

    /// Changes what it remembers; `replace` forgets everything not named.
    fn set_world(&mut self, core: &mut Core, world: &Value, replace: bool) -> Result<(), String>;

    /// What somebody else would do with what a request is about, as `POST /_sim/others` takes it, where a dialect
    /// has somebody else come along.
    fn others_for(&self, _request: &Request, _accent: &Accent) -> Option<Value> {
        None
    }

    /// Lets somebody else do something: redeem a code, make an order, refund one.
    fn others(&mut self, _core: &mut Core, _what: &Value) -> Result<Value, (u16, String)> {
        Err((404, "nobody else does anything here".into()))
    }

    /// Answers a control request below its own name; none if there is no such path.
    fn control(
        &mut self,
        _core: &mut Core,
        _method: &str,
        _path: &[&str],
        _body: &Value,
    ) -> Option<Result<Value, (u16, String)>> {
        None
    }

    /// The callbacks that can be sent by name: the name of their kind, and the platform's own of the notice.
    fn triggers(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Sends one of them. `what` may name the `order` and the `cabinet` that it is about, and say that it has `failed`.
    fn trigger(&mut self, _core: &mut Core, name: &str, _what: &Value) -> Result<(), (u16, String)> {
        Err((404, format!("this platform sends no {name}")))
    }

    /// Whether something that a test waits for has come about; none if it is not this platform's word.
    fn condition(&self, _core: &Core, _what: &Value) -> Option<Result<bool, String>> {
        None
    }
}

/// All platforms, as they are at the start.
pub fn all() -> Vec<Box<dyn Platform>> {
    vec![
        Box::new(yopoint::Yopoint::default()),
        Box::new(dingshang::Dingshang::default()),
        Box::new(youzan::Youzan::default()),
        Box::new(zhiyun::Zhiyun::default()),
    ]
}
