/* Numbers: duplicated, closed, and those that the library keeps to itself. */
#include "harness.h"
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void duplicates_and_close(void)
{
    int watch = open_bound(0), before = (int)counter(watch, 2);
    int fd = open_bound(0), copies[5];
    CHECK((int)counter(watch, 2) == before + 1);
    copies[0] = dup(fd);
    copies[1] = dup2(fd, 200);
    copies[2] = dup3(fd, 201, O_CLOEXEC);
    copies[3] = fcntl(fd, F_DUPFD, 210);
    copies[4] = fcntl(fd, F_DUPFD_CLOEXEC, 220);
    uint32_t port = port_of(fd);
    CHECK(dup2(fd, fd) == fd && dup3(fd, fd, 0) == -1 && errno == EINVAL);
    close(fd);
    for (int i = 0; i < 5; i++) {
        CHECK(copies[i] >= 0 && port_of(copies[i]) == port);
        echo(copies[i], (uint32_t)i);
        if (i < 4)
            close(copies[i]);
    }
    CHECK((int)counter(watch, 2) == before + 1);
    int file = open("/dev/null", O_RDWR);
    CHECK(dup2(file, copies[4]) == copies[4]);          /* replaces the last one */
    CHECK((int)counter(watch, 2) == before);
    CHECK(write(copies[4], "x", 1) == 1);               /* the file's now */
    int again = open_bound(0);
    CHECK(dup2(again, watch) == watch && counter(watch, 2) == 1);
}

static void hidden_descriptors_are_ours(void)
{
    int fd = open_bound(0), numbers[8];
    CHECK(hidden(numbers, 8) == 2);
    for (int i = 0; i < 2; i++)
        CHECK(close(numbers[i]) == -1 && errno == EBADF && (fcntl(numbers[i], F_GETFD) & FD_CLOEXEC));
    int file = open("/dev/null", O_WRONLY);
    for (int i = 0; i < 2; i++) {
        CHECK(dup2(file, numbers[i]) == -1 && errno == EBUSY && dup3(fd, numbers[i], 0) == -1 && errno == EBUSY);
        echo(fd, (uint32_t)i);
    }
    CHECK(close_range(4 > fd ? 4 : (unsigned int)fd + 1, ~0U, 0) == 0);
    echo(fd, 3);
    close(fd);
    CHECK(hidden(numbers, 8) == 0);
    fd = open_bound(0);
    CHECK(close_range(3, ~0U, 0) == 0 && fcntl(fd, F_GETFD) == -1 && hidden(numbers, 8) == 0);
    fd = open_bound(0);
    CHECK(close_range(3, ~0U, (int)CLOSE_RANGE_CLOEXEC) == 0);
    echo(fd, 4);
    closefrom(3);
    CHECK(fcntl(fd, F_GETFD) == -1 && hidden(numbers, 8) == 0);
    fd = open_bound(0);
    for (int i = 3; i < 2000; i++)
        close(i);
    CHECK(hidden(numbers, 8) == 0);
}

/* As high as the limit of open files lets them be. */
static void high_numbers(void)
{
    struct rlimit limit;
    struct stat status;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max < 80000 ? limit.rlim_max : 80000;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    int last = (int)limit.rlim_cur - 1, file = open("/dev/null", O_RDWR), fd = open_bound(0);
    CHECK(dup2(fd, last) == last && dup3(fd, last - 1, O_CLOEXEC) == last - 1 && fcntl(fd, F_DUPFD, last - 2) == last - 2);
    close(fd);
    for (int i = 0; i < 3; i++)
        echo(last - i, (uint32_t)i);
    close(last - 2);
    CHECK(dup2(file, last - 1) == last - 1 && write(last - 1, "x", 1) == 1 && close_range((unsigned int)last, (unsigned int)last, 0) == 0);
    CHECK(counter(fd = open_bound(0), 2) == 1);         /* all of them are gone */
    close(fd);
    while ((fd = dup(file)) < last - 8)                 /* up to there all are taken */
        CHECK(fd >= 0);
    close(4);
    close(5);
    CHECK((fd = open_bound(0)) < 6);
    int ours = 0;
    for (int number = last - 8; number <= last; number++)
        if (fstat(number, &status) == 0 && S_ISSOCK(status.st_mode)) {
            CHECK(close(number) == -1 && errno == EBADF && dup2(file, number) == -1 && errno == EBUSY);
            ours++;
        }
    CHECK(ours == 2 && close_range(6, ~0U, 0) == 0);
    echo(fd, 4);
    closefrom(4);
    CHECK(fstat(last - 7, &status) == -1 && fstat(last - 6, &status) == -1);
}

const struct test descriptor_tests[] = {
    TEST(duplicates_and_close), TEST(hidden_descriptors_are_ours), TEST(high_numbers), { 0 },
};
