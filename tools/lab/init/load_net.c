// SPDX-License-Identifier: GPL-2.0-only
/* Load: network interfaces */
#include "agent.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static uint16_t checksum(const void *data, size_t len)
{
	const uint16_t *p = data;
	uint32_t sum = 0;

	for (; len; len -= 2)
		sum += *p++;
	sum = (sum >> 16) + (sum & 0xffff);
	return ~(sum + (sum >> 16));
}

int netif_down(const char *name)
{
	struct ifreq ifr = {};
	int fd;

	fd = socket(AF_INET, SOCK_DGRAM, 0);
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &ifr))
		return -1;
	ifr.ifr_flags &= ~IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &ifr);
}

int netif_up(const char *name)
{
	struct sockaddr_in *sin;
	struct ifreq ifr = {};
	int fd;

	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		return -1;
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	sin = (struct sockaddr_in *)&ifr.ifr_addr;
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = inet_addr("10.0.2.15");
	if (ioctl(fd, SIOCSIFADDR, &ifr))
		return -1;
	sin->sin_addr.s_addr = inet_addr("255.255.255.0");
	if (ioctl(fd, SIOCSIFNETMASK, &ifr))
		return -1;
	ifr.ifr_flags = IFF_UP | IFF_BROADCAST | IFF_MULTICAST | IFF_RUNNING;
	return ioctl(fd, SIOCSIFFLAGS, &ifr);
}

/* Echo requests, each answered by the host before the next is sent */
static void ping_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct timeval tv = { .tv_usec = 200000 };
	struct {
		struct icmphdr h;
		char data[1000];
	} req = {};
	char buf[2000];
	struct icmphdr *h;
	int fd, misses = 0;
	ssize_t len;

	to.sin_addr.s_addr = inet_addr("10.0.2.2");
	fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, arg[0],
				 strlen(arg[0])) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv))) {
		w->error = errno;
		return;
	}
	req.h.type = ICMP_ECHO;
	req.h.un.echo.id = htons(nr + 1);
	while (!count || w->ok < count) {
		w->submitted++;
		req.h.un.echo.sequence = htons(w->submitted);
		req.h.checksum = 0;
		req.h.checksum = checksum(&req, sizeof(req));
		if (sendto(fd, &req, sizeof(req), 0, (void *)&to,
			   sizeof(to)) < 0)
			goto failed;
		do {
			len = recv(fd, buf, sizeof(buf), 0);
			/* EINTR: it was frozen for a suspend */
			if (len < 0 && errno != EAGAIN && errno != EINTR)
				goto failed;
			h = (void *)(buf + sizeof(struct iphdr));
		} while (len >= 0 && (h->type != ICMP_ECHOREPLY ||
				      h->un.echo.id != req.h.un.echo.id));
		if (len >= 0) {
			misses = 0;
			w->ok++;
			continue;
		}
		/* The link needs its time at first */
		if (++misses < (w->ok ? 10 : 50)) {
			w->lost++;
			continue;
		}
		errno = ETIMEDOUT;
		goto failed;
	}
	return;
failed:
	w->error = errno;
	w->failed++;
}

/* Raw frames of an experimental Ethertype, as fast as the queue takes them */
static void frame_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	unsigned char frame[1400] = { 0x52, 0x55, 0x0a, 0x00, 0x02, 0x02 };
	int fd;

	(void)nr;
	frame[12] = 0x88;
	frame[13] = 0xb5;
	to.sll_ifindex = if_nametoindex(arg[0]);
	fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0 || !to.sll_ifindex) {
		w->error = errno;
		return;
	}
	while (!count || w->ok < count) {
		w->submitted++;
		if (sendto(fd, frame, sizeof(frame), 0, (void *)&to,
			   sizeof(to)) < 0 && errno != ENOBUFS) {
			w->error = errno;
			w->failed++;
			return;
		}
		w->ok++;
		usleep(2000);
	}
}

/* Promiscuous mode on and off: virtio_net asks its control virtqueue */
static void promisc_worker(struct worker *w, char **arg, uint32_t count,
			   int nr)
{
	struct ifreq ifr = {};
	int fd;

	(void)nr;
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", arg[0]);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	while (!count || w->ok < count) {
		w->submitted++;
		if (ioctl(fd, SIOCGIFFLAGS, &ifr))
			break;
		ifr.ifr_flags ^= IFF_PROMISC;
		if (ioctl(fd, SIOCSIFFLAGS, &ifr))
			break;
		w->ok++;
		usleep(10000);
	}
	if (count && w->ok >= count)
		return;
	w->error = errno;
	w->failed++;
}

/* Rings smaller and larger: virtio_net resets its queues */
static void resize_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	struct ethtool_ringparam ring = { .cmd = ETHTOOL_GRINGPARAM };
	struct ifreq ifr = { .ifr_data = (void *)&ring };
	int fd;

	(void)nr;
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", arg[0]);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &ifr)) {
		w->error = errno;
		return;
	}
	ring.cmd = ETHTOOL_SRINGPARAM;
	while (!count || w->ok < count) {
		w->submitted++;
		ring.rx_pending = ring.rx_max_pending >> (w->ok & 1);
		if (ioctl(fd, SIOCETHTOOL, &ifr)) {
			w->error = errno;
			w->failed++;
			return;
		}
		w->ok++;
		usleep(1000);
	}
}

const struct load net_loads[] = {
	{ "ping", ping_worker },
	{ "frame", frame_worker },
	{ "promisc", promisc_worker },
	{ "resize", resize_worker },
	{}
};
