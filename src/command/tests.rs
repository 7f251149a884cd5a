//! What a process remembers of its commands, without a network.

use super::*;

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(5))
}

fn act(door: &str) -> Act {
    Act::Door(DoorRequest { cabinet_id: "c".into(), door: door.into(), ..DoorRequest::default() })
}

fn begin<'a>(commands: &'a Commands, id: &str, door: &str) -> Result<Begin<'a>> {
    commands.begin(id, act(door), Began::default(), soon())
}

fn ticket<'a>(commands: &'a Commands, id: &str, door: &str) -> Ticket<'a> {
    match begin(commands, id, door).unwrap() {
        Begin::Send(ticket) => ticket,
        _ => panic!("{id} is not to be sent"),
    }
}

fn lost() -> Error {
    unknown(Error::new(KL_E_TIMEOUT_REPLY, "no answer"))
}

fn refused() -> Error {
    not_done(Error::new(KL_E_CONNECT, "refused"))
}

fn folder(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("kiosklink-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn in_folder(path: &std::path::Path) -> Commands {
    Commands::journaled(path.to_owned(), "commands-test".into(), "test 1".into())
}

#[test]
fn a_name_is_sent_once() {
    let commands = Commands::in_memory();
    let first = ticket(&commands, "a", "1");
    assert_eq!(begin(&commands, "a", "1").err().unwrap().status(), KL_E_IN_FLIGHT);
    let e = begin(&commands, "a", "2").err().unwrap();
    assert_eq!((e.status(), e.details().outcome), (KL_E_REQUEST_ID, Outcome::NotDone));
    let receipt = Receipt { order_no: "VI1".into(), ..Default::default() };
    assert!(!first.settle(Ok(receipt), true).unwrap().recorded);
    match begin(&commands, "a", "1").unwrap() {
        Begin::Recorded(c) => assert!(c.recorded && c.receipt.order_no == "VI1"),
        _ => panic!("sent again"),
    }
}

#[test]
fn unknown_stays_unknown_and_not_done_is_free_again() {
    let commands = Commands::in_memory();
    ticket(&commands, "a", "1").settle(Err(lost()), true).unwrap_err();
    let Begin::Ask(e) = begin(&commands, "a", "1").unwrap() else { panic!("not asked") };
    assert_eq!((e.status(), e.details().outcome), (KL_E_UNSETTLED, Outcome::Unknown));
    ticket(&commands, "b", "2").settle(Err(refused()), true).unwrap_err();
    drop(ticket(&commands, "b", "2"));
    assert!(matches!(begin(&commands, "b", "2").unwrap(), Begin::Ask(_)));
}

#[test]
fn an_unsettled_command_keeps_others_from_its_door_and_from_no_other() {
    let commands = Commands::in_memory();
    let under_way = ticket(&commands, "a", "1");
    for (door, status) in [("1", Some(KL_E_BUSY)), ("", Some(KL_E_BUSY)), ("2", None)] {
        let end = begin(&commands, &format!("b{door}"), door);
        assert_eq!(end.as_ref().err().map(Error::status), status, "door {door}");
        if let Ok(Begin::Send(ticket)) = end {
            ticket.settle(Err(refused()), true).unwrap_err();
        }
    }
    under_way.settle(Err(lost()), true).unwrap_err();
    let e = begin(&commands, "c", "1").err().unwrap();
    assert_eq!((e.status(), e.details().outcome), (KL_E_BLOCKED, Outcome::NotDone));
    assert!(e.message().contains(" a "), "{e}");
    assert_eq!(commands.refuse_unsettled_order("VI7").unwrap_err().status(), KL_E_BLOCKED);
    let end = End {
        outcome: Outcome::NotDone,
        by: SettledBy::Sensor,
        receipt: Receipt::default(),
        physical: Physical::None,
        status: KL_E_CANCELLED,
        message: "the contact never opened".into(),
    };
    commands.settle("a", &end).unwrap();
    commands.settle("a", &end).unwrap();
    let e = commands.settle("a", &End { outcome: Outcome::Done, ..end }).unwrap_err();
    assert_eq!(e.status(), KL_E_REQUEST_ID);
    commands.refuse_unsettled_order("VI7").unwrap();
    drop(ticket(&commands, "c", "1"));
}

#[test]
fn a_question_that_got_no_answer_settles_nothing() {
    let commands = Commands::in_memory();
    ticket(&commands, "a", "1").settle(Err(lost()), false).unwrap_err();
    let again = commands.again("a").unwrap();
    assert_eq!(commands.again("a").err().unwrap().status(), KL_E_IN_FLIGHT);
    let e = again.doubt(refused());
    assert_eq!(e.details().outcome, Outcome::Unknown);
    again.settle(Err(e), false).unwrap_err();
    assert!(matches!(begin(&commands, "a", "1").unwrap(), Begin::Ask(_)));
    // The first try is believed.
    let first = ticket(&commands, "b", "2");
    assert_eq!(first.doubt(refused()).details().outcome, Outcome::NotDone);
}

#[test]
fn a_report_that_comes_before_its_answer_is_kept_for_it() {
    let commands = Commands::in_memory();
    let under_way = ticket(&commands, "a", "1");
    let report = Moved {
        order_no: "VI1".into(),
        item_no: String::new(),
        physical: Physical::Failed,
        error: "stuck".into(),
    };
    assert!(!commands.moved(&report));
    let receipt = Receipt { order_no: "VI1".into(), ..Default::default() };
    under_way.settle(Ok(receipt), true).unwrap();
    let known = commands.get("a").unwrap();
    assert_eq!((known.physical, known.physical_error.as_str()), (Physical::Failed, "stuck"));
}

#[test]
fn bad_names_are_refused_before_anything_is_sent() {
    let commands = Commands::in_memory();
    for bad in [String::new(), "x".repeat(129), "a\nb".into()] {
        let e = begin(&commands, &bad, "1").err().unwrap();
        assert_eq!((e.status(), e.details().outcome), (KL_E_ARGUMENT, Outcome::NotDone));
    }
}

#[test]
fn a_journal_gives_back_what_was_told_to_it() {
    let path = folder("back");
    let receipt = Receipt {
        order_no: "VI1".into(),
        item_no: "7".into(),
        delivery_no: "d".into(),
        notify_url: "https://x/\"y\"".into(),
        json: "{\"门\":1}".into(),
    };
    {
        let commands = in_folder(&path);
        let under_way = ticket(&commands, "a", "1");
        under_way.sending().unwrap();
        under_way.settle(Ok(receipt.clone()), true).unwrap();
        ticket(&commands, "b", "2").settle(Err(lost()), true).unwrap_err();
        ticket(&commands, "c", "3").settle(Err(refused()), true).unwrap_err();
        commands.set_physical("a", Physical::Failed, "卡住");
        assert_eq!(commands.info().unwrap().syncs, 3);
    }
    let commands = in_folder(&path);
    let a = commands.get("a").unwrap();
    assert_eq!((a.outcome, &a.receipt), (Outcome::Done, &receipt));
    assert_eq!((a.physical, a.physical_error.as_str()), (Physical::Failed, "卡住"));
    let pending = commands.pending().unwrap();
    assert_eq!(pending.len(), 1);
    assert_eq!((pending[0].request_id.as_str(), pending[0].status), ("b", KL_E_TIMEOUT_REPLY));
    assert_eq!(commands.get("c").unwrap().outcome, Outcome::NotDone);
    assert!(a.sequence < pending[0].sequence);
    assert_eq!(begin(&commands, "d", "2").err().unwrap().status(), KL_E_BLOCKED);
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn a_grown_journal_is_written_anew_and_forgets_no_unsettled_command() {
    let path = folder("anew");
    let commands = in_folder(&path);
    ticket(&commands, "lost", "never").settle(Err(lost()), true).unwrap_err();
    let json = "x".repeat(1500);
    let mut longest = 0;
    let name = |n: u32| format!("{n:040}");
    for n in 0..1500 {
        let r = DoorRequest {
            cabinet_id: "5f6da2362201410011000001".into(),
            door: n.to_string(),
            user_id: "customer".into(),
            extra_json: Some("{}".into()),
            ..DoorRequest::default()
        };
        let receipt = Receipt {
            order_no: format!("VI2312281021185{n:05}"),
            json: json.clone(),
            notify_url: "https://x".into(),
            ..Default::default()
        };
        let Begin::Send(ticket) = commands.begin(&name(n), Act::Door(r), Began::default(), soon()).unwrap()
        else {
            panic!("{n} is known")
        };
        ticket.settle(Ok(receipt), true).unwrap();
        longest = longest.max(commands.info().unwrap().bytes);
    }
    assert!(longest <= journal::LARGEST, "{longest}");
    let told = |commands: &Commands| {
        assert!(commands.get("lost").is_ok());
        // The newest whole, the older ones short, the oldest gone.
        assert_eq!(commands.get(&name(1499)).unwrap().receipt.json, json);
        for n in 1100..1500 {
            let known = commands.get(&name(n)).unwrap();
            assert_eq!(known.outcome, Outcome::Done);
            assert_eq!(known.receipt.order_no, format!("VI2312281021185{n:05}"));
            assert_eq!(known.physical, Physical::Pending);
        }
        assert!(commands.get(&name(1100)).unwrap().receipt.json.is_empty());
        assert_eq!(commands.get(&name(0)).unwrap_err().status(), KL_E_NOT_FOUND);
        commands.get(&name(1499)).unwrap().sequence
    };
    let sequence = told(&commands);
    drop(commands);
    let commands = in_folder(&path);
    assert_eq!(told(&commands), sequence);
    assert_eq!(commands.pending().unwrap().len(), 1);
    // An old one is still the same act, and no other.
    let old = DoorRequest {
        cabinet_id: "5f6da2362201410011000001".into(),
        door: "1100".into(),
        ..DoorRequest::default()
    };
    let again = commands.begin(&name(1100), Act::Door(old), Began::default(), soon()).unwrap();
    assert!(matches!(again, Begin::Recorded(_)));
    assert_eq!(begin(&commands, &name(1100), "1").err().unwrap().status(), KL_E_REQUEST_ID);
    drop(ticket(&commands, "next", "next"));
    assert!(commands.get("next").unwrap().sequence > sequence);
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn unsettled_commands_that_fill_the_journal_stop_new_ones_and_settling_goes_on() {
    let path = folder("full");
    let commands = in_folder(&path);
    let mut n = 0;
    let full = loop {
        let r = DoorRequest {
            cabinet_id: "c".into(),
            door: n.to_string(),
            extra_json: Some("x".repeat(3000)),
            ..DoorRequest::default()
        };
        match commands.begin(&n.to_string(), Act::Door(r), Began::default(), soon()) {
            Ok(Begin::Send(ticket)) => ticket.settle(Err(lost()), true).map(drop).unwrap_err(),
            Ok(_) => panic!("known"),
            Err(e) => break e,
        };
        n += 1;
        assert!(n < 200, "never full");
    };
    assert_eq!((full.status(), full.details().outcome), (KL_E_JOURNAL_FULL, Outcome::NotDone));
    assert_eq!(commands.pending().unwrap().len(), n);
    let end = End {
        outcome: Outcome::NotDone,
        by: SettledBy::Person,
        receipt: Receipt::default(),
        physical: Physical::None,
        status: KL_E_CANCELLED,
        message: String::new(),
    };
    for i in 0..n {
        commands.settle(&i.to_string(), &end).unwrap();
    }
    drop(ticket(&commands, "next", "next"));
    std::fs::remove_dir_all(path).unwrap();
}

#[test]
fn a_deleted_journal_is_written_again_from_memory() {
    let path = folder("deleted");
    let commands = in_folder(&path);
    ticket(&commands, "a", "1").settle(Err(lost()), true).unwrap_err();
    let file = commands.info().unwrap().path;
    std::fs::remove_file(&file).unwrap();
    assert_eq!(begin(&commands, "b", "1").err().unwrap().status(), KL_E_BLOCKED);
    ticket(&commands, "b", "2").settle(Ok(Receipt::default()), true).unwrap();
    drop(commands);
    let commands = in_folder(&path);
    assert_eq!(commands.pending().unwrap()[0].request_id, "a");
    assert_eq!(commands.get("b").unwrap().outcome, Outcome::Done);
    std::fs::remove_dir_all(path).unwrap();
}
