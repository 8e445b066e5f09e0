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
#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

struct shared *sh;
static int ctl = -1;

void reply(const char *tag, const char *fmt, ...)
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

void fail(const char *tag, const char *what)
{
	reply(tag, "err %d %s: %s", errno, what, strerror(errno));
}

long msec(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int open_raw(const char *path, int flags)
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

static const struct command *find(const char *name)
{
	static const struct command *const all[] = {
		find_commands, file_commands, act_commands
	};
	const struct command *cmd;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		for (cmd = all[i]; cmd->name; cmd++)
			if (!strcmp(cmd->name, name))
				return cmd;
	return NULL;
}

static void command(char *line)
{
	char *arg[8] = {}, *tag, *name, *save;
	const struct command *cmd;
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
	if (!strcmp(name, "forget")) {
		cmd_forget(tag);
		return;
	}
	if (!strcmp(name, "acked")) {
		cmd_acked(tag);
		return;
	}
	cmd = find(name);
	if (!cmd || n != cmd->args) {
		reply(tag, "err %d no such command: %s", EINVAL, name);
		return;
	}
	if (!fork()) {
		cmd->fn(tag, arg);
		_exit(0);
	}
}

int main(void)
{
	static char line[LINE];
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
