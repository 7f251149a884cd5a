#![no_main]

use kiosklink::model::*;
use kiosklink::platform::Op;
use kiosklink::transport::{Headers, Reply, Timing};
use kiosklink_fuzz::{check, platforms};
use libfuzzer_sys::fuzz_target;

// The first two bytes choose platform and HTTP status, the rest is the body.
fuzz_target!(|data: &[u8]| {
    let [which, status, body @ ..] = data else { return };
    let platforms = platforms();
    let platform = &platforms[usize::from(*which) % platforms.len()];
    let status = [200, 200, 302, 401, 429, 500][usize::from(*status) % 6];
    let reply = Reply { status, headers: Headers::default(), body: body.to_vec(), timing: Timing::default() };
    let page = PageRequest { number: 1, size: 20 };
    let (order, query) = (OrderRef::default(), OrderQuery::default());
    let (code, redeem, door) = (CodeQuery::default(), RedeemRequest::default(), DoorRequest::default());
    for op in [
        Op::Ping,
        Op::CabinetList { page },
        Op::Stock { cabinet_id: "1", page, extra_json: None },
        Op::DoorOpen(&door),
        Op::OrderGet(&order),
        Op::OrderList { query: &query, page },
        Op::CodeLookup(&code),
        Op::CodeList(&code),
        Op::CodeRedeem(&redeem),
        Op::UserGet,
        Op::CompanyGet,
        Op::Call { method: "x/y", params_json: "" },
    ] {
        match platform.answer(&op, &reply) {
            Ok(_) => assert_eq!(status, 200),
            Err(e) => check(&e),
        }
    }
    if let Some(Err(e)) = platform.tokens().map(|t| t.answer(&reply, 0)) {
        check(&e);
    }
});
