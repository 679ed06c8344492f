/* net.c - this machine's addresses and ports. */
#include "server_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void fab_net_read(fab_net *out)
{
    struct ifaddrs *all = NULL;
    size_t count = 0;
    *out = (fab_net){0};
    if (gethostname(out->host_name, sizeof out->host_name - 1) != 0) out->host_name[0] = '\0';
    if (getifaddrs(&all) != 0) return;
    for (const struct ifaddrs *i = all; i && count < FAB_NET_ADDRESSES; i = i->ifa_next) {
        struct sockaddr_in in;
        bool wanted = i->ifa_addr && i->ifa_addr->sa_family == AF_INET &&
                      (i->ifa_flags & IFF_UP) && !(i->ifa_flags & IFF_LOOPBACK);
        if (!wanted) continue;
        memcpy(&in, i->ifa_addr, sizeof in);
        if (inet_ntop(AF_INET, &in.sin_addr, out->address[count], FAB_ADDRESS_BYTES)) {
            out->list[count] = out->address[count];
            count++;
        }
    }
    freeifaddrs(all);
}

fab_status fab_net_try_port(const char *address, int *port, fab_error *err)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
    socklen_t length = sizeof in;
    int yes = 1;
    if (inet_pton(AF_INET, address, &in.sin_addr) != 1)
        FAB_FAIL(err, FAB_ERR_ARG, "\"%.60s\" is not an IPv4 address such as 192.168.0.5",
                 address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) FAB_FAIL(err, FAB_ERR_IO, "cannot make a socket: %s", strerror(errno));
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    bool bound = bind(fd, (struct sockaddr *)&in, sizeof in) == 0 && listen(fd, 1) == 0 &&
                 getsockname(fd, (struct sockaddr *)&in, &length) == 0;
    int code = errno;
    close(fd);
    if (bound) {
        *port = ntohs(in.sin_port);
        return FAB_OK;
    }
    if (code == EADDRNOTAVAIL)
        FAB_FAIL(err, FAB_ERR_ARG, "%s is not an address of this machine", address);
    if (code == EADDRINUSE)
        FAB_FAIL(err, FAB_ERR_IO, "port %d is taken by another program: give another --port",
                 *port);
    FAB_FAIL(err, FAB_ERR_IO, "cannot listen on %s, port %d: %s", address, *port, strerror(code));
}
