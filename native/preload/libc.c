/* The C library's own functions. Found at first use: constructors of other libraries call us before ours would run. */
#include "espalier-xfrm.h"
#include <dlfcn.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#define FIND(name)                                                          \
    __typeof__(&name) real_##name(void)                                     \
    {                                                                       \
        static void *_Atomic found;                                         \
        void *function = atomic_load_explicit(&found, memory_order_acquire); \
        if (!function) {                                                    \
            function = dlsym(RTLD_NEXT, #name);                             \
            atomic_store_explicit(&found, function, memory_order_release);  \
        }                                                                   \
        return (__typeof__(&name))function;                                 \
    }

REAL_FUNCTIONS(FIND)

/* All at once where we come first, as the first call may be one in a signal handler or in the child of a vfork: no place to look them up. */
__attribute__((constructor)) static void find_all(void)
{
#define CALL(name) (void)real_##name();
    REAL_FUNCTIONS(CALL)
#undef CALL
}

int fail(int error)
{
    errno = error;
    return -1;
}

/* Bytes of what readv or writev is given, or -1: the kernel takes no more parts, and no more bytes. */
ssize_t length_of(const struct iovec *parts, int count)
{
    size_t length = 0;
    if (count < 0 || count > MAX_VECTOR)
        return fail(EINVAL);
    for (int i = 0; i < count; length += parts[i++].iov_len)
        if (parts[i].iov_len > SSIZE_MAX - length)
            return fail(EINVAL);
    return (ssize_t)length;
}

/* Closes a descriptor of ours: not close(), at which a thread can be cancelled. Keeps errno. */
void discard(int fd)
{
    int saved = errno;
    if (fd >= 0)
        syscall(SYS_close, fd);
    errno = saved;
}
