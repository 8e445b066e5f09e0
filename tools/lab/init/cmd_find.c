// SPDX-License-Identifier: GPL-2.0-only
/* Commands that wait for something to come or to go */
#include "agent.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* names ADDRESS,ADDRESS,...: the function of each, and where in it */
static void cmd_names(const char *tag, char **arg)
{
	unsigned long want[1024], start[1024] = {}, addr;
	char line[512], kind, name[256], (*names)[128];
	int n = 0, i;
	char *p, *out, *end;
	FILE *f;

	for (p = arg[0]; *p && n < 1024; p = *end ? end + 1 : end)
		want[n++] = strtoul(p, &end, 16);
	names = calloc(n + 1, sizeof(*names));
	out = malloc(LINE);
	f = fopen("/proc/kallsyms", "r");
	if (!names || !out || !f) {
		fail(tag, "kallsyms");
		return;
	}
	while (fgets(line, sizeof(line), f)) {
		addr = strtoul(line, &end, 16);
		kind = end[1] | 32;
		if ((kind != 't' && kind != 'w') ||
		    sscanf(end + 3, "%255s", name) != 1)
			continue;
		for (i = 0; i < n; i++) {
			if (addr <= want[i] && addr > start[i]) {
				start[i] = addr;
				snprintf(names[i], sizeof(*names), "%.127s",
					 name);
			}
		}
	}
	for (*out = 0, p = out, i = 0; i < n && p < out + LINE - 256; i++)
		p += sprintf(p, " %s+%#lx", names[i], want[i] - start[i]);
	reply(tag, "ok%s", out);
}

const struct command find_commands[] = {
	{ "find", 3, cmd_find },
	{ "bound", 2, cmd_bound },
	{ "watch", 1, cmd_watch },
	{ "there", 1, cmd_there },
	{ "stack", 3, cmd_stack },
	{ "symbol", 1, cmd_symbol },
	{ "names", 1, cmd_names },
	{}
};
