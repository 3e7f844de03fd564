//! Where paths lead: to the real Linux, unchanged or by another path, or to the kernel's own files.

use crate::world::{BASE, World, first};
use fated_kernel::errno::Errno;
use linux_raw_sys::general as nr;

const STAT: u64 = BASE + 0x4000;
const STACK: u64 = BASE + 0x8000;

fn world() -> World {
    let world = World::new();
    world.set_stack(first(), STACK);
    world
}

fn path(world: &World, path: &str) -> u64 {
    world.write(first(), BASE, &[path.as_bytes(), b"\0"].concat());
    BASE
}

/// What `call` (stat or lstat) says: the real file's size, which is its place in the tree, or what else is there.
fn look(world: &World, call: u32, at: &str) -> String {
    let at = path(world, at);
    let result = world.result(first(), call, &[at, STAT]);
    if let Some(error) = Errno::of_return(result) {
        return error.to_string();
    }
    let bytes: [u8; 144] = world.read(first(), STAT);
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let kind = match word(24) as u32 & 0o170_000 {
        0o040_000 => "directory",
        0o120_000 => "link",
        0o020_000 => "device",
        _ => "file",
    };
    match word(0) {
        20 => format!("proc {kind}"),
        21 => format!("sys {kind}"),
        5 => format!("dev {kind}"),
        _ if kind == "directory" => kind.into(),
        _ => format!("{kind} {}", word(48)),
    }
}

#[track_caller]
fn leads(at: &str, expected: &str) {
    assert_eq!(look(&world(), nr::__NR_stat, at), expected, "{at}");
}

#[test]
fn real_paths_are_followed() {
    leads("/home/file", "file 2");
    leads("file", "file 2");
    leads("./inner/../file", "file 2");
    leads("//home///inner/./file", "file 4");
    leads("to-file", "file 2");
    leads("to-inner/file", "file 4");
    leads("to-inner/up", "file 2");
    leads("to-inner/../file", "file 2");
    leads("to-nothing", "ENOENT");
    leads("loop", "ELOOP");
    leads("loop/x", "ELOOP");
    leads("file/", "ENOTDIR");
    leads("file/x", "ENOTDIR");
    leads("nothing/../file", "ENOENT");
    leads("/../../home/file", "file 2");
    leads("/", "directory");
    leads("..", "directory");
    leads("", "ENOENT");
}

#[test]
fn no_path_leads_to_the_real_proc() {
    for at in [
        "/proc",
        "//proc/.",
        "../proc/",
        "to-proc",
        "to-proc/self",
        "over-two",
        "to-inner/../to-proc",
        "/proc/2",
        "/proc/self/task/2",
        "/proc/self/../self/fd",
        "/dev/../proc/self",
        "/dev/fd",
        "/home/../proc/net",
    ] {
        leads(at, "proc directory");
    }
    for at in ["/proc/self/stat", "over-two/status", "/etc/mtab", "/proc/mounts", "../proc/sys/kernel/pid_max"] {
        leads(at, "proc file");
    }
    leads("/proc/1", "proc directory");
    leads("/proc/3", "ENOENT");
    leads("/proc/02", "ENOENT");
    leads("/proc/self/stat/", "ENOTDIR");
    leads("/proc/self/nothing", "ENOENT");
    leads("/sys/devices/../devices/system/cpu", "sys directory");
    leads("/sys/fs", "ENOENT");
    leads("/dev/zero", "dev device");
    leads("null", "dev device");
    leads("/dev/sda", "ENOENT");
}

#[test]
fn paths_lead_back_to_real_files() {
    leads("/dev/shm/memory", "file 21");
    leads("/proc/self/cwd", "directory");
    leads("/proc/2/cwd/file", "file 2");
    leads("back/file", "file 4");
    leads("back/../file", "file 2");
    leads("/proc/self/cwd/to-proc/self/cwd/inner/up", "file 2");
}

#[test]
fn the_last_link_is_not_followed_if_it_is_not_to_be() {
    let check = |at: &str, expected: &str| assert_eq!(look(&world(), nr::__NR_lstat, at), expected, "{at}");
    check("to-file", "link 6");
    check("to-inner/up", "link 5");
    check("to-proc", "link 10");
    check("to-proc/", "proc directory");
    check("/proc/self", "proc link");
    check("/proc/self/cwd", "proc link");
    check("/dev/stdin", "dev link");
    check("loop", "link 9");
}

/// How the real Linux gets to see an open for reading, if it does.
fn open(at: &str) -> &'static str {
    let world = world();
    let at = path(&world, at);
    let result = world.result(first(), nr::__NR_open, &[at, 0, 0]);
    match Errno::of_return(result) {
        _ if world.passes(first()) => "as it is",
        // The puppets' Linux can't open anything.
        Some(Errno::ENOSYS) => "by another path",
        Some(_) => "not at all",
        None => "the kernel's own",
    }
}

#[test]
fn linux_opens_real_files_only() {
    for (at, expected) in [
        ("file", "as it is"),
        ("to-inner/up", "as it is"),
        ("nothing", "as it is"),
        ("/dev/null", "as it is"),
        ("/dev/shm/memory", "as it is"),
        ("/proc/2/cwd/file", "by another path"),
        ("back/file", "by another path"),
        ("/proc/self/stat", "the kernel's own"),
        ("to-proc", "the kernel's own"),
        ("/dev/urandom", "the kernel's own"),
        ("/dev", "the kernel's own"),
        ("/proc/nothing", "not at all"),
        ("/dev/sda", "not at all"),
        ("/proc/self/stat/x", "not at all"),
    ] {
        assert_eq!(open(at), expected, "{at}");
    }
}

#[test]
fn memory_that_a_path_was_put_into_is_given_back() {
    let world = world();
    let before = [7; 256];
    world.write(first(), STACK - 256, &before);
    let at = path(&world, "back/file");
    world.result(first(), nr::__NR_open, &[at, 0, 0]);
    assert_eq!(world.read::<256>(first(), STACK - 256), before);
}

#[test]
fn inodes_are_numbered_in_the_order_of_first_sight() {
    let world = world();
    let ino = |at: &str| {
        look(&world, nr::__NR_stat, at);
        u64::from_le_bytes(world.read(first(), STAT + 8))
    };
    let (inner, file) = (ino("/dev/shm/memory"), ino("file"));
    assert!(inner < file && file < 10, "{inner} {file}");
    assert_eq!((ino("/dev/shm/memory"), ino("to-file")), (inner, file));
}

/// What the guest's `cpuid` doesn't have isn't there either: a program that reads it would execute what the processor lacks.
#[test]
fn cpuinfo_has_what_cpuid_answers() {
    let world = world();
    let at = path(&world, "/proc/cpuinfo");
    let fd = world.result(first(), nr::__NR_open, &[at, 0]);
    let len = world.result(first(), nr::__NR_read, &[fd.cast_unsigned(), STAT, 2048]);
    let bytes: [u8; 2048] = world.read(first(), STAT);
    let text = String::from_utf8_lossy(&bytes[..usize::try_from(len).expect("it can be read")]).into_owned();
    let flags = text.lines().find(|line| line.starts_with("flags")).expect("there is such a line");
    assert_eq!(flags, "flags\t\t: fpu sse sse2 lm constant_tsc rep_good nopl nonstop_tsc");
}
