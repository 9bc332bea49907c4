/* How soon a process that waits for a buffer gets the one that another process sends, in each way
 * that carrier.h has, and how much of a core the waiter uses meanwhile. Arguments: the way and how
 * many buffers. Each comes about a millisecond after the one before: the waiter sleeps by then. */

#include <sys/resource.h>

#include "carrier.h"
#include "frames.h"
#include "measure.h"

static double cpu_ns(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return ((double)used.ru_utime.tv_sec + (double)used.ru_stime.tv_sec) * 1e9 +
           ((double)used.ru_utime.tv_usec + (double)used.ru_stime.tv_usec) * 1e3;
}

int main(int argc, char **argv) {
    if (argc < 3) return 1;
    const struct carrier *carrier = carrier_named(argv[1]);
    const int count = atoi(argv[2]);
    double *late = calloc((size_t)count, sizeof *late);
    if (late == NULL) return 1;
    carrier->prepare(4096);
    const pid_t child = fork();
    if (child == 0) {
        carrier->join(1);
        for (int i = 0; i < count; i++) {
            usleep(1000);
            double *at = carrier->claim();
            *at = frames_now_ns();
            carrier->send();
        }
        pause();
    }
    carrier->join(0);
    const double start = frames_now_ns(), cpu = cpu_ns();
    for (int i = 0; i < count; i++) {
        const double sent = *(double *)carrier->receive();
        late[i] = (frames_now_ns() - sent) / 1e3;
        carrier->done();
    }
    const double used = 100 * (cpu_ns() - cpu) / (frames_now_ns() - start);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    qsort(late, (size_t)count, sizeof *late, measure_ascending);
    printf("{\"p50\": %.3f, \"p99\": %.3f, \"p99.9\": %.3f, \"cpu\": %.3f}\n", late[count / 2],
           late[count * 99 / 100], late[count * 999 / 1000], used);
    return 0;
}
