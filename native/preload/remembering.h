/* What is remembered of the requests of a program: SAs, policies, and how a message of a request ended. */
#ifndef REMEMBERING_H
#define REMEMBERING_H

#include "espalier-xfrm.h"

#pragma GCC visibility push(hidden)

/* Of a message: 0, the errno with which it was refused, or that nobody knows. */
enum { UNKNOWN_OUTCOME = -1 };

enum { MAX_DATAGRAM = 4096 };           /* bytes of what the data plane sends at a time */

/* What is there no more: removed, never there, or gone with its data plane. */
static inline bool is_removed(int outcome)
{
    return outcome == 0 || outcome == ENOENT || outcome == ESRCH || outcome == UNKNOWN_OUTCOME;
}

static inline bool is_message(const struct nlmsghdr *message, uint16_t type, size_t payload)
{
    return message->nlmsg_type == type && message->nlmsg_len >= NLMSG_LENGTH(payload);
}

/* remembered-associations.c */
bool note_association(const struct nlmsghdr *message, int outcome);
void move_associations(int connection, const struct xfrm_user_migrate *migrated);
void ask_for_associations(int connection);

/* policy-key.c */
struct policy_key {
    struct xfrm_selector selector;
    struct xfrm_mark mark;
    uint32_t if_id;
    uint8_t direction, type;
    uint16_t zero;
};
const void *attribute(const struct nlmsghdr *message, size_t fixed, uint16_t type, size_t least);
uint8_t policy_type_of(const struct nlmsghdr *message, size_t fixed);
void set_policy_key(struct policy_key *key, const struct xfrm_selector *selector, uint8_t direction, const struct nlmsghdr *message, size_t fixed);

/* remembered-policies.c */
void expect_removal(const struct nlmsghdr *message);
void expect_no_removal(void);
bool note_policy(const struct nlmsghdr *message, int outcome);
void refresh_policies(int connection, const struct xfrm_userpolicy_id *migrated);
void review_policies(int fd, const struct nlmsghdr *told);
void repeat_policies(int connection);

/* migrations.c */
void note_migration(const struct nlmsghdr *message, int outcome);

/* watch.c */
void note(const struct nlmsghdr *message, int outcome);

#pragma GCC visibility pop

#endif
