/* The SAs that the program has installed: remembered for the next data plane, which is asked for each. */
#include "remembering.h"
#include <string.h>
#include <linux/ipsec.h>

enum {
    MAX_ASSOCIATIONS = 2048,    /* SAs remembered; as many EXPIREs as the data plane queues for a subscriber */
};

static struct xfrm_usersa_id associations[MAX_ASSOCIATIONS];    /* free: SPI 0 */

/* Where an SA is remembered, or a free place for that of zeroes, or NULL. */
static struct xfrm_usersa_id *find(const struct xfrm_usersa_id *id)
{
    for (int i = 0; i < MAX_ASSOCIATIONS; i++)
        if (associations[i].spi == id->spi && memcmp(&associations[i], id, sizeof *id) == 0)
            return &associations[i];
    return NULL;
}

/* As xfrm_id_proto_match of the kernel: what a flush of this protocol takes. */
static bool is_flushed(uint8_t flushed, uint8_t protocol)
{
    return flushed == 0 || flushed == protocol
        || (flushed == IPSEC_PROTO_ANY && (protocol == IPPROTO_AH || protocol == IPPROTO_ESP || protocol == IPPROTO_COMP));
}

static void flush(uint8_t protocol)
{
    for (int i = 0; i < MAX_ASSOCIATIONS; i++)
        if (associations[i].spi && is_flushed(protocol, associations[i].proto))
            associations[i] = (struct xfrm_usersa_id){ 0 };
}

/* The SA that a message installs or removes, or one of zeroes. */
static struct xfrm_usersa_id named_by(const struct nlmsghdr *message)
{
    struct xfrm_usersa_id id = { 0 };
    struct xfrm_user_expire expire;
    const struct xfrm_usersa_info *info = NULL;
    if (is_message(message, XFRM_MSG_NEWSA, sizeof *info) || is_message(message, XFRM_MSG_UPDSA, sizeof *info)) {
        info = NLMSG_DATA(message);
    } else if (is_message(message, XFRM_MSG_DELSA, sizeof id)) {
        memcpy(&id, NLMSG_DATA(message), sizeof id);
    } else if (is_message(message, XFRM_MSG_EXPIRE, sizeof expire)) {
        memcpy(&expire, NLMSG_DATA(message), sizeof expire);
        info = expire.hard ? &expire.state : NULL;
    }
    if (info)
        id = (struct xfrm_usersa_id){ .daddr = info->id.daddr, .spi = info->id.spi, .family = info->family, .proto = info->id.proto };
    return id;
}

/* Remembers or forgets the SA that one message of a request has installed or removed. In turn. True if it has installed one. */
bool note_association(const struct nlmsghdr *message, int outcome)
{
    static const struct xfrm_usersa_id none;
    bool installs = message->nlmsg_type == XFRM_MSG_NEWSA || message->nlmsg_type == XFRM_MSG_UPDSA;
    if (installs ? outcome != 0 : !is_removed(outcome))
        return false;
    if (is_message(message, XFRM_MSG_FLUSHSA, sizeof(struct xfrm_usersa_flush)))
        flush(((const struct xfrm_usersa_flush *)NLMSG_DATA(message))->proto);
    struct xfrm_usersa_id id = named_by(message);
    if (!id.spi)
        return false;
    struct xfrm_usersa_id *known = find(&id), *place = installs && !known ? find(&none) : known;
    if (place)
        *place = installs ? id : none;
    return installs;
}

/* After a MIGRATE: the SAs that the data plane has at their new address are remembered there. In turn. */
void move_associations(int connection, const struct xfrm_user_migrate *migrated)
{
    union { struct nlmsghdr header; char bytes[4096]; } answer;
    struct { struct nlmsghdr header; struct xfrm_usersa_id id; } question;
    for (struct xfrm_usersa_id *known = associations; known < &associations[MAX_ASSOCIATIONS]; known++) {
        if (!known->spi || known->proto != migrated->proto || known->family != migrated->old_family ||
            memcmp(&known->daddr, &migrated->old_daddr, sizeof known->daddr) != 0)
            continue;
        question.header = (struct nlmsghdr){ .nlmsg_len = NLMSG_LENGTH(sizeof question.id), .nlmsg_type = XFRM_MSG_GETSA };
        question.id = (struct xfrm_usersa_id){ .daddr = migrated->new_daddr, .spi = known->spi, .family = migrated->new_family, .proto = known->proto };
        if (fetch(connection, &question.header, XFRM_MSG_NEWSA, &answer.header, sizeof answer) == 0)
            *known = question.id;
        explicit_bzero(&answer, sizeof answer);         /* its keys */
    }
}

/* Asks a data plane that is back for every SA. In turn. */
void ask_for_associations(int connection)
{
    int error = 0;
    for (int i = 0; i < MAX_ASSOCIATIONS && error != ECONNREFUSED; i++)
        if (associations[i].spi)
            error = ask(connection, XFRM_MSG_GETSA, &associations[i], sizeof associations[i], -1);
}
