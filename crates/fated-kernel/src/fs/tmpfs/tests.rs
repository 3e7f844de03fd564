use super::*;

const FILE: New = New { mode: kind::REGULAR | 0o644, uid: 1, gid: 2, target: b"", rdev: 0 };
const DIR: New = New { mode: kind::DIRECTORY | 0o755, ..FILE };

fn empty() -> Tmpfs {
    Tmpfs::new(64 * PAGE as u64, 0o1777, 1)
}

fn names(fs: &Tmpfs, directory: Ino) -> Vec<Vec<u8>> {
    let listing = fs.list(directory).unwrap();
    listing.records(2).map(|record| crate::fs::dirent::entry(record).name.to_vec()).collect()
}

fn nlink(fs: &Tmpfs, ino: Ino) -> u32 {
    fs.stat(ino).map_or(0, |stat| stat.nlink)
}

#[test]
fn files_have_contents_links_and_times() {
    let mut fs = empty();
    let file = fs.create(ROOT, b"a", FILE, 2).unwrap();
    assert_eq!(fs.write(file, 5000, b"hello", 3), Ok(5));
    let stat = fs.stat(file).unwrap();
    assert_eq!((stat.mode, stat.uid, stat.gid, stat.nlink), (0o100_644, 1, 2, 1));
    assert_eq!((stat.size, stat.blocks, stat.mtime_ns, stat.ctime_ns, stat.atime_ns), (5005, 8, 3, 3, 2));
    let mut bytes = [1; 8];
    assert_eq!((fs.read(file, 4997, &mut bytes), bytes), (Ok(8), *b"\0\0\0hello"));
    fs.link(file, ROOT, b"b", 4).unwrap();
    assert_eq!((fs.lookup(ROOT, b"b"), nlink(&fs, file)), (Ok(file), 2));
    fs.unlink(ROOT, b"a", 5).unwrap();
    assert_eq!((fs.lookup(ROOT, b"a"), nlink(&fs, file)), (Err(Errno::ENOENT), 1));
    fs.set_mode(file, 0o7777, 6).unwrap();
    fs.set_times(file, Some(-1), None, 7).unwrap();
    fs.set_owner(file, None, Some(9), 8).unwrap();
    let stat = fs.stat(file).unwrap();
    assert_eq!((stat.mode, stat.uid, stat.gid, stat.atime_ns, stat.mtime_ns), (0o107_777, 1, 9, -1, 3));
    assert_eq!((stat.ctime_ns, fs.stat(ROOT).unwrap().mtime_ns), (8, 5));
}

#[test]
fn an_open_file_outlives_its_names() {
    let mut fs = empty();
    let file = fs.create(ROOT, b"a", FILE, 2).unwrap();
    fs.write(file, 0, b"x", 2).unwrap();
    fs.hold(file).unwrap();
    fs.unlink(ROOT, b"a", 3).unwrap();
    assert_eq!((nlink(&fs, file), fs.usage().0), (0, 1));
    assert_eq!(fs.link(file, ROOT, b"again", 3), Err(Errno::ENOENT));
    fs.release(file);
    assert_eq!((fs.stat(file), fs.usage().0), (Err(Errno::ENOENT), 0));
}

#[test]
fn directories_count_their_directories() {
    let mut fs = empty();
    let dir = fs.create(ROOT, b"d", DIR, 2).unwrap();
    let inner = fs.create(dir, b"e", DIR, 2).unwrap();
    fs.create(dir, b"f", FILE, 2).unwrap();
    assert_eq!((nlink(&fs, ROOT), nlink(&fs, dir), nlink(&fs, inner)), (3, 3, 2));
    assert_eq!(
        (fs.lookup(inner, b".."), fs.lookup(ROOT, b".."), fs.lookup(inner, b".")),
        (Ok(dir), Ok(ROOT), Ok(inner))
    );
    assert_eq!(names(&fs, dir), [b"e", b"f"]);
    assert_eq!(fs.remove_directory(ROOT, b"d", 3), Err(Errno::ENOTEMPTY));
    assert_eq!(fs.remove_directory(dir, b"f", 3), Err(Errno::ENOTDIR));
    assert_eq!(fs.unlink(dir, b"e", 3), Err(Errno::EISDIR));
    assert_eq!(fs.link(inner, ROOT, b"x", 3), Err(Errno::EPERM));
    fs.hold(inner).unwrap();
    fs.remove_directory(dir, b"e", 3).unwrap();
    assert_eq!((nlink(&fs, dir), nlink(&fs, inner)), (2, 0));
    assert_eq!(fs.create(inner, b"x", FILE, 3), Err(Errno::ENOENT), "nothing can be made in a removed directory");
}

#[test]
fn names_are_unique_and_short() {
    let mut fs = empty();
    let file = fs.create(ROOT, b"a", FILE, 2).unwrap();
    assert_eq!(fs.create(ROOT, b"a", DIR, 2), Err(Errno::EEXIST));
    assert_eq!(fs.create(ROOT, b".", DIR, 2), Err(Errno::EEXIST));
    assert_eq!(fs.create(ROOT, &[b'x'; 256], FILE, 2), Err(Errno::ENAMETOOLONG));
    assert_eq!(fs.create(file, b"x", FILE, 2), Err(Errno::ENOTDIR));
    let link = fs.create(ROOT, b"l", New { mode: kind::LINK | 0o777, target: b"a/b", ..FILE }, 2).unwrap();
    assert_eq!((fs.read_link(link), fs.stat(link).unwrap().size), (Ok(&b"a/b"[..]), 3));
    assert_eq!(fs.read_link(file), Err(Errno::EINVAL));
}

#[test]
fn the_group_of_a_directory_is_inherited() {
    let mut fs = empty();
    let dir = fs.create(ROOT, b"d", New { mode: DIR.mode | SETGID, gid: 50, ..DIR }, 2).unwrap();
    let (file, inner) = (fs.create(dir, b"f", FILE, 2).unwrap(), fs.create(dir, b"e", DIR, 2).unwrap());
    let told = |ino| fs.stat(ino).map(|stat| (stat.gid, stat.mode & SETGID));
    assert_eq!((told(file), told(inner)), (Ok((50, 0)), Ok((50, SETGID))));
}

#[test]
fn names_move() {
    let mut fs = empty();
    let (a, b) = (fs.create(ROOT, b"a", DIR, 2).unwrap(), fs.create(ROOT, b"b", DIR, 2).unwrap());
    let (f, g) = (fs.create(a, b"f", FILE, 2).unwrap(), fs.create(b, b"g", FILE, 2).unwrap());
    let mut rename = |from, to, replace| fs.rename(from, to, replace, 3);
    assert_eq!(rename((a, b"f"), (b, b"g"), Replace::No), Err(Errno::EEXIST));
    assert_eq!(rename((a, b"x"), (b, b"g"), Replace::Yes), Err(Errno::ENOENT));
    assert_eq!(rename((a, b"f"), (b, b"x"), Replace::Exchange), Err(Errno::ENOENT));
    assert_eq!(rename((a, b"f"), (ROOT, b"b"), Replace::Yes), Err(Errno::EISDIR));
    assert_eq!(rename((ROOT, b"a"), (b, b"g"), Replace::Yes), Err(Errno::ENOTDIR));
    assert_eq!(rename((ROOT, b"a"), (ROOT, b"b"), Replace::Yes), Err(Errno::ENOTEMPTY));
    assert_eq!(rename((ROOT, b"a"), (a, b"x"), Replace::Yes), Err(Errno::EINVAL));
    assert_eq!(rename((a, b"f"), (ROOT, b"a"), Replace::Yes), Err(Errno::ENOTEMPTY));
    assert_eq!(rename((a, b"f"), (ROOT, b"a"), Replace::Exchange), Err(Errno::EINVAL));
    assert_eq!(rename((a, b"."), (b, b"x"), Replace::Yes), Err(Errno::EBUSY));
    assert_eq!(rename((a, b"f"), (a, b"f"), Replace::Yes), Ok(()));
    assert_eq!(rename((a, b"f"), (b, b"g"), Replace::Exchange), Ok(()));
    assert_eq!((fs.lookup(a, b"f"), fs.lookup(b, b"g")), (Ok(g), Ok(f)));
    fs.rename((a, b"f"), (b, b"g"), Replace::Yes, 4).unwrap();
    assert_eq!((fs.lookup(b, b"g"), fs.stat(f), names(&fs, a).len()), (Ok(g), Err(Errno::ENOENT), 0));
    fs.rename((ROOT, b"b"), (a, b"b"), Replace::Yes, 5).unwrap();
    assert_eq!((fs.lookup(b, b".."), nlink(&fs, ROOT), nlink(&fs, a)), (Ok(a), 3, 3));
    fs.create(ROOT, b"e", DIR, 6).unwrap();
    fs.rename((a, b"b"), (ROOT, b"e"), Replace::Yes, 6).unwrap();
    assert_eq!(
        (fs.lookup(ROOT, b"e"), nlink(&fs, ROOT), nlink(&fs, a), fs.stat(ROOT).unwrap().size),
        (Ok(b), 4, 2, 40)
    );
}

#[test]
fn room_is_limited() {
    let mut fs = Tmpfs::new(2 * PAGE as u64, 0o755, 1);
    let file = fs.create(ROOT, b"a", FILE, 2).unwrap();
    let bytes = [7; 3 * PAGE];
    assert_eq!(fs.write(file, 100, &bytes, 2), Ok(2 * PAGE - 100));
    assert_eq!(fs.write(file, 2 * PAGE as u64, b"x", 2), Err(Errno::ENOSPC));
    assert_eq!(fs.write(file, 50, b"x", 2), Ok(1), "there is a page already");
    assert_eq!(fs.write(file, MAX_SIZE, b"x", 2), Err(Errno::EFBIG));
    fs.truncate(file, 10, 3).unwrap();
    assert_eq!((fs.usage(), fs.stat(file).unwrap().size), ((1, 2), 10));
    fs.truncate(file, 1 << 40, 3).unwrap();
    assert_eq!(fs.usage().0, 1, "a hole takes no page");
    assert_eq!(fs.truncate(ROOT, 0, 3), Err(Errno::EISDIR));
}
