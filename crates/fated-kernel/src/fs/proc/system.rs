//! The system-wide files of proc: what it says of the machine, the same for every run with the same configuration (proc(5)).

use super::cpuinfo::cpuinfo;
use crate::cx::Cx;
use crate::fs::static_tree::{Tree, rows};
use crate::machine::{FREE_BYTES, MEMORY_BYTES, RELEASE, VERSION};
use crate::sched::choice::Entropy;
use crate::time::timers::SECOND;
use alloc::{format, string::String};
use core::fmt::Write as _;

/// All of them, but for `self` and `thread-self`, which are another one's to each process.
pub const TREE: Tree = Tree {
    links: &[("mounts", "self/mounts"), ("net", "self/net")],
    files: rows! {
        "cgroups" 0o444 |_| "#subsys_name\thierarchy\tnum_cgroups\tenabled\n".into();
        "cmdline" 0o444 |_| "root=/dev/root ro\n".into();
        "cpuinfo" 0o444 cpuinfo;
        "devices" 0o444 |_| "Character devices:\n  1 mem\n  5 /dev/tty\n\nBlock devices:\n  8 sd\n".into();
        "diskstats" 0o444 |_| String::new();
        "filesystems" 0o444 |_| "nodev\tsysfs\nnodev\tproc\nnodev\ttmpfs\nnodev\tdevtmpfs\n\text4\n".into();
        "loadavg" 0o444 loadavg;
        "meminfo" 0o444 meminfo;
        "modules" 0o444 |_| String::new();
        "partitions" 0o444 |_| "major minor  #blocks  name\n\n".into();
        "stat" 0o444 stat;
        "swaps" 0o444 |_| "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".into();
        "sys/fs/aio-max-nr" 0o644 |_| line(65536);
        "sys/fs/epoll/max_user_watches" 0o644 |_| line(1_000_000);
        "sys/fs/file-max" 0o644 |_| line(i64::MAX);
        "sys/fs/file-nr" 0o444 |_| format!("0\t0\t{}\n", i64::MAX);
        "sys/fs/inotify/max_queued_events" 0o644 |_| line(16384);
        "sys/fs/inotify/max_user_instances" 0o644 |_| line(128);
        "sys/fs/inotify/max_user_watches" 0o644 |_| line(65536);
        "sys/fs/nr_open" 0o644 |_| line(1_048_576);
        "sys/fs/pipe-max-size" 0o644 |_| line(1_048_576);
        "sys/fs/pipe-user-pages-hard" 0o644 |_| line(0);
        "sys/fs/pipe-user-pages-soft" 0o644 |_| line(16384);
        "sys/fs/protected_fifos" 0o600 |_| line(0);
        "sys/fs/protected_hardlinks" 0o600 |_| line(1);
        "sys/fs/protected_regular" 0o600 |_| line(0);
        "sys/fs/protected_symlinks" 0o600 |_| line(1);
        "sys/fs/suid_dumpable" 0o644 |_| line(0);
        "sys/kernel/cap_last_cap" 0o444 |_| line(40);
        "sys/kernel/core_pattern" 0o644 |_| "core\n".into();
        "sys/kernel/core_uses_pid" 0o644 |_| line(0);
        "sys/kernel/domainname" 0o644 |_| "(none)\n".into();
        "sys/kernel/hostname" 0o644 |cx| format!("{}\n", cx.kernel.config.hostname);
        "sys/kernel/msgmax" 0o644 |_| line(8192);
        "sys/kernel/ngroups_max" 0o444 |_| line(65536);
        "sys/kernel/osrelease" 0o444 |_| format!("{RELEASE}\n");
        "sys/kernel/ostype" 0o444 |_| "Linux\n".into();
        "sys/kernel/overflowgid" 0o644 |_| line(65534);
        "sys/kernel/overflowuid" 0o644 |_| line(65534);
        "sys/kernel/pid_max" 0o644 |_| line(4_194_304);
        "sys/kernel/random/boot_id" 0o444 boot_id;
        "sys/kernel/random/entropy_avail" 0o444 |_| line(256);
        "sys/kernel/random/poolsize" 0o444 |_| line(256);
        "sys/kernel/random/uuid" 0o444 uuid;
        "sys/kernel/randomize_va_space" 0o644 |_| line(0);
        "sys/kernel/sched_rt_runtime_us" 0o644 |_| line(950_000);
        "sys/kernel/sem" 0o644 |_| "32000\t1024000000\t500\t32000\n".into();
        "sys/kernel/seccomp/actions_avail" 0o444 |_| "\n".into();
        "sys/kernel/shmall" 0o644 |_| line(i64::MAX);
        "sys/kernel/shmmax" 0o644 |_| line(i64::MAX);
        "sys/kernel/shmmni" 0o644 |_| line(4096);
        "sys/kernel/threads-max" 0o644 |cx| line(cx.kernel.config.max_tasks.into());
        "sys/kernel/version" 0o444 |_| format!("{VERSION}\n");
        "sys/kernel/yama/ptrace_scope" 0o644 |_| line(1);
        "sys/net/core/somaxconn" 0o644 |_| line(4096);
        "sys/net/ipv4/ip_local_port_range" 0o644 |_| "32768\t60999\n".into();
        "sys/net/ipv4/tcp_fin_timeout" 0o644 |_| line(60);
        "sys/vm/drop_caches" 0o200 |_| line(0);
        "sys/vm/max_map_count" 0o644 |_| line(65530);
        "sys/vm/min_free_kbytes" 0o644 |_| line(67584);
        "sys/vm/mmap_min_addr" 0o644 |_| line(65536);
        "sys/vm/nr_hugepages" 0o644 |_| line(0);
        "sys/vm/overcommit_memory" 0o644 |_| line(0);
        "sys/vm/overcommit_ratio" 0o644 |_| line(50);
        "sys/vm/swappiness" 0o644 |_| line(60);
        "uptime" 0o444 uptime;
        "version" 0o444 |_| format!("Linux version {RELEASE} (fated) (cc) {VERSION}\n");
        "vmstat" 0o444 |_| format!("nr_free_pages {}\npgfault 0\npgmajfault 0\noom_kill 0\n", FREE_BYTES / 4096);
    },
};

fn line(value: i64) -> String {
    format!("{value}\n")
}

fn meminfo(_: &Cx) -> String {
    let (total, free) = (MEMORY_BYTES >> 10, FREE_BYTES >> 10);
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
