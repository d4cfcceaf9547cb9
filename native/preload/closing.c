/* Closing and duplicating: close, close_range, closefrom, dup, dup2, dup3, fcntl. */
#include "espalier-xfrm.h"
#include <limits.h>
#include <stdarg.h>

EXPORT int close(int fd)
{
    uint16_t entry = entry_of(fd);
    if (entry && getpid() == self) {
        if (entry & HIDDEN)
            return fail(EBADF);     /* not the program's */
        forget_descriptor(fd);
    }
    return real_close()(fd);
}

/* Between the numbers that are ours as it is; XFRM sockets by close(), which leaves B and the leases to their sockets. */
EXPORT int close_range(unsigned int first, unsigned int last, int flags)
{
    if (!self || flags & (int)CLOSE_RANGE_CLOEXEC || last < first || getpid() != self)
        return real_close_range()(first, last, flags);
    unsigned int from = first;
    for (unsigned int fd = first; fd < INT_MAX && (fd = (unsigned int)next_entry((int)fd)) < INT_MAX && fd <= last; fd++) {
        if (fd > from && real_close_range()(from, fd - 1, flags) < 0)
            return -1;
        close((int)fd);
        from = fd + 1;
    }
    return from > last ? 0 : real_close_range()(from, last, flags);
}

EXPORT void closefrom(int first)
{
    if (self && getpid() == self)
        close_range(first < 0 ? 0 : (unsigned int)first, ~0U, 0);
    else
        real_closefrom()(first);
}

EXPORT int dup(int fd)
{
    return is_ours(fd) ? add_descriptor(entry_of(fd), real_dup()(fd)) : real_dup()(fd);
}

static int duplicate_to(int from, int to, int flags, bool plain)
{
    uint16_t entry = entry_of(from);
    bool child = getpid() != self;
    if (!child && from != to && entry_of(to) & HIDDEN)
        return fail(EBUSY);
    int result = plain ? real_dup2()(from, to) : real_dup3()(from, to, flags);
    if (result < 0 || from == to || child)
        return result;
    forget_descriptor(to);
    return entry && !(entry & HIDDEN) ? add_descriptor(entry, to) : to;
}

EXPORT int dup2(int from, int to)
{
    return entry_of(from) || entry_of(to) ? duplicate_to(from, to, 0, true) : real_dup2()(from, to);
}

EXPORT int dup3(int from, int to, int flags)
{
    return entry_of(from) || entry_of(to) ? duplicate_to(from, to, flags, false) : real_dup3()(from, to, flags);
}

#define FCNTL(name)                                                                                                                     \
    EXPORT int name(int fd, int command, ...)                                                                                           \
    {                                                                                                                                   \
        va_list arguments;                                                                                                              \
        va_start(arguments, command);                                                                                                   \
        void *argument = va_arg(arguments, void *);                                                                                     \
        va_end(arguments);                                                                                                              \
        int result = real_##name()(fd, command, argument);                                                                              \
        return (command == F_DUPFD || command == F_DUPFD_CLOEXEC) && is_ours(fd) ? add_descriptor(entry_of(fd), result) : result;        \
    }

FCNTL(fcntl)
FCNTL(fcntl64)
