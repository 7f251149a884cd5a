//! The line of time as a picture: one file, no script, nothing fetched, readable on a light and on a dark ground.

use super::{Kind, Moment, Source, Story, day_and_time, offset, zone};
use crate::lang::{chinese, t};
use crate::out::wrapped;
use crate::tr;

const WIDE: usize = 760;
/// Where the line stands, and where the words begin.
const LINE: usize = 210;
const WORDS: usize = 322;
/// How many columns of words fit beside it.
const COLUMNS: usize = 58;
const ROW: usize = 18;

/// As XML has a text; what XML cannot hold is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Which colour a moment has; its sign and its words say the same.
fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Lost | Kind::NotDone => "bad",
        Kind::Found | Kind::Completed | Kind::Settled | Kind::Moved => "good",
        Kind::Restart | Kind::Clock => "warn",
        _ => "plain",
    }
}

/// A round sign for the device, a square for the platform, a diamond for the log; a cross for what was lost.
fn sign(m: &Moment, y: usize) -> String {
    let class = class(m.kind);
    match (m.kind, m.source) {
        (Kind::Lost, _) => format!(
            "<path class=\"cross {class}\" d=\"M{} {}l12 12m0 -12l-12 12\"/>",
            LINE - 6,
            y.saturating_sub(6)
        ),
        (_, Source::Journal) => format!("<circle class=\"{class}\" cx=\"{LINE}\" cy=\"{y}\" r=\"6\"/>"),
        (_, Source::Simulator) => {
            format!(
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"12\" height=\"12\"/>",
                LINE - 6,
                y.saturating_sub(6)
            )
        }
        (_, Source::Log) => {
            format!("<path class=\"{class}\" d=\"M{LINE} {}l7 7l-7 7l-7 -7z\"/>", y.saturating_sub(7))
        }
    }
}

/// How much room is left before a moment: more where more time passed.
fn gap(ms: i64) -> usize {
    match ms {
        ..100 => 8,
        100..1_000 => 14,
        1_000..60_000 => 24,
        _ => 38,
    }
}

/// The picture.
pub fn draw(story: &Story) -> String {
    let mut body = String::new();
    let title = tr!("The story of {}", story.id);
    let text = |class: &str, x: usize, y: usize, words: &str| {
        format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{}</text>\n", escaped(words))
    };
    let mut y = 34;
    body.push_str(&text("title", 20, y, &title));
    for (name, cell) in story.head.iter().filter(|(name, _)| *name != "request_id") {
        let words = cell.words();
        if words.is_empty() {
            continue;
        }
        y += if y == 34 { 26 } else { ROW };
        body.push_str(&text("soft", 20, y, name));
        body.push_str(&text("", 170, y, &words));
    }
    y += 30;
    let top = y;
    let (mut day, mut before) = (String::new(), 0);
    let mut marks = String::new();
    for m in &story.moments {
        let (today, time) = day_and_time(m);
        if today != day {
            body.push_str(&text("soft", 20, y, &format!("{today} {}", zone())));
            day = today;
            y += ROW;
        }
        y += gap(m.offset_ms.saturating_sub(before));
        before = m.offset_ms;
        marks.push_str(&sign(m, y - 4));
        marks.push('\n');
        body.push_str(&text("mono", 20, y, &time));
        body.push_str(&format!(
            "<text class=\"mono end\" x=\"{}\" y=\"{y}\">{}</text>\n",
            LINE - 18,
            escaped(&offset(m))
        ));
        body.push_str(&text(&format!("kind {}", class(m.kind)), LINE + 18, y, m.kind.words()));
        for (i, line) in wrapped(&Story::said(m), 0, COLUMNS).lines().enumerate() {
            if i > 0 {
                y += ROW;
            }
            body.push_str(&text("", WORDS, y, line.trim_start()));
        }
        y += ROW;
    }
    let bottom = y;
    let mut notes = story.notes.clone();
    if story.moments.iter().any(|m| m.source != Source::Journal) {
        notes.push(tr!("Round: the device's journal. Square: the simulator. Diamond: the log. Cross: lost."));
    }
    notes.push(t("Secrets are left out.").to_owned());
    y += 12;
    for note in &notes {
        for line in wrapped(note, 0, COLUMNS + 34).lines() {
            body.push_str(&text("soft", 20, y, line.trim_start()));
            y += ROW;
        }
    }
    let language = if chinese() { "zh" } else { "en" };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDE}\" height=\"{y}\" viewBox=\"0 0 {WIDE} {y}\" role=\"img\" \
         xml:lang=\"{language}\" aria-labelledby=\"title\">\n<title id=\"title\">{}</title>\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDE}\" height=\"{y}\"/>\n<path class=\"line\" d=\"M{LINE} {top}V{bottom}\"/>\n{marks}{body}</svg>\n",
        escaped(&title)
    )
}

const STYLE: &str = "\
text{font:13px system-ui,'Noto Sans','Noto Sans CJK SC','WenQuanYi Micro Hei',sans-serif;fill:#15222b}\
.title{font-size:17px;font-weight:650}.soft{fill:#51626e}.mono{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:12px}\
.end{text-anchor:end}.kind{font-weight:650}.ground{fill:#fbfcfd}.line{stroke:#7d8f9b;stroke-width:2}\
circle,rect,path{stroke-width:2}.plain{stroke:#0f6b7a;fill:#dff0f2}.good{stroke:#1d6b41;fill:#e0f2e7}.warn{stroke:#8a5200;fill:#fdf0d6}\
.bad{stroke:#a52a2a;fill:#fbe5e3}.cross{stroke-width:4;fill:none}\
text.plain,text.good,text.warn,text.bad{stroke:none}text.plain{fill:#0f6b7a}text.good{fill:#1d6b41}text.warn{fill:#8a5200}text.bad{fill:#a52a2a}\
@media(prefers-color-scheme:dark){text{fill:#e5edf1}.soft{fill:#9db0bc}.ground{fill:#172027}.line{stroke:#647884}\
.plain{stroke:#5cc3d2;fill:#123840}.good{stroke:#7ed3a0;fill:#153625}.warn{stroke:#f0bf6a;fill:#3b2c10}.bad{stroke:#f59a92;fill:#431f1d}.cross{fill:none}\
text.plain{fill:#5cc3d2}text.good{fill:#7ed3a0}text.warn{fill:#f0bf6a}text.bad{fill:#f59a92}}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_text_becomes_markup() {
        let id = "<script>alert('x')</script>&\u{1b}[31m";
        let moment = Moment {
            kind: Kind::Lost,
            source: Source::Log,
            wall_s: 1_700_000_000,
            offset_ms: 5,
            rough: true,
            words: "\"<b>\u{ffff}".into(),
            number: 1,
        };
        let story = Story {
            id: id.into(),
            head: Vec::new(),
            account: "{}".into(),
            moments: vec![moment],
            notes: vec!["<i>".into()],
        };
        let picture = draw(&story);
        assert!(
            !picture.contains("<script") && !picture.contains("<b>") && !picture.contains("<i>"),
            "{picture}"
        );
        assert!(picture.contains("&lt;script&gt;") && !picture.contains('\u{1b}'), "{picture}");
        assert!(!picture.contains("href") && !picture.contains("url("), "{picture}");
    }
}
