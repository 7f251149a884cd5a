//! What is left of a done command that was forgotten: its fingerprint, as it stands in the journal, and a table of them.

use crate::json::Bad;

/// The fingerprint of a done command that was forgotten, as it stands in the journal and in memory: 16 characters of its name,
/// keyed, so that the name is not to be found out from it; 6 of what it was about; 7 of its claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Print(pub [u8; PRINT]);

/// The length of one.
const PRINT: usize = 29;
/// Six bits each, in the order of their values: what is greater as a text is greater.
const SEXTETS: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

impl Print {
    /// The length of its text.
    pub const LENGTH: usize = PRINT;

    /// Its text.
    pub fn text(&self) -> [u8; PRINT] {
        self.0
    }

    /// Of a command: its name's fingerprint, a sum of what it was about, its claim.
    #[inline(never)]
    pub fn new(name: &[u8; 12], act: u32, claim: u64) -> Print {
        let mut print = [0; PRINT];
        print[..16].copy_from_slice(&sextets(name));
        put(&mut print[16..22], act.into());
        put(&mut print[22..], claim.min((1 << 42) - 1));
        Print(print)
    }

    /// Those of a record.
    ///
    /// # Errors
    ///
    /// It has another length than so many of them.
    #[inline(never)]
    pub fn all(text: &str) -> Result<Vec<[u8; PRINT]>, Bad> {
        if text.len() % PRINT != 0 || !text.is_ascii() {
            return Err(Bad::new("prints", "has a wrong length"));
        }
        let mut prints = vec![[0; PRINT]; text.len() / PRINT];
        prints.as_flattened_mut().copy_from_slice(text.as_bytes());
        Ok(prints)
    }

    /// Its name as a number, for comparing.
    fn name_of(print: &[u8; PRINT]) -> u128 {
        print.first_chunk().map_or(0, |name| u128::from_le_bytes(*name))
    }

    /// Whose claim is the older one has the smaller number.
    pub fn order(print: &[u8; PRINT]) -> u64 {
        print.last_chunk().map_or(0, |end| u64::from_be_bytes(*end) & ((1 << 56) - 1))
    }

    /// Of its name, see [`Print::key`].
    pub fn name(&self) -> &[u8; 16] {
        self.0.first_chunk().unwrap_or(&[0; 16])
    }

    /// A number that is another one for another name, mostly: the characters are of a keyed hash.
    fn hash(name: u128) -> usize {
        ((name as u64 ^ (name >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as usize
    }

    /// How a name's fingerprint is found.
    pub fn key(name: &[u8; 12]) -> [u8; 16] {
        sextets(name)
    }

    /// Of what it was about.
    pub fn act(&self) -> u32 {
        taken(&self.0[16..22]) as u32
    }

    /// Its claim.
    pub fn claim(&self) -> u64 {
        taken(&self.0[22..])
    }
}

/// Twelve bytes as sixteen characters, six bits each.
#[inline(never)]
pub fn sextets(bytes: &[u8; 12]) -> [u8; 16] {
    let mut out = [0; 16];
    for (four, three) in out.chunks_exact_mut(4).zip(bytes.chunks_exact(3)) {
        put(four, u64::from(three[0]) << 16 | u64::from(three[1]) << 8 | u64::from(three[2]));
    }
    out
}

/// The twelve bytes that such characters stand for.
#[inline(never)]
pub fn unsextets(text: &[u8]) -> Option<[u8; 12]> {
    let mut out = [0; 12];
    if text.len() != 16 || text.iter().any(|c| sextet(*c).is_none()) {
        return None;
    }
    for (six, eight) in out.chunks_exact_mut(6).zip(text.chunks_exact(8)) {
        six.copy_from_slice(&taken(eight).to_be_bytes()[2..]);
    }
    Some(out)
}

fn put(out: &mut [u8], mut bits: u64) {
    for place in out.iter_mut().rev() {
        *place = SEXTETS[(bits & 63) as usize];
        bits >>= 6;
    }
}

#[inline(never)]
fn taken(text: &[u8]) -> u64 {
    text.iter().fold(0, |all, c| all << 6 | u64::from(sextet(*c).unwrap_or(0)))
}

/// Its place in [`SEXTETS`].
fn sextet(c: u8) -> Option<u8> {
    Some(match c {
        b'-' => 0,
        b'0'..=b'9' => c - b'0' + 1,
        b'A'..=b'Z' => c - b'A' + 11,
        b'_' => 37,
        b'a'..=b'z' => c - b'a' + 38,
        _ => return None,
    })
}

/// The fingerprints of done commands, the oldest first, and where each is: a table of places, each at its name or behind it.
#[derive(Clone, Debug, Default)]
pub struct Prints {
    all: Vec<[u8; Print::LENGTH]>,
    /// How many have left at the front.
    gone: u32,
    /// A place counts from 1 and from the first that ever was; 0 is none. The length is a power of two, and some of it is free.
    places: Vec<u32>,
    /// How many places are not free, though what was there may have left.
    taken: usize,
}

impl Prints {
    /// All of them, the oldest first.
    pub fn all(&self) -> &[[u8; Print::LENGTH]] {
        &self.all
    }

    /// The one of a name.
    #[inline(never)]
    pub fn get(&self, name: &[u8; 12]) -> Option<Print> {
        self.at(self.slot(u128::from_le_bytes(Print::key(name)))?).map(|at| Print(self.all[at]))
    }

    /// Where that of this place is; nothing if there is none, or if it has left.
    fn at(&self, slot: usize) -> Option<usize> {
        let at = self.places[slot].wrapping_sub(1).wrapping_sub(self.gone) as usize;
        if self.places[slot] != 0 && at < self.all.len() { Some(at) } else { None }
    }

    /// Where this name is in the table, or would be.
    fn slot(&self, name: u128) -> Option<usize> {
        let last = self.places.len().checked_sub(1)?;
        let mut slot = Print::hash(name) & last;
        loop {
            let place = self.places[slot];
            let at = place.wrapping_sub(1).wrapping_sub(self.gone) as usize;
            let known = self.all.get(at).map(Print::name_of);
            if place == 0 || known == Some(name) {
                return Some(slot);
            }
            slot = (slot + 1) & last;
        }
    }

    /// More of them; some may be known.
    #[inline(never)]
    pub fn add(&mut self, more: &[[u8; Print::LENGTH]]) {
        let before = self.all.len();
        if (self.taken + more.len()) * 4 > self.places.len() * 3 {
            self.places = vec![0; ((before + more.len()) * 3).max(1024).next_power_of_two()];
            self.find_places();
        }
        self.all.extend_from_slice(more);
        let mut at = before;
        while let Some(print) = self.all.get(at) {
            let Some(slot) = self.slot(Print::name_of(print)) else { return };
            match self.at(slot) {
                Some(known) if known != at => {
                    self.all[known] = self.all[at];
                    self.all.remove(at);
                }
                _ => {
                    self.place(slot, at);
                    at += 1;
                }
            }
        }
        // Mostly the newest come last.
        let mut moved = false;
        for place in before.max(1)..self.all.len() {
            let claim = Print::order(&self.all[place]);
            if claim < Print::order(&self.all[place - 1]) {
                let at = self.all[..place].partition_point(|other| Print::order(other) < claim);
                self.all[at..=place].rotate_right(1);
                moved = true;
            }
        }
        if moved {
            self.find_places();
        }
    }

    fn place(&mut self, slot: usize, at: usize) {
        self.places[slot] = (at as u32).wrapping_add(self.gone).wrapping_add(1);
        self.taken += 1;
    }

    fn find_places(&mut self) {
        self.places.fill(0);
        (self.taken, self.gone) = (0, 0);
        for at in 0..self.all.len() {
            if let Some(slot) = self.slot(Print::name_of(&self.all[at])) {
                self.place(slot, at);
            }
        }
    }

    /// Leaves the newest so many; gives the newest of those that are gone. Their places stay taken until there are many.
    #[inline(never)]
    pub fn leave(&mut self, most: usize) -> Option<Print> {
        let last = self.all.len().checked_sub(most + 1)?;
        let gone = self.all[last];
        self.all.drain(..=last);
        self.gone += last as u32 + 1;
        Some(Print(gone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_its_text() {
        let name = [1, 2, 3, 250, 251, 252, 0, 0, 0, 255, 255, 255];
        let print = Print::new(&name, 0xfedc_ba98, 123_456_789_012);
        assert_eq!((print.act(), print.claim()), (0xfedc_ba98, 123_456_789_012));
        assert_eq!(print.name(), &Print::key(&name));
        for (value, c) in SEXTETS.iter().enumerate() {
            assert_eq!(sextet(*c), Some(value as u8));
        }
        assert_eq!(b".:@[`{~".map(sextet), [None; 7]);
        assert_eq!(unsextets(print.name()), Some(name));
        let later = Print::new(&name, 0, 123_456_789_013);
        assert!(Print::order(&print.0) < Print::order(&later.0));
        assert_eq!(
            Print::all(std::str::from_utf8(&[print.0, later.0].concat()).unwrap()).unwrap(),
            [print.0, later.0]
        );
    }
}
