//! sysfs(5): what `/sys` says of processors, memory nodes and huge pages.

use crate::cx::Cx;
use crate::errno::Errno;
use crate::fs::cpumask::{mask, ranges};
use crate::fs::generated::{Dir, Inode};
use crate::fs::static_tree::{Node, StaticFile, Tree, rows};
use alloc::{format, rc::Rc, string::String, vec::Vec};

/// All files.
pub const TREE: Tree = Tree {
    links: &[],
    files: rows! {
        "devices/system/cpu/kernel_max" 0o444 |_| line(255);
        "devices/system/cpu/online" 0o444 cpu_range;
        "devices/system/cpu/possible" 0o444 cpu_range;
        "devices/system/cpu/present" 0o444 cpu_range;
        "devices/system/node/node0/cpulist" 0o444 cpu_range;
        "devices/system/node/node0/cpumap" 0o444 cpu_map;
        "devices/system/node/online" 0o444 |_| line(0);
        "devices/system/node/possible" 0o444 |_| line(0);
        "kernel/mm/hugepages/hugepages-2048kB/nr_hugepages" 0o644 |_| line(0);
        "kernel/mm/transparent_hugepage/defrag" 0o644 |_| "always defer defer+madvise [madvise] never\n".into();
        "kernel/mm/transparent_hugepage/enabled" 0o644 |_| "always [madvise] never\n".into();
        "kernel/mm/transparent_hugepage/hpage_pmd_size" 0o444 |_| line(2 << 20);
        "kernel/mm/transparent_hugepage/shmem_enabled" 0o644 |_| "always within_size advise [never] deny force\n".into();
    },
};

/// What stands at `path` below the root.
pub fn lookup(path: &[u8]) -> Result<Inode, Errno> {
    Ok(match TREE.lookup(path)? {
        Node::File(row) => Inode::File(Rc::new(StaticFile(row))),
        Node::Directory(path) => Inode::Directory(Rc::new(Directory(path))),
        Node::Link(to) => Inode::Link(to.as_bytes().to_vec()),
    })
}

/// A directory, by its path.
#[derive(Debug)]
struct Directory(&'static str);

impl Dir for Directory {
    fn names(&self, _cx: &Cx) -> Vec<String> {
        TREE.names(self.0)
    }
}

fn line(value: i64) -> String {
    format!("{value}\n")
}

fn cpu_range(cx: &Cx) -> String {
    ranges(0..cx.kernel.config.cpus.max(1)) + "\n"
}

fn cpu_map(cx: &Cx) -> String {
    let cpus = cx.kernel.config.cpus.max(1);
    mask(0..cpus, cpus) + "\n"
}
