//! For trials of the trials: in builds with the feature `test-hooks`, which no artefact has, the environment variable
//! `KIOSKLINK_TEST_WITHOUT` names fences and rules of proof that are switched off. The soak and the crash tester must
//! find what then goes wrong (`make soak-without`, docs/trials.md).

/// What can be switched off, for the test that the table in the docs is whole.
#[cfg(feature = "test-hooks")]
pub(crate) const ALL: &[&str] = &[
    "again-doubt",
    "claim-fence",
    "default-unknown",
    "envelope",
    "linger",
    "locks",
    "mark",
    "maturity",
    "orphans",
    "owner-alive",
    "poison",
    "prints",
    "sent-durable",
    "whole-names",
];

/// Whether this one is switched off.
#[cfg(feature = "test-hooks")]
#[expect(clippy::disallowed_methods, reason = "in builds for tests alone")]
pub(crate) fn off(name: &str) -> bool {
    use std::sync::OnceLock;
    static OFF: OnceLock<Vec<String>> = OnceLock::new();
    let off = OFF.get_or_init(|| {
        let words = std::env::var("KIOSKLINK_TEST_WITHOUT").unwrap_or_default();
        let off: Vec<String> = words.split(',').filter(|w| !w.is_empty()).map(str::to_owned).collect();
        for word in &off {
            assert!(ALL.contains(&word.as_str()), "KIOSKLINK_TEST_WITHOUT: there is no {word}");
        }
        off
    });
    debug_assert!(ALL.contains(&name));
    off.iter().any(|word| word == name)
}

/// Nothing can be switched off.
#[cfg(not(feature = "test-hooks"))]
#[inline(always)]
pub(crate) const fn off(_name: &str) -> bool {
    false
}
