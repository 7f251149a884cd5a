//! What a soak found, in numbers and words.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

/// The most commands of a hundred that may be left to a person or a sensor after maturity, with faults and dialects.
pub const LEFT_MOST: f64 = 3.0;
/// The most doors of a hundred that may be refused because of another's unknown after maturity, with faults and dialects.
pub const REFUSED_MOST: f64 = 5.0;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Commands that ended.
    pub commands: usize,
    /// Of them, those that open a door or turn a motor.
    pub doors: usize,
    /// How they ended, and who said so.
    pub ends: BTreeMap<(String, String), usize>,
    /// Commands of which at first nobody knew.
    pub unknown: usize,
    /// The same by the fault that the command's request met.
    pub unknown_by_fault: BTreeMap<String, usize>,
    /// Commands by the fault or dialect that they met.
    pub by_fault: BTreeMap<String, usize>,
    /// Unknown ones that were left to a sensor or a person after maturity, by platform, operation and reason; true for those
    /// of which nothing that a vendor documents could tell, as the simulator's own record shows.
    pub by_sensor: BTreeMap<(bool, String), usize>,
    /// Doors that were refused at first because of another's unknown.
    pub refused_first: usize,
    /// Doors that were still refused after the other one was mature.
    pub refused: usize,
    /// Repetitions of a `request_id`.
    pub repeated: usize,
    /// Processes killed.
    pub kills: usize,
    /// Callbacks taken, duplicates, refused ones.
    pub callbacks: [u64; 3],
    /// Physical openings and redemptions.
    pub acts: usize,
    /// Commands that the journal still had something to say about.
    pub recorded: usize,
    /// What must not be.
    pub violations: Vec<String>,
    /// How long the commands took.
    pub took: Duration,
    /// How much time passed for everybody.
    pub passed: Duration,
}

impl Report {
    /// Of a hundred commands, those left to a sensor or a person; of a hundred doors, those refused because of another's
    /// unknown; both counted after maturity.
    pub fn shares(&self) -> (f64, f64) {
        let left: usize = self.by_sensor.values().sum();
        (
            100.0 * left as f64 / self.commands.max(1) as f64,
            100.0 * self.refused as f64 / self.doors.max(1) as f64,
        )
    }

    /// Whether no more is left to people than may be; on kind platforms nothing may be.
    pub fn shares_are_kept(&self, unkind: bool) -> bool {
        let (left, refused) = self.shares();
        let most = if unkind { (LEFT_MOST, REFUSED_MOST) } else { (0.0, 0.0) };
        left <= most.0 && refused <= most.1
    }

    /// Everything in words.
    pub fn words(&self) -> String {
        let mut text = String::new();
        let share = |n: usize| 100.0 * n as f64 / self.commands.max(1) as f64;
        let _ = writeln!(
            text,
            "{} commands in {:.0} s ({:.0} a second), in which {:.0} minutes passed for everybody; {} repetitions of a \
             request_id, {} processes killed, {} physical acts",
            self.commands,
            self.took.as_secs_f64(),
            self.commands as f64 / self.took.as_secs_f64().max(0.001),
            self.passed.as_secs_f64() / 60.0,
            self.repeated,
            self.kills,
            self.acts,
        );
        let _ = writeln!(
            text,
            "callbacks: {} taken, {} of them duplicates, {} refused",
            self.callbacks[0], self.callbacks[1], self.callbacks[2]
        );
        for ((outcome, how), n) in &self.ends {
            let _ = writeln!(text, "  {outcome:<9} by {how:<12} {n:>7}  {:>5.2} %", share(*n));
        }
        let _ = writeln!(
            text,
            "unknown at first: {} ({:.2} %), by what the request met:",
            self.unknown,
            share(self.unknown)
        );
        for (fault, n) in self.unknown_by_fault.iter().filter(|(_, n)| **n > 0) {
            let of = self.by_fault.get(fault).copied().unwrap_or(0);
            let _ = writeln!(text, "  {fault:<48} {n:>6} of {of:>6}");
        }
        let (left, refused) = self.shares();
        let _ = writeln!(
            text,
            "left to a sensor or a person after maturity: {left:.2} % (at most {LEFT_MOST} %)"
        );
        let floor: usize = self.by_sensor.iter().filter(|((floor, _), _)| *floor).map(|(_, n)| n).sum();
        let _ = writeln!(
            text,
            "  of these without any proof in the vendors' documents (*): {floor}, {:.2} %; others: {:.2} %",
            share(floor),
            left - share(floor)
        );
        for ((floor, what), n) in &self.by_sensor {
            let _ = writeln!(text, "  {n:>6} {} {what}", if *floor { "*" } else { " " });
        }
        let _ = writeln!(
            text,
            "doors refused because of another's unknown: {} before it was mature, after it {} ({refused:.2} % of {}, at \
             most {REFUSED_MOST} %)",
            self.refused_first, self.refused, self.doors
        );
        let _ = writeln!(text, "recorded in the journals at the end of their round: {}", self.recorded);
        for violation in self.violations.iter().take(20) {
            let _ = writeln!(text, "VIOLATION {violation}");
        }
        let _ = writeln!(text, "{} violations.", self.violations.len());
        text
    }
}
