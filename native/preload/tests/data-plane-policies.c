/* What the small data plane knows of policies and SAs: it takes them, but those that a test wants refused, and gives each policy an index. */
#include "data-plane.h"
#include <stddef.h>
#include <string.h>

enum { MAX_POLICIES = 64 };

static struct { uint32_t index; uint16_t length; _Alignas(8) char payload[MAX_POLICY]; } policies[MAX_POLICIES];
static uint32_t installed;
static bool migrated;

static int install(const struct nlmsghdr *request)
{
    struct xfrm_userpolicy_info info;
    memcpy(&info, NLMSG_DATA(request), sizeof info);
    if (info.priority == REFUSED)
        return EEXIST;
    info.index = policy_index(++installed, info.dir);
    size_t place = installed % MAX_POLICIES, length = request->nlmsg_len - NLMSG_HDRLEN;
    policies[place].index = info.index;
    policies[place].length = (uint16_t)(length < MAX_POLICY ? length : MAX_POLICY);
    memcpy(policies[place].payload, NLMSG_DATA(request), policies[place].length);
    memcpy(policies[place].payload, &info, sizeof info);
    return 0;
}

uint32_t policy_index(uint32_t number, uint8_t direction)
{
    return number << 3 | direction;
}

/* A stand-in for other addresses in the templates. */
static int migrate(const struct nlmsghdr *request)
{
    const struct xfrm_userpolicy_id *id = NLMSG_DATA(request);
    for (int i = 0; i < MAX_POLICIES; i++) {
        struct xfrm_userpolicy_info *info = (struct xfrm_userpolicy_info *)policies[i].payload;
        if (policies[i].index && memcmp(&info->sel.daddr, &id->sel.daddr, sizeof id->sel.daddr) == 0)
            info->priority = MIGRATED;
    }
    migrated = true;
    return 0;
}

/* GETSA: of all SAs it knows the first one, once it was migrated. */
bool knows_association(const struct nlmsghdr *request)
{
    struct xfrm_usersa_id id;
    memcpy(&id, NLMSG_DATA(request), sizeof id);
    return migrated && id.spi == 1 && id.daddr.a4 == MIGRATED;
}

/* What GETPOLICY answers, by index or by selector, or NULL. */
const void *find_policy(const struct nlmsghdr *request, size_t *length)
{
    struct xfrm_userpolicy_id id;
    memcpy(&id, NLMSG_DATA(request), sizeof id);
    for (int i = 0; i < MAX_POLICIES; i++)
        if (policies[i].index && (id.index ? policies[i].index == id.index : memcmp(policies[i].payload, &id.sel, sizeof id.sel) == 0)) {
            *length = policies[i].length;
            return policies[i].payload;
        }
    return NULL;
}

/* Removes the policy that was installed as this one, and makes what DELPOLICY tells of it: its length. With number 0 all: 0. */
size_t remove_policies(uint32_t number, struct told_removal *told)
{
    if (!number) {
        memset(policies, 0, sizeof policies);
        return 0;
    }
    size_t place = number % MAX_POLICIES;
    const struct xfrm_userpolicy_info *info = (const struct xfrm_userpolicy_info *)policies[place].payload;
    *told = (struct told_removal){ .id = { .sel = info->sel, .dir = info->dir }, .header = { NLA_HDRLEN + sizeof *info, XFRMA_POLICY } };
    memcpy(told->policy, info, policies[place].length);        /* its attributes follow it here, too */
    policies[place].index = 0;
    return offsetof(struct told_removal, policy) + policies[place].length;
}

/* How a message on B ends: 0 or an errno. */
int change_database(const struct nlmsghdr *request)
{
    struct xfrm_usersa_info sa;
    size_t length;
    switch (request->nlmsg_type) {
    case XFRM_MSG_NEWSA:
    case XFRM_MSG_UPDSA:
        memcpy(&sa, NLMSG_DATA(request), sizeof sa);
        return sa.id.spi == REFUSED ? EEXIST : 0;
    case XFRM_MSG_NEWPOLICY:
    case XFRM_MSG_UPDPOLICY:
        return install(request);
    case XFRM_MSG_DELPOLICY: {
        const struct xfrm_userpolicy_id *id = NLMSG_DATA(request);
        return id->index && (id->sel.sport == REFUSED_PORT || !find_policy(request, &length)) ? (id->sel.sport == REFUSED_PORT ? EPERM : ENOENT) : 0;
    }
    case XFRM_MSG_MIGRATE:
        return migrate(request);
    default:
        return 0;
    }
}
