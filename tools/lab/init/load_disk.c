// SPDX-License-Identifier: GPL-2.0-only
/* Load: disks and files */
#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct record {
	uint32_t magic, block, stamp, inverse;
};

static void disk_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	struct record *buf;
	/* Above those of earlier workers: some of theirs may be written late */
	uint32_t block, stamp = (w - sh->w) << 20, i;
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

const struct load disk_loads[] = {
	{ "disk", disk_worker },
	{ "synced", synced_worker },
	{ "dirty", dirty_worker },
	{}
};
