//! The blob's own memcpy and its like do what those of libc do.

#[path = "../blob/src/memory/bytes.rs"]
mod bytes;

use std::cmp::Ordering;

/// All sizes up to some words and some beyond, all distances up to more than a word, both ways.
#[test]
fn overlapping_bytes_are_moved_as_if_they_did_not() {
    const LEN: usize = 600;
    const FARTHEST: usize = 20;
    let before: Vec<u8> = (0..=LEN + FARTHEST).map(|at| (at * 7 % 251) as u8).collect();
    for count in (0..=80).chain([127, 128, 129, 511, 512, 513, LEN]) {
        for (to, from) in (0..=FARTHEST).flat_map(|distance| [(0, distance), (distance, 0)]) {
            let (mut moved, mut expected) = (before.clone(), before.clone());
            expected.copy_within(from..from + count, to);
            let start = moved.as_mut_ptr();
            // SAFETY: both ranges lie in the vector.
            let result = unsafe { bytes::memmove(start.add(to), start.add(from), count) };
            assert_eq!((moved, result), (expected, start.wrapping_add(to)), "{count} bytes from {from} to {to}");
        }
    }
}

#[test]
fn the_first_byte_that_differs_decides() {
    let one: Vec<u8> = (0..32).collect();
    for count in 0..=one.len() {
        for (at, byte) in (0..one.len()).flat_map(|at| [(at, 0), (at, 0x80), (at, 0xff)]) {
            let mut other = one.clone();
            other[at] = byte;
            // Bytes behind it count for nothing.
            other[at + 1..].fill(0x7f);
            // SAFETY: both are that long.
            let result = unsafe { bytes::memcmp(one.as_ptr(), other.as_ptr(), count) };
            // SAFETY: as above.
            let differs = unsafe { bytes::bcmp(one.as_ptr(), other.as_ptr(), count) } != 0;
            let expected = one[..count].cmp(&other[..count]);
            assert_eq!(result.cmp(&0), expected, "{byte} at {at} of {count}");
            assert_eq!(differs, expected != Ordering::Equal);
        }
    }
}

#[test]
fn bytes_are_copied_and_filled() {
    for count in (0..=80).chain([255, 511, 512, 513, 600]) {
        let from: Vec<u8> = (0..count).map(|at| at as u8).collect();
        let mut to = vec![9; count + 2];
        // SAFETY: both are at least that long.
        unsafe { bytes::memcpy(to.as_mut_ptr().add(1), from.as_ptr(), count) };
        assert_eq!(to, [&[9], &*from, &[9]].concat());
        // SAFETY: as above.
        unsafe { bytes::memset(to.as_mut_ptr().add(1), 0x1_83, count) };
        assert_eq!(to, [&[9], &*vec![0x83; count], &[9]].concat());
    }
}
