/* A program that needs nothing: it writes a line, looks at its data and exits. Stories execute damaged copies of it. */
static volatile int data = 5, zeros[3000];
__attribute__((used)) static const char line[] = "the victim runs\n";
static long call(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return result;
}
void _start(void) {
    call(1, 1, (long)line, sizeof line - 1);
    zeros[2999] += data;
    for (;;) call(231, zeros[2999], 0, 0);
}
