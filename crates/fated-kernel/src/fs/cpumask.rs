//! Sets of processors as text, as proc and sysfs write them.

use alloc::{format, string::String, vec::Vec};
use core::fmt::Write as _;

/// A bit for each of the processors `set`, of `all`, in words of 32, the highest first.
#[must_use]
pub fn mask(set: impl Iterator<Item = u32>, all: u32) -> String {
    let mut words = alloc::vec![0u32; all.div_ceil(32) as usize];
    for cpu in set {
        if let Some(word) = words.get_mut(cpu as usize / 32) {
            *word |= 1 << (cpu % 32);
        }
    }
    let mut text = String::new();
    for word in words.iter().rev() {
        // Only the highest word is as short as it can be.
        let _ = if text.is_empty() { write!(text, "{word:x}") } else { write!(text, ",{word:08x}") };
    }
    text
}

/// The processors `set`, ascending, as ranges.
#[must_use]
pub fn ranges(set: impl Iterator<Item = u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for cpu in set {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == cpu => *last = cpu,
            _ => ranges.push((cpu, cpu)),
        }
    }
    let show = |&(from, to): &(u32, u32)| if from == to { format!("{from}") } else { format!("{from}-{to}") };
    ranges.iter().map(show).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::{mask, ranges};

    #[test]
    fn sets_of_processors_are_written_as_linux_does() {
        assert_eq!((mask(0..1, 1).as_str(), ranges(0..1).as_str()), ("1", "0"));
        assert_eq!((mask(0..70, 70).as_str(), ranges(0..70).as_str()), ("3f,ffffffff,ffffffff", "0-69"));
        let some = [0, 1, 3, 33];
        assert_eq!(mask(some.into_iter(), 40), "2,0000000b");
        assert_eq!(ranges(some.into_iter()), "0-1,3,33");
    }
}
