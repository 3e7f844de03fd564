//! The run's own `/tmp`, `/var/tmp` and `/dev/shm`.
//!
//! What a command line names is the host's. So guests that are to find their own get their commands from a script in a file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::Test;
use crate::fated::{Folder, Outcome, Running, engine, fated, run};

pub const TESTS: &[Test] = &[
    ("tmp_mktemp_four_times", &["sh", "mktemp"], mktemp_four_times),
    ("tmp_hides_what_others_left", &["sh"], hides_what_others_left),
    ("tmp_has_named_files", &["sh"], has_named_files),
    ("tmp_has_the_working_directory", &["sh"], has_the_working_directory),
    ("tmp_as_the_working_directory", &["sh"], as_the_working_directory),
    ("tmp_over_its_border", &["sh", "readlink"], over_its_border),
    ("tmp_paths_are_virtual", &["sh", "readlink"], paths_are_virtual),
    ("tmp_is_another_file_system", &["python3"], is_another_file_system),
    ("tmp_programs", &["sh"], programs),
    ("tmp_of_the_host", &["sh"], of_the_host),
    ("tmp_is_kept", &["sh"], is_kept),
    ("tmp_count_of_what_is_dropped", &["sh"], count_of_what_is_dropped),
    ("tmp_root_is_hidden", &["sh", "env"], root_is_hidden),
    ("tmp_stale_root_is_removed", &["sh", "env"], stale_root_is_removed),
    ("tmp_in_a_journal", &["sh"], in_a_journal),
    ("tmp_verified", &["sh", "mktemp"], verified),
    ("tmp_python", &["python3"], python),
    ("tmp_bash_and_sort", &["bash", "sort"], bash_and_sort),
    ("tmp_gcc", &["gcc", "sh"], gcc),
];

/// A directory in the host's `/tmp`, removed at the end.
struct HostFolder(PathBuf);

impl HostFolder {
    fn new() -> HostFolder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let path = format!("/tmp/fated-cli-tmp-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
        fs::create_dir(&path).expect("/tmp is for everyone");
        HostFolder(path.into())
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("its name is plain")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("the guest has written it")
    }
}

impl Drop for HostFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A script in a file, and the options before it. A run whose `/tmp` is the host's by mistake ends before it changes anything there.
fn script_with(options: &[&str], program: &str, text: &str, args: &[&str]) -> Outcome {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let folder = Folder::new(&format!("tmp-{}-{}", engine(), COUNT.fetch_add(1, Relaxed)));
    let marker = HostFolder::new();
    let guard = match program {
        _ if options.contains(&"host") => String::new(),
        "python3" => format!("import os\nif os.path.exists('{}'): os._exit(99)\n", marker.path()),
        _ => format!("test -e {} && exit 99\n", marker.path()),
    };
    let file = folder.write("script", guard + text);
    run(&[options, &["--", program, &file], args].concat())
}

fn script(text: &str) -> Outcome {
    script_with(&[], "sh", text, &[]).code(0)
}

fn mktemp_four_times() {
    let names = [(); 4].map(|()| script("mktemp -d; mktemp; mktemp -p /var/tmp; ls -lai /tmp").stdout);
    assert!(names.iter().all(|it| *it == names[0]), "{names:?}");
    assert_eq!(names[0].lines().filter(|line| line.starts_with('/')).count(), 3);
}

fn hides_what_others_left() {
    let host = HostFolder::new();
    script(&format!("ls -A /tmp /dev/shm; cat {0}/x 2>&1; mkdir {0} && cd {0} && pwd", host.path()))
        .stdout(&format!("/dev/shm:\n\n/tmp:\ncat: {0}/x: No such file or directory\n{0}\n", host.path()));
}

fn has_named_files() {
    let host = HostFolder::new();
    fs::write(host.0.join("in"), "from the host\n").unwrap();
    let (path, name) = (host.path(), host.0.file_name().unwrap().to_str().unwrap());
    let text = format!("cat {path}/in && ls /tmp && cd {path}&& echo out >{path}/out; cat ./out; ls ..; rm in");
    run(&["--", "sh", "-c", &text]).code(0).stdout(&format!("from the host\n{name}\nout\n{name}\n"));
    assert_eq!((host.read("out"), host.0.join("in").exists()), ("out\n".into(), false));
    // An option, and a variable on the command line.
    let text = "echo $1 >${1#--out=}; echo two >$X; cat ${1#--out=}";
    let (out, variable) = (format!("--out={path}/1"), format!("X={path}/2"));
    script_with(&["--env", &variable], "sh", text, &[&out]).code(0);
    assert_eq!((host.read("1"), host.read("2")), (format!("{out}\n"), "two\n".into()));
    // A file that is named before it exists.
    let new = format!("{path}-new");
    run(&["--", "sh", "-c", &format!("echo new >{new}")]).code(0);
    assert_eq!(fs::read_to_string(&new).unwrap(), "new\n");
    fs::remove_file(new).unwrap();
}

fn has_the_working_directory() {
    let host = HostFolder::new();
    fs::create_dir(host.0.join("sub")).unwrap();
    fs::write(host.0.join("sub/in"), "in\n").unwrap();
    let (path, name) = (host.path(), host.0.file_name().unwrap().to_str().unwrap());
    let text = format!(
        "pwd; cat in ../sub/in ../../{name}/sub/in; echo out >out; cd ..; ls; pwd; cd ..; pwd; ls; cd {name}; pwd; cd ../..; pwd -P"
    );
    let cwd = format!("{path}/sub");
    let expected = format!("{path}/sub\nin\nin\nin\nsub\n{path}\n/tmp\n{name}\n{path}\n/\n");
    script_with(&["--cwd", &cwd], "sh", &text, &[]).code(0).stdout(&expected);
    assert_eq!(host.read("sub/out"), "out\n");
}

fn as_the_working_directory() {
    let host = HostFolder::new();
    let name = host.0.file_name().unwrap().to_str().unwrap();
    let own = format!("{name}-own");
    let text = format!("#!/bin/sh\necho $0; pwd; echo x >{own}; ls; ls /tmp; readlink /proc/self/cwd\n");
    fs::write(host.0.join("run"), text).unwrap();
    fs::set_permissions(host.0.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    let program = format!("./{name}/run");
    let expected = format!("{program}\n/tmp\n{name}\n{own}\n{name}\n{own}\n/tmp\n");
    run(&["--cwd", "/tmp", "--", "sh", &program]).code(0).stdout(&expected);
    run(&["--cwd", "/tmp", "--", &program]).code(0);
    assert!(!Path::new("/tmp").join(own).exists());
}

fn over_its_border() {
    let host = HostFolder::new();
    fs::write(host.0.join("f"), "host\n").unwrap();
    let name = host.0.file_name().unwrap().to_str().unwrap();
    let text = format!(
        "mkdir -p /tmp/a/b && echo own >/tmp/a/f && cd /tmp/a/b && cat ../f ../../a/f /tmp/a/b/../f && cd ../../.. && pwd -P\n\
         cat tmp/a/f var/../tmp/a/f ./tmp/./a//f /usr/../tmp/a/f\n\
         cd /tmp/a; ln -s /tmp/a/f abs; ln -s f rel; ln -s ../{name}/f up; ln -s / root; cat abs rel up root/tmp/a/f\n\
         ln -s /tmp/a/b/.. $1/link; cat $1/link/f $1/../a/f $1/../{name}/f; readlink $1/link\n\
         cat /proc/self/cwd/f /proc/self/root/tmp/a/f; cd $1/..; cat a/f; cat {name}/f; ls -d {name}/../a\n\
         cat /tmp/none/../a/f; cd /tmp/a; rmdir b; cat /tmp/a/b/../f; cat </tmp/a/f"
    );
    let outcome = script_with(&[], "sh", &text, &[host.path()]);
    let (own, host) = ("own\n", "host\n");
    let expected = [
        own.repeat(3),
        "/\n".into(),
        own.repeat(4),
        own.repeat(2) + host + own,
        own.repeat(2) + host + "/tmp/a/b/..\n",
        own.repeat(2) + own + host,
        format!("{}/../a\n", name),
        own.into(),
    ];
    outcome.code(0).stdout(&expected.concat()).says(&["/tmp/none/../a/f", "/tmp/a/b/../f"]);
}

fn paths_are_virtual() {
    let text = "mkdir /tmp/d; cd /tmp/d; pwd -P; readlink /proc/self/cwd; exec 5>/tmp/d/five; readlink /proc/$$/fd/5\n\
                rm five; readlink /proc/$$/fd/5; cp /bin/cat own; ./own /proc/self/maps | grep -o '/tmp.*\\|/.*/tmp/.*' | sort -u\n\
                /tmp/d/own /proc/self/maps | grep -c fated-; cp /bin/readlink rl; /tmp/d/rl /proc/self/exe; mkdir e; cd e; rmdir /tmp/d/e\n\
                readlink /proc/self/cwd; grep '/tmp \\|/var/tmp \\|/dev/shm ' /proc/mounts";
    script(text).stdout(
        "/tmp/d\n/tmp/d\n/tmp/d/five\n/tmp/d/five (deleted)\n/tmp/d/own\n0\n/tmp/d/rl\n/tmp/d/e (deleted)\n\
         tmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\ntmpfs /tmp tmpfs rw,nosuid,nodev 0 0\n\
         tmpfs /var/tmp tmpfs rw,nosuid,nodev 0 0\n",
    );
}

/// Each attempt fails, so that nothing can be lost: a directory of the test's own is all that it could hit.
fn is_another_file_system() {
    let host = HostFolder::new();
    fs::write(host.0.join("in"), "").unwrap();
    let text = "
import errno, os, sys
host = sys.argv[1]
os.mkdir('/tmp/d'); open('/tmp/d/f', 'w').close(); open('/var/tmp/g', 'w').close()
def attempt(call, *args):
    try: call(*args)
    except OSError as error: print(call.__name__, errno.errorcode[error.errno])
    else: print(call.__name__)
for call in os.rename, os.link:
    attempt(call, host + '/in', '/tmp/d/in')
    attempt(call, '/tmp/d/f', host + '/f')
    attempt(call, '/var/tmp/g', '/tmp/d/g')
    attempt(call, '/tmp/none/f', host + '/f')
    attempt(call, '/tmp/d/f', '/tmp/d/' + call.__name__)
    attempt(os.rename, '/tmp/d/' + call.__name__, '/tmp/d/f')
for path in '/tmp', '/var/tmp', '/dev/shm': attempt(os.rmdir, path)
attempt(os.rename, '/tmp', '/tmp/d/e')
os.chdir('/tmp/d')
fd = os.open('/tmp', os.O_RDONLY)
print(os.stat('/tmp').st_ino == os.fstat(fd).st_ino == os.stat('..').st_ino == os.stat(host + '/..').st_ino, sorted(os.listdir(fd)) == sorted(os.listdir('/tmp')))
print(os.access(os.path.basename(host) + '/in', os.F_OK, dir_fd=fd), os.statvfs('/tmp').f_blocks == os.fstatvfs(fd).f_blocks)
";
    let across = "EXDEV\nEXDEV\nEXDEV\nENOENT\n";
    let each = |name: &str| across.lines().map(|it| format!("{name} {it}\n")).collect::<String>() + name + "\nrename\n";
    let busy = "rmdir EBUSY\nrmdir EBUSY\nrmdir EBUSY\nrename EBUSY\nTrue True\nTrue True\n";
    script_with(&[], "python3", text, &[host.path()]).code(0).stdout(&(each("rename") + &each("link") + busy));
}

fn programs() {
    let text = "printf '#!/bin/sh\\necho $0 $*\\n' >/tmp/s; chmod +x /tmp/s; /tmp/s 1 '2 3'; cd /tmp; ./s; cd /; ln -s /tmp/s /var/tmp/l; /var/tmp/l\n\
                cp /bin/sh /tmp/i; printf '#!/tmp/i -e\\necho $0 $*; tr \"\\\\0\" \" \" </proc/$$/cmdline; readlink /proc/$$/exe\\n' >/tmp/z; chmod +x /tmp/z; /tmp/z 1 2\n\
                cd /tmp; ./z; mv z /dev/shm/y; PATH=/dev/shm:$PATH; y; pwd; printf '#!/tmp/none\\n' >n; chmod +x n; ./n; echo $?\n\
                LD_SHOW_AUXV=1 /tmp/i -c : | grep 'EXECFN\\|RANDOM'; echo x >t; chmod +x t; ./t 2>/dev/null; echo $?";
    let outcome = script(text);
    let auxv: Vec<_> = outcome.stdout.lines().filter(|line| line.starts_with("AT_")).collect();
    // There may be no glibc.
    assert!(auxv.is_empty() || auxv[1].ends_with(" /tmp/i") && auxv[0].starts_with("AT_RANDOM"), "{auxv:?}");
    let rest: String = outcome.stdout.split_inclusive('\n').filter(|line| !line.starts_with("AT_")).collect();
    let expected = "/tmp/s 1 2 3\n./s\n/tmp/s\n/tmp/z 1 2\n/tmp/i -e /tmp/z 1 2 /tmp/i\n./z\n/tmp/i -e ./z /tmp/i\n\
                    /dev/shm/y\n/tmp/i -e /dev/shm/y /tmp/i\n/tmp\n127\n127\n";
    assert_eq!(rest, expected);
    let [one, other] = ["inside", "ptrace"].map(|engine| script_with(&["--engine", engine], "sh", text, &[]).stdout);
    assert_eq!(one, other);
}

fn of_the_host() {
    let host = HostFolder::new();
    let text = format!("echo x >{}/x", host.path());
    script_with(&["--tmp", "host"], "sh", &text, &[]).code(0);
    assert_eq!(host.read("x"), "x\n");
    let outcome = run(&["--tmp", "host", "--keep-tmp", "x", "--", "true"]).code(125);
    outcome.says(&["take one of the two"]);
}

fn is_kept() {
    let folder = Folder::new(&format!("tmp-kept-{}", engine()));
    let kept = folder.file("kept");
    let text = "mkdir /tmp/d; echo 1 >/tmp/d/f; echo 2 >/dev/shm/g; /bin/cp /bin/true /tmp/t; /tmp/t";
    script_with(&["--keep-tmp", &kept], "sh", text, &[]).code(0).says(&[&format!(
        "fated: what the run has left in its own /tmp and /dev/shm is in {kept}: 4 files and directories"
    )]);
    let read = |name: &str| fs::read_to_string(format!("{kept}/{name}")).unwrap();
    assert_eq!((read("tmp/d/f"), read("dev/shm/g")), ("1\n".into(), "2\n".into()));
    let names: Vec<_> = fs::read_dir(&kept).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(names.len() == 2, "no more than these: {names:?}");
    let outcome = script_with(&["--keep-tmp", &kept], "sh", "echo started", &[]).code(125);
    outcome.stdout("").says(&["isn't empty"]);
    // A run that leaves nothing.
    let none = folder.file("none");
    script_with(&["--keep-tmp", &none], "sh", ":", &[]).code(0);
    assert_eq!(fs::read_dir(none).unwrap().count(), 0);
}

fn count_of_what_is_dropped() {
    let outcome = script("mkdir -p /tmp/a/b; chmod 0 /tmp/a/b; echo >/dev/shm/c; echo >/var/tmp/d; rm /var/tmp/d");
    outcome.says(&[
        "fated: what the run has left in its own /tmp and /dev/shm is dropped: 3 files and directories; ",
        "--keep-tmp DIR",
    ]);
    let outcome = script("echo >/tmp/a; rm /tmp/a");
    assert!(!outcome.stderr.contains("dropped"), "{}", outcome.stderr);
}

/// Starts fated with its root in a directory of the test's.
fn start_in(folder: &Folder, args: &[&str]) -> Running {
    let variable = format!("TMPDIR={}", folder.path());
    let command = [variable.as_str(), env!("CARGO_BIN_EXE_fated"), "run", "--engine", engine(), "--"];
    Running::start_program("env", &[&command[..], args].concat())
}

fn names_in(folder: &Folder) -> Vec<String> {
    let names = fs::read_dir(folder.path()).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("fated-")).collect()
}

fn root_is_hidden() {
    let folder = Folder::new(&format!("tmp-root-{}", engine()));
    let text = "ls -A $TMPDIR; cd $TMPDIR; ls -A; for i in fated-*; do echo $i; done; cd /tmp; pwd -P; ls -A";
    start_in(&folder, &["sh", "-c", text]).end().code(0).stdout("fated-*\n/tmp\n");
    assert!(names_in(&folder).is_empty());
}

fn stale_root_is_removed() {
    let folder = Folder::new(&format!("tmp-stale-{}", engine()));
    let mut running = start_in(&folder, &["sh", "-c", "echo ready; read x"]);
    assert_eq!(running.line(), "ready");
    let stale = names_in(&folder);
    assert_eq!(stale.len(), 1);
    start_in(&folder, &["true"]).end().code(0);
    assert_eq!(names_in(&folder), stale, "its fated lives");
    running.signal("KILL");
    assert_eq!(running.end().signal, Some(9));
    start_in(&folder, &["true"]).end().code(0);
    assert!(names_in(&folder).is_empty());
    // A run that the user ends.
    let mut running = start_in(&folder, &["sh", "-c", "echo ready; read x"]);
    assert_eq!(running.line(), "ready");
    running.signal("TERM");
    running.end();
    assert!(names_in(&folder).is_empty());
}

fn in_a_journal() {
    let host = HostFolder::new();
    fs::write(host.0.join("in"), "named\n").unwrap();
    let folder = Folder::new(&format!("tmp-journal-{}", engine()));
    let journal = folder.file("j");
    let text = "cat $1/in; mktemp; ls /tmp | wc -l; cat /tmp/left 2>/dev/null; echo left >/tmp/left";
    let file = folder.write("script", text);
    let first = run(&["--record", &journal, "--", "sh", &file, host.path()]).code(0);
    let head = fs::read_to_string(&journal).unwrap();
    assert!(head.contains("\nown-tmp\n") && head.contains(&format!("host-path \"{}\"\n", host.path())), "{head}");
    for engine in ["inside", "ptrace"] {
        fated(&["replay", "--engine", engine, &journal]).code(0).stdout(&first.stdout);
    }
    // One that was recorded with the host's.
    let text = format!("cat {}/in", host.path());
    let file = folder.write("script", text);
    run(&["--tmp", "host", "--record", &journal, "--", "sh", &file]).code(0).stdout("named\n");
    fated(&["replay", &journal]).code(0).stdout("named\n");
}

fn verified() {
    let outcome = script_with(&["--verify"], "sh", "mktemp -d; ls -la /tmp; cat /tmp/left; echo x >/tmp/left", &[]);
    let outcome = outcome.code(0).says(&["two runs, the same"]);
    assert_eq!(outcome.stderr.matches("is dropped").count(), 1, "{}", outcome.stderr);
}

fn python() {
    let text = "
import os, tempfile, multiprocessing
from multiprocessing import shared_memory
with tempfile.TemporaryDirectory() as folder, tempfile.NamedTemporaryFile(dir=folder) as file, tempfile.TemporaryFile() as other:
    other.write(b'x')
    print(os.listdir('/tmp') == [os.path.basename(folder)], os.listdir(folder) == [os.path.basename(file.name)])
    os.chdir(folder)
    print(os.getcwd() == folder == os.path.realpath('.'))
memory = shared_memory.SharedMemory(create=True, size=10)
memory.buf[0] = 5
other = shared_memory.SharedMemory(memory.name)
print(len(os.listdir('/dev/shm')), other.buf[0])
other.close(); memory.close(); memory.unlink()
multiprocessing.Semaphore(2).acquire()
print(os.listdir('/tmp'), os.listdir('/dev/shm'))
";
    script_with(&[], "python3", text, &[]).code(0).stdout("True True\nTrue\n1 5\n[] []\n");
}

fn bash_and_sort() {
    let text = "cat <<X\nhere $((1 + 1))\nX\ncat <<<there; cat <(echo piped)\nseq 30000 | sort -rn -S 100k -T /tmp | tail -n 1; ls /tmp";
    script_with(&[], "bash", text, &[]).code(0).stdout("here 2\nthere\npiped\n1\n");
}

fn gcc() {
    let text = "cd /tmp && printf 'int puts(const char *);\\nint main(void) { puts(\"compiled\"); }\\n' >a.c && gcc -o /var/tmp/a a.c && /var/tmp/a && ls";
    script(text).stdout("compiled\na.c\n");
}
