// The program that `fated bench` measures: one kind of kernel work at a time.
//
//   work MODE [N]
//
// Prepares, then writes a byte to standard output and reads one from standard input, which says what to do before the next
// exchange: 0 nothing, k > 0 as many as 2^(k-1) units, the end of input to end. Whoever is at the other end has the
// real time, which a simulated clock hides. With N, that many children wait in pause() meanwhile, or threads in the mode
// of that name. Exit codes: 0 done, 2 wrong use, 3 not so many children or threads possible, 1 anything else.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long idle;

static void fail(const char *what) {
  fprintf(stderr, "work: failed to %s: %s\n", what, strerror(errno));
  exit(1);
}

// How many units to do next, -1 to end.
static long ask(void) {
  unsigned char byte = 0;
  if (write(1, &byte, 1) != 1) exit(1);
  if (read(0, &byte, 1) != 1) return -1;
  return byte ? 1L << (byte - 1) : 0;
}

static void in_rounds(void (*unit)(void)) {
  for (long units = ask(); units >= 0; units = ask())
    while (units-- > 0) unit();
}

// One call that does nothing.

static void call(void) { syscall(SYS_getppid); }

static void clock_read(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
}

// A byte to another process and back.

static int to_echo, from_echo;

static void echo_trip(void) {
  char byte = 0;
  if (write(to_echo, &byte, 1) != 1 || read(from_echo, &byte, 1) != 1) fail("exchange a byte");
}

static void pipe_trips(void) {
  int there[2], back[2];
  if (pipe(there) || pipe(back)) fail("make a pipe");
  pid_t echo = fork();
  if (echo < 0) fail("fork");
  if (echo == 0) {
    char byte;
    close(there[1]);
    close(back[0]);
    while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1) {}
    _exit(0);
  }
  close(there[0]);
  close(back[1]);
  to_echo = there[1];
  from_echo = back[0];
  in_rounds(echo_trip);
  close(to_echo);
  waitpid(echo, NULL, 0);
}

// To another thread and back, through a mutex and a condition.

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
enum turn { MAIN, OTHER, OVER };
static enum turn turn = MAIN;

static void pass_turn(enum turn from, enum turn to) {
  pthread_mutex_lock(&lock);
  while (turn != from && turn != OVER) pthread_cond_wait(&turned, &lock);
  if (turn != OVER) turn = to;
  pthread_cond_signal(&turned);
  pthread_mutex_unlock(&lock);
}

static void *other_thread(void *unused) {
  for (;;) {
    pthread_mutex_lock(&lock);
    enum turn now = turn;
    pthread_mutex_unlock(&lock);
    if (now == OVER) return unused;
    pass_turn(OTHER, MAIN);
  }
}

static void thread_trip(void) { pass_turn(MAIN, OTHER); }

static void thread_trips(void) {
  pthread_t other;
  if ((errno = pthread_create(&other, NULL, other_thread, NULL))) fail("make a thread");
  in_rounds(thread_trip);
  pass_turn(MAIN, OVER);
  pthread_join(other, NULL);
}

// Files and programs.

static void file(void) {
  char buffer[4096];
  struct stat stat;
  int fd = open("/etc/passwd", O_RDONLY);
  if (fd < 0 || fstat(fd, &stat) || read(fd, buffer, sizeof buffer) < 0) fail("read /etc/passwd");
  close(fd);
}

static void program(void) {
  int status;
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) {
    execl("/bin/true", "true", (char *)NULL);
    _exit(1);
  }
  if (waitpid(child, &status, 0) != child || status != 0) fail("run /bin/true");
}

// A fork and the wait for that child, while others idle.

static pid_t *idlers;
// Where each says that it has come as far as its pause().
static int arrivals[2];

static void idle_on(void) {
  if (write(arrivals[1], "", 1) != 1) exit(1);
  for (;;) pause();
}

static void await_arrivals(void) {
  char byte;
  for (long i = 0; i < idle; i++)
    if (read(arrivals[0], &byte, 1) != 1) fail("wait for those that idle");
}

static void reap_idlers(long made) {
  for (long i = 0; i < made; i++) kill(idlers[i], SIGKILL);
  for (long i = 0; i < made; i++) waitpid(idlers[i], NULL, 0);
}

static void make_idlers(void) {
  pid_t self = getpid();
  idlers = calloc(idle + 1, sizeof *idlers);
  if (!idlers) fail("get memory");
  for (long i = 0; i < idle; i++) {
    pid_t child = fork();
    if (child < 0) {
      int why = errno;
      reap_idlers(i);
      fprintf(stderr, "work: only %ld of %ld children: %s\n", i, idle, strerror(why));
      exit(3);
    }
    if (child == 0) {
      // Nobody stays behind if the parent is killed.
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != self) _exit(0);
      idle_on();
    }
    idlers[i] = child;
  }
  await_arrivals();
}

static void *idle_thread(void *unused) {
  idle_on();
  return unused;
}

static void none(void) {}

static void threads(void) {
  for (long i = 0; i < idle; i++) {
    pthread_t thread;
    int why = pthread_create(&thread, NULL, idle_thread, NULL);
    if (why) {
      fprintf(stderr, "work: only %ld of %ld threads: %s\n", i, idle, strerror(why));
      exit(3);
    }
  }
  await_arrivals();
  in_rounds(none);
  exit(0);
}

static void fork_and_wait(int any) {
  int status;
  pid_t child = fork();
  if (child < 0) fail("fork");
  if (child == 0) _exit(7);
  if (waitpid(any ? -1 : child, &status, 0) != child || WEXITSTATUS(status) != 7) fail("wait for the new child");
}

static void wait_pid(void) { fork_and_wait(0); }
static void wait_any(void) { fork_and_wait(1); }

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*unit)(void);
    void (*whole)(void);
  } modes[] = {
      {"call", call, NULL},       {"clock", clock_read, NULL},     {"pipe", NULL, pipe_trips},
      {"file", file, NULL},       {"thread", NULL, thread_trips},  {"exec", program, NULL},
      {"wait-pid", wait_pid, NULL}, {"wait-any", wait_any, NULL},  {"processes", none, NULL},
      {"threads", NULL, threads},
  };
  if (argc < 2) return 2;
  idle = argc > 2 ? atol(argv[2]) : 0;
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
    if (strcmp(argv[1], modes[i].name)) continue;
    if (pipe(arrivals)) fail("make a pipe");
    if (modes[i].whole != threads) make_idlers();
    if (modes[i].whole)
      modes[i].whole();
    else
      in_rounds(modes[i].unit);
    reap_idlers(idle);
    return 0;
  }
  return 2;
}
