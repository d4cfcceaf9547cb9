/* MIGRATE: the data plane gives SAs and the template of their policy other addresses, and what is remembered follows. */
#include "remembering.h"
#include <string.h>

/* One message of a request. In turn. */
void note_migration(const struct nlmsghdr *message, int outcome)
{
    struct xfrm_userpolicy_id id;
    struct xfrm_user_migrate migrated;
    if (outcome != 0 || !is_message(message, XFRM_MSG_MIGRATE, sizeof id))
        return;
    const char *at = attribute(message, sizeof id, XFRMA_MIGRATE, sizeof migrated);
    int connection = at ? connect_control() : -1;
    if (connection < 0)
        return;
    struct nlattr header;
    memcpy(&header, at - NLA_HDRLEN, sizeof header);
    memcpy(&id, NLMSG_DATA(message), sizeof id);
    refresh_policies(connection, &id);
    for (size_t left = header.nla_len - NLA_HDRLEN; left >= sizeof migrated; left -= sizeof migrated, at += sizeof migrated) {
        memcpy(&migrated, at, sizeof migrated);
        if (memcmp(&migrated.old_daddr, &migrated.new_daddr, sizeof migrated.old_daddr) != 0)
            move_associations(connection, &migrated);
    }
    discard(connection);
}
