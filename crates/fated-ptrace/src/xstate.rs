//! The extended state (FPU, SSE, AVX…), converted between ptrace's format and that of a signal frame.
//!
//! Both use the standard format of `xsave`. A frame lists its components in `sw_reserved` and ends with a magic number
//! (`<asm/sigcontext.h>`, `struct _fpx_sw_bytes`).
//!
//! A processor without `xsave` has x87 and SSE alone: then ptrace and a frame have what `fxsave` stores, without a list.
//!
//! Invariant: a frame holds x87, SSE and AVX, and of the other components those that the task uses. So it is the same on machines with and
//! without AVX-512 and AMX.

use crate::sys::{self, Os, RealTid};
use fated_engine::cpuid;
use fated_kernel::errno::Errno;
use std::ops::Range;
use std::sync::OnceLock;

/// The offset of `sw_reserved`, which lists the components of a frame.
const SOFTWARE: usize = 464;
/// `FP_XSTATE_MAGIC1`, `FP_XSTATE_MAGIC2`.
const MAGIC1: u32 = 0x4650_5853;
const MAGIC2: u32 = 0x4650_5845;
/// The size of the area that `fxsave` stores.
const LEGACY: usize = 512;
/// The header. It begins with `xstate_bv`, and the components follow it.
const HEADER: Range<usize> = LEGACY..LEGACY + 64;
/// x87, SSE, AVX.
const USUAL: u64 = 7;
/// Protection keys. They are not part of a frame.
const PKRU: u64 = 1 << 9;
/// An upper bound of the size of the state.
const MAX: usize = 16 * 1024;

fn word(image: &[u8], at: usize) -> u64 {
    image.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn half(image: &[u8], at: usize) -> u32 {
    image.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

/// The range of component `number` (2 or more) in the standard format. The processor is asked once, as that is an exit of a virtual
/// machine.
fn component(number: u32) -> Range<usize> {
    static RANGES: [OnceLock<Range<usize>>; 64] = [const { OnceLock::new() }; 64];
    let range = RANGES[number as usize % 64].get_or_init(|| {
        let leaf = cpuid::real(0xd, number);
        leaf.ebx as usize..(leaf.ebx + leaf.eax) as usize
    });
    range.clone()
}

/// The components beyond x87 and SSE among `features`.
fn components(features: u64) -> impl Iterator<Item = Range<usize>> {
    (2..63).filter(move |number| features >> number & 1 != 0).map(component)
}

/// The state of a stopped task: [`LEGACY`] bytes, or at least up to the end of the header.
fn fetch(tid: RealTid) -> Os<Vec<u8>> {
    let mut image = vec![0; MAX];
    match sys::get_xstate(tid, &mut image) {
        Ok(len) => image.truncate(len),
        Err(Errno::ENODEV) => image = sys::get_fxstate(tid)?.to_vec(),
        Err(error) => return Err(error),
    }
    if image.len() == LEGACY || image.len() >= HEADER.end { Ok(image) } else { Err(Errno::ENODEV) }
}

/// The state of a stopped task, in the format of a signal frame.
pub(crate) fn get(tid: RealTid) -> Os<Vec<u8>> {
    Ok(to_frame(fetch(tid)?))
}

/// Replaces the state of a stopped task with that of a signal frame.
pub(crate) fn set(tid: RealTid, frame: &[u8]) -> Os<()> {
    let mut image = fetch(tid)?;
    from_frame(&mut image, frame)?;
    if image.len() == LEGACY { sys::set_fxstate(tid, &image) } else { sys::set_xstate(tid, &image) }
}

fn to_frame(mut image: Vec<u8>) -> Vec<u8> {
    if image.len() == LEGACY {
        image[SOFTWARE..].fill(0);
        return image;
    }
    let (supported, used) = (word(&image, SOFTWARE), word(&image, HEADER.start));
    let features = supported & (USUAL | used & !PKRU);
    let size = components(features).map(|range| range.end).max().unwrap_or(HEADER.end);
    image.resize(size, 0);
    image[HEADER.start..HEADER.start + 8].copy_from_slice(&(used & features).to_le_bytes());
    image[SOFTWARE..LEGACY].fill(0);
    image[SOFTWARE..SOFTWARE + 4].copy_from_slice(&MAGIC1.to_le_bytes());
    image[SOFTWARE + 4..SOFTWARE + 8].copy_from_slice(&(size as u32 + 4).to_le_bytes());
    image[SOFTWARE + 8..SOFTWARE + 16].copy_from_slice(&features.to_le_bytes());
    image[SOFTWARE + 16..SOFTWARE + 20].copy_from_slice(&(size as u32).to_le_bytes());
    image.extend(MAGIC2.to_le_bytes());
    image
}

/// Copies the components of `frame` to `image`. As for Linux, a frame without its magic numbers holds only x87 and SSE.
fn from_frame(image: &mut [u8], frame: &[u8]) -> Os<()> {
    if frame.len() < LEGACY {
        return Err(Errno::EINVAL);
    }
    if image.len() == LEGACY {
        image[..SOFTWARE].copy_from_slice(&frame[..SOFTWARE]);
        return Ok(());
    }
    let size = half(frame, SOFTWARE + 16) as usize;
    let whole = half(frame, SOFTWARE) == MAGIC1
        && (HEADER.end..=MAX).contains(&size)
        && frame.len() >= size + 4
        && half(frame, size) == MAGIC2;
    let supported = word(image, SOFTWARE);
    let (held, used) = if whole {
        (word(frame, SOFTWARE + 8) & supported, word(frame, HEADER.start))
    } else {
        // All other components return to their initial state.
        (supported & !PKRU, 3)
    };
    if whole && used & !held != 0 {
        return Err(Errno::EINVAL);
    }
    image[..SOFTWARE].copy_from_slice(&frame[..SOFTWARE]);
    for range in components(held & used) {
        let (Some(to), Some(from)) = (image.get_mut(range.clone()), frame.get(range)) else {
            return Err(Errno::EINVAL);
        };
        to.copy_from_slice(from);
    }
    let now_used = word(image, HEADER.start) & !held | used & held;
    image[HEADER.start..HEADER.start + 8].copy_from_slice(&now_used.to_le_bytes());
    image[HEADER.start + 8..HEADER.end].fill(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The state of a task that uses SSE, AVX and (where there is one) `more`.
    fn image(more: u64) -> Vec<u8> {
        let mut image: Vec<u8> = (0..MAX).map(|at| at as u8).collect();
        image[SOFTWARE..SOFTWARE + 8].copy_from_slice(&(USUAL | more).to_le_bytes());
        image[HEADER].fill(0);
        image[HEADER.start..HEADER.start + 8].copy_from_slice(&(6_u64 | more).to_le_bytes());
        image
    }

    #[test]
    fn a_frame_holds_what_the_task_uses() {
        let frame = to_frame(image(PKRU));
        assert_eq!(half(&frame, SOFTWARE), MAGIC1);
        assert_eq!(frame.len(), component(2).end + 4);
        assert_eq!(half(&frame, frame.len() - 4), MAGIC2);
        assert_eq!(word(&frame, HEADER.start), 6);
    }

    #[test]
    fn conversion_in_both_directions_changes_nothing() {
        let original = image(PKRU);
        let mut back = image(PKRU);
        back[..SOFTWARE].fill(0xff);
        back[component(2)].fill(0xff);
        from_frame(&mut back, &to_frame(original.clone())).unwrap();
        assert!(back == original);
    }

    #[test]
    fn a_frame_without_magic_holds_the_legacy_state() {
        let mut frame = to_frame(image(0));
        frame[SOFTWARE] ^= 1;
        let mut back = image(0);
        from_frame(&mut back, &frame).unwrap();
        assert_eq!(word(&back, HEADER.start), 3);
    }

    #[test]
    fn a_processor_without_xsave_has_frames_of_the_legacy_state() {
        let mut legacy = image(0);
        legacy.truncate(LEGACY);
        let frame = to_frame(legacy.clone());
        assert_eq!(frame.len(), LEGACY);
        assert_eq!(half(&frame, SOFTWARE), 0, "it has no list");
        let mut back = vec![0; LEGACY];
        from_frame(&mut back, &frame).unwrap();
        assert_eq!(back[..SOFTWARE], legacy[..SOFTWARE]);
    }

    #[test]
    fn garbage_is_refused() {
        assert_eq!(from_frame(&mut image(0), &[0; 100]), Err(Errno::EINVAL));
        let mut frame = to_frame(image(0));
        frame[HEADER.start + 7] = 0x80;
        assert_eq!(from_frame(&mut image(0), &frame), Err(Errno::EINVAL));
    }
}
