// SPDX-License-Identifier: GPL-2.0-only
/* Commands that read and write files, and memory */
#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

int slurp(const char *path, char *buf, int size)
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
char *fold(char *text)
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

/* scan HOST: all targets and units of a SCSI host */
static void cmd_scan(const char *tag, char **arg)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/class/scsi_host/%s/scan", arg[0]);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, "- - -", 5) < 0)
		fail(tag, path);
	else
		reply(tag, "ok");
}

const struct command file_commands[] = {
	{ "peek", 2, cmd_peek },
	{ "cat", 1, cmd_cat },
	{ "write", 2, cmd_write },
	{ "scan", 1, cmd_scan },
	{}
};
