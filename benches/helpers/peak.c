/*
 * Runs a command and says how much memory it took at most.
 *
 *     peak FILE COMMAND [ARGUMENT]...
 *
 * Writes ru_maxrss of the command and the children it waited for (KiB, decimal) to FILE and leaves with the command's exit
 * code. Linux counts the memory of the process that forked towards the peak of what it executes, so this has to be a small
 * program of its own: below a megabyte, linked statically.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3)
        return 64;
    int file = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0)
        return 65;
    pid_t child = fork();
    if (child < 0)
        return 66;
    if (child == 0) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    int status;
    struct rusage usage;
    if (wait4(child, &status, 0, &usage) != child)
        return 67;
    dprintf(file, "%ld\n", usage.ru_maxrss);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
