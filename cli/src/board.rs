//! The live table of `kiosklink listen`: a line for each type of callback below the lines that come, where a terminal shows it.
//!
//! What is printed goes through the board: the table is taken away, the line is printed, the table is drawn again below it. Elsewhere
//! than on a terminal the lines are plain, and the table comes once, at the end, if it is asked for.

use crate::lang::t;
use crate::out::{Stop, columns, note, padded, say, time_of_day, width};
use kiosklink::log::mask;
use std::io::{self, IsTerminal};
use std::sync::{Mutex, MutexGuard, PoisonError};
use unicode_width::UnicodeWidthChar;

/// What became of a callback.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was handed on.
    Taken,
    /// It had been handed on before.
    Again,
    /// It was not taken.
    Refused,
}

/// One type of callback.
#[derive(Default)]
struct Row {
    name: String,
    taken: u64,
    again: u64,
    refused: u64,
    /// When the last one came, Unix seconds.
    last: i64,
    /// Why the last one that was refused was.
    why: String,
}

#[derive(Default)]
struct State {
    rows: Vec<Row>,
    /// So many lines of it are on the screen.
    drawn: usize,
    /// Something else writes to the screen.
    hidden: usize,
}

/// The table and what is printed above it.
pub struct Board {
    /// Whose callbacks they are.
    account: String,
    live: bool,
    at_end: bool,
    state: Mutex<State>,
}

/// The size of the screen, in columns and rows.
#[derive(Clone, Copy)]
struct Size {
    columns: usize,
    rows: usize,
}

impl Board {
    /// Live on a terminal that can move its cursor; `wanted`: asked for. Not for a program.
    pub fn new(account: &str, wanted: bool, json: bool) -> Board {
        let able = io::stdout().is_terminal() && std::env::var_os("TERM").is_some_and(|term| term != "dumb");
        let live = able && !json;
        Board { account: account.to_owned(), live, at_end: wanted && !live, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line of the standard output.
    pub fn say(&self, line: &str) -> Result<(), Stop> {
        self.above(|| say(line))
    }

    /// A line about what is going on.
    pub fn note(&self, line: &str) {
        // Nothing depends on the table.
        let _ = self.above(|| {
            note(line);
            Ok(())
        });
    }

    /// Prints above the table.
    fn above(&self, print: impl FnOnce() -> Result<(), Stop>) -> Result<(), Stop> {
        if !self.live {
            return print();
        }
        let mut state = self.state();
        let cleared = clear(&mut state);
        print()?;
        cleared?;
        self.draw(&mut state)
    }

    /// One more callback of this type.
    pub fn count(&self, name: &str, fate: Fate, now: i64, why: &str) {
        let mut state = self.state();
        let at = match state.rows.iter().position(|row| row.name == name) {
            Some(at) => at,
            None => {
                state.rows.push(Row { name: name.to_owned(), ..Row::default() });
                state.rows.len() - 1
            }
        };
        let row = &mut state.rows[at];
        row.last = now;
        match fate {
            Fate::Taken => row.taken += 1,
            Fate::Again => row.again += 1,
            Fate::Refused => {
                row.refused += 1;
                // One line of it is shown.
                row.why = mask(why).replace(|c: char| c.is_control(), " ");
            }
        }
        if self.live {
            // The next line says that the output ended, if it did.
            let _ = clear(&mut state).and_then(|()| self.draw(&mut state));
        }
    }

    /// Leaves the screen to something else, until what is returned is dropped.
    pub fn hidden(&self) -> Hidden<'_> {
        let mut state = self.state();
        if self.live {
            let _ = clear(&mut state);
        }
        state.hidden += 1;
        Hidden(self)
    }

    /// The table for where there is no live one.
    pub fn end(&self) -> Result<(), Stop> {
        let state = self.state();
        if !self.at_end || state.rows.is_empty() {
            return Ok(());
        }
        let size = Size { columns: width(), rows: usize::MAX };
        lines(&self.account, &state.rows, size).iter().try_for_each(|line| say(line))
    }

    fn draw(&self, state: &mut State) -> Result<(), Stop> {
        if state.rows.is_empty() || state.hidden > 0 {
            return Ok(());
        }
        let rows = rustix::termios::tcgetwinsize(io::stdout()).map_or(24, |size| size.ws_row.into());
        let all = lines(&self.account, &state.rows, Size { columns: width(), rows });
        say(&all.join("\n"))?;
        state.drawn = all.len();
        Ok(())
    }
}

/// Takes the table off the screen: the cursor stands below it.
fn clear(state: &mut State) -> Result<(), Stop> {
    let lines = std::mem::take(&mut state.drawn);
    if lines == 0 {
        return Ok(());
    }
    use std::io::Write;
    let mut out = io::stdout().lock();
    write!(out, "\r\x1b[{lines}A\x1b[J")?;
    out.flush()?;
    Ok(())
}

/// While it lives, the table is not shown.
pub struct Hidden<'a>(&'a Board);

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.hidden -= 1;
        if self.0.live {
            let _ = self.0.draw(&mut state);
        }
    }
}

/// A text cut to so many columns.
fn cut(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut wide = 0;
    for c in text.chars() {
        wide += c.width().unwrap_or(0);
        // One for the mark that it was cut, which may be two wide.
        if wide + 2 > most {
            break;
        }
        out.push(c);
    }
    out + "…"
}

/// The lines of the table: none is wider than the screen, and all together are not higher.
fn lines(account: &str, rows: &[Row], size: Size) -> Vec<String> {
    let narrow = size.columns < 60;
    let right = |text: &str, wide: usize| format!("{}{text}", " ".repeat(wide.saturating_sub(columns(text))));
    let name_wide = rows.iter().map(|row| columns(&row.name)).max().unwrap_or(0).clamp(8, 16);
    let cells = |name: &str, [taken, again, refused, last]: [&str; 4]| {
        let mut line = padded(&cut(name, name_wide), name_wide);
        line.push_str(&right(taken, 6));
        if !narrow {
            line.push_str(&right(again, 7));
        }
        line.push_str(&right(refused, 8));
        line.push_str(&right(last, 9));
        line
    };
    let titles = [t("taken"), t("again"), t("refused"), t("last")];
    let mut head = cells(account, titles);
    if !narrow {
        head = cut(&format!("{head}  {}", t("last refusal")), size.columns);
    }
    let of_row = |row: &Row| {
        let time = time_of_day(row.last);
        let [taken, again, refused] = [row.taken, row.again, row.refused].map(|n| n.to_string());
        let line = cells(&row.name, [&taken, &again, &refused, &time]);
        match (row.why.as_str(), narrow) {
            ("", _) => vec![line],
            (why, true) => vec![line, cut(&format!("  {why}"), size.columns)],
            (why, false) => vec![cut(&format!("{line}  {why}"), size.columns)],
        }
    };
    // Where not all have room, those that came last are shown.
    let room = size.rows.saturating_sub(3);
    let mut shown: Vec<(usize, Vec<String>)> = rows.iter().map(of_row).enumerate().collect();
    while shown.len() > 1 && shown.iter().map(|(_, lines)| lines.len()).sum::<usize>() > room {
        let oldest = shown.iter().enumerate().min_by_key(|(_, (row, _))| rows[*row].last);
        let Some((at, _)) = oldest else { break };
        shown.remove(at);
    }
    [head].into_iter().chain(shown.into_iter().flat_map(|(_, lines)| lines)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, last: i64, why: &str) -> Row {
        Row { name: name.to_owned(), taken: 123_456, refused: 7, last, why: why.to_owned(), ..Row::default() }
    }

    #[test]
    fn no_line_is_wider_than_the_screen_and_the_newest_are_shown() {
        let why = "签名不对：这个回调不是平台发来的, or the secret is another one: ".repeat(3);
        let rows: Vec<Row> =
            (0..30).map(|n| row(&format!("kind_{n}_{}", "x".repeat(n)), n as i64, &why)).collect();
        for columns_wide in [20, 40, 59, 60, 80, 100] {
            for high in [4, 10, 24, 1000] {
                let all =
                    lines("an account with a long name", &rows, Size { columns: columns_wide, rows: high });
                let widest = all.iter().map(|line| columns(line)).max().unwrap();
                assert!(widest <= columns_wide.max(40), "{columns_wide}: {all:#?}");
                assert!(all.len() <= high.max(4), "{high}: {}", all.len());
                assert!(all.iter().any(|line| line.starts_with("kind_29_")), "{all:#?}");
            }
        }
        let all = lines("x", &rows, Size { columns: 80, rows: 1000 });
        assert_eq!(all.len(), 31);
        assert!(
            all[1].contains("00:00:00") && all[1].contains("123456") && all[1].ends_with('…'),
            "{}",
            all[1]
        );
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(columns(&cut("abcdef", 4)).max(4), 4);
        assert!(cut("abcdef", 4).ends_with('…') && cut("门门门门", 5).starts_with('门'));
    }
}
