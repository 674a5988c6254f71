/* A load of lines: many connections, each of which sends a block of lines, waits until
   all of it has come back, and sends it again. One thread, epoll; every byte is compared.

       cc -O2 -o lines lines.c
       lines PORT CONNECTIONS SECONDS SIZE LINES

   SIZE is a line's, with its end; LINES are in a block. Prints one line of JSON: lines
   that came back whole, seconds, milliseconds of a block (median, 99th percentile),
   bytes that were others, connections that were lost. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

/* Blocks whose time is kept; of more, the later ones are not. */
#define KEPT (1L << 22)

/* Events that are taken at once. */
#define TAKEN 256

struct peer {
    int fd;
    char *block;  /* its own: who is given another's lines sees that */
    long sent;
    long got;
    double began;
};

static long block_size;
static long wrong, lost, blocks, kept;
static double *times;
static char buffer[1 << 18];

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static char *make_block(int number, long size, long lines)
{
    char *block = malloc(block_size);
    if (block == NULL)
        fail("malloc");
    for (long at = 0; at < block_size; at++)
        block[at] = 'a' + (at + at / size + number) % 26;
    for (long line = 1; line <= lines; line++)
        block[line * size - 1] = '\n';
    return block;
}

static void lose(struct peer *peer)
{
    close(peer->fd); /* epoll forgets it with that */
    peer->fd = -1;
    lost++;
}

/* Sends what has not been sent; the rest goes when the socket takes it. */
static void send_on(struct peer *peer)
{
    while (peer->fd >= 0 && peer->sent < block_size) {
        long left = block_size - peer->sent;
        ssize_t count = send(peer->fd, peer->block + peer->sent, left, MSG_NOSIGNAL);
        if (count < 0) {
            if (errno != EAGAIN)
                lose(peer);
            return;
        }
        peer->sent += count;
    }
}

static void begin(struct peer *peer)
{
    peer->sent = peer->got = 0;
    peer->began = now();
    send_on(peer);
}

static void finish(struct peer *peer)
{
    blocks++;
    if (kept < KEPT)
        times[kept++] = now() - peer->began;
    begin(peer);
}

static void receive(struct peer *peer)
{
    ssize_t count = recv(peer->fd, buffer, sizeof buffer, 0);
    if (count < 0 && errno == EAGAIN)
        return;
    if (count <= 0) {
        lose(peer);
        return;
    }
    if (count > block_size - peer->got) { /* more than was asked for */
        wrong += count;
        lose(peer);
        return;
    }
    if (memcmp(buffer, peer->block + peer->got, count) != 0)
        wrong += count;
    peer->got += count;
    if (peer->got == block_size)
        finish(peer);
}

static int open_connection(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static int compare(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

static double percentile(double part)
{
    return kept ? times[(long)((kept - 1) * part)] * 1e3 : 0;
}

int main(int count, char **words)
{
    if (count != 6) {
        fputs("lines PORT CONNECTIONS SECONDS SIZE LINES\n", stderr);
        return 2;
    }
    int port = atoi(words[1]), connections = atoi(words[2]);
    double seconds = atof(words[3]);
    long size = atol(words[4]), lines = atol(words[5]);
    struct peer *peers = calloc(connections, sizeof *peers);
    struct epoll_event events[TAKEN];
    int poll = epoll_create1(0);

    block_size = size * lines;
    times = malloc(KEPT * sizeof *times);
    if (peers == NULL || times == NULL || poll < 0)
        fail("start");
    for (int number = 0; number < connections; number++) {
        struct peer *peer = &peers[number];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
        peer->fd = open_connection(port);
        peer->block = make_block(number, size, lines);
        epoll_ctl(poll, EPOLL_CTL_ADD, peer->fd, &event);
    }

    double began = now();
    for (int number = 0; number < connections; number++)
        begin(&peers[number]);
    while (now() - began < seconds && lost < connections) {
        int ready = epoll_wait(poll, events, TAKEN, 10);
        for (int at = 0; at < ready; at++) {
            struct peer *peer = events[at].data.ptr;
            if (peer->fd >= 0)
                receive(peer);
        }
        /* A block may be more than a socket takes. */
        for (int number = 0; lines > 1 && number < connections; number++)
            send_on(&peers[number]);
    }
    double spent = now() - began;

    qsort(times, kept, sizeof *times, compare);
    printf("{\"count\": %ld, \"seconds\": %.6f, \"p50\": %.4f, \"p99\": %.4f, "
           "\"wrong\": %ld, \"lost\": %ld}\n",
           blocks * lines, spent, percentile(0.5), percentile(0.99), wrong, lost);
    return 0;
}
