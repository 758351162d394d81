//! Progress on standard error: bars on a terminal, a line per change elsewhere.
//!
//! A bar per app or job, redrawn at most ten times a second, never more of them than the screen has lines; the final
//! state stays. Where there is no terminal, a line with the time per change and one every half minute without any; never
//! control characters. Whoever waits calls [`Progress::bar`] as it learns something and [`Progress::beat`] about once a
//! second in between.

use crate::args::{self, Global};
use crate::look::{Look, Tone};
use crate::text::harmless;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The pause between two drawings: faster changes cannot be read.
const REDRAW: Duration = Duration::from_millis(100);
/// Without a terminal, when "still" is said.
const STILL: Duration = Duration::from_secs(30);
/// Characters of a bar.
const BAR: usize = 20;
/// What a terminal that does not tell its size is taken for.
const USUAL_SIZE: (usize, usize) = (80, 24);

/// What happens to one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Item {
    key: String,
    name: String,
    /// Done and wanted.
    count: Option<(u64, u64)>,
    note: String,
    began: Instant,
    state: State,
}

impl Item {
    /// Whether a reader could tell them apart.
    fn same(&self, other: &Item) -> bool {
        self.count == other.count
            && self.note == other.note
            && std::mem::discriminant(&self.state) == std::mem::discriminant(&other.state)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Going,
    Done(Duration),
    Failed(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Bars,
    Lines,
    Nothing,
}

/// The display of everything that is waited for. Clones are the same display.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<Mutex<Display>>);

#[derive(Debug)]
struct Display {
    how: How,
    look: Look,
    items: Vec<Item>,
    /// Lines on the screen that the next drawing replaces.
    drawn: usize,
    drawn_at: Option<Instant>,
    dirty: bool,
    said_at: Instant,
}

impl Progress {
    /// A display on standard error, as `--progress` and `--quiet` ask for.
    pub(crate) fn new(global: &Global) -> Progress {
        let is_terminal = io::stderr().is_terminal();
        let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
        let how = match global.progress {
            _ if global.quiet => How::Nothing,
            args::Progress::None => How::Nothing,
            args::Progress::Plain => How::Lines,
            args::Progress::Bar => How::Bars,
            args::Progress::Auto if is_terminal && !dumb => How::Bars,
            args::Progress::Auto => How::Lines,
        };
        let display = Display::new(how, Look::of(global, is_terminal));
        Progress(Arc::new(Mutex::new(display)))
    }

    /// How many of something are as wanted: `app /web`, 2, 3, `healthy`.
    pub(crate) fn bar(&self, key: &str, name: &str, done: u64, wanted: u64, note: &str) {
        self.display().set(key, name, Some((done, wanted)), note, None);
    }

    /// What something without a number does just now.
    pub(crate) fn phase(&self, key: &str, name: &str, note: &str) {
        self.display().set(key, name, None, note, None);
    }

    /// Something is as wanted; its line stays.
    pub(crate) fn done(&self, key: &str, name: &str, note: &str) {
        self.display().set(key, name, None, note, Some(true));
    }

    /// All of something are as wanted; its line stays.
    pub(crate) fn all(&self, key: &str, name: &str, count: u64, note: &str) {
        self.display()
            .set(key, name, Some((count, count)), note, Some(true));
    }

    /// Something failed; its line stays.
    pub(crate) fn failed(&self, key: &str, name: &str, note: &str) {
        self.display().set(key, name, None, note, Some(false));
    }

    /// A line of its own, above the bars.
    pub(crate) fn line(&self, text: &str) {
        self.display().line(text);
    }

    /// Lines that are kept as they are, above the bars.
    pub(crate) fn block(&self, text: &str) {
        self.display().block(text);
    }

    /// Time has passed: draws what was held back, and says "still" where that is due.
    pub(crate) fn beat(&self) {
        self.display().beat();
    }

    /// The final state stays on the screen; what comes next begins below it.
    pub(crate) fn finish(&self) {
        self.display().finish();
    }

    /// A display that somebody's panic left half drawn is still good enough.
    fn display(&self) -> MutexGuard<'_, Display> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Display {
    fn new(how: How, look: Look) -> Display {
        Display {
            how,
            look,
            items: Vec::new(),
            drawn: 0,
            drawn_at: None,
            dirty: false,
            said_at: Instant::now(),
        }
    }

    fn set(&mut self, key: &str, name: &str, count: Option<(u64, u64)>, note: &str, ended: Option<bool>) {
        let found = self.items.iter().position(|item| item.key == key);
        let before = found.and_then(|index| self.items.get(index)).cloned();
        let began = before.as_ref().map_or_else(Instant::now, |item| item.began);
        let item = Item {
            key: key.to_owned(),
            name: harmless(name),
            // The end keeps the last number: "3/3".
            count: count.or(before
                .as_ref()
                .and_then(|item| item.count)
                .filter(|_| ended.is_some())),
            note: harmless(note),
            began,
            state: match ended {
                None => State::Going,
                Some(true) => State::Done(began.elapsed()),
                Some(false) => State::Failed(began.elapsed()),
            },
        };
        if before.is_some_and(|before| before.same(&item)) {
            return;
        }
        if self.how == How::Lines {
            self.say(&plain(&item));
        }
        match found.and_then(|index| self.items.get_mut(index)) {
            Some(place) => *place = item,
            None => self.items.push(item),
        }
        self.dirty = true;
        self.draw(ended.is_some());
    }

    fn line(&mut self, text: &str) {
        match self.how {
            How::Nothing => {}
            How::Lines => self.say(&harmless(text)),
            How::Bars => self.block(&format!("{text}\n")),
        }
    }

    fn block(&mut self, text: &str) {
        if self.how == How::Nothing {
            return;
        }
        let out = self.clear() + text;
        self.drawn = 0;
        self.dirty = true;
        self.write(&out);
        self.draw(true);
    }

    fn beat(&mut self) {
        match self.how {
            How::Nothing => {}
            How::Bars => {
                // The seconds of what goes on.
                self.dirty = self.dirty || self.items.iter().any(|item| item.state == State::Going);
                self.draw(false);
            }
            How::Lines if self.said_at.elapsed() >= STILL => {
                let going = self.items.iter().filter(|item| item.state == State::Going);
                let lines: Vec<String> = going.map(|item| format!("still {}", plain(item))).collect();
                self.said_at = Instant::now();
                for line in lines {
                    self.say(&line);
                }
            }
            How::Lines => {}
        }
    }

    fn finish(&mut self) {
        self.dirty = true;
        self.draw(true);
        self.items.clear();
        self.drawn = 0;
    }

    fn say(&mut self, line: &str) {
        self.said_at = Instant::now();
        let now = jiff::Zoned::now().strftime("%H:%M:%S").to_string();
        self.write(&format!("{now} {line}\n"));
    }

    fn draw(&mut self, at_once: bool) {
        let rested = self.drawn_at.is_none_or(|at| at.elapsed() >= REDRAW);
        if self.how != How::Bars || !self.dirty || !(at_once || rested) {
            return;
        }
        let (width, height) = terminal_size::terminal_size_of(io::stderr())
            .map_or(USUAL_SIZE, |(w, h)| (usize::from(w.0), usize::from(h.0)));
        let lines = rows(&self.items, self.look, width, height.saturating_sub(2).max(1));
        let mut out = self.clear();
        for line in &lines {
            let _ = writeln!(out, "{line}");
        }
        self.drawn = lines.len();
        self.drawn_at = Some(Instant::now());
        self.dirty = false;
        self.write(&out);
    }

    /// Puts the cursor where the last drawing began, and clears from there.
    fn clear(&self) -> String {
        match self.drawn {
            0 => String::new(),
            lines => format!("\u{1b}[{lines}A\u{1b}[J"),
        }
    }

    fn write(&self, text: &str) {
        // Progress that nobody can see any more is no reason to stop.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// One line per item, as many as fit; what goes on comes first when they do not.
fn rows(items: &[Item], look: Look, width: usize, height: usize) -> Vec<String> {
    let names = items.iter().map(|item| item.name.chars().count()).max();
    let names = names.unwrap_or(0).min(40);
    let fits = items.len() <= height;
    let room = if fits { height } else { height.saturating_sub(1) };
    let mut shown: Vec<&Item> = items.iter().collect();
    if !fits {
        shown.sort_by_key(|item| matches!(item.state, State::Done(_)));
    }
    let mut lines: Vec<String> = shown
        .iter()
        .take(room)
        .map(|item| row(item, look, names, width))
        .collect();
    if !fits {
        lines.push(format!("  and {} more", items.len() - room.min(items.len())));
    }
    lines
}

fn row(item: &Item, look: Look, names: usize, width: usize) -> String {
    let (mark, time) = match item.state {
        State::Going => ("+", item.began.elapsed()),
        State::Done(time) => ("+", time),
        State::Failed(time) => ("x", time),
    };
    let bar = match item.count {
        Some((done, wanted)) => {
            let full = filled(done, wanted);
            format!(
                "[{}{}]  {done}/{wanted} ",
                "=".repeat(full),
                " ".repeat(BAR - full)
            )
        }
        None => String::new(),
    };
    let text = format!(
        "{mark} {:names$}  {bar}{}  {:.1}s",
        item.name,
        item.note,
        time.as_secs_f64()
    );
    // Never wider than the screen: a line that wraps cannot be replaced.
    let text: String = text.chars().take(width.saturating_sub(1)).collect();
    match item.state {
        State::Going => text,
        State::Done(_) => look.paint(Tone::Good, &text),
        State::Failed(_) => look.paint(Tone::Bad, &text),
    }
}

fn filled(done: u64, wanted: u64) -> usize {
    if wanted == 0 {
        return BAR;
    }
    let part = (done.min(wanted) as f64) / (wanted as f64);
    ((part * BAR as f64) as usize).min(BAR)
}

fn plain(item: &Item) -> String {
    let count = item
        .count
        .map_or(String::new(), |(done, wanted)| format!("{done}/{wanted} "));
    match item.state {
        State::Going => format!("{}  {count}{}", item.name, item.note),
        State::Done(time) => format!("{}  {count}{}  {:.1}s", item.name, item.note, time.as_secs_f64()),
        State::Failed(time) => format!(
            "{}  {count}{}, after {:.1}s",
            item.name,
            item.note,
            time.as_secs_f64()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, count: Option<(u64, u64)>, note: &str, state: State) -> Item {
        Item {
            key: name.to_owned(),
            name: name.to_owned(),
            count,
            note: note.to_owned(),
            began: Instant::now(),
            state,
        }
    }

    #[test]
    fn a_bar_shows_how_far_it_is() {
        let items = [
            item(
                "app /web",
                Some((1, 2)),
                "healthy",
                State::Done(Duration::from_millis(1900)),
            ),
            item(
                "job clock",
                None,
                "first run ok",
                State::Done(Duration::from_millis(300)),
            ),
        ];
        assert_eq!(
            rows(&items, Look::default(), 80, 10),
            [
                "+ app /web   [==========          ]  1/2 healthy  1.9s",
                "+ job clock  first run ok  0.3s",
            ]
        );
        assert_eq!((filled(0, 0), filled(5, 3), filled(0, 3)), (BAR, BAR, 0));
    }

    #[test]
    fn never_more_lines_than_the_screen_has_and_none_wraps() {
        let done = State::Done(Duration::ZERO);
        let items: Vec<Item> = (0..9)
            .map(|n| {
                item(
                    &format!("app /{n}"),
                    None,
                    "a long note",
                    if n < 6 { done } else { State::Going },
                )
            })
            .collect();
        let lines = rows(&items, Look::default(), 20, 4);
        assert_eq!(lines.len(), 4);
        assert!(lines[0].starts_with("+ app /6"), "{lines:?}");
        assert_eq!(lines[3], "  and 6 more");
        assert!(lines.iter().all(|line| line.chars().count() < 20), "{lines:?}");
    }

    #[test]
    fn lines_without_a_terminal_have_no_control_characters() {
        let failed = item(
            "app /web",
            Some((1, 3)),
            "no room",
            State::Failed(Duration::from_secs(5)),
        );
        assert_eq!(plain(&failed), "app /web  1/3 no room, after 5.0s");
        let mut progress = Display::new(How::Nothing, Look::default());
        progress.set("k", "app /web", Some((0, 3)), "a\u{1b}[2Jb", None);
        assert_eq!(progress.items[0].note, "a [2Jb");
    }

    #[test]
    fn the_end_keeps_the_last_number() {
        let mut progress = Display::new(How::Nothing, Look::default());
        progress.set("k", "app /web", Some((3, 3)), "healthy", None);
        progress.set("k", "app /web", None, "healthy", Some(true));
        assert_eq!(progress.items[0].count, Some((3, 3)));
        assert!(matches!(progress.items[0].state, State::Done(_)));
    }
}
