//! What an engine knows of sensitive instructions: the sites of each file, and where files' text is mapped.
//!
//! Invariant: only a site of that version of that file has its first byte replaced, in a private mapping.

use super::find::{ReadAt, Site, find};
use super::{BREAKPOINT, LONGEST, Sensitive};
use alloc::vec::Vec;
use fated_kernel::fs::inode::FileStat;

/// More files than any run has. Text of those beyond that is left as it is.
const MOST_FILES: usize = 1 << 16;
/// More sites than any file has by far.
const MOST_SITES: usize = 1 << 16;

/// Identifies a version of a file: device, inode, size, times of data and of inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity([u64; 5]);

impl Identity {
    /// From the status of a file.
    #[must_use]
    pub fn of(stat: &FileStat) -> Identity {
        Identity([stat.dev, stat.ino, stat.size, stat.mtime_ns as u64, stat.ctime_ns as u64])
    }
}

/// The sites of all files whose text a host has mapped.
#[derive(Debug, Default)]
pub struct Sites(Vec<(Identity, Vec<Site>)>);

impl Sites {
    fn entry(&mut self, identity: Identity, found: impl FnOnce() -> Vec<Site>) -> Option<&mut Vec<Site>> {
        let at = match self.0.iter().position(|(known, _)| *known == identity) {
            Some(at) => at,
            None if self.0.len() < MOST_FILES => {
                self.0.push((identity, found()));
                self.0.len() - 1
            }
            None => return None,
        };
        self.0.get_mut(at).map(|(_, sites)| sites)
    }

    /// The sites within `size` bytes of a file from `offset` on. The file is searched when it is seen for the first time.
    pub fn within(&mut self, identity: Identity, read_at: ReadAt<'_>, offset: u64, size: u64) -> &[Site] {
        let Some(sites) = self.entry(identity, || find(read_at)) else { return &[] };
        let from = sites.partition_point(|site| site.offset < offset);
        let to = sites.partition_point(|site| site.offset < offset.saturating_add(size));
        &sites[from..to]
    }

    /// Whether a site is known. If not, it is from now on, if there is room.
    pub fn learn(&mut self, identity: Identity, site: Site) -> bool {
        let Some(sites) = self.entry(identity, Vec::new) else { return false };
        match sites.binary_search_by_key(&site.offset, |site| site.offset) {
            Ok(_) => true,
            Err(at) => {
                if sites.len() < MOST_SITES {
                    sites.insert(at, site);
                }
                false
            }
        }
    }

    fn at(&self, identity: Identity, offset: u64) -> Option<Site> {
        let (_, sites) = self.0.iter().find(|(known, _)| *known == identity)?;
        let at = sites.binary_search_by_key(&offset, |site| site.offset).ok()?;
        sites.get(at).copied()
    }
}

/// Whether a call of mmap(2) with these arguments maps text of a file that the process may change for itself.
#[must_use]
pub fn maps_text([_, _, prot, flags, ..]: [u64; 6]) -> bool {
    const PROT_EXEC: u64 = 4;
    const MAP_PRIVATE: u64 = 2;
    const MAP_TYPE: u64 = 15;
    const MAP_ANONYMOUS: u64 = 0x20;
    prot & PROT_EXEC != 0 && flags & (MAP_ANONYMOUS | MAP_TYPE) == MAP_PRIVATE
}

/// Where executable text of files is mapped in an address space.
#[derive(Clone, Debug, Default)]
pub struct Texts(Vec<Text>);

/// A mapping of text.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// Where it begins.
    pub begin: u64,
    /// Where it ends.
    pub end: u64,
    /// Where in the file it begins.
    pub offset: u64,
    /// The file.
    pub file: Identity,
}

impl Text {
    /// What mmap(2) with these arguments has mapped at `begin`.
    #[must_use]
    pub fn of_mapping([_, size, _, _, _, offset]: [u64; 6], begin: u64, file: Identity) -> Text {
        const PAGE: u64 = 4096;
        Text { begin, end: begin.saturating_add(size).next_multiple_of(PAGE), offset, file }
    }
}

impl Texts {
    /// Records a mapping. What it covers wholly is gone.
    pub fn add(&mut self, text: Text) {
        self.0.retain(|old| old.begin < text.begin || old.end > text.end);
        self.0.push(text);
    }

    /// The files that may be mapped at an address, and where in them that is. Records of mappings outlive these.
    pub fn places(&self, at: u64) -> impl Iterator<Item = (Identity, u64)> {
        let holds = move |text: &&Text| (text.begin..text.end).contains(&at);
        self.0.iter().rev().filter(holds).map(move |text| (text.file, at - text.begin + text.offset))
    }

    /// The instruction that a breakpoint at `at` stands for, and its length. `read` reads memory.
    pub fn replaced(
        &self,
        sites: &Sites,
        at: u64,
        read: impl Fn(u64, &mut [u8]) -> usize,
    ) -> Option<(Sensitive, usize)> {
        let mut code = [0; LONGEST];
        let len = read(at, &mut code);
        let here =
            self.places(at).find_map(|(file, offset)| sites.at(file, offset)).filter(|_| code[0] == BREAKPOINT)?;
        code[0] = here.first;
        Sensitive::decode(code.get(..len)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: ReadAt<'_> = &|_, _| Ok(0);
    const SITE: Site = Site { offset: 0x1010, first: 0x0f };

    fn identity(number: u64) -> Identity {
        Identity([number; 5])
    }

    #[test]
    fn a_file_is_searched_once() {
        let mut sites = Sites::default();
        assert_eq!(sites.within(identity(1), EMPTY, 0, 100), []);
        assert!(!sites.learn(identity(1), SITE) && sites.learn(identity(1), SITE));
        assert_eq!(sites.within(identity(1), EMPTY, 0x1000, 0x11), [SITE]);
        assert_eq!(sites.within(identity(1), EMPTY, 0x1000, 0x10), []);
        assert_eq!(sites.within(identity(2), EMPTY, 0, u64::MAX), []);
    }

    #[test]
    fn only_private_text_of_files_is_text() {
        let maps = |prot, flags| maps_text([0, 4096, prot, flags, 3, 0]);
        assert!(maps(5, 2) && maps(7, 0x812));
        assert!(!maps(3, 2) && !maps(5, 1) && !maps(5, 0x22) && !maps(5, 3));
    }

    #[test]
    fn a_breakpoint_stands_for_the_instruction_of_its_file() {
        let mut sites = Sites::default();
        sites.learn(identity(1), SITE);
        let mut texts = Texts::default();
        texts.add(Text { begin: 0x7000, end: 0x8000, offset: 0x1000, file: identity(1) });
        let memory = |code: [u8; 2]| {
            move |_, buf: &mut [u8]| {
                buf[..2].copy_from_slice(&code);
                2
            }
        };
        let replaced = |texts: &Texts, at, code| texts.replaced(&sites, at, memory(code));
        assert_eq!(replaced(&texts, 0x7010, [0xcc, 0xa2]), Some((Sensitive::Cpuid, 2)));
        assert_eq!(replaced(&texts, 0x7011, [0xcc, 0xa2]), None, "no site");
        assert_eq!(replaced(&texts, 0x7010, [0x90, 0xa2]), None, "no breakpoint");
        assert_eq!(replaced(&texts, 0x7010, [0xcc, 0x90]), None, "other code");
        texts.add(Text { begin: 0x6000, end: 0x9000, offset: 0, file: identity(2) });
        assert_eq!(replaced(&texts, 0x7010, [0xcc, 0xa2]), None, "another file");
    }
}
