/* What the parts of a story share. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096 };

/* Draws a number. */
uint64_t next(void);
static inline int below(int bound) { return (int)(next() % (unsigned)bound); }
#define PICK(list) ((list)[below(sizeof(list) / sizeof *(list))])

/* One write a line: lines of several processes don't mix. */
void say(const char *what, long a, long b);
static inline void told(const char *what, long result) { say(what, result, result < 0 ? errno : 0); }

/* Descriptors that acts have left open. */
int some_fd(void);
void keep(int fd);

/* Runs an act that may end or cripple its process in one of its own, and says how that ended. */
void in_child(const char *what, void (*run)(void));
/* What a signal does that is only to be seen: it stores its number. */
void note(int signal);
/* Does `act`, and gives the signal of a fault that it makes, or 0. */
int fault_of(void (*act)(void));
/* The path of a program that stands beside this one. */
const char *beside(const char *name);

void odd_memory(void);
void odd_stacks(void);
void odd_limits(void);
void odd_numbers(void);
void odd_events(void);
void odd_futexes(void);
void odd_files(void);
void odd_programs(void);
void odd_users(void);
