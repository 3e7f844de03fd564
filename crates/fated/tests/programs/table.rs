//! The programs, by Debian package.

/// One invocation and what is expected of it.
pub struct Program {
    /// Its name as a test.
    pub name: &'static str,
    line: &'static str,
    script: Option<&'static str>,
    needs: &'static str,
    /// What it is given, from `guests/`.
    pub files: &'static str,
    /// Made natively beforehand, by a shell.
    pub prepare: &'static str,
    /// The exit status that it should have.
    pub exit: i32,
    /// Whether its output can be compared with a native run.
    pub native: Native,
    /// Whether it works under fated.
    pub expect: Expect,
}

#[derive(Clone, Copy)]
pub enum Native {
    /// Output and exit status are the same on every native run.
    Same,
    /// Something in it differs natively from run to run, or tells of the machine.
    Differs(&'static str),
}

#[derive(Clone, Copy)]
pub enum Expect {
    Works,
    /// Known not to work, and why.
    Fails(&'static str),
}

/// A program by its words.
const fn run(name: &'static str, line: &'static str) -> Program {
    Program {
        name,
        line,
        script: None,
        needs: "",
        files: "",
        prepare: "",
        exit: 0,
        native: Native::Same,
        expect: Expect::Works,
    }
}

/// A program whose last argument is a script.
const fn script(name: &'static str, line: &'static str, script: &'static str) -> Program {
    Program { script: Some(script), ..run(name, line) }
}

const fn bash(name: &'static str, text: &'static str) -> Program {
    script(name, "bash -c", text)
}

impl Program {
    const fn needs(self, needs: &'static str) -> Self {
        Self { needs, ..self }
    }

    const fn files(self, files: &'static str) -> Self {
        Self { files, ..self }
    }

    const fn prepare(self, prepare: &'static str) -> Self {
        Self { prepare, ..self }
    }

    const fn exit(self, exit: i32) -> Self {
        Self { exit, ..self }
    }

    const fn fails(self, why: &'static str) -> Self {
        Self { expect: Expect::Fails(why), ..self }
    }

    const fn differs(self, why: &'static str) -> Self {
        Self { native: Native::Differs(why), ..self }
    }

    /// Program and arguments.
    pub fn words(&self) -> Vec<&'static str> {
        self.line.split(' ').chain(self.script).collect()
    }

    /// As one would type it.
    pub fn invocation(&self) -> String {
        match self.script {
            None => self.line.to_owned(),
            Some(script) => format!("{} '{}'", self.line, script.replace('\'', r"'\''")),
        }
    }

    /// The commands that have to be installed.
    pub fn commands(&self) -> impl Iterator<Item = &'static str> {
        let own = self.line.split(' ').next().filter(|it| !it.contains('/'));
        own.into_iter().chain(self.needs.split_whitespace())
    }

    /// Different for each, so that programs that run at once do not choose the same names in shared folders.
    pub fn seed(&self) -> u32 {
        self.name.bytes().fold(7, |seed, byte| seed.wrapping_mul(31).wrapping_add(u32::from(byte)))
    }
}

const TRACE: &str = "a guest can't trace another yet";
const CLOCK: &str = "shows the time";
const PIDS: &str = "shows process ids";
const CHANCE: &str = "shows random numbers";
const ORDER: &str = "shows the order of what runs at once";
const PLACES: &str = "shows addresses";
const MACHINE: &str = "tells of the machine";

pub const PROGRAMS: &[(&str, &[Program])] = &[
    (
        "coreutils",
        &[
            run("cat", "cat poem.txt numbers.txt").files("poem.txt numbers.txt"),
            bash("ls", "mkdir b; echo 1 >a; ln -s a c; ls -A; ls -lR --time-style=full-iso; ls -i").differs(CLOCK),
            bash("ls-unsorted", "touch {z,y,x,c,b,a}{1,2,3}; ls -U").differs("shows the order of a directory"),
            bash("stat", "echo hello >f; stat f; stat -f -c '%s %b %f' .").differs(CLOCK),
            run("date", "date +%F_%T.%N").differs(CLOCK),
            bash("date-loop", "for i in 1 2 3; do date +%s.%N; sleep 0.5; done").differs(CLOCK),
            run("uname", "uname -a").differs(MACHINE),
            run("nproc", "nproc --all").differs(MACHINE),
            run("shuf", "shuf -i 1-30").differs(CHANCE),
            run("urandom", "od -An -N32 -tx1 /dev/urandom").differs(CHANCE),
            bash("mktemp", "mktemp; mktemp -d; ls tmp | wc -l").differs(CHANCE),
            bash("sort", "sort -n numbers.txt | cut -d' ' -f2 | sort | uniq -c; tac poem.txt | sort -r | head -3")
                .files("poem.txt numbers.txt"),
            bash("sort-parallel", "seq 200000 -1 1 | sort -n --parallel=4 -S 1M | md5sum"),
            run("sha256sum", "sha256sum poem.txt numbers.txt").files("poem.txt numbers.txt"),
            bash("dd", "dd if=/dev/zero bs=64k count=100 2>/dev/null | md5sum; yes | head -1000 | cksum"),
            bash("split", "split -l 2 poem.txt part.; paste -d'|' part.*; join <(sort numbers.txt) <(sort numbers.txt) | wc -l")
                .files("poem.txt numbers.txt"),
            bash("cp", "mkdir a; cp poem.txt a/; cp -r a b; mv b/poem.txt b/p; ln b/p b/q; rm a/poem.txt; rmdir a; chmod 600 b/p; stat -c '%n %a %h %s' b/*")
                .files("poem.txt"),
            bash("tee", "seq 5 | tee one two | tail -1; cat one two | wc -l; nl poem.txt | fold -w 20 | expand | head -5").files("poem.txt"),
            run("timeout", "timeout 0.5 sleep 10").exit(124),
            run("sleep", "sleep 100").differs("would take its time"),
            run("false", "false").exit(1),
            run("no-such-file", "cat /no/such/file").exit(1),
            bash("ids", "id -u; id -g; printenv HOME | wc -l; env -i A=1 env; pwd | wc -l; tty; expr 6 \\* 7; factor 360360"),
            bash("df", "df --output=size,used,avail . | tail -1; du -s .").differs(MACHINE),
        ],
    ),
    (
        "bash",
        &[
            run("hello-fate", "bash hello-fate.sh").files("../../../../../examples/hello-fate.sh").differs(CLOCK),
            run("jobs", "bash jobs.sh").files("jobs.sh"),
            bash("pids", "echo $$ $PPID $BASHPID; (echo $BASHPID); sleep 0 & echo $!; wait; echo $(sh -c 'echo $$')").differs(PIDS),
            bash("random", "echo $RANDOM $SRANDOM $RANDOM; echo $EPOCHREALTIME $SECONDS").differs(CHANCE),
            bash("background-order", "for i in {1..12}; do (for k in 1 2 3; do echo -n \"$i \"; done) & done; wait").differs(ORDER),
            bash("killed", "kill -TERM $$").exit(143),
            bash("sigpipe", "yes | head -1; echo ${PIPESTATUS[*]}"),
            bash("ulimit", "ulimit -n 64; ulimit -n; exec 50<poem.txt; read -r line <&50; echo $line; ulimit -c").files("poem.txt"),
            bash("not-found", "nonesuch").exit(127),
            bash("not-executable", "touch f; ./f").exit(126),
            bash("times", "for i in {1..20000}; do :; done; times; time sleep 0.25").differs(CLOCK),
            bash("many-children", "for i in {1..200}; do /bin/true & done; wait; echo done"),
        ],
    ),
    (
        "dash",
        &[
            run("dash", "dash traps.dash").files("traps.dash").exit(6),
            script("dash-loop", "dash -c", "i=0; while [ $i -lt 300 ]; do i=$(($(echo $i) + 1)); done; echo $i"),
        ],
    ),
    (
        "mawk, gawk",
        &[
            script("mawk", "mawk", "BEGIN { for (i = 0; i < 100000; i++) n[i % 7] += i; for (i = 0; i < 7; i++) print n[i] }"),
            script("mawk-rand", "mawk", "BEGIN { srand(); print rand(), rand() }").differs(CHANCE),
            run("gawk", "gawk -f totals.awk numbers.txt").files("totals.awk numbers.txt"),
            script("gawk-coprocess", "gawk", "BEGIN { c = \"sort\"; print \"b\\na\" |& c; close(c, \"to\"); while ((c |& getline l) > 0) print l; print systime() > 0 }"),
        ],
    ),
    (
        "sed, grep",
        &[
            bash("sed", "sed -n '2,4p;s/the/THE/gp' poem.txt; sed -i.old -E 's/(\\w+) (\\w+)/\\2 \\1/' poem.txt; diff poem.txt poem.txt.old | wc -l")
                .files("poem.txt"),
            bash("grep", "grep -n clock poem.txt; grep -rc . . | sort; grep -oP '\\b\\w{6}\\b' poem.txt; grep -q nothing poem.txt; echo $?").files("poem.txt numbers.txt"),
        ],
    ),
    (
        "findutils",
        &[
            bash("find", "mkdir -p a/b/c; touch a/1 a/b/2 a/b/c/3; find a | sort; find a -type f -exec basename {} \\; | sort; find a -newer poem.txt -name '[12]' | sort; find . -empty -delete; ls")
                .files("poem.txt"),
            bash("find-unsorted", "mkdir d; touch d/{9..1}; find d -printf '%p %i %T@\\n'").differs("shows inodes and times"),
            bash("xargs", "seq 1 20 | xargs -n 3 echo; seq 1 5 | xargs -I{} sh -c 'echo $(({} * {}))'"),
            bash("xargs-parallel", "seq 1 24 | xargs -P 4 -n 2 sh -c 'echo $0 $1 $$; sleep 0.0$0'").differs(ORDER),
        ],
    ),
    (
        "perl",
        &[
            run("perl-forks", "perl forks.pl").files("forks.pl"),
            script("perl-hash", "perl -e", "%h = map { $_ => 1 } 'a'..'z'; print join(' ', keys %h), ' ', rand(), \" $$ \", time, \"\\n\"").differs(CHANCE),
            bash("perl-text", "perl -ne '$w{lc $1}++ while /(\\w+)/g; END { print \"$_ $w{$_}\\n\" for sort { $w{$b} <=> $w{$a} || $a cmp $b } keys %w }' poem.txt | head -5")
                .needs("perl")
                .files("poem.txt"),
        ],
    ),
    (
        "python3",
        &[
            run("python-threads", "python3 threads.py").files("threads.py").differs(ORDER),
            run("python-spawn", "python3 spawn.py").files("spawn.py"),
            run("python-pool", "python3 pool.py").files("pool.py"),
            run("python-asyncio", "python3 loop.py").files("loop.py"),
            run("python-chance", "python3 chance.py").files("chance.py").differs(CHANCE),
            script("python-modules", "python3 -c", "import json, zlib, decimal, sqlite3, hashlib, ctypes, re; print(json.dumps({'a': [1, 2.5, None]}), zlib.crc32(b'x' * 100000), decimal.Decimal(2).sqrt(), hashlib.sha256(b'').hexdigest()[:8], sqlite3.connect(':memory:').execute('select 6 * 7').fetchone(), ctypes.CDLL(None).abs(-5))"),
            script("python-signals", "python3 -c", "import signal, time, os; signal.signal(signal.SIGALRM, lambda *_: print('alarm')); signal.setitimer(signal.ITIMER_REAL, 0.05); time.sleep(0.2); print(os.waitpid(os.spawnlp(os.P_NOWAIT, 'sh', 'sh', '-c', 'kill -9 $$'), 0)[1]); os.kill(os.getpid(), signal.SIGINT)").exit(130),
            script("python-executor", "python3 -c", "from concurrent.futures import *; import math; t, p = ThreadPoolExecutor(4), ProcessPoolExecutor(2); print(sum(t.map(math.isqrt, range(1000)))); print(list(p.map(math.factorial, range(8)))); p.shutdown(); t.shutdown()"),
            run("python-compileall", "python3 -m compileall -q -j 2 .").files("threads.py pool.py spawn.py loop.py"),
        ],
    ),
    (
        "gcc, g++, make",
        &[
            bash("gcc", "gcc -O2 -Wall lz.c -o lz && ./lz && md5sum lz").needs("gcc").files("lz.c"),
            bash("gcc-static", "gcc -O2 -static lz.c -o lz && ./lz").needs("gcc").files("lz.c"),
            bash("gcc-large-static-pie", "echo 'char big[9 << 20]; int main(void) { return printf(\"%p\\n\", big) < 0; }' >large.c; gcc -w -static-pie large.c -o large && ./large").needs("gcc").differs(PLACES),
            bash("g++", "g++ -O2 words.cpp -o words && ./words && md5sum words").needs("g++").files("words.cpp poem.txt"),
            bash("gcc-pipe", "gcc -pipe -O1 -S -o - lz.c | grep -c mov; gcc -c lz.c; ar r lz.a lz.o 2>&1; nm lz.a | grep -c ' [Tt] '").needs("gcc ar nm").files("lz.c"),
            bash("gcc-error", "echo 'int main(void) { return x; }' >e.c; gcc -c e.c").needs("gcc").exit(1),
            run("make-parallel", "make -s -j4").needs("gcc").files("Makefile"),
            run("make-parallel-order", "make -s -j4 LOUD=1").needs("gcc").files("Makefile").differs(ORDER),
        ],
    ),
    (
        "C programs",
        &[
            run("race", "./race").files("race.c").prepare("gcc -O1 -pthread race.c -o race").differs(ORDER),
            run("children", "./children 200").files("children.c").prepare("gcc -O1 children.c -o children"),
            run("signals", "./signals").files("signals.c").prepare("gcc -O1 signals.c -o signals").exit(134),
            run("poll", "./poll").files("poll.c").prepare("gcc -O1 poll.c -o poll"),
            run("poll-static", "./poll").files("poll.c").prepare("gcc -O1 -static poll.c -o poll"),
            run("race-static-pie", "./race").files("race.c").prepare("gcc -O1 -pthread -static-pie race.c -o race").differs(ORDER),
            run("race-thread-sanitizer", "./race").files("race.c").prepare("gcc -O1 -g -fsanitize=thread race.c -o race").exit(66).differs(ORDER),
            bash("children-address-sanitizer", "ASAN_OPTIONS=detect_leaks=0 ./children 20").files("children.c").prepare("gcc -O1 -g -fsanitize=address children.c -o children"),
        ],
    ),
    (
        "cargo",
        &[
            bash("cargo-build", "cd crate && cargo build --offline -q && target/debug/small").needs("cargo rustc gcc").files("crate"),
            bash("cargo-test", "cd crate && cargo test --offline -q").needs("cargo rustc gcc").files("crate").differs(CLOCK),
        ],
    ),
    (
        "git",
        &[
            bash("git", "git init -q -b main . && git add poem.txt && git -c user.name=A -c user.email=a@b commit -qm first && git log --format='%h %an %s' --stat")
                .needs("git")
                .files("poem.txt")
                .differs(CLOCK),
            bash("git-dated", "export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000'; git config --global user.name A; git config --global user.email a@b; git init -q -b main r; cd r; seq 100 >f; git add f; git commit -qm one; sed -i 5d f; git commit -qam two; git checkout -qb side HEAD~; seq 200 >g; git add g; git commit -qm three; git merge -q main -m four; git gc -q; git log --oneline --graph; git fsck; git diff HEAD~ --stat; git clone -q . ../c; git -C ../c rev-parse HEAD")
                .needs("git"),
        ],
    ),
    (
        "tar, gzip, xz-utils, zstd",
        &[
            bash("tar", "mkdir d; cp poem.txt numbers.txt d; tar czf d.tgz d; tar tzf d.tgz | sort; mkdir e; tar xzf d.tgz -C e; diff -r d e/d; tar cf - --sort=name --mtime=@0 --owner=0 --group=0 d | sha256sum")
                .files("poem.txt numbers.txt"),
            bash("gzip", "seq 100000 | gzip -9 | tee f.gz | md5sum; zcat f.gz | tail -1; gzip -t f.gz; echo $?"),
            bash("gzip-time", "gzip -k poem.txt; md5sum poem.txt.gz; touch new; gzip new; md5sum new.gz").files("poem.txt").differs(CLOCK),
            bash("xz", "seq 300000 | xz -T4 --block-size=256KiB | tee f.xz | md5sum; xzcat f.xz | md5sum").needs("xz"),
            bash("zstd", "seq 300000 | zstd -q -T4 -5 | tee f.zst | md5sum; zstdcat f.zst | md5sum").needs("zstd"),
        ],
    ),
    (
        "sqlite3",
        &[
            script("sqlite", "sqlite3 db", ".read routes.sql").files("routes.sql"),
            script("sqlite-random", "sqlite3 :memory:", "select random(), hex(randomblob(8)), strftime('%f', 'now');").differs(CHANCE),
        ],
    ),
    (
        "nodejs",
        &[
            run("node-events", "node events.js").files("events.js poem.txt"),
            run("node-workers", "node workers.js").files("workers.js"),
            script("node-chance", "node -e", "console.log(Math.random(), require('crypto').randomUUID(), Date.now(), performance.now(), process.pid, process.hrtime())").differs(CHANCE),
            script("node-child", "node -e", "const c = require('child_process'); console.log(c.execSync('echo from a child').toString().trim()); c.spawn('sh', ['-c', 'cat; exit 3'], { stdio: ['pipe', 'inherit', 'inherit'] }).on('exit', (code) => console.log(code)).stdin.end('piped\\n')"),
        ],
    ),
    (
        "default-jdk-headless",
        &[
            run("java", "java -XX:-UsePerfData -cp . Threads").needs("javac").files("Threads.java").prepare("javac Threads.java"),
            run("java-order", "java -XX:-UsePerfData -cp . Threads order")
                .needs("javac")
                .files("Threads.java")
                .prepare("javac Threads.java")
                .differs(ORDER),
            bash("javac", "javac -J-XX:-UsePerfData Threads.java && ls *.class && sha256sum Threads.class").needs("javac").files("Threads.java"),
        ],
    ),
    (
        "golang-go",
        &[
            run("go", "./routines").needs("go").files("routines.go").prepare("CGO_ENABLED=0 go build -o routines routines.go"),
            run("go-order", "./routines order")
                .needs("go")
                .files("routines.go")
                .prepare("CGO_ENABLED=0 go build -o routines routines.go")
                .differs(ORDER),
        ],
    ),
    (
        "lua5.4",
        &[
            script("lua", "lua5.4 -e", "local t = {} for i = 1, 1e5 do t[i] = (i * 7919) % 100003 end table.sort(t) print(t[1], t[#t], #t, string.format('%5.2f', math.pi)) for l in io.lines('poem.txt') do print(#l) end print(io.popen('echo popen'):read('a'))")
                .files("poem.txt"),
            script("lua-chance", "lua5.4 -e", "local name = os.tmpname() print(math.random(), os.time(), os.clock(), {}, name) os.remove(name)").differs(CHANCE),
        ],
    ),
    (
        "ruby",
        &[
            run("ruby", "ruby fibers.rb").files("fibers.rb"),
            script("ruby-chance", "ruby -e", "p rand, Time.now.to_f, Process.pid, 'seed'.hash, Object.new").differs(CHANCE),
        ],
    ),
    (
        "openssl",
        &[
            bash("openssl", "openssl dgst -sha256 poem.txt; openssl enc -aes-256-cbc -pbkdf2 -S 0011223344556677 -pass pass:x -in poem.txt | md5sum; openssl prime 1000003").needs("openssl").files("poem.txt"),
            bash("openssl-key", "openssl rand -hex 16; openssl genrsa 1024 2>/dev/null | md5sum; openssl ecparam -name prime256v1 -genkey -noout").needs("openssl").differs(CHANCE),
        ],
    ),
    (
        "busybox-static",
        &[
            script("busybox", "busybox sh -c", "for a in sort wc head; do busybox $a poem.txt | busybox md5sum; done; busybox seq 9 | busybox awk '{s+=$1} END {print s}'; (busybox sleep 0.1; echo late) & echo early; wait; busybox ls")
                .files("poem.txt"),
            script("busybox-time", "busybox sh -c", "echo $$ $RANDOM; busybox date +%s; busybox ps | busybox head -3").differs(PIDS),
        ],
    ),
    (
        "bc, jq, file, diffutils, procps, strace, time",
        &[
            bash("bc", "echo 'scale=50; 4*a(1); 2^200' | bc -l").needs("bc"),
            script("jq", "jq -nc", "[range(10)] | map(select(. % 2 == 0) | {n: ., s: (. * .)})"),
            bash("file", "file -b /bin/sh poem.txt numbers.txt; cmp poem.txt numbers.txt; diff -u <(seq 3) <(seq 2 4) | tail -4").needs("file").files("poem.txt numbers.txt"),
            bash("proc", "cat /proc/self/comm /proc/self/cmdline; readlink /proc/self/exe; ls /proc/self/fd | wc -l; ps -o pid,comm | wc -l; cat /proc/uptime /proc/loadavg; grep -c processor /proc/cpuinfo").needs("ps").differs(MACHINE),
            run("strace", "strace -o trace -f true").fails(TRACE),
            bash("time", "/usr/bin/time -f '%e %U %S' sleep 0.25; date; uptime").needs("time").differs(CLOCK),
        ],
    ),
];
