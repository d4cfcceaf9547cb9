/* What the small data plane knows of UDP ports: it refuses one, and lets nobody share those that are registered. */
#include "data-plane.h"
#include <string.h>
#include <arpa/inet.h>

static bool is_same_port(const struct encapsulation *a, const struct encapsulation *b)
{
    return a->family == b->family && a->port == b->port && memcmp(a->address, b->address, sizeof a->address) == 0;
}

/* ENCAP: 0 or an errno. */
int encapsulate(const struct client *clients, struct client *c, const struct encapsulation *name)
{
    uint32_t at = 0;
    if (name->operation == ENCAP_MAY_SHARE) {
        for (int i = 0; i < MAX_CLIENTS; i++)
            for (uint32_t n = 0; n < clients[i].port_count; n++)
                if (is_same_port(&clients[i].ports[n], name))
                    return EADDRINUSE;
        return 0;
    }
    if (name->operation == ENCAP_OPEN && name->port == htons(REFUSED_PORT))
        return EADDRINUSE;
    while (at < c->port_count && !is_same_port(&c->ports[at], name))
        at++;
    if (name->operation == ENCAP_CLOSE && at < c->port_count)
        c->ports[at] = c->ports[--c->port_count];
    else if (name->operation == ENCAP_OPEN && at == c->port_count)
        c->ports[c->port_count++] = *name;
    return 0;
}
