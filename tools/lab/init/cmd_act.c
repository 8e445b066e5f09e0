// SPDX-License-Identifier: GPL-2.0-only
/* Commands that do something to devices and disks */
#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/nvme_ioctl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

static void cmd_ifup(const char *tag, char **arg)
{
	if (netif_up(arg[0]))
		fail(tag, arg[0]);
	else
		reply(tag, "ok");
}

static void cmd_ifdown(const char *tag, char **arg)
{
	if (netif_down(arg[0]))
		fail(tag, arg[0]);
	else
		reply(tag, "ok");
}

/* power off | reboot: answers only if it could not */
static void cmd_power(const char *tag, char **arg)
{
	reboot(strcmp(arg[0], "off") ? RB_AUTOBOOT : RB_POWER_OFF);
	fail(tag, arg[0]);
}

/* mount PATH TYPE, and umount: at /mnt */
static void cmd_mount(const char *tag, char **arg)
{
	/* Of 9p, PATH is the tag, and without a cache each access is a request */
	const char *how = strcmp(arg[1], "9p") ? NULL :
		"trans=virtio,version=9p2000.L,cache=none";

	mkdir("/mnt", 0755);
	if (mount(arg[0], "/mnt", arg[1], 0, how))
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

/* run PATH OPTION VARIABLE=VALUE: its exit status, and what it wrote */
static void cmd_run(const char *tag, char **arg)
{
	char *argv[] = { arg[0], arg[1], NULL }, *envp[] = { arg[2], NULL };
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

const struct command act_commands[] = {
	{ "ifup", 1, cmd_ifup },
	{ "ifdown", 1, cmd_ifdown },
	{ "power", 1, cmd_power },
	{ "mount", 2, cmd_mount },
	{ "umount", 0, cmd_umount },
	{ "admin", 4, cmd_admin },
	{ "run", 3, cmd_run },
	{ "uname", 0, cmd_uname },
	{}
};
