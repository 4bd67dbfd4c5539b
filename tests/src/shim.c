/* A library for LD_PRELOAD that counts the calls by which a program changes what lies below a folder, and lets one
 * of them fail: a bad sector, or the power that goes.
 *
 *   SHIM_UNDER  the folder
 *   SHIM_AT     the number of the call, from 1; none or 0: all go well
 *   SHIM_HOW    once   this call gives EIO, later ones work
 *               ever   this call and all later ones give EIO
 *               cut    the file system is shut down without a flush of its log (EXT4_IOC_SHUTDOWN), then as ever
 *   SHIM_MARK   this file is made when the call comes
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define SHUTDOWN _IOR('X', 125, unsigned int)
#define NO_LOG_FLUSH 2u

static atomic_long calls;

static int below(const char *path) {
  const char *under = getenv("SHIM_UNDER");
  return path && under && strncmp(path, under, strlen(under)) == 0;
}

static int file(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path - 1);
  if (n < 0) return 0;
  path[n] = 0;
  return below(path);
}

static int strikes(void) {
  const char *text = getenv("SHIM_AT"), *how = getenv("SHIM_HOW"), *mark = getenv("SHIM_MARK");
  long at = text ? atol(text) : 0, n = atomic_fetch_add(&calls, 1) + 1;
  if (at == 0 || n < at || !how || (n > at && strcmp(how, "once") == 0)) return 0;
  if (n == at) {
    if (strcmp(how, "cut") == 0) {
      unsigned int flags = NO_LOG_FLUSH;
      int fd = open(getenv("SHIM_UNDER"), O_RDONLY | O_DIRECTORY);
      if (fd < 0 || ioctl(fd, SHUTDOWN, &flags) != 0) abort();
      close(fd);
    }
    int fd = mark ? open(mark, O_WRONLY | O_CREAT, 0600) : -1;
    if (fd >= 0) close(fd);
  }
  return 1;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define CALL(what, ...) do { if ((what) && strikes()) { errno = EIO; return -1; } return real(__VA_ARGS__); } while (0)

ssize_t pwrite(int fd, const void *b, size_t n, off_t o) { REAL(pwrite); CALL(file(fd), fd, b, n, o); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t o) { REAL(pwrite64); CALL(file(fd), fd, b, n, o); }
ssize_t write(int fd, const void *b, size_t n) { REAL(write); CALL(file(fd), fd, b, n); }
int fsync(int fd) { REAL(fsync); CALL(file(fd), fd); }
int fdatasync(int fd) { REAL(fdatasync); CALL(file(fd), fd); }
int sync_file_range(int fd, off64_t o, off64_t n, unsigned f) { REAL(sync_file_range); CALL(file(fd), fd, o, n, f); }
int ftruncate64(int fd, off64_t n) { REAL(ftruncate64); CALL(file(fd), fd, n); }
int rename(const char *a, const char *b) { REAL(rename); CALL(below(a), a, b); }
int unlink(const char *a) { REAL(unlink); CALL(below(a), a); }
