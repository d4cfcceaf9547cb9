/*
 * Tests of libespalier-xfrm.so: programs that use XFRM sockets in every way its contract names, against a small data plane of their own.
 *
 *     LD_PRELOAD=…/libespalier-xfrm.so preload-tests NAME      0 = passed; `preload-tests list` prints the names
 */
#include "harness.h"
#include <string.h>

static const struct test *const groups[] = {
    socket_tests, vector_tests, descriptor_tests, process_tests, thread_tests, restart_tests, socket_policy_tests, ike_socket_tests, ike_daemon_tests, remembering_tests,
    association_tests,
};

static void run(const struct test *test)
{
    snprintf(path, sizeof path, "@esp%d-preload", (int)getpid());
    setenv("ESPALIER_CONTROL", path, 1);
    setenv("ESPALIER_MARK", "0x1234", 1);
    alarm(30);
    start_server();
    test->run();
    stop_server();
    printf("passed %s\n", test->name);
}

int main(int count, char **arguments)
{
    const char *wanted = count > 1 ? arguments[1] : "list";
    bool lists = strcmp(wanted, "list") == 0;
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        for (const struct test *test = groups[i]; test->name; test++) {
            if (lists)
                puts(test->name);
            if (strcmp(wanted, test->name) != 0)
                continue;
            run(test);
            return 0;
        }
    return lists ? 0 : 2;
}
