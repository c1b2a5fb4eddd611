/* Preloaded into gencli: FAULT="CALL N WHAT" makes the N-th CALL on files whose path begins with FAULT_UNDER fail with
   errno WHAT (ENOSPC from then on: a full disk stays full), write half where WHAT is 0 (from then on), or meet the
   signal -WHAT. FAULT_CLOCK lets the clock jump by 30 years at every look. The file FAULT_FIRED says that it was met. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
static int count;

/* The errno that a call is to fail with; 0: it works; -1: it does half. */
static int met(const char *call, int fd, const char *path) {
  char kind[16], place[4200], link[32];
  int n, what, at = 0;
  const char *fault = getenv("FAULT"), *under = getenv("FAULT_UNDER"), *fired = getenv("FAULT_FIRED");
  if (!fault || !under || sscanf(fault, "%15s %d %d", kind, &n, &what) != 3 || strcmp(kind, call)) return 0;
  if (path && *path != '/' && getcwd(place, 100)) at = strlen(strcat(place, "/"));
  if (path) snprintf(place + at, sizeof place - at, "%s", path);
  else {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, place, sizeof place - 1);
    place[length < 0 ? 0 : length] = 0;
  }
  if (strncmp(place, under, strlen(under))) return 0;
  int now = __sync_add_and_fetch(&count, 1);
  if (now < n || (now > n && what != ENOSPC && what != 0)) return 0;
  if (fired) close(creat(fired, 0666));
  if (what < 0) kill(getpid(), -what);
  return what < 0 ? 0 : what ? what : -1;
}

#define FAILS(call, fd, path) int what = met(call, fd, path); if (what > 0) return errno = what, -1

#define CHANGES(name, call, parameters, arguments, fd, path) \
  int name parameters { FAILS(call, fd, path); return REAL(name) arguments; }
CHANGES(fsync, "fsync", (int fd), (fd), fd, 0)
CHANGES(rename, "rename", (const char *from, const char *to), (from, to), 0, from)
CHANGES(unlink, "unlink", (const char *path), (path), 0, path)
CHANGES(mkdir, "mkdir", (const char *path, mode_t mode), (path, mode), 0, path)

#define MOVES(name, call, buffer, ...) \
  ssize_t name(int fd, buffer, size_t size __VA_OPT__(, off_t at)) { \
    FAILS(call, fd, 0); \
    return REAL(name)(fd, data, what && size > 1 ? size / 2 : size __VA_OPT__(, at)); }
MOVES(write, "write", const void *data)
MOVES(pwrite64, "write", const void *data, at)
MOVES(read, "read", void *data)
MOVES(pread64, "read", void *data, at)

#define OPENS(name) \
  int name(const char *path, int flags, ...) { \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
    if (flags & O_CREAT) { FAILS("create", 0, path); } else { FAILS("open", 0, path); } \
    return REAL(name)(path, flags, mode); }
OPENS(open)
OPENS(open64)

int clock_gettime(clockid_t clock, struct timespec *time) {
  static int looks;
  int status = REAL(clock_gettime)(clock, time);
  if (clock == CLOCK_REALTIME && getenv("FAULT_CLOCK")) time->tv_sec += ++looks % 2 ? 1000000000 : -1000000000;
  return status;
}
