// SPDX-License-Identifier: GPL-2.0-only
/* The workers of the load, started and counted */
#include "agent.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int workers;

static const struct load *find(const char *name)
{
	static const struct load *const all[] = {
		disk_loads, net_loads, char_loads
	};
	const struct load *load;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(all); i++)
		for (load = all[i]; load->name; load++)
			if (!strcmp(load->name, name))
				return load;
	return NULL;
}

/* load KIND WORKERS COUNT PATH: COUNT 0 means until an error */
void cmd_load(const char *tag, char **arg)
{
	int n = atoi(arg[1]), first = workers;
	const struct load *load = find(arg[0]);

	if (!load || n < 1 || workers + n > WORKERS) {
		errno = EINVAL;
		fail(tag, "load");
		return;
	}
	for (; n--; workers++) {
		if (fork())
			continue;
		load->fn(&sh->w[workers], arg + 3, atoi(arg[2]),
			    workers - first);
		sh->w[workers].ended = 1;
		_exit(0);
	}
	reply(tag, "ok");
}

/* forget: the workers, which have all ended */
void cmd_forget(const char *tag)
{
	int i;

	for (i = 0; i < workers; i++) {
		if (!sh->w[i].ended) {
			errno = EBUSY;
			fail(tag, "forget");
			return;
		}
	}
	workers = 0;
	memset(sh, 0, sizeof(*sh));
	reply(tag, "ok");
}

/* One field per worker: submitted,ok,failed,bad,lost,ended,errno */
void cmd_stat(const char *tag)
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
void cmd_acked(const char *tag)
{
	char *buf = malloc(LINE), *p = buf;
	int i;

	*p = 0;
	for (i = 0; i < BLOCKS && p < buf + LINE - 64; i++)
		if (sh->acked[i])
			p += sprintf(p, " %x:%x", i, sh->acked[i]);
	reply(tag, "ok%s", buf);
}
