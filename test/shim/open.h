// SPDX-License-Identifier: Apache-2.0
/*
 * The faces of open in the C library, all of which lead to the shim's own open_any(at, path, flags, mode).
 * Included once by each shim, behind its open_any and its FACE.
 */
#define MODE_OF(flags, mode)                                                                       \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) {                                        \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode = (mode_t)va_arg(more, int);                                                          \
        va_end(more);                                                                              \
    }

FACE int open(const char *path, int flags, ...)   { MODE_OF(flags, mode) return open_any(AT_FDCWD, path, flags, mode); }
FACE int open64(const char *path, int flags, ...) { MODE_OF(flags, mode) return open_any(AT_FDCWD, path, flags, mode); }
FACE int openat(int at, const char *path, int flags, ...)   { MODE_OF(flags, mode) return open_any(at, path, flags, mode); }
FACE int openat64(int at, const char *path, int flags, ...) { MODE_OF(flags, mode) return open_any(at, path, flags, mode); }
/* What the headers make of open() when the compiler fortifies. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
FACE int __open_2(const char *path, int flags)   { return open_any(AT_FDCWD, path, flags, 0); }
FACE int __open64_2(const char *path, int flags) { return open_any(AT_FDCWD, path, flags, 0); }
