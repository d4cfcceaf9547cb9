/* What the parts of the small data plane share. */
#ifndef DATA_PLANE_H
#define DATA_PLANE_H

#include "harness.h"
#include <linux/xfrm.h>

enum { ENCAP_CLOSE, ENCAP_OPEN, ENCAP_MAY_SHARE };
enum { MAX_CLIENTS = 64, MAX_PORTS = 300, MAX_POLICY = 300 };

struct encapsulation { uint32_t operation; uint16_t family, port; uint8_t address[16]; };
struct client { int lease, end; uint32_t groups, parts, seq, pid, port_count; struct encapsulation ports[MAX_PORTS]; };

/* data-plane-ports.c */
int encapsulate(const struct client *clients, struct client *c, const struct encapsulation *name);

/* data-plane-policies.c */
const void *find_policy(const struct nlmsghdr *request, size_t *length);
bool knows_association(const struct nlmsghdr *request);
struct told_removal { struct xfrm_userpolicy_id id; struct nlattr header; char policy[MAX_POLICY]; };
size_t remove_policies(uint32_t number, struct told_removal *told);
int change_database(const struct nlmsghdr *request);

#endif
