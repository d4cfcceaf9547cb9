/* What tells policies apart, as in the kernel: direction, type, selector, mark and interface id. */
#include "remembering.h"
#include <stddef.h>
#include <string.h>

/* The last attribute of a type, as nla_parse of the kernel takes it, or NULL. `fixed`: bytes of the struct that stands before the attributes. */
const void *attribute(const struct nlmsghdr *message, size_t fixed, uint16_t type, size_t least)
{
    const char *at = (const char *)message + NLMSG_LENGTH(NLMSG_ALIGN(fixed)), *end = (const char *)message + message->nlmsg_len;
    const void *found = NULL;
    while (end - at >= NLA_HDRLEN) {
        struct nlattr header;
        memcpy(&header, at, sizeof header);
        if (header.nla_len < NLA_HDRLEN || header.nla_len > end - at)
            break;
        if ((header.nla_type & NLA_TYPE_MASK) == type && header.nla_len >= NLA_HDRLEN + least)
            found = at + NLA_HDRLEN;
        at += NLA_ALIGN(header.nla_len) < end - at ? NLA_ALIGN(header.nla_len) : end - at;
    }
    return found;
}

/* XFRMA_POLICY_TYPE: main where it is not named. */
uint8_t policy_type_of(const struct nlmsghdr *message, size_t fixed)
{
    const struct xfrm_userpolicy_type *type = attribute(message, fixed, XFRMA_POLICY_TYPE, sizeof type->type);
    return type ? type->type : XFRM_POLICY_TYPE_MAIN;
}

/* The attributes follow a struct of `fixed` bytes. Padding is zero, as keys are compared as bytes. */
void set_policy_key(struct policy_key *key, const struct xfrm_selector *selector, uint8_t direction, const struct nlmsghdr *message, size_t fixed)
{
    enum { END = offsetof(struct xfrm_selector, proto) + sizeof selector->proto, NEXT = offsetof(struct xfrm_selector, ifindex) };
    const void *mark = attribute(message, fixed, XFRMA_MARK, sizeof key->mark), *if_id = attribute(message, fixed, XFRMA_IF_ID, sizeof key->if_id);
    memset(key, 0, sizeof *key);
    memcpy(&key->selector, selector, sizeof key->selector);
    memset((char *)&key->selector + END, 0, NEXT - END);
    if (mark)
        memcpy(&key->mark, mark, sizeof key->mark);
    if (if_id)
        memcpy(&key->if_id, if_id, sizeof key->if_id);
    key->direction = direction;
    key->type = policy_type_of(message, fixed);
}
