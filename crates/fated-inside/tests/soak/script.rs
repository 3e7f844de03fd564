//! Random scripts. They use what shells and interpreters use the system for: pipes, jobs, traps, files, threads, time.

use fated_kernel::sched::rng::Rng;

fn pick<'a>(rng: &Rng, words: &[&'a str]) -> &'a str {
    words[rng.below(words.len() as u64) as usize]
}

fn simple(rng: &Rng) -> String {
    let n = rng.below(9);
    match rng.below(16) {
        0 => format!("echo {n} $RANDOM"),
        1 => format!("printf '%s\\n' a b c {n}"),
        2 => "date +%s.%N".into(),
        3 => format!("seq {n}"),
        4 => format!("sleep 0.{n}"),
        5 => "true".into(),
        6 => "false".into(),
        7 => format!("echo {n} > f{}", n % 3),
        8 => format!("cat f{} 2>&1", n % 3),
        9 => format!("echo more >> f{}", n % 3),
        10 => "ls -l --time-style=full-iso 2>&1".into(),
        11 => format!("kill -USR{} $$", n % 2 + 1),
        12 => "od -An -N4 -tx1 /dev/urandom".into(),
        13 => format!("rm -f f{}", n % 3),
        14 => format!("mkdir -p d/{n}; rmdir d/{n}"),
        _ => "echo $? $$ $!".into(),
    }
}

fn filter(rng: &Rng) -> &'static str {
    pick(
        rng,
        &[
            "cat",
            "sort",
            "sort -r",
            "wc",
            "tr a-z A-Z",
            "head -n 2",
            "tail -n 1",
            "grep -c .",
            "sed s/a/b/",
            "cut -c1-3",
            "uniq",
        ],
    )
}

fn command(rng: &Rng, depth: u64) -> String {
    let inner = |rng: &Rng| command(rng, depth - 1);
    if depth == 0 {
        return simple(rng);
    }
    match rng.below(14) {
        0 => format!("{} | {}", inner(rng), filter(rng)),
        1 => format!("{{ {}; }} | {} | {}", inner(rng), filter(rng), filter(rng)),
        2 => format!("( {} )", inner(rng)),
        3 => format!("{{ {}; }} &", inner(rng)),
        4 => format!("for i in 1 2 {}; do {}; done", rng.below(5), inner(rng)),
        5 => format!("if {}; then {}; else {}; fi", inner(rng), inner(rng), inner(rng)),
        6 => format!("x=$( {} ); echo \"$x\"", inner(rng)),
        7 => format!("while read line; do echo got $line; {}; done <<END\none\ntwo\nEND\n", inner(rng)),
        8 => format!("{{ {}; }} > f{} 2>&1", inner(rng), rng.below(3)),
        9 => format!("sleep 3 & {}; kill $!; wait $!; echo $?", inner(rng)),
        10 => "wait; echo waited".into(),
        11 => format!("{} && {} || {}", simple(rng), simple(rng), inner(rng)),
        12 => format!("exec 3<>f{}; {}; exec 3>&-", rng.below(3), inner(rng)),
        _ => simple(rng),
    }
}

/// A script for any POSIX shell.
pub fn shell(rng: &Rng) -> String {
    let mut script = String::from("trap 'echo one' USR1; trap 'echo two' USR2; trap 'echo bye' EXIT\n");
    for _ in 0..1 + rng.below(8) {
        script += &command(rng, rng.below(3));
        script.push('\n');
    }
    script
}

fn python_act(rng: &Rng) -> String {
    let n = 1 + rng.below(4);
    match rng.below(13) {
        0 => format!("print(time.time(), random.random(), os.urandom({n}))"),
        1 => format!("print(subprocess.run(['sh', '-c', 'echo {n}; exit {n}'], capture_output=True))"),
        2 => format!("ts = [threading.Thread(target=work, args=(i,)) for i in range({n})]\n[t.start() for t in ts]\n[t.join() for t in ts]\nprint(q.qsize())"),
        3 => format!("time.sleep(0.{n})"),
        4 => format!("signal.setitimer(signal.ITIMER_REAL, 0.0{n}); time.sleep(0.2); print(seen)"),
        5 => "pid = os.fork()\nif pid == 0: print('child'); sys.stdout.flush(); os._exit(3)\nprint(os.waitpid(pid, 0)[1])".into(),
        6 => format!("r, w = os.pipe(); os.write(w, b'x' * {n}); print(select.select([r], [w], [], 0)[0] == [r], os.read(r, 9)); os.close(r); os.close(w)"),
        7 => format!("open('p{n}', 'a').write('{n}\\n'); print(open('p{n}').read(), os.stat('p{n}').st_size)"),
        8 => format!("print(list(ThreadPoolExecutor({n}).map(lambda x: x * x, range(5))))"),
        9 => format!("async def f(x): await asyncio.sleep(x / 10); return x\nasync def g(): print(await asyncio.gather(*[f(x) for x in range({n})]))\nasyncio.run(g())"),
        10 => "print(sorted(os.listdir('.')), os.getpid(), os.cpu_count())".into(),
        11 => "print({object() for _ in range(3)} and hash('x'), id(q) % 4096)".into(),
        _ => format!("e = threading.Event(); threading.Timer(0.{n}, e.set).start(); print(e.wait(0.2)); e.wait()"),
    }
}

/// A script for Python.
pub fn python(rng: &Rng) -> String {
    let mut script = String::from(
        "import asyncio, os, queue, random, select, signal, subprocess, sys, threading, time\n\
         from concurrent.futures import ThreadPoolExecutor\n\
         q = queue.Queue(); seen = []\n\
         signal.signal(signal.SIGALRM, lambda *a: seen.append(a[0]))\n\
         def work(n):\n    for i in range(5): q.put(n); time.sleep(0.001)\n",
    );
    for _ in 0..1 + rng.below(5) {
        script += &python_act(rng);
        script.push_str("\nsys.stdout.flush()\n");
    }
    script
}
