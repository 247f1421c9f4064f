/* For tests only: lets the writes of a process fail, as a broken or full disk does.
 *
 * Preloaded (LD_PRELOAD). DISKFAULT names a file that all processes map and the test writes to (disk.py has the layout):
 * which files, which calls, how many of them still succeed, how many then fail, and with what error.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITES = 1, SYNCS = 2 };

struct orders {
    _Atomic int calls;   /* WRITES, SYNCS or both; 0: nothing fails, nothing is counted */
    _Atomic int error;   /* errno */
    _Atomic int after;   /* so many succeed first */
    _Atomic int times;   /* so many fail then */
    _Atomic int seen;    /* calls that were looked at */
    _Atomic int failed;
    char prefix[488];    /* of the files' paths */
};

static struct orders *orders;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("DISKFAULT");
    int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *at = mmap(NULL, sizeof *orders, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (at != MAP_FAILED) orders = at;
}

static int ours(int fd) {
    char link[64], path[1024];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strncmp(path, orders->prefix, strlen(orders->prefix)) == 0;
}

static int fails(int fd, int call) {
    if (!orders || !(orders->calls & call)) return 0;
    int before = errno;
    int is_ours = ours(fd);
    errno = before;
    if (!is_ours) return 0;
    int nth = atomic_fetch_add(&orders->seen, 1);
    if (nth < orders->after || nth - orders->after >= orders->times) return 0;
    atomic_fetch_add(&orders->failed, 1);
    errno = orders->error;
    return 1;
}

#define PASS(type, name, call, parameters, arguments)                             \
    type name parameters {                                                        \
        static type(*next) parameters;                                            \
        if (!next) next = (type(*) parameters)dlsym(RTLD_NEXT, #name);            \
        return fails(fd, call) ? -1 : next arguments;                             \
    }

PASS(int, fsync, SYNCS, (int fd), (fd))
PASS(int, fdatasync, SYNCS, (int fd), (fd))
PASS(ssize_t, write, WRITES, (int fd, const void *from, size_t size), (fd, from, size))
PASS(ssize_t, pwrite, WRITES, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
PASS(ssize_t, pwrite64, WRITES, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at))
PASS(ssize_t, pwritev, WRITES, (int fd, const struct iovec *from, int count, off_t at), (fd, from, count, at))
PASS(ssize_t, pwritev64, WRITES, (int fd, const struct iovec *from, int count, off64_t at), (fd, from, count, at))
PASS(int, ftruncate, WRITES, (int fd, off_t size), (fd, size))
PASS(int, ftruncate64, WRITES, (int fd, off64_t size), (fd, size))
