// SPDX-License-Identifier: GPL-2.0
/*
 * Fake PCI host bridge for KUnit
 *
 * The host bridge, and whatever is put below it, exists in config space and,
 * on UML, in BARs only.  It is enumerated by the PCI core like any other, in a
 * domain of its own.
 */

#include <linux/completion.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/interrupt.h>
#include <linux/ioport.h>
#include <linux/irq.h>
#include <linux/irq_work.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/logic_iomem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/mutex.h>
#include <linux/numa.h>
#include <linux/pci.h>
#include <linux/pci-ecam.h>
#include <linux/pci_regs.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/unaligned.h>

#include <kunit/device.h>
#include <kunit/pci.h>
#include <kunit/resource.h>
#include <kunit/test.h>

#define PCIE	0x40			/* offset of the PCIe capability */
#define CAPS	0x80			/* offset of what kunit_pci_add_cap() adds */
/* Offsets of extended capabilities, the first of which is always there */
#define SRIOV	PCI_CFG_SPACE_SIZE
#define AER	(SRIOV + 0x40)
#define DPC	(AER + 0x40)

#define DPC_TRIGGERS	(PCI_EXP_DPC_CTL_EN_FATAL | PCI_EXP_DPC_CTL_EN_NONFATAL)

/* That a slot of this file can have, but for DLLSC: same bits to enable them */
#define SLOT_EVENTS	(PCI_EXP_SLTSTA_ABP | PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_CC)

struct kunit_pci_bar {
	u32 size;			/* 0: there is none */
	const struct kunit_pci_bar_ops *ops;
	void *priv;
};

struct kunit_pci_fn {
	struct list_head node;
	struct kunit_pci_host *host;
	struct kunit_pci_fn *port;	/* NULL on the root bus */
	struct kunit_pci_fn *pf;	/* NULL if not a VF */
	unsigned int id;		/* number of the VF */
	unsigned int devfn;		/* unless a VF */
	bool gone;
	unsigned int yank_after;	/* how many accesses, 0: not at all */
	struct pci_dev *notice;		/* to be marked then, or NULL */
	struct kunit_pci_bar bars[PCI_STD_NUM_BARS];
	unsigned int caps_size;		/* of those at CAPS */
	/* Of a port: is a card in its slot, does it train, is there a way to it? */
	bool present, trained, open;
	unsigned int rrs, reset_rrs;
	unsigned int irq;		/* 0 if it has no INTx */
	bool irq_masked, intx;
	struct irq_work irq_work;
	struct kunit_pci_count count;
	u8 cfg[PCI_CFG_SPACE_EXP_SIZE];
	u8 writable[PCI_CFG_SPACE_EXP_SIZE];
	u8 w1c[PCI_CFG_SPACE_EXP_SIZE];	/* what writing 1 clears */
};

/* Lives in the private area of the bridge, hence as long as any device */
struct kunit_pci_host {
#ifdef CONFIG_X86
	struct pci_sysdata sysdata;
#else
	struct pci_config_window sysdata;	/* arm64 looks at ->parent */
#endif
	struct kunit *test;
	bool probed;
	struct completion *released;	/* NULL: given up waiting for it */
	raw_spinlock_t lock;
	struct list_head fns;
	struct kunit_pci_window *window;	/* NULL if there are no BARs */
};

/*
 * How long to wait for what is to end.  Nothing in the PCI core takes longer
 * than a minute, which is what a device gets to be ready after a reset.
 */
#define PATIENCE	(100 * HZ)
/*
 * How long the last reference may be on its way, from a VF to the bridge.  The
 * debug option puts each release off by up to four seconds.
 */
#define RELEASE_TIME	(IS_ENABLED(CONFIG_DEBUG_KOBJECT_RELEASE) ? 60 * HZ : HZ / 10)

static DEFINE_SPINLOCK(release_lock);

/*
 * A thread has not ended, perhaps with the rescan lock: what it uses must
 * stay, and whatever follows would only hang as well.
 */
static bool stuck;

struct kunit_pci_thread {
	struct kunit *test;
	int (*fn)(void *data);
	void *data;
	struct completion done;
};

static struct kunit_pci_host *bus_to_host(struct pci_bus *bus)
{
	return container_of(bus->sysdata, struct kunit_pci_host, sysdata);
}

static u16 cfg_get16(struct kunit_pci_fn *fn, int where)
{
	return get_unaligned_le16(fn->cfg + where);
}

static u32 cfg_get32(struct kunit_pci_fn *fn, int where)
{
	return get_unaligned_le32(fn->cfg + where);
}

static void cfg_set16(struct kunit_pci_fn *fn, int where, u16 val)
{
	put_unaligned_le16(val, fn->cfg + where);
}

static void cfg_set32(struct kunit_pci_fn *fn, int where, u32 val)
{
	put_unaligned_le32(val, fn->cfg + where);
}

static void cfg_writable(struct kunit_pci_fn *fn, int where, u32 mask)
{
	put_unaligned_le32(mask, fn->writable + where);
}

/* Routing ID of @fn, negative if no bus number leads to it now */
static int fn_rid(struct kunit_pci_fn *fn)
{
	struct kunit_pci_fn *pf = fn->pf;
	int rid;

	if (pf) {
		if (!(cfg_get16(pf, SRIOV + PCI_SRIOV_CTRL) & PCI_SRIOV_CTRL_VFE) ||
		    fn->id >= cfg_get16(pf, SRIOV + PCI_SRIOV_NUM_VF))
			return -1;
		rid = fn_rid(pf);
		if (rid < 0)
			return rid;
		return rid + cfg_get16(pf, SRIOV + PCI_SRIOV_VF_OFFSET) +
		       fn->id * cfg_get16(pf, SRIOV + PCI_SRIOV_VF_STRIDE);
	}
	if (!fn->port)
		return fn->devfn;
	if (!fn->port->cfg[PCI_SECONDARY_BUS])
		return -1;
	return PCI_DEVID(fn->port->cfg[PCI_SECONDARY_BUS], fn->devfn);
}

static bool is_bridge(struct kunit_pci_fn *fn)
{
	return (fn->cfg[PCI_HEADER_TYPE] & PCI_HEADER_TYPE_MASK) == PCI_HEADER_TYPE_BRIDGE;
}

static bool is_upstream(struct kunit_pci_fn *fn)
{
	return (cfg_get16(fn, PCIE + PCI_EXP_FLAGS) & PCI_EXP_FLAGS_TYPE) >> 4 ==
		PCI_EXP_TYPE_UPSTREAM;
}

/* May @fn be at the upper end of a link? */
static bool is_downstream(struct kunit_pci_fn *fn)
{
	return is_bridge(fn) && !is_upstream(fn);
}

static bool has_slot(struct kunit_pci_fn *fn)
{
	return cfg_get16(fn, PCIE + PCI_EXP_FLAGS) & PCI_EXP_FLAGS_SLOT;
}

/* Is @fn @top, one of its VFs, or below it? */
static bool fn_within(struct kunit_pci_fn *fn, struct kunit_pci_fn *top)
{
	for (; fn; fn = fn->pf ?: fn->port)
		if (fn == top)
			return true;
	return false;
}

static bool fn_gone(struct kunit_pci_fn *fn)
{
	struct kunit_pci_fn *top = fn;

	for (; fn; fn = fn->pf ?: fn->port)
		if (fn->gone || (is_bridge(fn) && !fn->open && fn != top))
			return true;
	return false;
}

/* Does whoever reads the Vendor ID of @fn see that it is RRS? */
static bool rrs_visible(struct kunit_pci_fn *fn)
{
	while (fn->port)
		fn = fn->port;
	return cfg_get16(fn, PCIE + PCI_EXP_RTCTL) & PCI_EXP_RTCTL_RRS_SVE;
}

static struct kunit_pci_fn *find_fn(struct pci_bus *bus, unsigned int devfn)
{
	struct kunit_pci_host *host = bus_to_host(bus);
	struct kunit_pci_fn *fn;

	lockdep_assert_held(&host->lock);
	list_for_each_entry(fn, &host->fns, node)
		if (fn_rid(fn) == PCI_DEVID(bus->number, devfn))
			return fn;
	return NULL;
}

/* Is INTx of @fn asserted? */
static bool fn_interrupts(struct kunit_pci_fn *fn)
{
	u16 ctl = cfg_get16(fn, PCIE + PCI_EXP_SLTCTL);
	u16 sta = cfg_get16(fn, PCIE + PCI_EXP_SLTSTA);

	if (fn_gone(fn) || cfg_get16(fn, PCI_COMMAND) & PCI_COMMAND_INTX_DISABLE)
		return false;
	if (ctl & PCI_EXP_SLTCTL_HPIE &&
	    (ctl & sta & SLOT_EVENTS ||
	     (ctl & PCI_EXP_SLTCTL_DLLSCE && sta & PCI_EXP_SLTSTA_DLLSC)))
		return true;

	ctl = cfg_get16(fn, AER + PCI_ERR_ROOT_COMMAND);
	sta = cfg_get16(fn, AER + PCI_ERR_ROOT_STATUS);
	if ((ctl & PCI_ERR_ROOT_CMD_NONFATAL_EN && sta & PCI_ERR_ROOT_NONFATAL_RCV) ||
	    (ctl & PCI_ERR_ROOT_CMD_FATAL_EN && sta & PCI_ERR_ROOT_FATAL_RCV))
		return true;

	ctl = cfg_get16(fn, DPC + PCI_EXP_DPC_CTL);
	sta = cfg_get16(fn, DPC + PCI_EXP_DPC_STATUS);
	if (ctl & PCI_EXP_DPC_CTL_INT_EN && sta & PCI_EXP_DPC_STATUS_INTERRUPT)
		return true;
	return fn->intx;
}

/* INTx is level-triggered: to be called when something changes that it depends on */
static void update_irq(struct kunit_pci_fn *fn)
{
	if (fn->irq && !fn->irq_masked && fn_interrupts(fn))
		irq_work_queue(&fn->irq_work);
}

/* In hardirq context, with no lock held, as handlers have it */
static void raise_irq(struct irq_work *work)
{
	struct kunit_pci_fn *fn = container_of(work, struct kunit_pci_fn, irq_work);
	bool raise;

	scoped_guard(raw_spinlock_irqsave, &fn->host->lock)
		raise = !fn->irq_masked && fn_interrupts(fn);
	if (raise)
		generic_handle_irq(fn->irq);
}

static void kunit_pci_irq_mask(struct irq_data *data)
{
	struct kunit_pci_fn *fn = irq_data_get_irq_chip_data(data);

	guard(raw_spinlock_irqsave)(&fn->host->lock);
	fn->irq_masked = true;
}

static void kunit_pci_irq_unmask(struct irq_data *data)
{
	struct kunit_pci_fn *fn = irq_data_get_irq_chip_data(data);

	guard(raw_spinlock_irqsave)(&fn->host->lock);
	fn->irq_masked = false;
	update_irq(fn);
}

static struct irq_chip kunit_pci_irq_chip = {
	.name = "kunit-pci",
	.irq_mask = kunit_pci_irq_mask,
	.irq_unmask = kunit_pci_irq_unmask,
};

static void fn_reset(struct kunit_pci_fn *fn)
{
	int i;

	for (i = 0; i < PCI_CFG_SPACE_EXP_SIZE; i++)
		fn->cfg[i] &= ~fn->writable[i];
	if (is_bridge(fn))
		cfg_set16(fn, PCI_MEMORY_BASE, PCI_MEMORY_RANGE_MASK & 0xffff);
	for (i = 0; i < PCI_STD_NUM_BARS; i++)
		if (fn->bars[i].size && fn->bars[i].ops->reset)
			fn->bars[i].ops->reset(fn->bars[i].priv);
	fn->rrs = fn->reset_rrs;
	fn->intx = false;
}

/* Bring the status of a port up to date; has the way to what is below gone? */
static bool port_closes(struct kunit_pci_fn *port)
{
	u16 lnksta = cfg_get16(port, PCIE + PCI_EXP_LNKSTA);
	u16 sltsta = cfg_get16(port, PCIE + PCI_EXP_SLTSTA);
	bool was_open = port->open;

	port->open = port->present && port->trained &&
		!(cfg_get16(port, PCI_BRIDGE_CONTROL) & PCI_BRIDGE_CTL_BUS_RESET) &&
		!(cfg_get16(port, PCIE + PCI_EXP_LNKCTL) & PCI_EXP_LNKCTL_LD) &&
		!(cfg_get16(port, PCIE + PCI_EXP_SLTCTL) & PCI_EXP_SLTCTL_PWR_OFF) &&
		!(cfg_get16(port, DPC + PCI_EXP_DPC_STATUS) & PCI_EXP_DPC_STATUS_TRIGGER);

	if (port->open != was_open) {
		if (cfg_get32(port, PCIE + PCI_EXP_LNKCAP) & PCI_EXP_LNKCAP_DLLLARC)
			lnksta ^= PCI_EXP_LNKSTA_DLLLA;
		sltsta |= PCI_EXP_SLTSTA_DLLSC;
	}
	if (port->present != !!(sltsta & PCI_EXP_SLTSTA_PDS))
		sltsta ^= PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_PDC;

	cfg_set16(port, PCIE + PCI_EXP_LNKSTA, lnksta);
	if (has_slot(port))
		cfg_set16(port, PCIE + PCI_EXP_SLTSTA, sltsta);
	update_irq(port);
	return was_open && !port->open;
}

/* What the port has done since is that the link went down: a reset */
static void port_update(struct kunit_pci_fn *port)
{
	struct kunit_pci_fn *fn;

	if (!port_closes(port))
		return;
	list_for_each_entry(fn, &port->host->fns, node) {
		if (fn == port || !fn_within(fn, port))
			continue;
		fn_reset(fn);
		if (is_bridge(fn))
			port_closes(fn);
	}
}

/* Have @port take its link down until DPC Trigger Status is cleared */
static void contain(struct kunit_pci_fn *port, u16 reason, u16 source)
{
	u16 status = cfg_get16(port, DPC + PCI_EXP_DPC_STATUS);

	if (status & PCI_EXP_DPC_STATUS_TRIGGER)
		return;
	status &= ~(PCI_EXP_DPC_STATUS_TRIGGER_RSN | PCI_EXP_DPC_STATUS_TRIGGER_RSN_EXT);
	status |= PCI_EXP_DPC_STATUS_TRIGGER | PCI_EXP_DPC_STATUS_INTERRUPT | reason;
	cfg_set16(port, DPC + PCI_EXP_DPC_STATUS, status);
	cfg_set16(port, DPC + PCI_EXP_DPC_SOURCE_ID, source);
	port_update(port);
}

/* What else a write does than to set bits */
static void write_effects(struct kunit_pci_fn *fn, int where, int size, u32 val)
{
	struct kunit_pci_fn *f;

	if (where == PCIE + PCI_EXP_DEVCTL && size == 2 &&
	    val & PCI_EXP_DEVCTL_BCR_FLR &&
	    cfg_get32(fn, PCIE + PCI_EXP_DEVCAP) & PCI_EXP_DEVCAP_FLR)
		list_for_each_entry(f, &fn->host->fns, node)
			if (fn_within(f, fn))
				fn_reset(f);

	if (!is_bridge(fn))
		return;
	if (where == PCIE + PCI_EXP_SLTCTL && has_slot(fn) &&
	    !(cfg_get32(fn, PCIE + PCI_EXP_SLTCAP) & PCI_EXP_SLTCAP_NCCS))
		cfg_set16(fn, PCIE + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_CC |
			  cfg_get16(fn, PCIE + PCI_EXP_SLTSTA));
	port_update(fn);
}

/* A card comes or goes, along with the link to it if there is one */
static void set_card(struct kunit_pci_fn *fn, bool there)
{
	struct kunit_pci_fn *f;

	fn->gone = !there;
	fn->yank_after = 0;
	if (fn->port && !is_upstream(fn->port)) {
		fn->port->present = there;
		fn->port->trained = there;
		port_closes(fn->port);
	}
	/* Those of the card can be heard again */
	list_for_each_entry(f, &fn->host->fns, node)
		update_irq(f);
}

/* Of config space or of a BAR; the one that @fn is yanked at is not answered */
static void fn_accessed(struct kunit_pci_fn *fn)
{
	if (!fn->yank_after || --fn->yank_after)
		return;
	set_card(fn, false);
	if (fn->notice)
		WRITE_ONCE(fn->notice->error_state, pci_channel_io_perm_failure);
}

static int kunit_pci_read(struct pci_bus *bus, unsigned int devfn, int where,
			  int size, u32 *val)
{
	struct kunit_pci_fn *fn;

	guard(raw_spinlock_irqsave)(&bus_to_host(bus)->lock);
	PCI_SET_ERROR_RESPONSE(val);
	fn = find_fn(bus, devfn);
	if (!fn)
		return PCIBIOS_SUCCESSFUL;

	fn->count.reads++;
	fn_accessed(fn);
	if (fn_gone(fn))
		return PCIBIOS_SUCCESSFUL;
	if (fn->rrs) {
		fn->count.rrs++;
		if (fn->rrs != KUNIT_PCI_RRS_FOREVER)
			fn->rrs--;
		if (where == PCI_VENDOR_ID && rrs_visible(fn))
			*val = 0xffff0000 | PCI_VENDOR_ID_PCI_SIG;
		return PCIBIOS_SUCCESSFUL;
	}

	*val = cfg_get32(fn, where & ~3) >> (where & 3) * 8;
	return PCIBIOS_SUCCESSFUL;
}

static int kunit_pci_write(struct pci_bus *bus, unsigned int devfn, int where,
			   int size, u32 val)
{
	struct kunit_pci_fn *fn;
	int i;

	guard(raw_spinlock_irqsave)(&bus_to_host(bus)->lock);
	fn = find_fn(bus, devfn);
	if (!fn)
		return PCIBIOS_SUCCESSFUL;

	fn->count.writes++;
	fn_accessed(fn);
	if (fn_gone(fn) || fn->rrs)
		return PCIBIOS_SUCCESSFUL;

	for (i = 0; i < size; i++) {
		u8 byte = val >> i * 8, mask = fn->writable[where + i];

		fn->cfg[where + i] &= ~(byte & fn->w1c[where + i]);
		fn->cfg[where + i] = (fn->cfg[where + i] & ~mask) | (byte & mask);
	}
	write_effects(fn, where, size, val);
	update_irq(fn);
	return PCIBIOS_SUCCESSFUL;
}

static struct pci_ops kunit_pci_ops = {
	.read = kunit_pci_read,
	.write = kunit_pci_write,
};

/* What logic_iomem lets one mapping have: none reaches into two windows */
#define WINDOW_SIZE	SZ_16M
#define NR_WINDOWS	8
#define WINDOWS_START	0xe0000000

/*
 * Each host with BARs has one of these to itself.  logic_iomem can't give back
 * what it was given, so all of them stay for good, and are used again.
 */
struct kunit_pci_window {
	struct resource res;
	struct kunit_pci_host *host;
	unsigned int mappings;
};

static struct kunit_pci_window windows[NR_WINDOWS];
static DEFINE_RAW_SPINLOCK(windows_lock);

/* Does an access to @addr get past the ports above @fn, and is it taken? */
static bool fn_decodes(struct kunit_pci_fn *fn, u32 addr)
{
	struct kunit_pci_fn *port;

	if (!(cfg_get16(fn, PCI_COMMAND) & PCI_COMMAND_MEMORY))
		return false;
	for (port = fn->port; port; port = port->port)
		if (!(cfg_get16(port, PCI_COMMAND) & PCI_COMMAND_MEMORY) ||
		    addr >> 20 < cfg_get16(port, PCI_MEMORY_BASE) >> 4 ||
		    addr >> 20 > cfg_get16(port, PCI_MEMORY_LIMIT) >> 4)
			return false;
	return true;
}

/* The BAR that answers, NULL if none does; @offset becomes that in the BAR */
static struct kunit_pci_bar *mmio_access(struct kunit_pci_window *window,
					 unsigned int *offset, bool write)
{
	u32 addr = WINDOWS_START + (window - windows) * WINDOW_SIZE + *offset;
	struct kunit_pci_host *host;
	struct kunit_pci_fn *fn;
	u32 base;
	int i;

	guard(raw_spinlock_irqsave)(&windows_lock);
	host = window->host;
	if (!host)
		return NULL;
	guard(raw_spinlock)(&host->lock);
	list_for_each_entry(fn, &host->fns, node) {
		for (i = 0; i < PCI_STD_NUM_BARS; i++) {
			base = cfg_get32(fn, PCI_BASE_ADDRESS_0 + 4 * i);
			if (addr - base >= fn->bars[i].size)
				continue;
			if (write)
				fn->count.mmio_writes++;
			else
				fn->count.mmio_reads++;
			fn_accessed(fn);
			if (fn_gone(fn) || fn->rrs || !fn_decodes(fn, addr))
				return NULL;
			*offset = addr - base;
			return &fn->bars[i];
		}
	}
	return NULL;
}

static unsigned long mmio_read(void *priv, unsigned int offset, int size)
{
	struct kunit_pci_bar *bar = mmio_access(priv, &offset, false);

	return bar ? bar->ops->read(bar->priv, offset, size) : ~0UL;
}

static void mmio_write(void *priv, unsigned int offset, int size, unsigned long val)
{
	struct kunit_pci_bar *bar = mmio_access(priv, &offset, true);

	if (bar)
		bar->ops->write(bar->priv, offset, size, val);
}

static void mmio_unmap(void *priv)
{
	struct kunit_pci_window *window = priv;

	guard(raw_spinlock_irqsave)(&windows_lock);
	window->mappings--;
}

static const struct logic_iomem_ops mmio_ops = {
	.read = mmio_read,
	.write = mmio_write,
	.unmap = mmio_unmap,
};

static long mmio_map(unsigned long offset, size_t size,
		     const struct logic_iomem_ops **ops, void **priv)
{
	struct kunit_pci_window *window = &windows[offset / WINDOW_SIZE];

	offset %= WINDOW_SIZE;
	if (offset + size > WINDOW_SIZE)
		return -EINVAL;
	guard(raw_spinlock_irqsave)(&windows_lock);
	window->mappings++;
	*ops = &mmio_ops;
	*priv = window;
	return offset;
}

static const struct logic_iomem_region_ops mmio_region_ops = {
	.map = mmio_map,
};

static struct resource *windows_get(void)
{
	static struct resource iomem =
		DEFINE_RES_MEM_NAMED(WINDOWS_START, NR_WINDOWS * WINDOW_SIZE, "KUnit PCI");
	static DEFINE_MUTEX(lock);
	static bool registered;

	guard(mutex)(&lock);
	if (!registered) {
		if (logic_iomem_add_region(&iomem, &mmio_region_ops))
			return NULL;
		__module_get(THIS_MODULE);
		registered = true;
	}
	return &iomem;
}

static bool host_get_window(struct kunit_pci_host *host)
{
	struct resource *iomem = windows_get();
	struct kunit_pci_window *window;

	if (!iomem)
		return false;
	scoped_guard(raw_spinlock_irqsave, &windows_lock) {
		for (window = windows; window < windows + NR_WINDOWS; window++)
			if (!window->host && !window->mappings)
				break;
		if (window == windows + NR_WINDOWS)
			return false;
		window->host = host;
	}
	host->window = window;
	window->res = DEFINE_RES_MEM_NAMED(WINDOWS_START + (window - windows) * WINDOW_SIZE,
					   WINDOW_SIZE, "KUnit PCI host");
	if (request_resource(iomem, &window->res))
		return false;
	pci_add_resource(&pci_host_bridge_from_priv(host)->windows, &window->res);
	return true;
}

static void host_put_window(struct kunit_pci_host *host)
{
	struct kunit_pci_window *window = host->window;

	if (!window)
		return;
	if (window->res.parent)
		release_resource(&window->res);
	guard(raw_spinlock_irqsave)(&windows_lock);
	window->host = NULL;
}

static int kunit_pci_map_irq(const struct pci_dev *pdev, u8 slot, u8 pin)
{
	struct kunit_pci_host *host = bus_to_host(pdev->bus);
	struct kunit_pci_fn *fn;

	guard(raw_spinlock_irqsave)(&host->lock);
	fn = find_fn(pdev->bus, pdev->devfn);
	return fn && fn->irq ? fn->irq : -1;
}

static void kunit_pci_release(struct pci_host_bridge *bridge)
{
	struct kunit_pci_host *host = pci_host_bridge_priv(bridge);
	struct kunit_pci_fn *fn, *next;

	host_put_window(host);
	list_for_each_entry_safe(fn, next, &host->fns, node) {
		if (fn->irq) {
			irq_work_sync(&fn->irq_work);
			irq_free_desc(fn->irq);
		}
		kvfree(fn);
	}

	guard(spinlock)(&release_lock);
	if (host->released)
		complete(host->released);
	else
		module_put(THIS_MODULE);
}

static int thread_fn(void *data)
{
	struct kunit_pci_thread *thread = data;

	thread->fn(thread->data);
	complete_all(&thread->done);
	return 0;
}

static struct kunit_pci_thread *thread_start(struct kunit *test,
					     int (*fn)(void *data), void *data)
{
	struct kunit_pci_thread *thread = kzalloc_obj(*thread);
	struct task_struct *task;

	if (!thread)
		return NULL;
	thread->test = test;
	thread->fn = fn;
	thread->data = data;
	init_completion(&thread->done);
	task = kthread_run(thread_fn, thread, "kunit-pci");
	if (IS_ERR(task)) {
		kfree(thread);
		return NULL;
	}
	return thread;
}

/* If it does not end, all that it may use has to stay: test, and leave */
static void thread_end(void *data)
{
	struct kunit_pci_thread *thread = data;

	if (!wait_for_completion_timeout(&thread->done, stuck ? 1 : PATIENCE)) {
		stuck = true;
		KUNIT_FAIL(thread->test, "%ps() does not end", thread->fn);
		return;
	}
	kfree(thread);
}

static int remove_host(void *data)
{
	struct kunit_pci_host *host = data;
	struct pci_host_bridge *bridge = pci_host_bridge_from_priv(host);

	pci_lock_rescan_remove();
	pci_stop_root_bus(bridge->bus);
	pci_remove_root_bus(bridge->bus);
	pci_unlock_rescan_remove();
	return 0;
}

static void kunit_pci_remove_host(void *data)
{
	struct kunit_pci_host *host = data;
	struct pci_host_bridge *bridge = pci_host_bridge_from_priv(host);
	DECLARE_COMPLETION_ONSTACK(released);
	struct kunit_pci_window *window = host->window;
	struct kunit_pci_thread *thread;
	struct kunit *test = host->test;

	/* (After an error, the bridge has a pointer to a bus which is freed) */
	if (host->probed && !stuck) {
		thread = thread_start(test, remove_host, host);
		if (thread)
			thread_end(thread);
		else
			remove_host(host);
	}
	if (stuck) {
		/* Not to be removed with the parent: that waits for open files */
		if (host->probed)
			device_move(&bridge->dev, NULL, DPM_ORDER_NONE);
		__module_get(THIS_MODULE);
		return;
	}
	host->released = &released;
	pci_free_host_bridge(bridge);
	if (wait_for_completion_timeout(&released, RELEASE_TIME)) {
		if (window && READ_ONCE(window->mappings))
			KUNIT_FAIL(test, "fake PCI host: a mapping of a BAR has leaked");
		return;
	}

	scoped_guard(spinlock, &release_lock) {
		if (completion_done(&released))
			return;
		/* Something has leaked, so @host still lives, and calls us */
		host->released = NULL;
		__module_get(THIS_MODULE);
	}
	KUNIT_FAIL(test, "fake PCI host: a device, bus or bridge has leaked");
}

/**
 * kunit_pci_alloc_host() - Allocate a fake PCI host bridge
 * @test: test context
 *
 * When the test completes, the host bridge is removed along with all that is
 * below it.  If a device, a bus or the bridge itself survives that because a
 * reference has leaked, or a BAR is still mapped, the test fails.  So it does
 * if the removal does not end; as that may have the lock without which nothing else can be removed,
 * no more host can be allocated from then on.
 *
 * This, and whatever adds to the host or probes it, aborts the test on failure.
 *
 * Example
 *
 * .. code-block:: c
 *
 *	static void foo_test(struct kunit *test)
 *	{
 *		struct kunit_pci_host *host;
 *		struct kunit_pci_fn *port, *fn;
 *		struct pci_dev *pdev;
 *
 *		host = kunit_pci_alloc_host(test);
 *		port = kunit_pci_add_port(host, NULL, PCI_DEVFN(1, 0),
 *					  PCI_EXP_TYPE_ROOT_PORT);
 *		fn = kunit_pci_add_endpoint(host, port, 0);
 *		kunit_pci_probe_host(host);
 *		pdev = kunit_pci_get_dev(test, fn);
 *		KUNIT_ASSERT_NOT_NULL(test, pdev);
 *
 *		KUNIT_EXPECT_TRUE(test, pci_device_is_present(pdev));
 *		kunit_pci_yank(port);
 *		KUNIT_EXPECT_FALSE(test, pci_device_is_present(pdev));
 *	}
 *
 * Return: the host.
 */
struct kunit_pci_host *kunit_pci_alloc_host(struct kunit *test)
{
	struct pci_host_bridge *bridge;
	struct kunit_pci_host *host;
	struct device *dev;
	char name[32];
	int domain;

	if (stuck)
		KUNIT_FAIL_AND_ABORT(test, "fake PCI host: an earlier test is stuck");
	bridge = pci_alloc_host_bridge(sizeof(*host));
	KUNIT_ASSERT_NOT_NULL(test, bridge);
	host = pci_host_bridge_priv(bridge);
	host->test = test;
	raw_spin_lock_init(&host->lock);
	INIT_LIST_HEAD(&host->fns);
	bridge->ops = &kunit_pci_ops;
	bridge->sysdata = &host->sysdata;
	bridge->map_irq = kunit_pci_map_irq;
	pci_set_host_bridge_release(bridge, kunit_pci_release, NULL);

	domain = pci_bus_find_emul_domain_nr(0, 0x10000, INT_MAX);
	if (domain < 0)
		goto err;
	bridge->domain_nr = domain;
#ifdef CONFIG_X86
	host->sysdata.domain = domain;
	host->sysdata.node = NUMA_NO_NODE;
#endif

	/* To outlive the bridge, the parent has to be registered first */
	snprintf(name, sizeof(name), "kunit-pci-%x", domain);
	dev = kunit_device_register(test, name);
	if (IS_ERR(dev))
		goto err;
	bridge->dev.parent = dev;

	if (kunit_add_action_or_reset(test, kunit_pci_remove_host, host))
		KUNIT_FAIL_AND_ABORT(test, "fake PCI host: no memory");
	return host;

err:
	kunit_pci_remove_host(host);
	KUNIT_FAIL_AND_ABORT(test, "fake PCI host: no domain or parent device");
	return NULL;
}
EXPORT_SYMBOL_GPL(kunit_pci_alloc_host);

/**
 * kunit_pci_probe_host() - Let the PCI core enumerate a fake host bridge
 * @host: fake host
 *
 * Functions can only be added before.
 */
void kunit_pci_probe_host(struct kunit_pci_host *host)
{
	int ret = pci_host_probe(pci_host_bridge_from_priv(host));

	host->probed = !ret;
	KUNIT_ASSERT_EQ(host->test, ret, 0);
}
EXPORT_SYMBOL_GPL(kunit_pci_probe_host);

static struct kunit_pci_fn *add_fn(struct kunit_pci_host *host,
				   struct kunit_pci_fn *port,
				   unsigned int devfn, int type)
{
	struct kunit_pci_fn *fn;

	fn = kvzalloc_obj(*fn);
	KUNIT_ASSERT_NOT_NULL(host->test, fn);
	fn->host = host;
	fn->port = port;
	fn->devfn = devfn;

	cfg_set32(fn, PCI_VENDOR_ID, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));
	cfg_writable(fn, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
		     PCI_COMMAND_PARITY | PCI_COMMAND_SERR |
		     PCI_COMMAND_INTX_DISABLE);
	cfg_set16(fn, PCI_STATUS, PCI_STATUS_CAP_LIST);
	cfg_set16(fn, PCI_CLASS_DEVICE, PCI_CLASS_OTHERS << 8);
	fn->cfg[PCI_CAPABILITY_LIST] = PCIE;

	fn->cfg[PCIE] = PCI_CAP_ID_EXP;
	cfg_set16(fn, PCIE + PCI_EXP_FLAGS, 2 | type << 4);
	cfg_set32(fn, PCIE + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_RBER);
	cfg_writable(fn, PCIE + PCI_EXP_DEVCTL, 0x7fff);
	fn->w1c[PCIE + PCI_EXP_DEVSTA] = PCI_EXP_DEVSTA_CED | PCI_EXP_DEVSTA_NFED |
		PCI_EXP_DEVSTA_FED | PCI_EXP_DEVSTA_URD;
	cfg_set32(fn, PCIE + PCI_EXP_LNKCAP,
		  PCI_EXP_LNKCAP_SLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1);
	cfg_writable(fn, PCIE + PCI_EXP_LNKCTL,
		     PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_LD |
		     PCI_EXP_LNKCTL_CCC);
	cfg_set16(fn, PCIE + PCI_EXP_LNKSTA,
		  PCI_EXP_LNKSTA_CLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1);
	cfg_writable(fn, PCIE + PCI_EXP_DEVCTL2, 0xffff);

	scoped_guard(raw_spinlock_irqsave, &host->lock)
		list_add_tail(&fn->node, &host->fns);
	return fn;
}

/* One for each function, unlike on most hardware */
static void add_intx(struct kunit_pci_fn *fn)
{
	int irq = irq_alloc_desc(NUMA_NO_NODE);

	KUNIT_ASSERT_GT(fn->host->test, irq, 0);
	fn->irq = irq;
	fn->irq_masked = true;
	fn->irq_work = IRQ_WORK_INIT_HARD(raise_irq);
	irq_set_chip_and_handler(irq, &kunit_pci_irq_chip, handle_level_irq);
	irq_set_chip_data(irq, fn);
	/* Level: what has come while it was disabled is not sent again */
	irq_modify_status(irq, IRQ_NOREQUEST, IRQ_NOPROBE | IRQ_LEVEL);

	fn->cfg[PCI_INTERRUPT_PIN] = 1;
	fn->writable[PCI_INTERRUPT_LINE] = 0xff;
}

static void add_ext_cap(struct kunit_pci_fn *fn, int where, u16 id, u8 version)
{
	int pos = PCI_CFG_SPACE_SIZE;

	cfg_set32(fn, where, cfg_get32(fn, where) | version << 16 | id);
	if (where == pos)
		return;
	while (PCI_EXT_CAP_NEXT(cfg_get32(fn, pos)))
		pos = PCI_EXT_CAP_NEXT(cfg_get32(fn, pos));
	cfg_set32(fn, pos, cfg_get32(fn, pos) | where << 20);
}

/**
 * kunit_pci_add_endpoint() - Add an endpoint to a fake host
 * @host: fake host, not probed yet
 * @port: port above the endpoint, or NULL for the root bus
 * @devfn: device and function number; function 0 has to be the first one
 *
 * The endpoint can do Function Level Reset, and has INTx: see
 * kunit_pci_set_intx().
 *
 * Return: the endpoint.
 */
struct kunit_pci_fn *kunit_pci_add_endpoint(struct kunit_pci_host *host,
					    struct kunit_pci_fn *port,
					    unsigned int devfn)
{
	struct kunit_pci_fn *fn, *fn0;

	fn = add_fn(host, port, devfn,
		    port ? PCI_EXP_TYPE_ENDPOINT : PCI_EXP_TYPE_RC_END);
	add_intx(fn);
	cfg_set32(fn, PCIE + PCI_EXP_DEVCAP,
		  PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR);
	if (PCI_FUNC(devfn))
		list_for_each_entry(fn0, &host->fns, node)
			if (fn0->port == port &&
			    PCI_SLOT(fn0->devfn) == PCI_SLOT(devfn))
				fn0->cfg[PCI_HEADER_TYPE] |= PCI_HEADER_TYPE_MFD;
	return fn;
}
EXPORT_SYMBOL_GPL(kunit_pci_add_endpoint);

/**
 * kunit_pci_add_port() - Add a port to a fake host
 * @host: fake host, not probed yet
 * @port: port above this one, or NULL for the root bus
 * @devfn: device and function number
 * @type: PCI_EXP_TYPE_ROOT_PORT, PCI_EXP_TYPE_UPSTREAM or
 *	  PCI_EXP_TYPE_DOWNSTREAM
 *
 * The port can do Secondary Bus Reset.  Below a Root Port or a Downstream Port
 * is a link, which can be disabled, and is found in Link Status.
 *
 * Return: the port.
 */
struct kunit_pci_fn *kunit_pci_add_port(struct kunit_pci_host *host,
					struct kunit_pci_fn *port,
					unsigned int devfn, int type)
{
	struct kunit_pci_fn *fn = add_fn(host, port, devfn, type);

	add_intx(fn);
	cfg_set16(fn, PCI_DEVICE_ID, KUNIT_PCI_PORT);
	cfg_set16(fn, PCI_CLASS_DEVICE, PCI_CLASS_BRIDGE_PCI);
	fn->cfg[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
	cfg_writable(fn, PCI_PRIMARY_BUS, 0x00ffffff);
	cfg_writable(fn, PCI_MEMORY_BASE, 0xfff0fff0);
	fn->writable[PCI_BRIDGE_CONTROL] = 0xff;
	if (type != PCI_EXP_TYPE_UPSTREAM) {
		cfg_set32(fn, PCIE + PCI_EXP_LNKCAP,
			  PCI_EXP_LNKCAP_SLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1 |
			  PCI_EXP_LNKCAP_DLLLARC);
		cfg_set16(fn, PCIE + PCI_EXP_LNKSTA,
			  PCI_EXP_LNKSTA_CLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1 |
			  PCI_EXP_LNKSTA_DLLLA);
	}
	if (type == PCI_EXP_TYPE_ROOT_PORT) {
		cfg_set16(fn, PCIE + PCI_EXP_RTCAP, PCI_EXP_RTCAP_RRS_SV);
		fn->writable[PCIE + PCI_EXP_RTCTL] = PCI_EXP_RTCTL_RRS_SVE;
	}
	fn->present = true;
	fn->trained = true;
	fn->open = true;
	fn_reset(fn);
	return fn;
}
EXPORT_SYMBOL_GPL(kunit_pci_add_port);

/**
 * kunit_pci_add_slot() - Make a fake port a hotplug port
 * @port: Root Port or Downstream Port, not probed yet
 * @caps: what the slot has, of Slot Capabilities: %PCI_EXP_SLTCAP_ABP (Attention
 *	  Button), %PCI_EXP_SLTCAP_PCP (Power Controller), %PCI_EXP_SLTCAP_AIP
 *	  and %PCI_EXP_SLTCAP_PIP (indicators), %PCI_EXP_SLTCAP_NCCS (it does not
 *	  say when a command is completed)
 *
 * The slot allows for surprise removal.  Commands are completed at once.
 * Events interrupt as far as Slot Control enables that, so pciehp works with
 * and without pciehp_poll_mode.
 */
void kunit_pci_add_slot(struct kunit_pci_fn *port, u32 caps)
{
	u16 ctl = PCI_EXP_SLTCTL_AIC | PCI_EXP_SLTCTL_PIC | PCI_EXP_SLTCTL_ABPE |
		PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_CCIE | PCI_EXP_SLTCTL_HPIE |
		PCI_EXP_SLTCTL_DLLSCE;

	if (caps & PCI_EXP_SLTCAP_PCP)
		ctl |= PCI_EXP_SLTCTL_PCC;
	cfg_set16(port, PCIE + PCI_EXP_FLAGS,
		  cfg_get16(port, PCIE + PCI_EXP_FLAGS) | PCI_EXP_FLAGS_SLOT);
	cfg_set32(port, PCIE + PCI_EXP_SLTCAP,
		  PCI_EXP_SLTCAP_HPC | PCI_EXP_SLTCAP_HPS | caps);
	cfg_set16(port, PCIE + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_PDS);
	cfg_writable(port, PCIE + PCI_EXP_SLTCTL, ctl);
	put_unaligned_le16(PCI_EXP_SLTSTA_ABP | PCI_EXP_SLTSTA_PDC |
			   PCI_EXP_SLTSTA_CC | PCI_EXP_SLTSTA_DLLSC,
			   port->w1c + PCIE + PCI_EXP_SLTSTA);
}
EXPORT_SYMBOL_GPL(kunit_pci_add_slot);

/**
 * kunit_pci_add_sriov() - Make a fake endpoint an SR-IOV Physical Function
 * @pf: endpoint, not probed yet
 * @num: number of Virtual Functions
 * @offset: First VF Offset
 * @stride: VF Stride
 *
 * The VFs appear once they are enabled, for instance by pci_enable_sriov().
 * Those that @offset and @stride give another bus number than that of @pf end
 * up on a virtual bus.
 */
void kunit_pci_add_sriov(struct kunit_pci_fn *pf, unsigned int num,
			 u16 offset, u16 stride)
{
	struct kunit_pci_fn *vf;
	unsigned int i;

	add_ext_cap(pf, SRIOV, PCI_EXT_CAP_ID_SRIOV, 1);
	cfg_writable(pf, SRIOV + PCI_SRIOV_CTRL,
		     PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
	cfg_set16(pf, SRIOV + PCI_SRIOV_INITIAL_VF, num);
	cfg_set16(pf, SRIOV + PCI_SRIOV_TOTAL_VF, num);
	cfg_writable(pf, SRIOV + PCI_SRIOV_NUM_VF, 0xffff);
	pf->cfg[SRIOV + PCI_SRIOV_FUNC_LINK] = PCI_FUNC(pf->devfn);
	cfg_set16(pf, SRIOV + PCI_SRIOV_VF_OFFSET, offset);
	cfg_set16(pf, SRIOV + PCI_SRIOV_VF_STRIDE, stride);
	cfg_set16(pf, SRIOV + PCI_SRIOV_VF_DID, KUNIT_PCI_VF);
	cfg_set32(pf, SRIOV + PCI_SRIOV_SUP_PGSIZE, 0x553);
	cfg_writable(pf, SRIOV + PCI_SRIOV_SYS_PGSIZE, 0x553);

	for (i = 0; i < num; i++) {
		vf = add_fn(pf->host, pf->port, pf->devfn, PCI_EXP_TYPE_ENDPOINT);
		cfg_set32(vf, PCI_VENDOR_ID, ~0);
		vf->id = i;
		vf->pf = pf;
	}
}
EXPORT_SYMBOL_GPL(kunit_pci_add_sriov);

/**
 * kunit_pci_add_bar() - Add a BAR to a fake endpoint
 * @fn: endpoint, not probed yet
 * @bar: number of the BAR, from 0
 * @size: in bytes, a power of 2 from 16 to 1 MiB
 * @ops: what is behind it
 * @priv: argument of @ops
 *
 * It is of 32 bits, and not prefetchable.  The PCI core assigns its address, and
 * drivers map it, as of any device.  It reads as all-ones and ignores writes
 * while @fn is gone, or is not ready, does not decode memory, or a port above it
 * does not let the access through.
 *
 * MMIO can be emulated on UML only.  Elsewhere the test is skipped.
 */
void kunit_pci_add_bar(struct kunit_pci_fn *fn, unsigned int bar, u32 size,
		       const struct kunit_pci_bar_ops *ops, void *priv)
{
	struct kunit *test = fn->host->test;

	if (!IS_ENABLED(CONFIG_INDIRECT_IOMEM))
		kunit_skip(test, "fake PCI host: it has BARs on UML only");
	KUNIT_ASSERT_FALSE(test, is_bridge(fn));
	KUNIT_ASSERT_LT(test, bar, PCI_STD_NUM_BARS);
	KUNIT_ASSERT_TRUE(test, is_power_of_2(size) && size >= 16 && size <= SZ_1M);
	if (!fn->host->window)
		KUNIT_ASSERT_TRUE(test, host_get_window(fn->host));

	fn->bars[bar].size = size;
	fn->bars[bar].ops = ops;
	fn->bars[bar].priv = priv;
	cfg_writable(fn, PCI_BASE_ADDRESS_0 + 4 * bar, ~(size - 1));
}
EXPORT_SYMBOL_GPL(kunit_pci_add_bar);

/**
 * kunit_pci_add_cap() - Add a capability to a fake function
 * @fn: fake function, not probed yet
 * @cap: the capability, from its ID on; what leads to the next one is filled in
 * @size: in bytes; there are 128 for all that are added
 *
 * It is read-only.
 */
void kunit_pci_add_cap(struct kunit_pci_fn *fn, const void *cap, unsigned int size)
{
	unsigned int pos = CAPS + fn->caps_size;

	KUNIT_ASSERT_LE(fn->host->test, pos + size, PCI_CFG_SPACE_SIZE);
	memcpy(fn->cfg + pos, cap, size);
	fn->cfg[pos + PCI_CAP_LIST_NEXT] = fn->cfg[PCI_CAPABILITY_LIST];
	fn->cfg[PCI_CAPABILITY_LIST] = pos;
	fn->caps_size += ALIGN(size, 4);
}
EXPORT_SYMBOL_GPL(kunit_pci_add_cap);

/**
 * kunit_pci_add_aer() - Give a fake function Advanced Error Reporting
 * @fn: endpoint or port, not probed yet
 *
 * A Root Port interrupts when it gets to know of an error.  It has to have AER
 * for recovery by aer.c, the function that reports the error should.
 */
void kunit_pci_add_aer(struct kunit_pci_fn *fn)
{
	add_ext_cap(fn, AER, PCI_EXT_CAP_ID_ERR, 2);
	memset(fn->w1c + AER + PCI_ERR_UNCOR_STATUS, 0xff, 4);
	if (fn->port || !is_bridge(fn))
		return;
	cfg_writable(fn, AER + PCI_ERR_ROOT_COMMAND, PCI_ERR_ROOT_CMD_COR_EN |
		     PCI_ERR_ROOT_CMD_NONFATAL_EN | PCI_ERR_ROOT_CMD_FATAL_EN);
	fn->w1c[AER + PCI_ERR_ROOT_STATUS] = 0x7f;
}
EXPORT_SYMBOL_GPL(kunit_pci_add_aer);

/**
 * kunit_pci_add_dpc() - Give a fake port Downstream Port Containment
 * @port: Root Port or Downstream Port, not probed yet
 *
 * The port has no RP Extensions.  For what triggers DPC, as far as DPC Control
 * enables it, see kunit_pci_report_error() and kunit_pci_trigger_dpc().
 */
void kunit_pci_add_dpc(struct kunit_pci_fn *port)
{
	add_ext_cap(port, DPC, PCI_EXT_CAP_ID_DPC, 1);
	cfg_set16(port, DPC + PCI_EXP_DPC_CAP, PCI_EXP_DPC_CAP_SW_TRIGGER |
		  PCI_EXP_DPC_CAP_DL_ACTIVE);
	put_unaligned_le16(DPC_TRIGGERS | PCI_EXP_DPC_CTL_INT_EN,
			   port->writable + DPC + PCI_EXP_DPC_CTL);
	port->w1c[DPC + PCI_EXP_DPC_STATUS] =
		PCI_EXP_DPC_STATUS_TRIGGER | PCI_EXP_DPC_STATUS_INTERRUPT;
}
EXPORT_SYMBOL_GPL(kunit_pci_add_dpc);

/**
 * kunit_pci_vf() - Find a Virtual Function of a fake endpoint
 * @pf: Physical Function
 * @id: number of the VF, from 0
 *
 * Return: the VF, NULL if there is none of that number.
 */
struct kunit_pci_fn *kunit_pci_vf(struct kunit_pci_fn *pf, unsigned int id)
{
	struct kunit_pci_fn *fn;

	list_for_each_entry(fn, &pf->host->fns, node)
		if (fn->pf == pf && fn->id == id)
			return fn;
	return NULL;
}
EXPORT_SYMBOL_GPL(kunit_pci_vf);

KUNIT_DEFINE_ACTION_WRAPPER(pci_dev_put_wrapper, pci_dev_put, struct pci_dev *);

/**
 * kunit_pci_get_dev() - Get the PCI device of a fake function
 * @test: test context
 * @fn: fake function
 *
 * The reference is dropped when the test completes.
 *
 * Return: the device, NULL if the PCI core has none for @fn.
 */
struct pci_dev *kunit_pci_get_dev(struct kunit *test, struct kunit_pci_fn *fn)
{
	struct pci_host_bridge *bridge;
	struct pci_dev *pdev;
	int rid;

	scoped_guard(raw_spinlock_irqsave, &fn->host->lock)
		rid = fn_rid(fn);
	if (rid < 0)
		return NULL;
	bridge = pci_host_bridge_from_priv(fn->host);
	pdev = pci_get_domain_bus_and_slot(bridge->domain_nr, PCI_BUS_NUM(rid),
					   rid & 0xff);
	if (pdev && kunit_add_action_or_reset(test, pci_dev_put_wrapper, pdev))
		return NULL;
	return pdev;
}
EXPORT_SYMBOL_GPL(kunit_pci_get_dev);

/**
 * kunit_pci_yank() - Remove a fake function by surprise
 * @fn: fake function
 *
 * From now on @fn, its VFs and all that is below it read as all-ones and
 * ignore writes.  If there is a link to @fn, it goes down, with whatever else
 * is behind it, and a slot sees the card and the link go.
 */
void kunit_pci_yank(struct kunit_pci_fn *fn)
{
	guard(raw_spinlock_irqsave)(&fn->host->lock);
	set_card(fn, false);
}
EXPORT_SYMBOL_GPL(kunit_pci_yank);

/**
 * kunit_pci_yank_after() - Remove a fake function by surprise at an access
 * @fn: fake function
 * @n: number of the access, counted from 1 for the next one; 0 to call it off
 * @notice: device to be marked as disconnected at the same time, or NULL
 *
 * Accesses are those of the config space of @fn and of its BARs alike, in the
 * order in which they come.  Access @n is the first one that is not answered.
 * kunit_pci_yanked() tells whether it has come.
 *
 * With @notice, it is as with a hotplug driver that is as quick as can be.
 */
void kunit_pci_yank_after(struct kunit_pci_fn *fn, unsigned int n,
			  struct pci_dev *notice)
{
	guard(raw_spinlock_irqsave)(&fn->host->lock);
	fn->yank_after = n;
	fn->notice = notice;
}
EXPORT_SYMBOL_GPL(kunit_pci_yank_after);

/**
 * kunit_pci_yanked() - Has a fake function been removed by surprise?
 * @fn: fake function
 *
 * Return: true if so, and it is not back.
 */
bool kunit_pci_yanked(struct kunit_pci_fn *fn)
{
	guard(raw_spinlock_irqsave)(&fn->host->lock);
	return fn->gone;
}
EXPORT_SYMBOL_GPL(kunit_pci_yanked);

/**
 * kunit_pci_restore() - Let a yanked fake function answer again
 * @fn: fake function
 *
 * The same card in the state it had: it was the path to it that was cut.
 */
void kunit_pci_restore(struct kunit_pci_fn *fn)
{
	guard(raw_spinlock_irqsave)(&fn->host->lock);
	set_card(fn, true);
}
EXPORT_SYMBOL_GPL(kunit_pci_restore);

/**
 * kunit_pci_plug() - Put a card in the place of a fake function
 * @fn: fake function
 * @id: Vendor ID and, in the upper half, Device ID of the new card
 *
 * The card is fresh from reset, along with all that is below it.  If the one
 * before has not been yanked, nobody gets to know.
 */
void kunit_pci_plug(struct kunit_pci_fn *fn, u32 id)
{
	struct kunit_pci_fn *f;

	guard(raw_spinlock_irqsave)(&fn->host->lock);
	list_for_each_entry(f, &fn->host->fns, node)
		if (fn_within(f, fn))
			fn_reset(f);
	cfg_set32(fn, PCI_VENDOR_ID, id);
	set_card(fn, true);
}
EXPORT_SYMBOL_GPL(kunit_pci_plug);

/**
 * kunit_pci_set_link() - Have the link below a fake port go down, or come up
 * @port: Root Port or Downstream Port
 * @up: whether the link is to be up
 *
 * The card stays where it is.  It is reset by that.
 */
void kunit_pci_set_link(struct kunit_pci_fn *port, bool up)
{
	guard(raw_spinlock_irqsave)(&port->host->lock);
	port->trained = up;
	port_update(port);
}
EXPORT_SYMBOL_GPL(kunit_pci_set_link);

/**
 * kunit_pci_glitch_presence() - Have a fake slot miss its card for a moment
 * @port: port with a slot that has a card
 *
 * Presence Detect Changed is set, with the card back and the link never down.
 */
void kunit_pci_glitch_presence(struct kunit_pci_fn *port)
{
	guard(raw_spinlock_irqsave)(&port->host->lock);
	cfg_set16(port, PCIE + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_PDC |
		  cfg_get16(port, PCIE + PCI_EXP_SLTSTA));
	update_irq(port);
}
EXPORT_SYMBOL_GPL(kunit_pci_glitch_presence);

/**
 * kunit_pci_press_button() - Press the Attention Button of a fake slot
 * @port: port with a slot that has %PCI_EXP_SLTCAP_ABP
 */
void kunit_pci_press_button(struct kunit_pci_fn *port)
{
	guard(raw_spinlock_irqsave)(&port->host->lock);
	cfg_set16(port, PCIE + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_ABP |
		  cfg_get16(port, PCIE + PCI_EXP_SLTSTA));
	update_irq(port);
}
EXPORT_SYMBOL_GPL(kunit_pci_press_button);

/**
 * kunit_pci_powered() - Is a fake slot supplied with power?
 * @port: port with a slot
 *
 * Return: false if its Power Controller has been told to turn power off.
 */
bool kunit_pci_powered(struct kunit_pci_fn *port)
{
	guard(raw_spinlock_irqsave)(&port->host->lock);
	return !(cfg_get16(port, PCIE + PCI_EXP_SLTCTL) & PCI_EXP_SLTCTL_PCC);
}
EXPORT_SYMBOL_GPL(kunit_pci_powered);

/**
 * kunit_pci_set_intx() - Have a fake function assert INTx
 * @fn: endpoint or port
 * @on: whether it has a reason to
 *
 * The handler is called, again and again, until the reason is gone.  It is not
 * called while the function is out of reach or has Interrupt Disable set.  A
 * reset takes the reason away.
 *
 * Context: Any, with no lock of the fake host held.
 */
void kunit_pci_set_intx(struct kunit_pci_fn *fn, bool on)
{
	guard(raw_spinlock_irqsave)(&fn->host->lock);
	fn->intx = on;
	update_irq(fn);
}
EXPORT_SYMBOL_GPL(kunit_pci_set_intx);

/**
 * kunit_pci_report_error() - Have a fake function report an uncorrectable error
 * @fn: endpoint or port
 * @status: errors, of AER's Uncorrectable Error Status, for instance
 *	    %PCI_ERR_UNC_COMP_TIME
 * @fatal: whether they are fatal
 *
 * What Device Control does not enable to be reported, is not; nor is anything
 * by a function that is out of reach.  If there is a port on the way up that has
 * DPC triggered by such an error, be it @fn itself, it takes its link down.  Else
 * the Root Port gets to know, if it has AER.
 */
void kunit_pci_report_error(struct kunit_pci_fn *fn, u32 status, bool fatal)
{
	u16 devsta = fatal ? PCI_EXP_DEVSTA_FED : PCI_EXP_DEVSTA_NFED;
	u16 enable = fatal ? PCI_EXP_DEVCTL_FERE : PCI_EXP_DEVCTL_NFERE;
	struct kunit_pci_fn *port, *root = NULL;
	u32 sever, rstatus;

	guard(raw_spinlock_irqsave)(&fn->host->lock);
	if (fn_gone(fn))
		return;
	sever = cfg_get32(fn, AER + PCI_ERR_UNCOR_SEVER) & ~status;
	if (cfg_get32(fn, AER)) {
		cfg_set32(fn, AER + PCI_ERR_UNCOR_SEVER, fatal ? sever | status : sever);
		cfg_set32(fn, AER + PCI_ERR_UNCOR_STATUS, status |
			  cfg_get32(fn, AER + PCI_ERR_UNCOR_STATUS));
	}
	cfg_set16(fn, PCIE + PCI_EXP_DEVSTA, devsta | cfg_get16(fn, PCIE + PCI_EXP_DEVSTA));
	if (!(cfg_get16(fn, PCIE + PCI_EXP_DEVCTL) & enable))
		return;

	enable = fatal ? DPC_TRIGGERS : PCI_EXP_DPC_CTL_EN_NONFATAL;
	for (port = is_downstream(fn) ? fn : fn->port; port; port = port->port) {
		if (cfg_get16(port, DPC + PCI_EXP_DPC_CTL) & enable) {
			contain(port, port == fn ? PCI_EXP_DPC_STATUS_TRIGGER_RSN_UNCOR :
				fatal ? PCI_EXP_DPC_STATUS_TRIGGER_RSN_FE :
				PCI_EXP_DPC_STATUS_TRIGGER_RSN_NFE, fn_rid(fn));
			return;
		}
		root = port;
	}
	if (!root || !cfg_get32(root, AER))
		return;

	rstatus = cfg_get32(root, AER + PCI_ERR_ROOT_STATUS);
	if (rstatus & PCI_ERR_ROOT_UNCOR_RCV) {
		rstatus |= PCI_ERR_ROOT_MULTI_UNCOR_RCV;
	} else {
		rstatus |= PCI_ERR_ROOT_UNCOR_RCV;
		if (fatal)
			rstatus |= PCI_ERR_ROOT_FIRST_FATAL;
		cfg_set16(root, AER + PCI_ERR_ROOT_ERR_SRC + 2, fn_rid(fn));
	}
	rstatus |= fatal ? PCI_ERR_ROOT_FATAL_RCV : PCI_ERR_ROOT_NONFATAL_RCV;
	cfg_set32(root, AER + PCI_ERR_ROOT_STATUS, rstatus);
	update_irq(root);
}
EXPORT_SYMBOL_GPL(kunit_pci_report_error);

/**
 * kunit_pci_trigger_dpc() - Have a fake port contain an error
 * @port: port with DPC
 * @reason: of DPC Status, why: %PCI_EXP_DPC_STATUS_TRIGGER_RSN_UNCOR, for
 *	    instance, or %PCI_EXP_DPC_STATUS_TRIGGER_RSN_IN_EXT with a reason of
 *	    these
 *
 * If DPC Control enables that, the link goes down, which is a reset for all that
 * is below, and stays so until DPC Trigger Status is cleared.
 */
void kunit_pci_trigger_dpc(struct kunit_pci_fn *port, u16 reason)
{
	guard(raw_spinlock_irqsave)(&port->host->lock);
	if (cfg_get16(port, DPC + PCI_EXP_DPC_CTL) & DPC_TRIGGERS)
		contain(port, reason, 0);
}
EXPORT_SYMBOL_GPL(kunit_pci_trigger_dpc);

/**
 * kunit_pci_set_rrs() - Let a fake function answer with Request Retry Status
 * @fn: fake function
 * @n: number of reads to answer so, or KUNIT_PCI_RRS_FOREVER, or 0 to stop
 *
 * If Configuration RRS Software Visibility is enabled in the Root Port above, a
 * read of the Vendor ID gives the ID that is reserved for this.  Reads give
 * all-ones otherwise.
 */
void kunit_pci_set_rrs(struct kunit_pci_fn *fn, unsigned int n)
{
	guard(raw_spinlock_irqsave)(&fn->host->lock);
	fn->rrs = n;
}
EXPORT_SYMBOL_GPL(kunit_pci_set_rrs);

/**
 * kunit_pci_set_reset_rrs() - Let a fake function take time after a reset
 * @fn: fake function
 * @n: as for kunit_pci_set_rrs()
 *
 * From now on, each FLR, Secondary Bus Reset and loss of the link that gets to
 * @fn is followed by that many reads with Request Retry Status.
 */
void kunit_pci_set_reset_rrs(struct kunit_pci_fn *fn, unsigned int n)
{
	guard(raw_spinlock_irqsave)(&fn->host->lock);
	fn->reset_rrs = n;
}
EXPORT_SYMBOL_GPL(kunit_pci_set_reset_rrs);

/**
 * kunit_pci_set_pending() - Let a fake function have transactions pending
 * @fn: fake function
 * @pending: whether it has not got an answer to all that it has asked for
 */
void kunit_pci_set_pending(struct kunit_pci_fn *fn, bool pending)
{
	u16 devsta;

	guard(raw_spinlock_irqsave)(&fn->host->lock);
	devsta = cfg_get16(fn, PCIE + PCI_EXP_DEVSTA) & ~PCI_EXP_DEVSTA_TRPND;
	cfg_set16(fn, PCIE + PCI_EXP_DEVSTA,
		  devsta | (pending ? PCI_EXP_DEVSTA_TRPND : 0));
}
EXPORT_SYMBOL_GPL(kunit_pci_set_pending);

/**
 * kunit_pci_take_count() - Count the accesses of a fake function
 * @fn: fake function
 *
 * Config accesses are counted if they have left the PCI core, whether or not
 * anybody answers, and so is MMIO at the address that is in a BAR.
 *
 * Return: the accesses since the previous call.
 */
struct kunit_pci_count kunit_pci_take_count(struct kunit_pci_fn *fn)
{
	struct kunit_pci_count count;

	guard(raw_spinlock_irqsave)(&fn->host->lock);
	count = fn->count;
	fn->count = (struct kunit_pci_count) { };
	return count;
}
EXPORT_SYMBOL_GPL(kunit_pci_take_count);

static void free_unless_stuck(void *data)
{
	if (!stuck)
		kfree(data);
}

/**
 * kunit_pci_zalloc() - Allocate what a device, driver or thread has pointers to
 * @test: test context
 * @size: size
 *
 * Like kunit_kzalloc(), but it is not freed if a thread of the test is stuck.
 * Aborts the test if there is no memory.
 *
 * Return: the memory, zeroed.
 */
void *kunit_pci_zalloc(struct kunit *test, size_t size)
{
	void *p = kzalloc(size, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, p);
	if (kunit_add_action_or_reset(test, free_unless_stuck, p))
		KUNIT_FAIL_AND_ABORT(test, "no memory");
	return p;
}
EXPORT_SYMBOL_GPL(kunit_pci_zalloc);

static void unregister_driver(void *data)
{
	if (!stuck)
		pci_unregister_driver(data);
}

/**
 * kunit_pci_register_driver() - Register a PCI driver for a test
 * @test: test context
 * @drv: driver, from kunit_pci_zalloc()
 *
 * It is unregistered when the test completes.  So that the devices are gone by
 * then, register it ahead of allocating the host.  Aborts the test on failure.
 */
void kunit_pci_register_driver(struct kunit *test, struct pci_driver *drv)
{
	KUNIT_ASSERT_FALSE_MSG(test, stuck, "an earlier test is stuck");
	KUNIT_ASSERT_EQ(test, pci_register_driver(drv), 0);
	if (kunit_add_action_or_reset(test, unregister_driver, drv))
		KUNIT_FAIL_AND_ABORT(test, "no memory");
}
EXPORT_SYMBOL_GPL(kunit_pci_register_driver);

/**
 * kunit_pci_run() - Run what may not end in a thread of its own
 * @test: test context
 * @fn: what to run, its return value is not used
 * @data: argument of @fn, from kunit_pci_zalloc() or static
 *
 * If it has not ended when the test completes, nor does in the time after,
 * the test fails.  Aborts the test if there is no thread to be had.
 *
 * Return: what kunit_pci_wait() takes.
 */
struct kunit_pci_thread *kunit_pci_run(struct kunit *test,
				       int (*fn)(void *data), void *data)
{
	struct kunit_pci_thread *thread = thread_start(test, fn, data);

	KUNIT_ASSERT_NOT_NULL(test, thread);
	if (kunit_add_action_or_reset(test, thread_end, thread))
		KUNIT_FAIL_AND_ABORT(test, "no memory");
	return thread;
}
EXPORT_SYMBOL_GPL(kunit_pci_run);

struct kunit_pci_write {
	struct vfsmount *sysfs;
	char path[96];
	char val[16];
	int *ret;
};

static int write_sysfs(void *data)
{
	struct kunit_pci_write *w = data;
	struct file *file;
	loff_t pos = 0;

	file = file_open_root_mnt(w->sysfs, w->path, O_WRONLY, 0);
	if (IS_ERR(file)) {
		*w->ret = PTR_ERR(file);
		return 0;
	}
	do {
		/* What restart_syscall() has set, in a thread without a way back */
		flush_signals(current);
		*w->ret = kernel_write(file, w->val, strlen(w->val), &pos);
	} while (*w->ret == -ERESTARTNOINTR);
	flush_signals(current);
	fput(file);
	return 0;
}

static void umount_sysfs(void *data)
{
	if (!stuck)
		kern_unmount(data);
}

/**
 * kunit_pci_write_sysfs() - Write to a file in sysfs as user space does
 * @test: test context
 * @path: the file, relative to where sysfs would be mounted
 * @val: what to write
 * @ret: from kunit_pci_zalloc(), for what write(2) would return
 *
 * Unlike a call of the attribute's function, this keeps the file from being
 * removed until the function has returned.  Aborts the test on failure.
 *
 * Return: the thread that writes, as from kunit_pci_run().
 */
struct kunit_pci_thread *kunit_pci_write_sysfs(struct kunit *test, const char *path,
					       const char *val, int *ret)
{
	struct kunit_pci_write *w = kunit_pci_zalloc(test, sizeof(*w));

	strscpy(w->path, path);
	strscpy(w->val, val);
	w->ret = ret;
	w->sysfs = kern_mount(get_fs_type("sysfs"));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, w->sysfs);
	if (kunit_add_action_or_reset(test, umount_sysfs, w->sysfs))
		KUNIT_FAIL_AND_ABORT(test, "no memory");
	return kunit_pci_run(test, write_sysfs, w);
}
EXPORT_SYMBOL_GPL(kunit_pci_write_sysfs);

/**
 * kunit_pci_wait() - Wait for a thread to end
 * @thread: from kunit_pci_run()
 * @timeout: in jiffies, or 0 for longer than anything in the PCI core takes
 *
 * Return: true if it has ended.
 */
bool kunit_pci_wait(struct kunit_pci_thread *thread, unsigned long timeout)
{
	return wait_for_completion_timeout(&thread->done, timeout ?: PATIENCE);
}
EXPORT_SYMBOL_GPL(kunit_pci_wait);

/**
 * kunit_pci_stuck() - Has a thread not ended?
 *
 * What cleans up after a test must not wait for a lock then.
 *
 * Return: true if so, for good.
 */
bool kunit_pci_stuck(void)
{
	return stuck;
}
EXPORT_SYMBOL_GPL(kunit_pci_stuck);
