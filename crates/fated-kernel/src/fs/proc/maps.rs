//! `/proc/PID/maps` and its kin: the real memory map, with devices and inodes virtualized. Addresses are the same in every run; how much
//! of the memory is resident is not, so that follows from the mappings, too.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::host::nameless::virtual_name;
use crate::fs::inode::device_number;
use crate::mm::map_line::MapLine;
use crate::mm::sizes::{is_hidden, resident};
use crate::process::task::Task;
use alloc::{format, string::String, vec::Vec};
use core::fmt::Write as _;

/// A mapping.
struct Mapping {
    bytes: u64,
    /// The line of `/proc/PID/maps`, shown.
    line: String,
    name: String,
    perms: String,
}

fn mappings(cx: &Cx, task: &Task) -> Result<Vec<Mapping>, Errno> {
    let text = task.guest.proc_file("maps")?;
    let mappings = String::from_utf8_lossy(&text).lines().filter_map(|line| virtualize(cx, line)).collect::<Vec<_>>();
    Ok(mappings.into_iter().filter(|it| !is_hidden(&it.name)).collect())
}

fn virtualize(cx: &Cx, line: &str) -> Option<Mapping> {
    let it = MapLine::parse(line)?;
    let (bytes, MapLine { range, perms, offset, device, inode, name }) = (it.size(), it);
    let mut name = String::from_utf8(cx.kernel.mounts.shown(name.into())).unwrap_or_default();
    let real = device_number(device.0, device.1);
    let (device, inode) = if inode == 0 {
        ((0, 0), 0)
    } else {
        let fs = &cx.kernel.fs;
        let number = fs.number(real, inode);
        name = String::from_utf8_lossy(&virtual_name(name.into_bytes(), inode, number)).into_owned();
        (crate::fs::inode::device_parts(fs.device(real)), number)
    };
    let mut shown = format!(
        "{:08x}-{:08x} {perms} {offset:08x} {:02x}:{:02x} {inode} ",
        range.start, range.end, device.0, device.1
    );
    if !name.is_empty() {
        const COLUMN: usize = 73;
        while shown.len() < COLUMN {
            shown.push(' ');
        }
        shown.push_str(&name);
    }
    Some(Mapping { bytes, line: shown, name, perms: perms.into() })
}

/// `/proc/PID/maps`.
pub fn maps(cx: &Cx, task: &Task) -> Result<Vec<u8>, Errno> {
    let mut text = String::new();
    for mapping in mappings(cx, task)? {
        text.push_str(&mapping.line);
        text.push('\n');
    }
    Ok(text.into_bytes())
}

/// `/proc/PID/smaps`, or its sum.
pub fn smaps(cx: &Cx, task: &Task, rollup: bool) -> Result<Vec<u8>, Errno> {
    let mappings = mappings(cx, task)?;
    let mut text = String::new();
    let resident = |it: &Mapping| resident(it.bytes, &it.perms) >> 10;
    let sizes = |text: &mut String, rss: u64| {
        let rows = [("Rss", rss), ("Pss", rss), ("Shared_Clean", 0), ("Shared_Dirty", 0), ("Private_Clean", 0)];
        let more = [("Private_Dirty", rss), ("Referenced", rss), ("Anonymous", rss), ("Swap", 0), ("Locked", 0)];
        for (name, kib) in rows.iter().chain(&more) {
            let _ = writeln!(text, "{:<16}{kib:>8} kB", format!("{name}:"));
        }
    };
    if rollup {
        let last = mappings.last().and_then(|it| it.line.split('-').nth(1)?.split(' ').next()).unwrap_or("0");
        let first = mappings.first().and_then(|it| it.line.split('-').next()).unwrap_or("0");
        let _ = writeln!(text, "{first}-{last} ---p 00000000 00:00 0                          [rollup]");
        sizes(&mut text, mappings.iter().map(resident).sum());
        return Ok(text.into_bytes());
    }
    for mapping in mappings {
        let kib = mapping.bytes >> 10;
        let _ = writeln!(text, "{}\n{:<16}{kib:>8} kB", mapping.line, "Size:");
        let _ = writeln!(text, "{:<16}{:>8} kB\n{:<16}{:>8} kB", "KernelPageSize:", 4, "MMUPageSize:", 4);
        sizes(&mut text, resident(&mapping));
        let _ = writeln!(text, "VmFlags: {}", flags(&mapping.perms));
    }
    Ok(text.into_bytes())
}

fn flags(perms: &str) -> String {
    let names = [('r', "rd "), ('w', "wr "), ('x', "ex "), ('s', "sh ")];
    names.iter().filter(|(bit, _)| perms.contains(*bit)).map(|(_, name)| *name).collect::<String>() + "mr mw me"
}
