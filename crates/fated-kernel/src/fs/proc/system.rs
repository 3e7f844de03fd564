//! What `/proc` and `/sys` say of the machine: one table, the same for every run with the same configuration (proc(5)).

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::generated::{Dir, Node, Source};
use crate::sched::choose::Entropy;
use crate::syscall::info::{MEMORY, RELEASE, VERSION};
use crate::time::timers::SECOND;
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt::Write as _;

/// A file of the system.
pub struct Row {
    path: &'static str,
    /// Its permissions.
    pub mode: u32,
    /// Makes its contents.
    pub make: fn(&Cx) -> String,
}

impl core::fmt::Debug for Row {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.path)
    }
}

macro_rules! rows {
    ($($path:literal $mode:literal $make:expr;)*) => {
        &[$(Row { path: $path, mode: $mode, make: $make }),*]
    };
}

/// Links of the system: path and target.
const LINKS: &[(&str, &str)] = &[
    ("/proc/mounts", "self/mounts"),
    ("/proc/net", "self/net"),
    ("/sys/class/tty/console/subsystem", "../../../class/tty"),
];

const ROWS: &[Row] = rows! {
    "/proc/cgroups" 0o444 |_| "#subsys_name\thierarchy\tnum_cgroups\tenabled\n".into();
    "/proc/cmdline" 0o444 |_| "root=/dev/root ro\n".into();
    "/proc/cpuinfo" 0o444 cpuinfo;
    "/proc/devices" 0o444 |_| "Character devices:\n  1 mem\n  5 /dev/tty\n\nBlock devices:\n  8 sd\n".into();
    "/proc/diskstats" 0o444 |_| String::new();
    "/proc/filesystems" 0o444 |_| "nodev\tsysfs\nnodev\tproc\nnodev\ttmpfs\nnodev\tdevtmpfs\n\text4\n".into();
    "/proc/loadavg" 0o444 loadavg;
    "/proc/meminfo" 0o444 meminfo;
    "/proc/modules" 0o444 |_| String::new();
    "/proc/partitions" 0o444 |_| "major minor  #blocks  name\n\n".into();
    "/proc/stat" 0o444 stat;
    "/proc/swaps" 0o444 |_| "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".into();
    "/proc/sys/fs/aio-max-nr" 0o644 |_| line(65536);
    "/proc/sys/fs/epoll/max_user_watches" 0o644 |_| line(1_000_000);
    "/proc/sys/fs/file-max" 0o644 |_| line(i64::MAX);
    "/proc/sys/fs/file-nr" 0o444 |_| format!("0\t0\t{}\n", i64::MAX);
    "/proc/sys/fs/inotify/max_queued_events" 0o644 |_| line(16384);
    "/proc/sys/fs/inotify/max_user_instances" 0o644 |_| line(128);
    "/proc/sys/fs/inotify/max_user_watches" 0o644 |_| line(65536);
    "/proc/sys/fs/nr_open" 0o644 |_| line(1_048_576);
    "/proc/sys/fs/pipe-max-size" 0o644 |_| line(1_048_576);
    "/proc/sys/fs/pipe-user-pages-hard" 0o644 |_| line(0);
    "/proc/sys/fs/pipe-user-pages-soft" 0o644 |_| line(16384);
    "/proc/sys/fs/protected_fifos" 0o600 |_| line(0);
    "/proc/sys/fs/protected_hardlinks" 0o600 |_| line(1);
    "/proc/sys/fs/protected_regular" 0o600 |_| line(0);
    "/proc/sys/fs/protected_symlinks" 0o600 |_| line(1);
    "/proc/sys/fs/suid_dumpable" 0o644 |_| line(0);
    "/proc/sys/kernel/cap_last_cap" 0o444 |_| line(40);
    "/proc/sys/kernel/core_pattern" 0o644 |_| "core\n".into();
    "/proc/sys/kernel/core_uses_pid" 0o644 |_| line(0);
    "/proc/sys/kernel/domainname" 0o644 |_| "(none)\n".into();
    "/proc/sys/kernel/hostname" 0o644 |cx| format!("{}\n", cx.kernel.config.hostname);
    "/proc/sys/kernel/msgmax" 0o644 |_| line(8192);
    "/proc/sys/kernel/ngroups_max" 0o444 |_| line(65536);
    "/proc/sys/kernel/osrelease" 0o444 |_| format!("{RELEASE}\n");
    "/proc/sys/kernel/ostype" 0o444 |_| "Linux\n".into();
    "/proc/sys/kernel/overflowgid" 0o644 |_| line(65534);
    "/proc/sys/kernel/overflowuid" 0o644 |_| line(65534);
    "/proc/sys/kernel/pid_max" 0o644 |_| line(4_194_304);
    "/proc/sys/kernel/random/boot_id" 0o444 boot_id;
    "/proc/sys/kernel/random/entropy_avail" 0o444 |_| line(256);
    "/proc/sys/kernel/random/poolsize" 0o444 |_| line(256);
    "/proc/sys/kernel/random/uuid" 0o444 uuid;
    "/proc/sys/kernel/randomize_va_space" 0o644 |_| line(0);
    "/proc/sys/kernel/sched_rt_runtime_us" 0o644 |_| line(950_000);
    "/proc/sys/kernel/sem" 0o644 |_| "32000\t1024000000\t500\t32000\n".into();
    "/proc/sys/kernel/seccomp/actions_avail" 0o444 |_| "\n".into();
    "/proc/sys/kernel/shmall" 0o644 |_| line(i64::MAX);
    "/proc/sys/kernel/shmmax" 0o644 |_| line(i64::MAX);
    "/proc/sys/kernel/shmmni" 0o644 |_| line(4096);
    "/proc/sys/kernel/threads-max" 0o644 |cx| line(cx.kernel.config.max_tasks.into());
    "/proc/sys/kernel/version" 0o444 |_| format!("{VERSION}\n");
    "/proc/sys/kernel/yama/ptrace_scope" 0o644 |_| line(1);
    "/proc/sys/net/core/somaxconn" 0o644 |_| line(4096);
    "/proc/sys/net/ipv4/ip_local_port_range" 0o644 |_| "32768\t60999\n".into();
    "/proc/sys/net/ipv4/tcp_fin_timeout" 0o644 |_| line(60);
    "/proc/sys/vm/drop_caches" 0o200 |_| line(0);
    "/proc/sys/vm/max_map_count" 0o644 |_| line(65530);
    "/proc/sys/vm/min_free_kbytes" 0o644 |_| line(67584);
    "/proc/sys/vm/mmap_min_addr" 0o644 |_| line(65536);
    "/proc/sys/vm/nr_hugepages" 0o644 |_| line(0);
    "/proc/sys/vm/overcommit_memory" 0o644 |_| line(0);
    "/proc/sys/vm/overcommit_ratio" 0o644 |_| line(50);
    "/proc/sys/vm/swappiness" 0o644 |_| line(60);
    "/proc/uptime" 0o444 uptime;
    "/proc/version" 0o444 |_| format!("Linux version {RELEASE} (fated) (cc) {VERSION}\n");
    "/proc/vmstat" 0o444 |_| format!("nr_free_pages {}\npgfault 0\npgmajfault 0\noom_kill 0\n", MEMORY.1 / 4096);
    "/sys/devices/system/cpu/kernel_max" 0o444 |_| line(255);
    "/sys/devices/system/cpu/online" 0o444 cpu_range;
    "/sys/devices/system/cpu/possible" 0o444 cpu_range;
    "/sys/devices/system/cpu/present" 0o444 cpu_range;
    "/sys/devices/system/node/node0/cpulist" 0o444 cpu_range;
    "/sys/devices/system/node/node0/cpumap" 0o444 cpu_map;
    "/sys/devices/system/node/online" 0o444 |_| line(0);
    "/sys/devices/system/node/possible" 0o444 |_| line(0);
    "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages" 0o644 |_| line(0);
    "/sys/kernel/mm/transparent_hugepage/defrag" 0o644 |_| "always defer defer+madvise [madvise] never\n".into();
    "/sys/kernel/mm/transparent_hugepage/enabled" 0o644 |_| "always [madvise] never\n".into();
    "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size" 0o444 |_| line(2 << 20);
    "/sys/kernel/mm/transparent_hugepage/shmem_enabled" 0o644 |_| "always within_size advise [never] deny force\n".into();
};

fn line(value: i64) -> String {
    format!("{value}\n")
}

/// What of `path` is below the directory `parent`.
fn below<'a>(path: &'a str, parent: &[u8]) -> Option<&'a str> {
    let parent = core::str::from_utf8(parent).ok()?;
    path.strip_prefix(parent)?.strip_prefix('/')
}

/// What stands at a path of the table.
pub fn find(path: &[u8]) -> Result<Node, Errno> {
    if let Some((_, to)) = LINKS.iter().find(|(link, _)| link.as_bytes() == path) {
        return Ok(Node::Link(to.as_bytes().to_vec()));
    }
    let mut inside = false;
    for row in ROWS {
        if row.path.as_bytes() == path {
            return Ok(Node::File(Source::System(row)));
        }
        inside |= below(row.path, path).is_some();
    }
    if inside { Ok(Node::Directory(Dir::Table(path.to_vec()))) } else { Err(missing(path)) }
}

/// A name behind a file is an error of its own.
fn missing(path: &[u8]) -> Errno {
    let behind = |row: &Row| path.strip_prefix(row.path.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"));
    if ROWS.iter().any(behind) { Errno::ENOTDIR } else { Errno::ENOENT }
}

/// The names in a directory of the table, in order.
#[must_use]
pub fn names(path: &[u8]) -> Vec<String> {
    let paths = ROWS.iter().map(|row| row.path).chain(LINKS.iter().map(|(link, _)| *link));
    let mut names: Vec<_> =
        paths.filter_map(|it| below(it, path)?.split('/').next()).map(ToString::to_string).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn cpu_range(cx: &Cx) -> String {
    ranges(0..cx.kernel.config.cpus.max(1)) + "\n"
}

fn cpu_map(cx: &Cx) -> String {
    let cpus = cx.kernel.config.cpus.max(1);
    mask(0..cpus, cpus) + "\n"
}

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

/// As `cpuid` answers it: a processor with x86-64-v3 and nothing that differs between machines.
fn cpuinfo(cx: &Cx) -> String {
    let cpus = cx.kernel.config.cpus.max(1);
    let mut text = String::new();
    for cpu in 0..cpus {
        // A string takes all text.
        let _ = write!(
            text,
            "processor\t: {cpu}\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 60\nmodel name\t: fated virtual \
             processor (x86-64-v3)\nstepping\t: 3\nmicrocode\t: 0x1\ncpu MHz\t\t: 1000.000\ncache size\t: 8192 KB\nphysical id\t: 0\n\
             siblings\t: {cpus}\ncore id\t\t: {cpu}\ncpu cores\t: {cpus}\napicid\t\t: {cpu}\ninitial apicid\t: {cpu}\nfpu\t\t: yes\n\
             fpu_exception\t: yes\ncpuid level\t: 13\nwp\t\t: yes\nflags\t\t: fpu vme de pse tsc msr pae mce cx8 apic sep mtrr \
             pge mca cmov pat pse36 clflush mmx fxsr sse sse2 syscall nx rdtscp lm constant_tsc rep_good nopl nonstop_tsc \
             pni ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt xsave avx f16c lahf_lm abm bmi1 avx2 bmi2 xsaveopt xsavec\n\
             bugs\t\t:\nbogomips\t: 2000.00\nclflush size\t: 64\ncache_alignment\t: 64\naddress sizes\t: 39 bits physical, \
             48 bits virtual\npower management:\n\n"
        );
    }
    text
}

fn meminfo(_: &Cx) -> String {
    let (total, free) = (MEMORY.0 >> 10, MEMORY.1 >> 10);
    let used = total - free;
    let rows = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", 0),
        ("SwapCached", 0),
        ("Active", used),
        ("Inactive", 0),
        ("Active(anon)", used),
        ("Inactive(anon)", 0),
        ("Active(file)", 0),
        ("Inactive(file)", 0),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", used),
        ("Mapped", 0),
        ("Shmem", 0),
        ("KReclaimable", 0),
        ("Slab", 0),
        ("SReclaimable", 0),
        ("SUnreclaim", 0),
        ("KernelStack", 0),
        ("PageTables", 0),
        ("CommitLimit", total / 2),
        ("Committed_AS", used),
        ("VmallocTotal", 34_359_738_367),
        ("VmallocUsed", 0),
        ("VmallocChunk", 0),
    ];
    let mut text = String::new();
    for (name, kib) in rows {
        let _ = writeln!(text, "{:<16}{kib:>8} kB", format!("{name}:"));
    }
    text.push_str(
        "HugePages_Total:       0\nHugePages_Free:        0\nHugePages_Rsvd:        0\nHugePages_Surp:        0\n",
    );
    text.push_str("Hugepagesize:       2048 kB\nHugetlb:               0 kB\n");
    text
}

/// Hundredths of a second of virtual time.
fn ticks(ns: u64) -> u64 {
    ns / (SECOND / 100)
}

fn used_ns(cx: &Cx) -> u64 {
    let tasks = cx.kernel.tasks.borrow();
    tasks.values().fold(0, |sum: u64, task| sum.saturating_add(task.cpu_ns.get()))
}

fn stat(cx: &Cx) -> String {
    let kernel = &cx.kernel;
    let cpus = u64::from(kernel.config.cpus.max(1));
    let (used, up) = (ticks(used_ns(cx)), ticks(kernel.timers.uptime()));
    let idle = |used: u64| up.saturating_sub(used);
    let mut text = format!("cpu  {used} 0 0 {} 0 0 0 0 0 0\n", idle(used) + up * (cpus - 1));
    for cpu in 0..cpus {
        // One task runs at a time, on the first processor.
        let used = if cpu == 0 { used } else { 0 };
        let _ = writeln!(text, "cpu{cpu} {used} 0 0 {} 0 0 0 0 0 0", idle(used));
    }
    let booted = kernel.timers.of_uptime(0) / SECOND;
    let last = kernel.last_tid.get();
    let _ =
        write!(text, "intr 0\nctxt 0\nbtime {booted}\nprocesses {last}\nprocs_running 1\nprocs_blocked 0\nsoftirq 0\n");
    text
}

fn uptime(cx: &Cx) -> String {
    let up = ticks(cx.kernel.timers.uptime());
    let idle = (up * u64::from(cx.kernel.config.cpus.max(1))).saturating_sub(ticks(used_ns(cx)));
    format!("{}.{:02} {}.{:02}\n", up / 100, up % 100, idle / 100, idle % 100)
}

fn loadavg(cx: &Cx) -> String {
    format!("0.00 0.00 0.00 1/{} {}\n", cx.kernel.tasks.borrow().len(), cx.kernel.last_tid.get())
}

fn format_uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::new();
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text
}

fn uuid(cx: &Cx) -> String {
    format_uuid(cx.kernel.chooser.sixteen(Entropy::Uuid))
}

fn boot_id(cx: &Cx) -> String {
    format_uuid(cx.kernel.chooser.boot_id())
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
