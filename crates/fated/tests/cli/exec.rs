//! What may be a program: files of all kinds as the first program and as a shell's, with the status that they give natively.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::fated::{ANOTHER_USER, Folder, Outcome, Running, as_user, engine, run};
use crate::{ENGINES, Test};

pub const TESTS: &[Test] = &[
    ("programs_of_all_kinds", &["bash", "mkfifo"], programs_of_all_kinds),
    ("scripts_as_first_program", &[], scripts),
    ("search_in_path", &[], search),
    ("program_that_cannot_be_read", &[ANOTHER_USER], unreadable),
    ("programs_that_change_the_user", &[ANOTHER_USER, "setpriv", "su"], change_the_user),
    ("damaged_first_program", &["bash", "setarch", "timeout"], damaged_first),
    ("damaged_programs_of_a_shell", &["bash", "setarch", "timeout"], damaged_in_shell),
];

/// Both engines are tried at the same time.
fn folder(name: &str) -> Folder {
    Folder::new(&format!("{name}-{}", engine()))
}

/// Writes a file of this mode; returns its path.
fn program(folder: &Folder, name: &str, content: impl AsRef<[u8]>, mode: u32) -> String {
    let path = folder.write(name, content);
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the file is ours");
    path
}

fn programs_of_all_kinds() {
    let folder = folder("kinds");
    let true_program = fs::read("/bin/true").expect("it is there");
    program(&folder, "readable", &true_program, 0o755);
    program(&folder, "unreadable", &true_program, 0o111);
    program(&folder, "data", &true_program, 0o644);
    program(&folder, "empty", "", 0o755);
    program(&folder, "garbage", "\x01\x02\0\x03", 0o755);
    program(&folder, "no_interpreter", "#!/nowhere/interpreter\n", 0o755);
    program(&folder, "bad_interpreter", "#!/etc/passwd\n", 0o755);
    program(&folder, "own_interpreter", format!("#!{}\n", folder.file("own_interpreter")), 0o755);
    program(&folder, "nothing_named", "#!\n", 0o755);
    fs::create_dir(folder.file("directory")).expect("the folder is ours");
    Running::start_program("mkfifo", &[&folder.file("fifo")]).end().code(0);
    let names = [
        "readable",
        "unreadable",
        "data",
        "empty",
        "garbage",
        "no_interpreter",
        "bad_interpreter",
        "own_interpreter",
        "nothing_named",
        "directory",
        "fifo",
        "missing",
    ];
    for name in names {
        let path = folder.file(name);
        // Who can't read it can't run it: `program_that_cannot_be_read`.
        if name == "unreadable" && fs::read(&path).is_err() {
            continue;
        }
        let native = Running::start_program("bash", &["-c", "exec \"$0\"", &path]).end();
        let outcome = run(&["--", &path]);
        assert_eq!(outcome.code, native.code, "{name}: {outcome:?}");
        assert!(outcome.code == 0 || outcome.stderr.contains("fated: failed to run"), "{name}: {outcome:?}");
        for engine in ENGINES {
            assert_eq!(run(&["--engine", engine, "--", &path]), outcome, "{name} on the engine {engine}");
        }
    }
}

fn scripts() {
    let folder = folder("scripts");
    let script = "echo \"$#:$1:${0##*/}\"\nexit 7\n";
    let with_line = program(&folder, "with", format!("#!/bin/sh\n{script}"), 0o755);
    run(&[&with_line, "a b"]).code(7).stdout("1:a b:with\n");
    let without = program(&folder, "without", script, 0o755);
    run(&[&without, "a b"]).code(7).stdout("1:a b:without\n");
    let nested = program(&folder, "nested", format!("#!{with_line} word\n"), 0o755);
    run(&[&nested, "last"]).code(7).stdout("3:word:with\n");
    let path = format!("PATH={}", folder.path());
    run(&["--env", &path, "without", "x"]).code(7).stdout("1:x:without\n");
}

fn search() {
    let folder = folder("search");
    let [first, second, third] = ["first", "second", "third"].map(|name| {
        fs::create_dir(folder.file(name)).expect("the folder is ours");
        folder.file(name)
    });
    program(&folder, "first/tool", "#!/bin/sh\necho first\n", 0o644);
    fs::create_dir(folder.file("second/tool")).expect("the folder is ours");
    let found = |path: &str| run(&["--env", &format!("PATH={path}"), "tool"]);
    found(&format!("{first}:{second}")).code(126).says(&["failed to run tool", "permission denied"]);
    found(&format!("/nowhere:{third}")).code(127).says(&["failed to run tool", "no such program"]);
    program(&folder, "third/tool", "#!/bin/sh\necho third\n", 0o755);
    found(&format!("/etc/passwd:{first}:{second}:{third}")).code(0).stdout("third\n");
}

fn unreadable() {
    let folder = folder("unreadable");
    let content = fs::read("/bin/true").expect("it is there");
    let path = program(&folder, "program", content, 0o111);
    let fated = [env!("CARGO_BIN_EXE_fated"), "run", "--engine", engine()];
    as_user(&[&fated[..], &[&path]].concat()).code(126).says(&["failed to run", "executed but not read"]);
    let script = r#""$0"; echo $?"#;
    let outcome = as_user(&[&fated[..], &["sh", "-c", script, &path]].concat()).code(0).stdout("126\n");
    outcome.says(&[&format!("start {path}"), "execute but not read", "chmod +r"]);
}

/// Numbers from a fixed seed (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// Programs that are cut short or have other bytes in their headers. Returns their names.
fn damage(folder: &Folder) -> Vec<String> {
    const COUNT: usize = 100;
    const HEADERS: usize = 64 + 13 * 56;
    /// What is shorter may pass for a text.
    const SHORTEST: usize = 16;
    const LINKER: &str = "/lib64/ld-linux-x86-64.so.2";
    let originals: Vec<_> = ["/bin/true", LINKER].iter().filter_map(|path| fs::read(path).ok()).collect();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut damaged = Vec::new();
    for i in 0..COUNT {
        let mut content = originals[i % originals.len()].clone();
        match i / 2 % 4 {
            0 => content.truncate(SHORTEST + numbers.below(HEADERS)),
            1 => content.truncate(SHORTEST + numbers.below(content.len() - SHORTEST)),
            _ => {
                for _ in 0..=numbers.below(3) {
                    content[4 + numbers.below(HEADERS - 4)] ^= 1 << numbers.below(8);
                }
            }
        }
        let name = format!("{i:02}");
        program(folder, &name, content, 0o755);
        damaged.push(name);
    }
    damaged
}

/// A shell's script, natively but without address space randomization, which fated's guests don't have either.
fn native(script: &str, argument: &str) -> Outcome {
    Running::start_program("setarch", &["-R", "timeout", "-s", "KILL", "60", "bash", "-c", script, argument]).end()
}

fn damaged_first() {
    let folder = folder("damaged-first");
    let mut statuses = Vec::new();
    for name in damage(&folder) {
        let path = folder.file(&name);
        let expected = native("exec \"$0\" 2>/dev/null", &path);
        let outcome = run(&["--", &path]);
        assert_eq!(outcome.code, expected.code, "damaged program {name}: {}", outcome.stderr);
        statuses.push(outcome.code);
    }
    assert!([126, 139].iter().all(|status| statuses.contains(status)), "both kinds of damage: {statuses:?}");
}

fn damaged_in_shell() {
    const SCRIPT: &str = "cd \"$0\"; for f in *; do ./$f >/dev/null 2>&1; echo $f $?; done";
    let folder = folder("damaged-shell");
    damage(&folder);
    let expected = native(SCRIPT, folder.path()).code(0);
    run(&["bash", "-c", SCRIPT, folder.path()]).code(0).stdout(&expected.stdout);
}

/// Programs of root's that start others as another user, or with fewer capabilities, do and say what they do and say natively.
fn change_the_user() {
    let other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    let by_name = ["su", "nobody", "-s", "/bin/sh", "-c", "id -u; id -g; id -G"];
    let groups = [&other[..], &["sh", "-c", "id -u; id -g; id -G"]].concat();
    let fewer = [
        "setpriv",
        "--inh-caps=-all",
        "--bounding-set=-all",
        "grep",
        "-E",
        "Cap(Inh|Prm|Eff|Bnd|Amb)",
        "/proc/self/status",
    ];
    let ambient =
        ["--inh-caps=+kill", "--ambient-caps=+kill", "grep", "-E", "Cap(Inh|Prm|Eff|Amb)", "/proc/self/status"];
    for command in [&groups[..], &by_name, &fewer, &[&other[..], &ambient].concat()] {
        let native = Running::start_program(command[0], &command[1..]).end();
        // Where a container keeps them from it, there is nothing to compare with.
        if native.code == 0 {
            let outcome = run(&[&["--"], command].concat()).code(0).stdout(&native.stdout);
            assert_eq!(outcome.guests_stderr(), native.stderr);
        }
    }
}
