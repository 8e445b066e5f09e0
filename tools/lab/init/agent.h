/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LAB_AGENT_H
#define LAB_AGENT_H

#define _GNU_SOURCE
#include <stdint.h>
#include <stddef.h>

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

/* What the load's workers have done: read while they are stuck */
struct shared {
	struct worker w[WORKERS];
	volatile uint32_t acked[BLOCKS];	/* stamp; 0: never written */
};

/* A sort of load: FN runs in each of its workers */
struct load {
	const char *name;
	void (*fn)(struct worker *w, char **arg, uint32_t count, int nr);
};

struct command {
	const char *name;
	int args;
	void (*fn)(const char *tag, char **arg);
};

extern struct shared *sh;
extern const struct load disk_loads[], net_loads[], char_loads[];
extern const struct command find_commands[], file_commands[], act_commands[];

/* agent.c */
void reply(const char *tag, const char *fmt, ...);
void fail(const char *tag, const char *what);
long msec(void);
int open_raw(const char *path, int flags);

/* load.c: these read or write nothing but memory, and cannot block */
void cmd_load(const char *tag, char **arg);
void cmd_stat(const char *tag);
void cmd_acked(const char *tag);
void cmd_forget(const char *tag);

/* load_net.c */
int netif_up(const char *name);
int netif_down(const char *name);

/* cmd_file.c */
int slurp(const char *path, char *buf, int size);
char *fold(char *text);

#endif
