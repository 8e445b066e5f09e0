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

static bool link_goes_down(int fd, int express)
{
	long end = now_ms() + LINK_MS;

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

struct below {
	int functions, bound;
	char first[NAME];
	const char *why;	/* not to touch them, if there is a reason */
};

static void look_below(const char *dir, struct below *below)
{
	char path[PATH_MAX], driver[PATH_MAX + 8];
	struct use use;
	struct dirent *de;
	DIR *d = opendir(dir);

	while (d && (de = readdir(d))) {
		if (!is_function(de->d_name))
			continue;
		if (!below->functions++)
			snprintf(below->first, NAME, "%s", de->d_name);
		snprintf(path, sizeof(path), "%s/%s", dir, de->d_name);
		look_below(path, below);
		snprintf(driver, sizeof(driver), "%s/driver", path);
		if (access(driver, F_OK))
			continue;
		below->bound++;
		use = (struct use){};
		look(path, &use);
		if (use.busy)
			below->why = "a disk or network interface there is in use";
		else if (!use.known && !below->why)
			below->why = "whether a device there is in use cannot be told";
	}
	if (d)
		closedir(d);
}

FIXTURE(port)
{
	int config, express, instance;
	char path[PATH_MAX];
	struct below before;
};

/* How the port takes it away: offsets are in the Express capability */
FIXTURE_VARIANT(port)
{
	int looks_at, control;
	__u16 needs;
	const char *lacks;
	__u16 clear, set;
};

FIXTURE_VARIANT_ADD(port, power)
{
	.looks_at = PCI_EXP_SLTCAP,
	.needs = PCI_EXP_SLTCAP_PCP,
	.lacks = "the slot has no power controller",
	.control = PCI_EXP_SLTCTL,
	/* Without interrupts: pciehp would take it for its own doing */
	.clear = PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_PIC,
	.set = PCI_EXP_SLTCTL_PWR_OFF | PCI_EXP_SLTCTL_PWR_IND_OFF,
};

FIXTURE_VARIANT_ADD(port, link)
{
	.looks_at = PCI_EXP_LNKSTA,
	.needs = PCI_EXP_LNKSTA_DLLLA,
	.lacks = "the port does not tell that its link is up",
	.control = PCI_EXP_LNKCTL,
	.set = PCI_EXP_LNKCTL_LD,
};

FIXTURE_SETUP(port)
{
	const char *port = getenv("PCI_PORT"), *told;
	struct below *before = &self->before;
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

	snprintf(self->path, sizeof(self->path), DEVICES "/%s", port);
	look_below(self->path, before);
	if (!before->functions)
		SKIP(return, "nothing is in the slot of %s", port);
	told = getenv("PCI_PORT_IN_USE");
	if (before->why && (!told || strcmp(told, "yes")))
		SKIP(return, "%s: PCI_PORT_IN_USE=yes if it may go",
		     before->why);
	snprintf(path, sizeof(path), DEVICES "/%s/vendor", before->first);
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

/* All that was there is, bound as it was, and with its disks and interfaces */
static bool back(struct _test_data_port *self)
{
	struct below now = {};

	look_below(self->path, &now);
	return now.functions >= self->before.functions &&
	       now.bound >= self->before.bound &&
	       (self->before.why || !now.why);
}

static void check_removal(struct __test_metadata *_metadata,
			  struct _test_data_port *self, long begin)
{
	int reg = self->express + PCI_EXP_SLTSTA;
	const char *child = self->before.first;
	long end;

	while (!gone(self->instance) && now_ms() < begin + GONE_MS)
		usleep(5000);
	ASSERT_TRUE(gone(self->instance)) {
		TH_LOG("%s is there after %d ms", child, GONE_MS);
	}
	TH_LOG("%s gone after %ld ms", child, now_ms() - begin);
	EXPECT_TRUE(rescan_ends()) {
		TH_LOG("a rescan of the bus does not end: the lock is held");
	}

	/* The card has not left the slot: the next variant wants it back */
	end = now_ms() + RETURN_MS;
	while (!back(self) && now_ms() < end &&
	       get(self->config, reg, 2) & PCI_EXP_SLTSTA_PDS)
		usleep(5000);
	if (!(get(self->config, reg, 2) & PCI_EXP_SLTSTA_PDS)) {
		TH_LOG("the slot is empty now");
		return;
	}
	EXPECT_TRUE(back(self)) {
		TH_LOG("%s is not back after %d ms", child, RETURN_MS);
	}
}

TEST_F_TIMEOUT(port, removal, 60)
{
	int reg = self->express + variant->control;
	bool done, down;
	__u16 old, value;
	long begin;

	if (!(get(self->config, self->express + variant->looks_at, 2) &
	      variant->needs))
		SKIP(return, "%s", variant->lacks);
	old = get(self->config, reg, 2);
	value = (old & ~variant->clear) | variant->set;
	begin = now_ms();
	if (variant->control == PCI_EXP_SLTCTL)
		done = slot_command(self->config, self->express, value);
	else
		done = put16(self->config, reg, value);
	down = done && link_goes_down(self->config, self->express);
	/* As pciehp left it; what has happened is latched */
	ASSERT_TRUE(put16(self->config, reg, old));
	ASSERT_TRUE(done);
	if (!down && variant->control == PCI_EXP_LNKCTL)
		SKIP(return, "the link stays up with Link Disable set");
	check_removal(_metadata, self, begin);
}

TEST_HARNESS_MAIN
