//! A line of `/proc/PID/maps` (proc_pid_maps(5)): `FROM-TO PERMS OFFSET MAJOR:MINOR INODE NAME`.

use core::ops::Range;

/// A mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapLine<'a> {
    /// Its addresses.
    pub range: Range<u64>,
    /// Its rights: `r`, `w`, `x`, and `s` or `p`; `-` for none.
    pub perms: &'a str,
    /// The offset in the file.
    pub offset: u64,
    /// The device that has the file: major and minor number.
    pub device: (u64, u64),
    /// The file's inode; 0 without a file.
    pub inode: u64,
    /// The file, or what Linux calls the memory; empty for none.
    pub name: &'a str,
}

impl<'a> MapLine<'a> {
    /// Parses a line without its end.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<MapLine<'a>> {
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let mut words = line.splitn(6, ' ');
        let mut word = || words.next();
        let (from, to) = word()?.split_once('-')?;
        let (perms, offset) = (word()?, word()?);
        let (major, minor) = word()?.split_once(':')?;
        let inode = word()?.parse().ok()?;
        Some(MapLine {
            range: hex(from)?..hex(to)?,
            perms,
            offset: hex(offset)?,
            device: (hex(major)?, hex(minor)?),
            inode,
            name: word().unwrap_or("").trim_start(),
        })
    }

    /// How many bytes are mapped.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }
}

#[cfg(test)]
mod tests {
    use super::MapLine;

    #[test]
    fn lines_are_parsed() {
        let line = "00400000-00402000 r-xp 00001000 08:1f 1234                               /bin/x y";
        let parsed = MapLine {
            range: 0x40_0000..0x40_2000,
            perms: "r-xp",
            offset: 0x1000,
            device: (8, 0x1f),
            inode: 1234,
            name: "/bin/x y",
        };
        assert_eq!(MapLine::parse(line), Some(parsed));
        let anonymous = MapLine::parse("7f0000004000-7f0000008000 rw-p 00000000 00:00 0 ").unwrap();
        assert_eq!((anonymous.size(), anonymous.name), (0x4000, ""));
        assert_eq!(MapLine::parse("nonsense"), None);
    }
}
