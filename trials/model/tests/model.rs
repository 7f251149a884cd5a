//! The short run of the model: shallow, but every world with all knobs off, and knobs that give way soon.

use kiosklink_model::knobs::{ALL, PLANS};
use kiosklink_model::search::search;

/// As many states as a build without optimisation looks at in a second or two.
const SHORT: usize = 6_000;

#[test]
fn with_all_knobs_off_nothing_gives_way() {
    for plan in PLANS {
        let found = search(plan, None, SHORT);
        assert!(found.wrong.is_none(), "{}: {:?}", plan.name, found.wrong);
        assert!(found.states >= SHORT, "{}: only {} states", plan.name, found.states);
    }
}

#[test]
fn a_knob_that_is_turned_gives_way() {
    let mut soon = 0;
    for (knob, world, wrong, ..) in ALL {
        let plan = PLANS.iter().find(|plan| plan.name == *world).unwrap();
        let found = search(plan, Some(*knob), SHORT);
        if let Some((what, trace)) = found.wrong {
            assert_eq!(what, *wrong, "{knob:?}: {trace:#?}");
            soon += 1;
        }
    }
    assert!(soon >= 8, "{soon}");
}
