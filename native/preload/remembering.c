/* What the program has installed, SAs and policies: remembered for the next data plane. */
#include "espalier-xfrm.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <linux/xfrm.h>

enum {
    MAX_ASSOCIATIONS = 2048,    /* SAs remembered; as many EXPIREs as the data plane queues for a subscriber */
    MAX_POLICIES = 2048,        /* policies remembered */
    MAX_POLICY = 1024,          /* bytes of a policy's message */
};

/* What the program last sent of a policy: xfrm_userpolicy_info and attributes. */
struct policy {
    struct policy *next;
    struct nlmsghdr header;
    struct xfrm_userpolicy_info info;
};

static struct xfrm_usersa_id associations[MAX_ASSOCIATIONS];    /* free: SPI 0 */
static struct policy *policies;                                 /* in the order in which they were installed: of equal priorities the first decides */
static int policy_count;

/* Where an SA is remembered, or a free place for that of zeroes, or NULL. */
static struct xfrm_usersa_id *find_association(const struct xfrm_usersa_id *id)
{
    for (int i = 0; i < MAX_ASSOCIATIONS; i++)
        if (associations[i].spi == id->spi && memcmp(&associations[i], id, sizeof *id) == 0)
            return &associations[i];
    return NULL;
}

/* Remembers or forgets the SA that one request that was handled installs or removes. In turn. True if it installs one. */
bool note_association(const struct nlmsghdr *message)
{
    static const struct xfrm_usersa_id none;
    struct xfrm_usersa_id id = none;
    bool installs = message->nlmsg_type == XFRM_MSG_NEWSA || message->nlmsg_type == XFRM_MSG_UPDSA;
    if (installs && message->nlmsg_len >= NLMSG_LENGTH(sizeof(struct xfrm_usersa_info))) {
        const struct xfrm_usersa_info *info = NLMSG_DATA(message);
        id = (struct xfrm_usersa_id){ .daddr = info->id.daddr, .spi = info->id.spi, .family = info->family, .proto = info->id.proto };
    } else if (message->nlmsg_type == XFRM_MSG_DELSA && message->nlmsg_len >= NLMSG_LENGTH(sizeof id)) {
        memcpy(&id, NLMSG_DATA(message), sizeof id);
    } else if (message->nlmsg_type == XFRM_MSG_FLUSHSA) {
        memset(associations, 0, sizeof associations);
    }
    if (!id.spi)
        return false;
    struct xfrm_usersa_id *known = find_association(&id), *place = installs && !known ? find_association(&none) : known;
    if (place)
        *place = installs ? id : none;
    return installs;
}

/* Where a policy is remembered, or the end of the list. */
static struct policy **find_policy(const struct xfrm_selector *selector, uint8_t direction)
{
    struct policy **place = &policies;
    while (*place && ((*place)->info.dir != direction || memcmp(&(*place)->info.sel, selector, sizeof *selector) != 0))
        place = &(*place)->next;
    return place;
}

static void forget_policy(struct policy **place)
{
    struct policy *known = *place;
    if (!known)
        return;
    *place = known->next;
    free(known);
    policy_count--;
}

/* The message as it is goes to the next data plane, where it replaces what stands there. */
static void remember_policy(const struct nlmsghdr *message)
{
    struct xfrm_userpolicy_info info;
    memcpy(&info, NLMSG_DATA(message), sizeof info);
    struct policy **place = find_policy(&info.sel, info.dir);
    forget_policy(place);
    struct policy *next = *place, *policy = NULL;
    if (policy_count < MAX_POLICIES && message->nlmsg_len <= MAX_POLICY)
        policy = malloc(offsetof(struct policy, header) + message->nlmsg_len);
    if (!policy)
        return;
    memcpy(&policy->header, message, message->nlmsg_len);
    policy->header.nlmsg_type = XFRM_MSG_UPDPOLICY;
    policy->header.nlmsg_pid = 0;
    policy->next = next;
    *place = policy;
    policy_count++;
}

/* As note_association, of policies. One that is removed by its index, which IKE daemons do not do, stays remembered. */
bool note_policy(const struct nlmsghdr *message)
{
    const struct xfrm_userpolicy_id *id = NLMSG_DATA(message);
    bool installs = (message->nlmsg_type == XFRM_MSG_NEWPOLICY || message->nlmsg_type == XFRM_MSG_UPDPOLICY)
        && message->nlmsg_len >= NLMSG_LENGTH(sizeof(struct xfrm_userpolicy_info));
    if (installs)
        remember_policy(message);
    else if (message->nlmsg_type == XFRM_MSG_DELPOLICY && message->nlmsg_len >= NLMSG_LENGTH(sizeof *id) && !id->index)
        forget_policy(find_policy(&id->sel, id->dir));
    else if (message->nlmsg_type == XFRM_MSG_FLUSHPOLICY)
        while (policies)
            forget_policy(&policies);
    return installs;
}

/* Gives the policies to a data plane that is back, and asks it for every SA. In turn. */
void repeat_remembered(int connection)
{
    int error = 0;
    for (struct policy *p = policies; p && error != ECONNREFUSED; p = p->next)
        error = exchange(connection, &p->header, -1);
    for (int i = 0; i < MAX_ASSOCIATIONS && error != ECONNREFUSED; i++)
        if (associations[i].spi)
            error = ask(connection, XFRM_MSG_GETSA, &associations[i], sizeof associations[i], -1);
}
