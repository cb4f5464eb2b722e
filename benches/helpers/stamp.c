/*
 * A job that says when it began to run and when it did its last act.
 *
 *     stamp FILE [MILLISECONDS]
 *
 * Its first act is to read CLOCK_MONOTONIC. Then it sleeps, reads the clock again, writes both readings (nanoseconds, native
 * 64-bit integers) over the start of FILE, which has to exist, and leaves. Linked statically: its own start costs as little
 * as that of any program can.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

int main(int argc, char **argv) {
    int64_t stamps[2] = {now(), 0};
    if (argc < 2)
        return 64;
    int file = open(argv[1], O_WRONLY | O_CLOEXEC);
    if (file < 0)
        return 65;
    if (argc > 2) {
        long milliseconds = atol(argv[2]);
        struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
        while (nanosleep(&pause, &pause) != 0)
            ;
    }
    stamps[1] = now();
    _exit(pwrite(file, stamps, sizeof stamps, 0) == sizeof stamps ? 0 : 66);
}
