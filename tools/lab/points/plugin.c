// SPDX-License-Identifier: GPL-2.0-only
/*
 * A plugin of QEMU's TCG.  It counts the guest's accesses to some windows of
 * physical addresses, notes from where in the kernel they come, and stops the
 * processor right after one of them, until the host lets it go.  The host tells
 * and is told by a file that both map; see trap.py for the layout.
 *
 * A site is an instruction and who called its function: readl() of a driver is
 * often in one function that all others call.
 *
 * A callback at each access to memory makes the guest some two times slower, so
 * there are none until the host wants them: it boots without.  And once it knows
 * which instructions access the device, it has none called but for these.
 *
 * The prototypes are those of qemu-plugin.h, version 4 (QEMU 9.1 and later).
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
typedef struct { uint8_t *data; unsigned int len; } GByteArray;
typedef struct { char *data; unsigned int len; } GArray;
struct qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
struct qemu_plugin_register;
struct reg {
	struct qemu_plugin_register *handle;
	const char *name, *feature;
};

GByteArray *g_byte_array_new(void);
GByteArray *g_byte_array_set_size(GByteArray *array, unsigned int len);
void qemu_plugin_register_vcpu_init_cb(qemu_plugin_id_t id,
				       void (*cb)(qemu_plugin_id_t,
						  unsigned int));
void qemu_plugin_register_vcpu_idle_cb(qemu_plugin_id_t id,
				       void (*cb)(qemu_plugin_id_t,
						  unsigned int));
void qemu_plugin_reset(qemu_plugin_id_t id, void (*cb)(qemu_plugin_id_t));
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
					   void (*cb)(qemu_plugin_id_t,
						      struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
				      void (*cb)(unsigned int,
						 qemu_plugin_meminfo_t,
						 uint64_t, void *),
				      int flags, int rw, void *data);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb,
						 size_t idx);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(qemu_plugin_meminfo_t info,
						  uint64_t vaddr);
bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *haddr);
uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *haddr);
bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);
GArray *qemu_plugin_get_registers(void);
int qemu_plugin_read_register(struct qemu_plugin_register *handle,
			      GByteArray *buf);
bool qemu_plugin_read_memory_vaddr(uint64_t addr, GByteArray *data, size_t len);

#define EXPORT	__attribute__((visibility("default")))

EXPORT int qemu_plugin_version = 4;

#define WINDOWS	3
#define CALLERS	3
#define SITES	4096
#define CODE	1024
#define CPUS	8
#define KERNEL_IMAGE	0xffffffff80000000ULL

struct site {
	uint64_t id, path[1 + CALLERS], times, first, last;
};

static volatile struct {
	uint64_t lo[WINDOWS], hi[WINDOWS];
	uint64_t nr, site;	/* where to stop: at the NR-th, of SITE if not 0 */
	uint64_t seen, count;	/* of that site, of all */
	uint64_t fired, go;
	uint64_t at, from, addr, store;	/* where it has stopped */
	uint64_t overflow, armed;
	uint64_t wanted, ready;		/* the callbacks, and here they are */
	uint64_t nr_code, reserved[11];
	struct site sites[SITES];
	uint64_t code[CODE];	/* the only instructions that matter, if any */
} *s;

static struct qemu_plugin_register *rbp[CPUS];
static GByteArray *buf[CPUS];
static uint64_t asked;
static int lock;

static bool kernel(uint64_t addr)
{
	return addr >> 63;
}

static uint64_t number(GByteArray *b)
{
	uint64_t n = 0;

	memcpy(&n, b->data, b->len < 8 ? b->len : 8);
	return n;
}

/*
 * The kernel has frame pointers.  No register has to be asked for when the
 * callback is registered, which would cost a lot: they are in memory before any
 * access, as it may fault.
 */
static void callers(unsigned int cpu, uint64_t *path)
{
	uint64_t frame;
	int i;

	if (cpu >= CPUS || !rbp[cpu])
		return;
	g_byte_array_set_size(buf[cpu], 0);
	if (qemu_plugin_read_register(rbp[cpu], buf[cpu]) <= 0)
		return;
	frame = number(buf[cpu]);
	for (i = 0; i < CALLERS && kernel(frame); i++) {
		if (!qemu_plugin_read_memory_vaddr(frame + 8, buf[cpu], 8))
			return;
		path[i] = number(buf[cpu]);
		if (!kernel(path[i]) ||
		    !qemu_plugin_read_memory_vaddr(frame, buf[cpu], 8))
			return;
		frame = number(buf[cpu]);
	}
}

static uint64_t note(const uint64_t *path, uint64_t count)
{
	volatile struct site *site;
	uint64_t id = 14695981039346656037ULL;
	unsigned int i, nr;

	for (i = 0; i <= CALLERS; i++)
		id = (id ^ path[i]) * 1099511628211ULL;
	id ^= id >> 32;
	id &= 0xffffffff;
	id += !id;
	for (nr = 0; nr < SITES; nr++) {
		site = &s->sites[(id + nr) % SITES];
		if (site->id && site->id != id)
			continue;
		if (!site->id) {
			for (i = 0; i <= CALLERS; i++)
				site->path[i] = path[i];
			site->first = count;
			site->id = id;
		}
		site->times++;
		site->last = count;
		return id;
	}
	s->overflow = 1;
	return id;
}

static void access(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t vaddr,
		   void *pc)
{
	uint64_t addr, id, path[1 + CALLERS] = { (uintptr_t)pc };
	struct timespec moment = { 0, 100000 };
	struct qemu_plugin_hwaddr *h;
	bool stop;
	int i;

	/*
	 * Be quick: nearly all accesses are to memory, and mostly nobody looks.
	 * The lookup may fail an assertion of QEMU (iotlb_to_section) while the
	 * memory map changes: leave the kernel's image and the APIC alone, which
	 * are where ioremap() maps nothing, and do without once it has stopped,
	 * as the device is taken away then.
	 */
	if (!s->armed || s->fired || !kernel(vaddr) || vaddr >= KERNEL_IMAGE)
		return;
	h = qemu_plugin_get_hwaddr(info, vaddr);
	if (!h || !qemu_plugin_hwaddr_is_io(h))
		return;
	addr = qemu_plugin_hwaddr_phys_addr(h);
	for (i = 0; i < WINDOWS; i++)
		if (addr >= s->lo[i] && addr < s->hi[i])
			break;
	if (i == WINDOWS)
		return;
	callers(cpu, path + 1);
	while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE))
		;
	s->count++;
	id = note(path, s->count);
	if (s->site)
		stop = id == s->site && ++s->seen == s->nr;
	else
		stop = s->count == s->nr;
	if (stop) {
		s->at = s->count;
		s->from = id;
		s->addr = addr;
		s->store = qemu_plugin_mem_is_store(info);
	}
	__atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
	if (!stop)
		return;
	__atomic_store_n(&s->fired, 1, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&s->go, __ATOMIC_SEQ_CST))
		nanosleep(&moment, NULL);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool matters(uint64_t pc)
{
	return !s->nr_code || bsearch(&pc, (const void *)s->code, s->nr_code,
				      sizeof(pc), compare);
}

static void translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t i, n = qemu_plugin_tb_n_insns(tb);
	struct qemu_plugin_insn *insn;
	uint64_t pc;

	(void)id;
	for (i = 0; i < n; i++) {
		insn = qemu_plugin_tb_get_insn(tb, i);
		pc = qemu_plugin_insn_vaddr(insn);
		if (kernel(pc) && matters(pc))
			qemu_plugin_register_vcpu_mem_cb(insn, access, 0, 3,
							 (void *)(uintptr_t)pc);
	}
}

static void again(qemu_plugin_id_t id);

/* Within a second all processors have been idle */
static void idle(qemu_plugin_id_t id, unsigned int cpu)
{
	uint64_t wanted = s->wanted;

	(void)cpu;
	if (__atomic_exchange_n(&asked, wanted, __ATOMIC_SEQ_CST) != wanted)
		qemu_plugin_reset(id, again);
}

/* All code and all callbacks are forgotten: it is translated anew */
static void again(qemu_plugin_id_t id)
{
	qemu_plugin_register_vcpu_idle_cb(id, idle);
	qemu_plugin_register_vcpu_tb_trans_cb(id, translate);
	s->ready = asked;
}

static void init(qemu_plugin_id_t id, unsigned int cpu)
{
	GArray *regs = qemu_plugin_get_registers();
	struct reg *reg;
	unsigned int i;

	(void)id;
	for (i = 0; cpu < CPUS && i < regs->len; i++) {
		reg = (struct reg *)regs->data + i;
		if (!strcmp(reg->name, "rbp")) {
			buf[cpu] = g_byte_array_new();
			rbp[cpu] = reg->handle;
		}
	}
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id,
			       const struct qemu_info_t *info, int argc,
			       char **argv)
{
	const char *path = argc ? strchr(argv[0], '=') : NULL;
	int fd = path ? open(path + 1, O_RDWR) : -1;

	(void)info;
	if (fd < 0)
		return -1;
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (s == MAP_FAILED)
		return -1;
	qemu_plugin_register_vcpu_init_cb(id, init);
	qemu_plugin_register_vcpu_idle_cb(id, idle);
	return 0;
}
