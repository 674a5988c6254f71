/* Lines echoed in C, with epoll: what such a server has to do at least. It sends once
   for all the whole lines that it has read.

       cc -O2 -o echo echo.c
       echo PORT */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define TAKEN 256
#define LONGEST 65536

struct peer {
    int fd;
    size_t held;
    char rest[LONGEST];
};

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int listen_at(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(fd, 1024) < 0)
        fail("listen");
    return fd;
}

static void accept_one(int poll, int listener)
{
    struct peer *peer = malloc(sizeof *peer);
    if (peer == NULL)
        fail("malloc");
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
    peer->held = 0;
    peer->fd = accept(listener, NULL, NULL);
    if (peer->fd < 0)
        fail("accept");
    epoll_ctl(poll, EPOLL_CTL_ADD, peer->fd, &event);
}

static void leave(struct peer *peer)
{
    close(peer->fd);
    free(peer);
}

/* Blocks where the peer does not read: it is no example, but the least there is. */
static int send_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0)
            return -1;
        data += sent;
        size -= sent;
    }
    return 0;
}

static void receive(struct peer *peer)
{
    ssize_t count = recv(peer->fd, peer->rest + peer->held, LONGEST - peer->held, 0);
    if (count <= 0) {
        leave(peer);
        return;
    }
    peer->held += count;
    char *end = memrchr(peer->rest, '\n', peer->held);
    if (end == NULL)
        return;
    size_t whole = end + 1 - peer->rest;
    if (send_all(peer->fd, peer->rest, whole) < 0) {
        leave(peer);
        return;
    }
    peer->held -= whole;
    memmove(peer->rest, end + 1, peer->held);
}

int main(int count, char **words)
{
    struct epoll_event events[TAKEN], event = {.events = EPOLLIN, .data.ptr = NULL};
    if (count != 2)
        return 2;
    int listener = listen_at(atoi(words[1])), poll = epoll_create1(0);
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int ready = epoll_wait(poll, events, TAKEN, -1);
        for (int at = 0; at < ready; at++)
            if (events[at].data.ptr == NULL)
                accept_one(poll, listener);
            else
                receive(events[at].data.ptr);
    }
}
