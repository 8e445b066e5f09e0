/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KUNIT_PCI_H
#define _KUNIT_PCI_H

#include <linux/types.h>

struct kunit;
struct kunit_pci_fn;
struct kunit_pci_host;
struct kunit_pci_thread;
struct pci_dev;
struct pci_driver;

/* A Vendor ID that is not assigned to anybody, and Device IDs by function */
#define KUNIT_PCI_VENDOR	0xfffd
#define KUNIT_PCI_ENDPOINT	0x0001
#define KUNIT_PCI_VF		0x0002
#define KUNIT_PCI_PORT		0x0003
#define KUNIT_PCI_ID(device)	((device) << 16 | KUNIT_PCI_VENDOR)

/* Answer with Request Retry Status until told otherwise */
#define KUNIT_PCI_RRS_FOREVER	(~0U)

/**
 * struct kunit_pci_count - accesses that have reached a function
 * @reads: number of config reads
 * @rrs: how many of these were answered with Request Retry Status
 * @writes: number of config writes
 * @mmio_reads: number of reads from its BARs
 * @mmio_writes: number of writes to its BARs
 */
struct kunit_pci_count {
	unsigned int reads;
	unsigned int rrs;
	unsigned int writes;
	unsigned int mmio_reads;
	unsigned int mmio_writes;
};

/**
 * struct kunit_pci_bar_ops - what is behind a BAR
 * @read: gives what @size bytes at @offset of the BAR read as
 * @write: takes @size bytes for @offset of the BAR
 * @reset: optional, the function is reset, or another card has come; called
 *	with a raw spinlock held that all accesses and events of the host take
 *
 * @read and @write are called in the context of whoever accesses the BAR, with
 * no lock held.  @size is 1, 2, 4 or 8.
 */
struct kunit_pci_bar_ops {
	u64 (*read)(void *priv, unsigned int offset, unsigned int size);
	void (*write)(void *priv, unsigned int offset, unsigned int size, u64 val);
	void (*reset)(void *priv);
};

struct kunit_pci_host *kunit_pci_alloc_host(struct kunit *test);
void kunit_pci_probe_host(struct kunit_pci_host *host);

struct kunit_pci_fn *kunit_pci_add_endpoint(struct kunit_pci_host *host,
					    struct kunit_pci_fn *port,
					    unsigned int devfn);
struct kunit_pci_fn *kunit_pci_add_port(struct kunit_pci_host *host,
					struct kunit_pci_fn *port,
					unsigned int devfn, int type);
void kunit_pci_add_slot(struct kunit_pci_fn *port, u32 caps);
void kunit_pci_add_aer(struct kunit_pci_fn *fn);
void kunit_pci_add_dpc(struct kunit_pci_fn *port);
void kunit_pci_add_sriov(struct kunit_pci_fn *pf, unsigned int num,
			 u16 offset, u16 stride);
void kunit_pci_add_bar(struct kunit_pci_fn *fn, unsigned int bar, u32 size,
		       const struct kunit_pci_bar_ops *ops, void *priv);
void kunit_pci_add_cap(struct kunit_pci_fn *fn, const void *cap, unsigned int size);
struct kunit_pci_fn *kunit_pci_vf(struct kunit_pci_fn *pf, unsigned int id);

struct pci_dev *kunit_pci_get_dev(struct kunit *test, struct kunit_pci_fn *fn);

void kunit_pci_yank(struct kunit_pci_fn *fn);
void kunit_pci_yank_after(struct kunit_pci_fn *fn, unsigned int n,
			  struct pci_dev *notice);
bool kunit_pci_yanked(struct kunit_pci_fn *fn);
void kunit_pci_restore(struct kunit_pci_fn *fn);
void kunit_pci_plug(struct kunit_pci_fn *fn, u32 id);
void kunit_pci_set_link(struct kunit_pci_fn *port, bool up);
void kunit_pci_glitch_presence(struct kunit_pci_fn *port);
void kunit_pci_press_button(struct kunit_pci_fn *port);
bool kunit_pci_powered(struct kunit_pci_fn *port);
void kunit_pci_report_error(struct kunit_pci_fn *fn, u32 status, bool fatal);
void kunit_pci_trigger_dpc(struct kunit_pci_fn *port, u16 reason);
void kunit_pci_set_intx(struct kunit_pci_fn *fn, bool on);
void kunit_pci_set_rrs(struct kunit_pci_fn *fn, unsigned int n);
void kunit_pci_set_reset_rrs(struct kunit_pci_fn *fn, unsigned int n);
void kunit_pci_set_pending(struct kunit_pci_fn *fn, bool pending);
struct kunit_pci_count kunit_pci_take_count(struct kunit_pci_fn *fn);

void *kunit_pci_zalloc(struct kunit *test, size_t size);
void kunit_pci_register_driver(struct kunit *test, struct pci_driver *drv);
struct kunit_pci_thread *kunit_pci_run(struct kunit *test,
				       int (*fn)(void *data), void *data);
struct kunit_pci_thread *kunit_pci_write_sysfs(struct kunit *test, const char *path,
					       const char *val, int *ret);
bool kunit_pci_wait(struct kunit_pci_thread *thread, unsigned long timeout);
void kunit_pci_call(struct kunit *test, int (*fn)(struct pci_dev *pdev),
		    struct pci_dev *pdev, unsigned long timeout, unsigned int n);
int kunit_pci_probe(struct pci_dev *pdev);
int kunit_pci_unbind(struct pci_dev *pdev);
int kunit_pci_remove(struct pci_dev *pdev);
int kunit_pci_rescan(struct pci_dev *port);
bool kunit_pci_stuck(void);

#endif
