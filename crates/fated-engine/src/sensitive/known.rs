//! What an engine knows of sensitive instructions: the sites of each file, and where files' text is mapped.
//!
//! Invariant: only a site of that version of that file has its first byte replaced, in a private mapping.

use super::elf::fill;
use super::find::{ReadAt, Site, find};
use super::{BREAKPOINT, LONGEST, Sensitive};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use fated_kernel::fs::inode::FileStat;

/// More files than any run has. Text of those beyond that is left as it is.
const MOST_FILES: usize = 1 << 16;
/// More sites than any file has by far.
const MOST_SITES: usize = 1 << 16;

/// Identifies a version of a file: device, inode, size, times of data and of inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity(pub(super) [u64; 5]);

impl Identity {
    /// From the status of a file.
    #[must_use]
    pub fn of(stat: &FileStat) -> Identity {
        Identity([stat.dev, stat.ino, stat.size, stat.mtime_ns as u64, stat.ctime_ns as u64])
    }
}

/// The sites of a file.
#[derive(Debug)]
enum Known {
    /// As an earlier run has found them: their offsets, not looked at in this run.
    Remembered(Vec<u64>),
    /// As they are.
    Certain(Vec<Site>),
}

/// The sites of all files whose text a host has mapped.
#[derive(Debug, Default)]
pub struct Sites {
    files: BTreeMap<Identity, Known>,
    /// The files that were searched in this run.
    searched: Vec<Identity>,
}

impl Sites {
    /// With what earlier runs have found. The text is that of [`Sites::found`]; lines that aren't understood are left out.
    #[must_use]
    pub fn remembering(text: &[u8]) -> Sites {
        let lines = text.split_inclusive(|&byte| byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
        let known = lines.filter_map(|line| {
            let mut numbers = Vec::new();
            for word in core::str::from_utf8(line).ok()?.split(' ') {
                numbers.push(u64::from_str_radix(word, 16).ok()?);
            }
            let (identity, offsets) = numbers.split_first_chunk::<5>()?;
            Some((Identity(*identity), Known::Remembered(offsets.to_vec())))
        });
        Sites { files: known.take(MOST_FILES).collect(), searched: Vec::new() }
    }

    /// What this run has found, for later ones: a line for each file with the numbers of its identity and the offsets of its sites.
    #[must_use]
    pub fn found(&self) -> Vec<u8> {
        let mut text = String::new();
        for identity in &self.searched {
            let Some(Known::Certain(sites)) = self.files.get(identity) else { continue };
            let numbers = identity.0.into_iter().chain(sites.iter().map(|site| site.offset));
            for (index, number) in numbers.enumerate() {
                let _ = write!(text, "{}{number:x}", if index == 0 { "" } else { " " });
            }
            text.push('\n');
        }
        text.into_bytes()
    }

    /// The sites within `size` bytes of a file from `offset` on. The file is searched when it is seen for the first time.
    pub fn within(&mut self, identity: Identity, read_at: ReadAt<'_>, offset: u64, size: u64) -> &[Site] {
        if !self.has(identity) {
            let remembered = match self.files.get(&identity) {
                Some(Known::Remembered(offsets)) => confirm(read_at, offsets),
                None if self.files.len() >= MOST_FILES => return &[],
                _ => None,
            };
            let sites = remembered.unwrap_or_else(|| {
                self.searched.push(identity);
                find(read_at)
            });
            self.files.insert(identity, Known::Certain(sites));
        }
        let Some(Known::Certain(sites)) = self.files.get(&identity) else { return &[] };
        let from = sites.partition_point(|site| site.offset < offset);
        let to = sites.partition_point(|site| site.offset < offset.saturating_add(size));
        &sites[from..to]
    }

    /// Whether the sites of a file are known, so that it needn't be read.
    #[must_use]
    pub fn has(&self, identity: Identity) -> bool {
        matches!(self.files.get(&identity), Some(Known::Certain(_)))
    }

    /// Whether a site is known. If not, it is from now on, if there is room.
    pub fn learn(&mut self, identity: Identity, site: Site) -> bool {
        if self.files.len() >= MOST_FILES && !self.files.contains_key(&identity) {
            return false;
        }
        let Known::Certain(sites) = self.files.entry(identity).or_insert(Known::Certain(Vec::new())) else {
            return false;
        };
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
        let Known::Certain(sites) = self.files.get(&identity)? else { return None };
        let at = sites.binary_search_by_key(&offset, |site| site.offset).ok()?;
        sites.get(at).copied()
    }
}

/// The sites at `offsets`, if there is one at each and they are sorted.
fn confirm(read_at: ReadAt<'_>, offsets: &[u64]) -> Option<Vec<Site>> {
    let site = |&offset: &u64| {
        let mut code = [0; LONGEST];
        let len = fill(read_at, &mut code, offset);
        let (sensitive, _) = Sensitive::decode(code.get(..len)?)?;
        (!sensitive.always_faults()).then_some(Site { offset, first: code[0] })
    };
    let sites: Vec<Site> = offsets.iter().map(site).collect::<Option<_>>()?;
    sites.is_sorted().then_some(sites)
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
    fn what_is_remembered_is_confirmed() {
        // A cpuid at offset 2.
        let read_at: ReadAt<'_> = &|buf, offset| {
            let rest = b"\x90\x90\x0f\xa2\x90".get(offset as usize..).unwrap_or_default();
            let len = rest.len().min(buf.len());
            buf[..len].copy_from_slice(&rest[..len]);
            Ok(len)
        };
        let site = Site { offset: 2, first: 0x0f };
        let mut sites = Sites::remembering(b"1 1 1 1 1 2\n2 2 2 2 2\nnonsense\n3 3 3 3 3 1\n4 4 4 4 4 2 2");
        assert_eq!(sites.within(identity(1), read_at, 0, 5), [site]);
        assert_eq!(sites.within(identity(2), read_at, 0, 5), []);
        assert_eq!(sites.within(identity(3), read_at, 0, 5), [], "nothing sensitive there, and no ELF file");
        assert_eq!(sites.within(identity(4), read_at, 0, 5), [], "half a line");
        assert_eq!(sites.found(), b"3 3 3 3 3\n4 4 4 4 4\n");
    }

    #[test]
    fn what_is_found_is_remembered() {
        let mut sites = Sites::default();
        sites.within(identity(0x2a), EMPTY, 0, 1);
        sites.learn(identity(0x2a), SITE);
        assert_eq!(sites.found(), b"2a 2a 2a 2a 2a 1010\n");
        let again = Sites::remembering(&sites.found());
        assert!(matches!(&again.files[&identity(0x2a)], Known::Remembered(offsets) if *offsets == [0x1010]));
        assert_eq!(again.found(), b"");
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
