/* The policies that the program has installed: remembered for the next data plane, which is given them. */
#include "remembering.h"
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_POLICIES = 2048,        /* policies remembered */
    MAX_POLICY = 1024,          /* bytes of a policy's message */
};

/* What the program last sent of a policy: xfrm_userpolicy_info and attributes. */
struct policy {
    struct policy *next;
    struct policy_key key;
    const struct nlmsghdr *removal;         /* the message on its way that removes it by its index, or NULL */
    struct nlmsghdr header;
    struct xfrm_userpolicy_info info;
};

static struct policy *policies;             /* in the order in which they were installed: of equal priorities the first decides */
static int policy_count;
static bool expects_removal;                /* some policy has `removal` */

/* Where a policy is remembered, or the end of the list. */
static struct policy **find(const struct policy_key *key)
{
    struct policy **place = &policies;
    while (*place && memcmp(&(*place)->key, key, sizeof *key) != 0)
        place = &(*place)->next;
    return place;
}

static void forget(struct policy **place)
{
    struct policy *known = *place;
    if (!known)
        return;
    *place = known->next;
    free(known);
    policy_count--;
}

/* The message as it is goes to the next data plane, where it replaces what stands there. */
static void remember(const struct nlmsghdr *message)
{
    struct xfrm_userpolicy_info info;
    memcpy(&info, NLMSG_DATA(message), sizeof info);
    struct policy_key key;
    set_policy_key(&key, &info.sel, info.dir, message, sizeof info);
    struct policy **place = find(&key);
    forget(place);
    struct policy *next = *place, *policy = NULL;
    if (policy_count < MAX_POLICIES && message->nlmsg_len <= MAX_POLICY)
        policy = malloc(offsetof(struct policy, header) + message->nlmsg_len);
    if (!policy)
        return;
    memcpy(&policy->header, message, message->nlmsg_len);
    policy->header.nlmsg_type = XFRM_MSG_UPDPOLICY;
    policy->header.nlmsg_pid = 0;
    policy->next = next;
    memcpy(&policy->key, &key, sizeof key);
    policy->removal = NULL;
    *place = policy;
    policy_count++;
}

static void flush(uint8_t type)
{
    for (struct policy **place = &policies; *place;)
        if ((*place)->key.type == type)
            forget(place);
        else
            place = &(*place)->next;
}

/* The policy that a message removes, DELPOLICY or a hard POLEXPIRE: `fixed` bytes stand before its attributes. */
static bool is_removal(const struct nlmsghdr *message, struct xfrm_userpolicy_id *id, size_t *fixed)
{
    struct xfrm_user_polexpire expire;
    if (is_message(message, XFRM_MSG_DELPOLICY, sizeof *id)) {
        memcpy(id, NLMSG_DATA(message), sizeof *id);
        *fixed = sizeof *id;
        return true;
    }
    if (!is_message(message, XFRM_MSG_POLEXPIRE, sizeof expire))
        return false;
    memcpy(&expire, NLMSG_DATA(message), sizeof expire);
    *id = (struct xfrm_userpolicy_id){ .sel = expire.pol.sel, .index = expire.pol.index, .dir = expire.pol.dir };
    *fixed = sizeof expire;
    return expire.hard != 0;
}

union answer { struct nlmsghdr header; char bytes[MAX_DATAGRAM]; };

/* Asks the data plane for a policy: 0, and NEWPOLICY in `answer`, or an errno. The attributes of a message, behind `fixed` bytes, are part of the question. */
static int look_up(int connection, const struct xfrm_userpolicy_id *id, const struct nlmsghdr *message, size_t fixed, union answer *answer)
{
    union { struct nlmsghdr header; char bytes[MAX_POLICY]; } question = { .bytes = { 0 } };
    size_t before = NLMSG_LENGTH(NLMSG_ALIGN(fixed)), attributes = message->nlmsg_len > before ? message->nlmsg_len - before : 0;
    if (NLMSG_SPACE(sizeof *id) + attributes > sizeof question)
        return EMSGSIZE;
    question.header = (struct nlmsghdr){ .nlmsg_len = (uint32_t)(NLMSG_SPACE(sizeof *id) + attributes), .nlmsg_type = XFRM_MSG_GETPOLICY };
    memcpy(NLMSG_DATA(&question.header), id, sizeof *id);
    memcpy(question.bytes + NLMSG_SPACE(sizeof *id), (const char *)message + before, attributes);
    int error = fetch(connection, &question.header, XFRM_MSG_NEWPOLICY, &answer->header, sizeof *answer);
    return error || is_message(&answer->header, XFRM_MSG_NEWPOLICY, sizeof(struct xfrm_userpolicy_info)) ? error : EPROTO;
}

/* Before a message is sent: of one that removes a policy by its index, finds out which that is. Afterwards nobody knows any more. In turn. */
void expect_removal(const struct nlmsghdr *message)
{
    struct xfrm_userpolicy_id id;
    struct xfrm_userpolicy_info info;
    struct policy_key key;
    union answer answer;
    size_t fixed;
    int connection;
    if (!policies || !(message->nlmsg_flags & NLM_F_REQUEST) || !is_removal(message, &id, &fixed) || !id.index || (connection = connect_control()) < 0)
        return;
    int error = look_up(connection, &id, message, fixed, &answer);
    discard(connection);
    if (error)
        return;
    memcpy(&info, NLMSG_DATA(&answer.header), sizeof info);
    set_policy_key(&key, &info.sel, info.dir, &answer.header, sizeof info);
    struct policy *known = *find(&key);
    if (known) {
        known->removal = message;
        expects_removal = true;
    }
}

/* After a request, whatever became of it: its memory will be another's. In turn. */
void expect_no_removal(void)
{
    for (struct policy *p = expects_removal ? policies : NULL; p; p = p->next)
        p->removal = NULL;
    expects_removal = false;
}

static void forget_removed(const struct nlmsghdr *message, const struct xfrm_userpolicy_id *id, size_t fixed, bool removed)
{
    struct policy **place = &policies;
    struct policy_key key;
    set_policy_key(&key, &id->sel, id->dir, message, fixed);
    if (!id->index)
        place = find(&key);
    else
        while (*place && (*place)->removal != message)
            place = &(*place)->next;
    if (removed)
        forget(place);
}

/* As note_association, of policies. */
bool note_policy(const struct nlmsghdr *message, int outcome)
{
    struct xfrm_userpolicy_id id;
    size_t fixed;
    bool installs = is_message(message, XFRM_MSG_NEWPOLICY, sizeof(struct xfrm_userpolicy_info))
        || is_message(message, XFRM_MSG_UPDPOLICY, sizeof(struct xfrm_userpolicy_info));
    if (installs && outcome == 0)
        remember(message);
    else if (is_message(message, XFRM_MSG_FLUSHPOLICY, 0) && is_removed(outcome))
        flush(policy_type_of(message, 0));
    else if (is_removal(message, &id, &fixed))
        forget_removed(message, &id, fixed, is_removed(outcome));
    return installs && outcome == 0;
}

static bool has_addresses(const struct policy *p, const struct xfrm_userpolicy_id *id)
{
    const struct xfrm_selector *one = &p->info.sel, *other = &id->sel;
    return p->info.dir == id->dir && one->family == other->family && one->prefixlen_s == other->prefixlen_s && one->prefixlen_d == other->prefixlen_d
        && memcmp(&one->saddr, &other->saddr, sizeof one->saddr) == 0 && memcmp(&one->daddr, &other->daddr, sizeof one->daddr) == 0;
}

/* After a MIGRATE the data plane's templates are others than the program's last message has: takes them from there. In turn. */
void refresh_policies(int connection, const struct xfrm_userpolicy_id *migrated)
{
    union answer answer;
    for (struct policy **place = &policies; *place;) {
        struct policy *p = *place, *next = p->next;
        struct xfrm_userpolicy_id id = { .sel = p->info.sel, .dir = p->info.dir };
        if (has_addresses(p, migrated) && look_up(connection, &id, &p->header, sizeof p->info, &answer) == 0)
            remember(&answer.header);
        while (*place != next)
            place = &(*place)->next;
    }
}

/* The policy that a DELPOLICY of the data plane tells of, which is in it whole. */
static bool is_told_of(const struct nlmsghdr *told, struct policy_key *key)
{
    const size_t fixed = sizeof(struct xfrm_userpolicy_id);
    struct xfrm_userpolicy_info info;
    const void *whole = is_message(told, XFRM_MSG_DELPOLICY, fixed) ? attribute(told, fixed, XFRMA_POLICY, sizeof info) : NULL;
    if (whole) {
        memcpy(&info, whole, sizeof info);
        set_policy_key(key, &info.sel, info.dir, told, fixed);
    }
    return whole;
}

/* On this connection of the watch the data plane has told of a policy that is removed, or of all, or that it had to leave out some of what it told. It may have been this program itself, and
   long ago: so those that are remembered all the same are asked for, and forgotten where they are gone, unless the data plane is: a next one does not know them yet.
   In turn: nothing is on its way. */
void review_policies(int fd, const struct nlmsghdr *told)
{
    struct policy_key key;
    bool one = is_told_of(told, &key);
    if (!one && told->nlmsg_type != XFRM_MSG_FLUSHPOLICY && told->nlmsg_type != NLMSG_OVERRUN)
        return;
    int connection = -1;
    for (struct policy **place = one ? find(&key) : &policies; *place;) {
        struct xfrm_userpolicy_id id = { .sel = (*place)->info.sel, .dir = (*place)->info.dir };
        struct pollfd ended = { .fd = fd, .events = POLLRDHUP };
        union answer answer;
        if (connection < 0 && (connection = connect_control()) < 0)
            return;
        if (look_up(connection, &id, &(*place)->header, sizeof (*place)->info, &answer) == ENOENT && poll(&ended, 1, 0) == 0)
            forget(place);
        else
            place = &(*place)->next;
        if (one)
            break;
    }
    discard(connection);
}

/* Gives the policies to a data plane that is back. In turn. */
void repeat_policies(int connection)
{
    int error = 0;
    for (struct policy *p = policies; p && error != ECONNREFUSED; p = p->next)
        error = exchange(connection, &p->header, -1);
}
