// SPDX-License-Identifier: GPL-2.0-only
/*
 * Surprise removal of what is behind a PCIe hotplug port.
 *
 * The port takes the device away by its slot's power controller or by
 * disabling its link, while pciehp has no part in it: it sees the device
 * vanish, as if somebody had pulled it out.  Name the port in PCI_PORT:
 *
 *	PCI_PORT=0000:00:1c.0 ./surprise_removal
 *
 * A device that is in use, or of which that cannot be told, is not touched
 * unless PCI_PORT_IN_USE=yes.
 */
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/types.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"

#define DEVICES		"/sys/bus/pci/devices"
#define GONE_MS		10000	/* from the yank until it has left sysfs */
#define RESCAN_MS	10000	/* the rescan lock is to be had again */
#define LINK_MS		1000
#define COMMAND_MS	1000	/* for a command to complete */
#define RETURN_MS	10000	/* until a card that is still there is back */
#define NAME		256

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static unsigned int get(int fd, int offset, int size)
{
	__u32 value = 0;	/* little endian, as config space is */

	return pread(fd, &value, size, offset) == size ? le32toh(value) : ~0U;
}

static bool put16(int fd, int offset, __u16 value)
{
	value = htole16(value);
	return pwrite(fd, &value, 2, offset) == 2;
}

static int find_express(int fd)
{
	int cap, left = 48;

	for (cap = get(fd, PCI_CAPABILITY_LIST, 1) & ~3; cap && left--;
	     cap = get(fd, cap + PCI_CAP_LIST_NEXT, 1) & ~3)
		if (get(fd, cap, 1) == PCI_CAP_ID_EXP)
			return cap;
	return 0;
}

/* False if it stays up, or the port does not tell */
static bool link_goes_down(int fd, int express)
{
	long end = now_ms() + LINK_MS;

	if (!(get(fd, express + PCI_EXP_LNKCAP, 4) & PCI_EXP_LNKCAP_DLLLARC))
		return false;
	while (get(fd, express + PCI_EXP_LNKSTA, 2) & PCI_EXP_LNKSTA_DLLLA) {
		if (now_ms() > end)
			return false;
		usleep(1000);
	}
	return true;
}

/* The next command may not be issued before this one has completed */
static bool slot_command(int fd, int express, __u16 value)
{
	long end = now_ms() + COMMAND_MS;

	if (get(fd, express + PCI_EXP_SLTCAP, 4) & PCI_EXP_SLTCAP_NCCS)
		return put16(fd, express + PCI_EXP_SLTCTL, value);

	if (!put16(fd, express + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_CC) ||
	    !put16(fd, express + PCI_EXP_SLTCTL, value))
		return false;
	while (!(get(fd, express + PCI_EXP_SLTSTA, 2) & PCI_EXP_SLTSTA_CC)) {
		if (now_ms() > end)
			return false;
		usleep(1000);
	}
	return true;
}

static bool is_function(const char *name)
{
	unsigned int domain, bus, slot, fn;
	char end;

	return sscanf(name, "%x:%x:%x.%x%c", &domain, &bus, &slot, &fn,
		      &end) == 4;
}

/* The block device, or a partition of it, is mounted, swap, part of another */
static bool block_in_use(const char *name)
{
	char path[NAME + 8];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK);
	if (fd < 0)
		return true;
	close(fd);
	return false;
}

static bool net_in_use(const char *path)
{
	char flags[PATH_MAX + 8], text[32] = "";
	int fd;

	snprintf(flags, sizeof(flags), "%s/flags", path);
	fd = open(flags, O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return true;
	close(fd);
	return strtoul(text, NULL, 0) & IFF_UP;
}

struct use {
	bool known;		/* there is something that can be looked at */
	bool busy;
};

/* What a bound function has below it, other functions left out */
static void look(const char *dir, struct use *use)
{
	char path[PATH_MAX], link[PATH_MAX + 16], class[NAME];
	struct dirent *de;
	struct stat st;
	ssize_t len;
	DIR *d = opendir(dir);

	while (d && (de = readdir(d))) {
		if (de->d_name[0] == '.' || is_function(de->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
		if (lstat(path, &st) || !S_ISDIR(st.st_mode))
			continue;
		snprintf(link, sizeof(link), "%s/subsystem", path);
		len = readlink(link, class, sizeof(class) - 1);
		class[len < 0 ? 0 : len] = 0;
		if (strstr(class, "/class/block")) {
			use->known = true;
			use->busy |= block_in_use(de->d_name);
		} else if (strstr(class, "/class/net")) {
			use->known = true;
			use->busy |= net_in_use(path);
		} else {
			look(path, use);
		}
	}
	if (d)
		closedir(d);
}

/* Functions below DIR; WHY not to touch them, if there is a reason */
static int functions_below(const char *dir, char *first, const char **why)
{
	char path[PATH_MAX], driver[PATH_MAX + 8];
	struct use use;
	struct dirent *de;
	int found = 0;
	DIR *d = opendir(dir);

	while (d && (de = readdir(d))) {
		if (!is_function(de->d_name))
			continue;
		if (!found++ && first)
			snprintf(first, NAME, "%s", de->d_name);
		snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
		found += functions_below(path, NULL, why);
		snprintf(driver, sizeof(driver), "%s/driver", path);
		if (access(driver, F_OK))
			continue;
		use = (struct use){};
		look(path, &use);
		if (use.busy)
			*why = "a disk or network interface there is in use";
		else if (!use.known && !*why)
			*why = "whether a device there is in use cannot be told";
	}
	if (d)
		closedir(d);
	return found;
}

FIXTURE(port)
{
	int config, express, instance;
	char child[NAME];
};

FIXTURE_SETUP(port)
{
	const char *port = getenv("PCI_PORT"), *told, *why = NULL;
	char path[PATH_MAX];

	if (!port || !is_function(port))
		SKIP(return, "PCI_PORT=domain:bus:device.function is not given");
	snprintf(path, sizeof(path), DEVICES "/%s/config", port);
	self->config = open(path, O_RDWR | O_CLOEXEC);
	if (self->config < 0)
		SKIP(return, "config of %s: %s", port, strerror(errno));
	self->express = find_express(self->config);
	if (!self->express ||
	    !(get(self->config, self->express + PCI_EXP_FLAGS, 2) &
	      PCI_EXP_FLAGS_SLOT) ||
	    !(get(self->config, self->express + PCI_EXP_SLTCAP, 4) &
	      PCI_EXP_SLTCAP_HPC))
		SKIP(return, "%s is no port with a hotplug slot", port);

	snprintf(path, sizeof(path), DEVICES "/%s", port);
	if (!functions_below(path, self->child, &why))
		SKIP(return, "nothing is in the slot of %s", port);
	told = getenv("PCI_PORT_IN_USE");
	if (why && (!told || strcmp(told, "yes")))
		SKIP(return, "%s: PCI_PORT_IN_USE=yes if it may go", why);
	snprintf(path, sizeof(path), DEVICES "/%s/vendor", self->child);
	self->instance = open(path, O_RDONLY | O_CLOEXEC);
	ASSERT_LE(0, self->instance);
}

FIXTURE_TEARDOWN(port)
{
	close(self->config);
	close(self->instance);
}

/* An attribute of a device that has left cannot be read, even if it is back */
static bool gone(int instance)
{
	char c;

	return pread(instance, &c, 1, 0) < 0 && errno == ENODEV;
}

/* In a child of its own: perhaps it never ends */
static bool rescan_ends(void)
{
	long end = now_ms() + RESCAN_MS;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		int fd = open("/dev/null", O_RDWR);

		/* Nor is whoever reads what this prints to wait for it */
		dup2(fd, STDOUT_FILENO);
		dup2(fd, STDERR_FILENO);
		fd = open("/sys/bus/pci/rescan", O_WRONLY);
		_exit(fd < 0 || write(fd, "1", 1) != 1);
	}
	while (now_ms() < end) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return WIFEXITED(status) && !WEXITSTATUS(status);
		usleep(10000);
	}
	kill(pid, SIGKILL);
	return false;
}

static void check_removal(struct __test_metadata *_metadata,
			  struct _test_data_port *self, long begin)
{
	int reg = self->express + PCI_EXP_SLTSTA;
	char path[PATH_MAX];
	long end;

	while (!gone(self->instance) && now_ms() < begin + GONE_MS)
		usleep(5000);
	ASSERT_TRUE(gone(self->instance)) {
		TH_LOG("%s is there after %d ms", self->child, GONE_MS);
	}
	TH_LOG("%s gone after %ld ms", self->child, now_ms() - begin);
	EXPECT_TRUE(rescan_ends()) {
		TH_LOG("a rescan of the bus does not end: the lock is held");
	}

	/* The card has not left the slot: the next test wants it back */
	snprintf(path, sizeof(path), DEVICES "/%s", self->child);
	end = now_ms() + RETURN_MS;
	while (access(path, F_OK) && now_ms() < end &&
	       get(self->config, reg, 2) & PCI_EXP_SLTSTA_PDS)
		usleep(5000);
	if (!(get(self->config, reg, 2) & PCI_EXP_SLTSTA_PDS)) {
		TH_LOG("the slot is empty now");
		return;
	}
	EXPECT_EQ(0, access(path, F_OK)) {
		TH_LOG("%s is not back after %d ms", self->child, RETURN_MS);
	}
}

TEST_F_TIMEOUT(port, slot_power, 60)
{
	int reg = self->express + PCI_EXP_SLTCTL;
	__u16 old, off;
	long begin;
	bool done;

	if (!(get(self->config, self->express + PCI_EXP_SLTCAP, 4) &
	      PCI_EXP_SLTCAP_PCP))
		SKIP(return, "the slot has no power controller");
	old = get(self->config, reg, 2);
	/* Without interrupts: pciehp would take it for its own doing */
	off = old & ~(PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_PIC);
	off |= PCI_EXP_SLTCTL_PWR_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF;
	begin = now_ms();
	done = slot_command(self->config, self->express, off);
	if (done)
		link_goes_down(self->config, self->express);
	/* On, as pciehp left it; what has happened is latched */
	ASSERT_TRUE(put16(self->config, reg, old));
	ASSERT_TRUE(done);
	check_removal(_metadata, self, begin);
}

TEST_F_TIMEOUT(port, link_disable, 60)
{
	int reg = self->express + PCI_EXP_LNKCTL;
	long begin = now_ms();
	__u16 old;
	bool down;

	old = get(self->config, reg, 2);
	ASSERT_TRUE(put16(self->config, reg, old | PCI_EXP_LNKCTL_LD));
	down = link_goes_down(self->config, self->express);
	ASSERT_TRUE(put16(self->config, reg, old));
	if (!down)
		SKIP(return, "the link stays up, or the port does not tell");
	check_removal(_metadata, self, begin);
}

TEST_HARNESS_MAIN
