/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _KUNIT_PCI_H
#define _KUNIT_PCI_H

#include <linux/types.h>

struct kunit;
struct kunit_pci_fn;
struct kunit_pci_host;
struct pci_dev;

/* A Vendor ID that is not assigned to anybody, and Device IDs by function */
#define KUNIT_PCI_VENDOR	0xfffd
#define KUNIT_PCI_ENDPOINT	0x0001
#define KUNIT_PCI_VF		0x0002
#define KUNIT_PCI_PORT		0x0003
#define KUNIT_PCI_ID(device)	((device) << 16 | KUNIT_PCI_VENDOR)

/* Answer with Request Retry Status until told otherwise */
#define KUNIT_PCI_RRS_FOREVER	(~0U)

/**
 * struct kunit_pci_count - config accesses that have reached a function
 * @reads: number of reads
 * @writes: number of writes
 */
struct kunit_pci_count {
	unsigned int reads;
	unsigned int writes;
};

struct kunit_pci_host *kunit_pci_alloc_host(struct kunit *test);
int kunit_pci_probe_host(struct kunit_pci_host *host);

struct kunit_pci_fn *kunit_pci_add_endpoint(struct kunit_pci_host *host,
					    struct kunit_pci_fn *port,
					    unsigned int devfn);
struct kunit_pci_fn *kunit_pci_add_port(struct kunit_pci_host *host,
					struct kunit_pci_fn *port,
					unsigned int devfn, int type);
void kunit_pci_add_slot(struct kunit_pci_fn *port);
void kunit_pci_add_sriov(struct kunit_pci_fn *pf, unsigned int num,
			 u16 offset, u16 stride);
struct kunit_pci_fn *kunit_pci_vf(struct kunit_pci_fn *pf, unsigned int id);

struct pci_dev *kunit_pci_get_dev(struct kunit *test, struct kunit_pci_fn *fn);

void kunit_pci_yank(struct kunit_pci_fn *fn);
void kunit_pci_restore(struct kunit_pci_fn *fn);
void kunit_pci_plug(struct kunit_pci_fn *fn, u32 id);
void kunit_pci_set_rrs(struct kunit_pci_fn *fn, unsigned int n);
struct kunit_pci_count kunit_pci_count(struct kunit_pci_fn *fn);

#endif
