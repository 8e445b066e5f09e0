// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lab guest's init, and the host's agent in it.
 *
 * The host sends lines on ttyS1, "TAG COMMAND ARGUMENTS", and gets one line
 * for each, "TAG ok ..." or "TAG err ERRNO ...", when the command has ended.
 * A command may never end: what it touches belongs to a kernel that is
 * perhaps hanging.  So whatever can block runs in a child that answers for
 * itself, nobody waits for a child, and the counters of the load's workers are
 * in shared memory, where they can be read while the workers are stuck.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/nvme_ioctl.h>
#include <linux/sockios.h>
#include <linux/usbdevice_fs.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define WORKERS		64
#define BLOCK		4096
#define BLOCKS		1024		/* of the disk, see BLOCKS in the host */
#define OWN		128		/* blocks that one writer writes to */
#define MAGIC		0x6b6e6179	/* see MAGIC in the host */
#define LINE		60000

struct worker {
	volatile uint32_t submitted, ok, failed, bad, lost, ended;
	volatile int error;
};

static struct shared {
	struct worker w[WORKERS];
	volatile uint32_t acked[BLOCKS];	/* stamp; 0: never written */
} *sh;

static int workers;
static int ctl = -1;

static void reply(const char *tag, const char *fmt, ...)
{
	static char line[LINE + 1];
	va_list ap;
	int len;

	len = snprintf(line, LINE, "%s ", tag);
	va_start(ap, fmt);
	len += vsnprintf(line + len, LINE - len, fmt, ap);
	va_end(ap);
	if (len >= LINE)
		len = LINE - 1;
	line[len++] = '\n';
	/* One write, so that answers of different children do not mix */
	if (write(ctl, line, len) != len)
		_exit(1);
}

static void fail(const char *tag, const char *what)
{
	reply(tag, "err %d %s: %s", errno, what, strerror(errno));
}

static long msec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- load: disks -------------------------------------------------------- */

struct record {
	uint32_t magic, block, stamp, inverse;
};

static void disk_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	struct record *buf;
	uint32_t block, stamp = 0, i;
	int fd, writer = nr & 1;
	ssize_t len;

	srandom(nr + 1);
	if (posix_memalign((void **)&buf, BLOCK, BLOCK))
		return;
	fd = open(arg[0], O_RDWR | O_DIRECT);
	if (fd < 0) {
		w->error = errno;
		return;
	}
	while (!count || w->submitted < count) {
		block = random() % (writer ? OWN : BLOCKS);
		if (writer) {
			/* Each writer has its blocks, so stamps only grow */
			block += nr * OWN;
			stamp++;
			for (i = 0; i < BLOCK / sizeof(*buf); i++)
				buf[i] = (struct record){ MAGIC, block, stamp,
							  ~stamp };
		} else {
			memset(buf, 0x55, BLOCK);
		}
		w->submitted++;
		if (writer)
			len = pwrite(fd, buf, BLOCK, (off_t)block * BLOCK);
		else
			len = pread(fd, buf, BLOCK, (off_t)block * BLOCK);
		if (len != BLOCK) {
			w->error = len < 0 ? errno : 0;
			w->failed++;
			return;
		}
		w->ok++;
		if (writer)
			sh->acked[block] = stamp;
		else
			for (i = 0; i < BLOCK / sizeof(*buf); i++)
				if (buf[i].magic != MAGIC ||
				    buf[i].block != block ||
				    buf[i].stamp != ~buf[i].inverse) {
					w->bad++;
					break;
				}
	}
}

/* ---- load: files -------------------------------------------------------- */

/*
 * COUNT blocks into a new file; what is not synced at once is when its disk is
 * gone, and the file tells by ok or failed what fsync() said.
 */
static void file(struct worker *w, const char *path, uint32_t count, int now)
{
	char disk[64];
	struct record buf[BLOCK / sizeof(struct record)];
	struct stat st;
	uint32_t i, nr;
	int fd;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0 || fstat(fd, &st))
		goto failed;
	for (nr = 0; nr < count; nr++) {
		for (i = 0; i < ARRAY_SIZE(buf); i++)
			buf[i] = (struct record){ MAGIC, nr, 1, ~1 };
		if (write(fd, buf, BLOCK) != BLOCK)
			goto failed;
	}
	if (now && fsync(fd))
		goto failed;
	w->submitted = 1;
	snprintf(disk, sizeof(disk), "/sys/dev/block/%u:%u", major(st.st_dev),
		 minor(st.st_dev));
	while (!now && !access(disk, F_OK))
		usleep(10000);
	if (now || !fsync(fd)) {
		w->ok++;
		return;
	}
failed:
	w->error = errno;
	w->failed++;
}

static void synced_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	(void)nr;
	file(w, arg[0], count, 1);
}

static void dirty_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	(void)nr;
	file(w, arg[0], count, 0);
}

/* ---- load: NICs --------------------------------------------------------- */

static uint16_t checksum(const void *data, size_t len)
{
	const uint16_t *p = data;
	uint32_t sum = 0;

	for (; len; len -= 2)
		sum += *p++;
	sum = (sum >> 16) + (sum & 0xffff);
	return ~(sum + (sum >> 16));
}

static int netif_up(const char *name)
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
			if (len < 0 && errno != EAGAIN)
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

/* ---- load: character devices and USB ------------------------------------ */

static int open_raw(const char *path, int flags)
{
	struct termios tio;
	int fd;

	fd = open(path, flags | O_NOCTTY);
	if (fd >= 0 && !tcgetattr(fd, &tio)) {
		cfmakeraw(&tio);
		tcsetattr(fd, TCSANOW, &tio);
	}
	return fd;
}

static void read_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	char buf[64];
	ssize_t len;
	int fd;

	(void)nr;
	fd = open_raw(arg[0], O_RDONLY);
	if (fd < 0) {
		w->error = errno;
		return;
	}
	while (!count || w->ok < count) {
		memset(buf, 0, sizeof(buf));
		w->submitted++;
		len = read(fd, buf, sizeof(buf));
		if (len <= 0) {
			w->error = len < 0 ? errno : 0;
			w->failed++;
			return;
		}
		w->ok++;
	}
}

static void write_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	char buf[64];
	ssize_t len;
	int fd;

	(void)nr;
	fd = open_raw(arg[0], O_WRONLY);
	if (fd < 0) {
		w->error = errno;
		return;
	}
	while (!count || w->ok < count) {
		snprintf(buf, sizeof(buf), "%062u\n", w->submitted++);
		len = write(fd, buf, 63);
		if (len != 63) {
			w->error = len < 0 ? errno : 0;
			w->failed++;
			return;
		}
		w->ok++;
		usleep(2000);
	}
}

/* Control transfers; the odd workers wait for an interrupt that never comes */
static void usb_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	unsigned char buf[18];
	struct usbdevfs_ctrltransfer ct = {
		.bRequestType = 0x80, .bRequest = 6, .wValue = 0x100,
		.wLength = sizeof(buf), .timeout = 0, .data = buf,
	};
	struct usbdevfs_bulktransfer bt = {
		.ep = 0x81, .len = 8, .timeout = 0, .data = buf,
	};
	struct usbdevfs_disconnect_claim claim = {};
	int fd, len, idle = nr & 1;

	fd = open(arg[0], O_RDWR);
	if (fd < 0 || (idle && ioctl(fd, USBDEVFS_DISCONNECT_CLAIM, &claim))) {
		w->error = errno;
		return;
	}
	while (!count || w->ok < count) {
		memset(buf, 0, sizeof(buf));
		w->submitted++;
		if (idle)
			len = ioctl(fd, USBDEVFS_BULK, &bt);
		else
			len = ioctl(fd, USBDEVFS_CONTROL, &ct);
		if (len < 0) {
			w->error = errno;
			w->failed++;
			return;
		}
		w->ok++;
		if (!idle && (len != sizeof(buf) || buf[0] != len))
			w->bad++;
	}
}

/* Writes to a sysfs attribute, over and over */
static void poke_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	int fd;

	(void)nr;
	while (!count || w->ok < count) {
		w->submitted++;
		fd = open(arg[0], O_WRONLY);
		if (fd < 0 || write(fd, "1", 1) != 1) {
			w->error = errno;
			w->failed++;
			return;
		}
		close(fd);
		w->ok++;
	}
}

static const struct {
	const char *name;
	void (*fn)(struct worker *w, char **arg, uint32_t count, int nr);
} loads[] = {
	{ "disk", disk_worker },
	{ "ping", ping_worker },
	{ "frame", frame_worker },
	{ "promisc", promisc_worker },
	{ "resize", resize_worker },
	{ "read", read_worker },
	{ "write", write_worker },
	{ "usb", usb_worker },
	{ "poke", poke_worker },
	{ "synced", synced_worker },
	{ "dirty", dirty_worker },
};

/* load KIND WORKERS COUNT PATH: COUNT 0 means until an error */
static void cmd_load(const char *tag, char **arg)
{
	int n = atoi(arg[1]), first = workers;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(loads); i++)
		if (!strcmp(loads[i].name, arg[0]))
			break;
	if (i == ARRAY_SIZE(loads) || n < 1 || workers + n > WORKERS) {
		errno = EINVAL;
		fail(tag, "load");
		return;
	}
	for (; n--; workers++) {
		if (fork())
			continue;
		loads[i].fn(&sh->w[workers], arg + 3, atoi(arg[2]),
			    workers - first);
		sh->w[workers].ended = 1;
		_exit(0);
	}
	reply(tag, "ok");
}

/* One field per worker: submitted,ok,failed,bad,lost,ended,errno */
static void cmd_stat(const char *tag)
{
	char buf[WORKERS * 80], *p = buf;
	struct worker *w;

	*p = 0;
	for (w = sh->w; w < sh->w + workers; w++)
		p += sprintf(p, " %u,%u,%u,%u,%u,%u,%d", w->submitted, w->ok,
			     w->failed, w->bad, w->lost, w->ended, w->error);
	reply(tag, "ok%s", buf);
}

/* Block and stamp of every write that was acknowledged */
static void cmd_acked(const char *tag)
{
	char *buf = malloc(LINE), *p = buf;
	int i;

	*p = 0;
	for (i = 0; i < BLOCKS && p < buf + LINE - 64; i++)
		if (sh->acked[i])
			p += sprintf(p, " %x:%x", i, sh->acked[i]);
	reply(tag, "ok%s", buf);
}

/* ---- everything else ---------------------------------------------------- */

/* find BDF CLASS MSEC: the devices of that class below a PCI device */
static void cmd_find(const char *tag, char **arg)
{
	long end = msec() + atol(arg[2]);
	char dir[256], path[600], link[512], need[64], names[1024] = "";
	struct dirent *de;
	ssize_t len;
	DIR *d;

	snprintf(dir, sizeof(dir), "/sys/%s", arg[1]);
	snprintf(need, sizeof(need), "/%s/", arg[0]);
	do {
		d = opendir(dir);
		while (d && (de = readdir(d))) {
			snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
			len = readlink(path, link, sizeof(link) - 1);
			link[len < 0 ? 0 : len] = 0;
			/* Of USB, devices only: no root hub, no interface */
			if (strstr(link, need) &&
			    (!strstr(dir, "usb") ||
			     (!strchr(de->d_name, ':') &&
			      strncmp(de->d_name, "usb", 3))) &&
			    strlen(names) + NAME_MAX + 2 < sizeof(names)) {
				strcat(names, " ");
				strcat(names, de->d_name);
			}
		}
		if (d)
			closedir(d);
		if (*names) {
			reply(tag, "ok%s", names);
			return;
		}
		usleep(10000);
	} while (msec() < end);
	errno = ETIMEDOUT;
	fail(tag, arg[1]);
}

/* bound BDF MSEC: wait for a driver */
static void cmd_bound(const char *tag, char **arg)
{
	long end = msec() + atol(arg[1]);
	char path[128], link[256];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", arg[0]);
	do {
		len = readlink(path, link, sizeof(link) - 1);
		if (len > 0) {
			link[len] = 0;
			reply(tag, "ok %s", strrchr(link, '/') + 1);
			return;
		}
		usleep(10000);
	} while (msec() < end);
	errno = ETIMEDOUT;
	fail(tag, path);
}

/* watch BDF: answers when it has gone from sysfs, however long that takes */
static void cmd_watch(const char *tag, char **arg)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", arg[0]);
	while (!access(path, F_OK))
		usleep(5000);
	reply(tag, "ok");
}

/* there BDF: the same for its appearance */
static void cmd_there(const char *tag, char **arg)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", arg[0]);
	while (access(path, F_OK))
		usleep(2000);
	reply(tag, "ok");
}

/* peek ADDRESS LENGTH: the AND and the OR of all dwords there */
static void cmd_peek(const char *tag, char **arg)
{
	off_t addr = strtoull(arg[0], NULL, 16), page = addr & ~4095LL;
	size_t len = strtoul(arg[1], NULL, 16), i;
	uint32_t val, and = ~0, or = 0;
	volatile uint32_t *p;
	int fd;

	fd = open("/dev/mem", O_RDONLY | O_SYNC);
	p = mmap(NULL, addr - page + len, PROT_READ, MAP_SHARED, fd, page);
	if (p == MAP_FAILED) {
		fail(tag, "/dev/mem");
		return;
	}
	for (i = 0; i < len / 4; i++) {
		val = p[(addr - page) / 4 + i];
		and &= val;
		or |= val;
	}
	reply(tag, "ok %08x %08x", and, or);
}

static int slurp(const char *path, char *buf, int size)
{
	int fd, len = 0, n;

	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	close(fd);
	buf[len] = 0;
	return len;
}

/* | for newline: an answer is one line */
static char *fold(char *text)
{
	char *p;

	for (p = text; *p; p++)
		if (*p == '\n')
			*p = '|';
	return text;
}

/* cat PATH */
static void cmd_cat(const char *tag, char **arg)
{
	char buf[8192];

	if (slurp(arg[0], buf, sizeof(buf)) < 0) {
		fail(tag, arg[0]);
		return;
	}
	reply(tag, "ok %s", fold(buf));
}

/* write PATH VALUE: answers when write() has returned */
static void cmd_write(const char *tag, char **arg)
{
	int fd;

	fd = open(arg[0], O_WRONLY);
	if (fd < 0 || write(fd, arg[1], strlen(arg[1])) < 0) {
		fail(tag, arg[0]);
		return;
	}
	reply(tag, "ok");
}

/*
 * stack NAME FUNCTION MSEC: such a thread's stack, once it
 * is in that function
 */
static void cmd_stack(const char *tag, char **arg)
{
	long end = msec() + atol(arg[2]);
	char path[300], buf[8192];
	struct dirent *de;
	DIR *d;

	do {
		d = opendir("/proc");
		while (d && (de = readdir(d))) {
			snprintf(path, sizeof(path), "/proc/%s/comm",
				 de->d_name);
			if (slurp(path, buf, sizeof(buf)) < 0 ||
			    !strstr(buf, arg[0]))
				continue;
			snprintf(path, sizeof(path), "/proc/%s/stack",
				 de->d_name);
			if (slurp(path, buf, sizeof(buf)) > 0 &&
			    strstr(buf, arg[1])) {
				reply(tag, "ok %s", fold(buf));
				return;
			}
		}
		if (d)
			closedir(d);
		usleep(20000);
	} while (msec() < end);
	errno = ETIMEDOUT;
	fail(tag, arg[1]);
}

/* symbol NAME: the address of a function of the kernel */
static void cmd_symbol(const char *tag, char **arg)
{
	char line[512], address[32], name[256];
	FILE *f;

	f = fopen("/proc/kallsyms", "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%31s %*c %255s", address, name) == 2 &&
		    !strcmp(name, arg[0])) {
			reply(tag, "ok %s", address);
			return;
		}
	}
	errno = ENOENT;
	fail(tag, arg[0]);
}

static void cmd_ifup(const char *tag, char **arg)
{
	if (netif_up(arg[0]))
		fail(tag, arg[0]);
	else
		reply(tag, "ok");
}

/* mount PATH TYPE, and umount: at /mnt */
static void cmd_mount(const char *tag, char **arg)
{
	mkdir("/mnt", 0755);
	if (mount(arg[0], "/mnt", arg[1], 0, NULL))
		fail(tag, arg[0]);
	else
		reply(tag, "ok");
}

static void cmd_umount(const char *tag, char **arg)
{
	(void)arg;
	if (umount("/mnt"))
		fail(tag, "/mnt");
	else
		reply(tag, "ok");
}

/* admin PATH OPCODE CDW10 CDW11: a command of an NVMe controller */
static void cmd_admin(const char *tag, char **arg)
{
	struct nvme_passthru_cmd cmd = {
		.opcode = strtoul(arg[1], NULL, 0),
		.cdw10 = strtoul(arg[2], NULL, 0),
		.cdw11 = strtoul(arg[3], NULL, 0),
	};
	int fd, status;

	fd = open(arg[0], O_RDWR);
	status = fd < 0 ? -1 : ioctl(fd, NVME_IOCTL_ADMIN_CMD, &cmd);
	if (status < 0)
		fail(tag, arg[0]);
	else if (status)
		reply(tag, "err %d NVMe status %#x", EIO, status);
	else
		reply(tag, "ok");
}

/* run PATH VARIABLE=VALUE: its exit status, and what it wrote */
static void cmd_run(const char *tag, char **arg)
{
	char *argv[] = { arg[0], NULL }, *envp[] = { arg[1], NULL };
	char out[] = "/tmp/run", buf[32768];
	int fd, status;
	pid_t pid;

	signal(SIGCHLD, SIG_DFL);
	pid = fork();
	if (!pid) {
		fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		dup2(fd, 1);
		dup2(fd, 2);
		execve(arg[0], argv, envp);
		_exit(127);
	}
	if (waitpid(pid, &status, 0) != pid || slurp(out, buf, sizeof(buf)) < 0)
		fail(tag, arg[0]);
	else
		reply(tag, "ok %d|%s", WEXITSTATUS(status), fold(buf));
}

static void cmd_uname(const char *tag, char **arg)
{
	struct utsname u;

	(void)arg;
	uname(&u);
	reply(tag, "ok %s %s", u.release, u.version);
}

static const struct {
	const char *name;
	int args;
	void (*fn)(const char *tag, char **arg);
} commands[] = {
	{ "find", 3, cmd_find },
	{ "bound", 2, cmd_bound },
	{ "watch", 1, cmd_watch },
	{ "there", 1, cmd_there },
	{ "peek", 2, cmd_peek },
	{ "cat", 1, cmd_cat },
	{ "write", 2, cmd_write },
	{ "stack", 3, cmd_stack },
	{ "symbol", 1, cmd_symbol },
	{ "ifup", 1, cmd_ifup },
	{ "mount", 2, cmd_mount },
	{ "umount", 0, cmd_umount },
	{ "admin", 4, cmd_admin },
	{ "run", 2, cmd_run },
	{ "uname", 0, cmd_uname },
};

static void command(char *line)
{
	char *arg[8] = {}, *tag, *name, *save;
	unsigned int i;
	int n = 0;

	tag = strtok_r(line, " \n", &save);
	name = strtok_r(NULL, " \n", &save);
	if (!tag || !name)
		return;
	while (n < 7 && (arg[n] = strtok_r(NULL, " \n", &save)))
		n++;
	/* These read or write nothing but memory, and cannot block */
	if (!strcmp(name, "load") && n == 4) {
		cmd_load(tag, arg);
		return;
	}
	if (!strcmp(name, "stat")) {
		cmd_stat(tag);
		return;
	}
	if (!strcmp(name, "acked")) {
		cmd_acked(tag);
		return;
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(name, commands[i].name) && n == commands[i].args)
			break;
	if (i == ARRAY_SIZE(commands)) {
		reply(tag, "err %d no such command: %s", EINVAL, name);
		return;
	}
	if (!fork()) {
		commands[i].fn(tag, arg);
		_exit(0);
	}
}

int main(void)
{
	char line[512];
	FILE *in;

	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/tmp", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	mount("tmp", "/tmp", "tmpfs", 0, NULL);

	signal(SIGCHLD, SIG_IGN);
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ctl = open_raw("/dev/ttyS1", O_RDWR);
	in = fdopen(dup(ctl), "r");
	if (sh == MAP_FAILED || ctl < 0 || !in)
		return 1;
	reply("0", "ok ready");
	while (fgets(line, sizeof(line), in))
		command(line);
	return 1;
}
