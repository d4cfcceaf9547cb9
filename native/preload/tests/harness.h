/* What the tests share: the data plane that they speak to, a client's steps, and how they say that they failed. */
#ifndef HARNESS_H
#define HARNESS_H

#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/socket.h>
#include <linux/netlink.h>

#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition)) {                                                                       \
            fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, errno); \
            _exit(1);                                                                             \
        }                                                                                         \
    } while (0)

/* A table of tests ends with an empty one. */
struct test { const char *name; void (*run)(void); };
#define TEST(name) { #name, name }
extern const struct test socket_tests[], vector_tests[], descriptor_tests[], process_tests[], thread_tests[], restart_tests[], socket_policy_tests[], ike_socket_tests[], ike_daemon_tests[], remembering_tests[], association_tests[];

/* data-plane.c */
enum { ECHO = 200, DUMP, QUIET, COUNT, NOTIFY, LOSE, DIE, PORTS, REMOVE };
enum { REFUSED_PORT = 4444 };
struct request { struct nlmsghdr header; uint32_t count, number; };
extern char path[100];
extern pid_t server;
void start_server(void);
void stop_server(void);

/* data-plane-policies.c */
enum { REFUSED = 0xdead, MIGRATED = 0xface };       /* priority of a policy, SPI or address of an SA */
uint32_t policy_index(uint32_t number, uint8_t direction);

/* client.c */
int open_bound(uint32_t groups);
uint32_t port_of(int fd);
struct request make(uint16_t type, uint32_t count, uint32_t number);
ssize_t ask(int fd, uint16_t type, uint32_t count, uint32_t number);
void echo(int fd, uint32_t number);
uint32_t counter(int fd, int which);
bool has_input(int fd);
int hidden(int numbers[], int room);
void *wait_for_input(void *argument);

#endif
