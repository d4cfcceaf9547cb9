/* What the environment says, read once: ESPALIER_CONTROL and ESPALIER_MARK. */
#include "espalier-xfrm.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_MARK = 0x4550 };

char control_path[sizeof(((struct sockaddr_un *)0)->sun_path)];
unsigned int bypass_mark = DEFAULT_MARK;

static void read_configuration(void)
{
    const char *path = secure_getenv("ESPALIER_CONTROL"), *mark = secure_getenv("ESPALIER_MARK");
    if (path && strlen(path) < sizeof control_path)
        strcpy(control_path, path);
    if (mark && *mark)
        bypass_mark = (unsigned int)strtoul(mark, NULL, 0);
}

bool is_enabled(void)
{
    static pthread_once_t configured = PTHREAD_ONCE_INIT;
    pthread_once(&configured, read_configuration);
    return control_path[0] != 0;
}
