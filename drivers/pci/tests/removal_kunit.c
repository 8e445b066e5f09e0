// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for the removal of PCI devices that are gone
 */

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/msi.h>
#include <linux/pci.h>
#include <linux/pm.h>

#include <kunit/pci.h>
#include <kunit/test.h>

#include "../msi/msi.h"
#include "../pci.h"

#define NR_VFS	4

/*
 * Root Port > Upstream Port > Downstream Port > PF with its VFs, and another
 * function beside the PF; a second Downstream Port > endpoint; and an endpoint
 * that has nothing to do with all that.
 */
struct removal_ctx {
	struct kunit_pci_host *host;
	struct kunit_pci_fn *root_fn, *port_fn, *pf_fn, *port2_fn, *other_fn;
	struct pci_dev *root, *up, *port, *pf, *sibling, *other, *apart;
	struct pci_dev *vfs[NR_VFS];
};

static const struct removal_offset {
	const char *desc;
	u16 offset;
	u16 nr_virtual;		/* number of VFs on a virtual bus */
} removal_offsets[] = {
	{ "all VFs on the bus of the PF", 8, 0 },
	{ "half of the VFs on a virtual bus", 254, 2 },
	{ "all VFs on a virtual bus", 256, 4 },
};

KUNIT_ARRAY_PARAM_DESC(removal_offset, removal_offsets, desc);

static void mark_all(void *data)
{
	struct pci_dev *dev = data;

	/* Whoever is to remove what is left need not wait for anything */
	if (!kunit_pci_stuck())
		pci_bus_set_disconnected(dev->bus);
}

static void removal_init(struct kunit *test, struct removal_ctx *ctx,
			 const struct removal_offset *offset)
{
	struct kunit_pci_fn *up, *sibling, *apart;
	struct kunit_pci_host *host = kunit_pci_alloc_host(test);
	int ret, i, nr_virtual = 0;

	ctx->host = host;
	ctx->root_fn = kunit_pci_add_port(host, NULL, PCI_DEVFN(1, 0),
					  PCI_EXP_TYPE_ROOT_PORT);
	up = kunit_pci_add_port(host, ctx->root_fn, 0, PCI_EXP_TYPE_UPSTREAM);
	ctx->port_fn = kunit_pci_add_port(host, up, PCI_DEVFN(1, 0),
					  PCI_EXP_TYPE_DOWNSTREAM);
	ctx->port2_fn = kunit_pci_add_port(host, up, PCI_DEVFN(2, 0),
					   PCI_EXP_TYPE_DOWNSTREAM);
	ctx->pf_fn = kunit_pci_add_endpoint(host, ctx->port_fn, 0);
	sibling = kunit_pci_add_endpoint(host, ctx->port_fn, 1);
	ctx->other_fn = kunit_pci_add_endpoint(host, ctx->port2_fn, 0);
	apart = kunit_pci_add_endpoint(host, NULL, PCI_DEVFN(2, 0));
	if (offset)
		kunit_pci_add_sriov(ctx->pf_fn, NR_VFS, offset->offset, 1);
	kunit_pci_probe_host(host);

	ctx->root = kunit_pci_get_dev(test, ctx->root_fn);
	ctx->up = kunit_pci_get_dev(test, up);
	ctx->port = kunit_pci_get_dev(test, ctx->port_fn);
	ctx->pf = kunit_pci_get_dev(test, ctx->pf_fn);
	ctx->sibling = kunit_pci_get_dev(test, sibling);
	ctx->other = kunit_pci_get_dev(test, ctx->other_fn);
	ctx->apart = kunit_pci_get_dev(test, apart);
	KUNIT_ASSERT_NOT_NULL(test, ctx->root);
	KUNIT_ASSERT_NOT_NULL(test, ctx->up);
	KUNIT_ASSERT_NOT_NULL(test, ctx->port);
	KUNIT_ASSERT_NOT_NULL(test, ctx->pf);
	KUNIT_ASSERT_NOT_NULL(test, ctx->sibling);
	KUNIT_ASSERT_NOT_NULL(test, ctx->other);
	KUNIT_ASSERT_NOT_NULL(test, ctx->apart);
	if (!offset)
		return;

	pci_lock_rescan_remove();
	ret = pci_enable_sriov(ctx->pf, NR_VFS);
	pci_unlock_rescan_remove();
	KUNIT_ASSERT_EQ(test, 0, ret);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, mark_all, ctx->root));
	for (i = 0; i < NR_VFS; i++) {
		ctx->vfs[i] = kunit_pci_get_dev(test, kunit_pci_vf(ctx->pf_fn, i));
		KUNIT_ASSERT_NOT_NULL(test, ctx->vfs[i]);
		nr_virtual += ctx->vfs[i]->bus != ctx->pf->bus;
	}
	KUNIT_ASSERT_EQ(test, nr_virtual, offset->nr_virtual);
}

static const struct {
	const char *desc;
	unsigned int rrs;	/* so many reads are not answered */
	bool marked;
	bool lost;
	unsigned int reads;
} removal_looks[] = {
	{ "answers", 0, false, false, 1 },
	{ "misses one", 1, false, false, 2 },
	{ "misses two", 2, false, false, 3 },
	{ "is silent", KUNIT_PCI_RRS_FOREVER, false, true, 3 },
	{ "is marked", 0, true, true, 0 },
};

/* Is @pdev lost?  If it is a VF, its PF is asked. */
static void expect_lost(struct kunit *test, struct removal_ctx *ctx,
			struct pci_dev *pdev)
{
	unsigned int i, waits;
	ktime_t start, took;
	const char *desc;

	for (i = 0; i < ARRAY_SIZE(removal_looks); i++) {
		desc = removal_looks[i].desc;
		waits = max(removal_looks[i].reads, 1U) - 1;
		WRITE_ONCE(ctx->pf->error_state,
			   removal_looks[i].marked ? pci_channel_io_perm_failure :
						     pci_channel_io_normal);
		kunit_pci_set_rrs(ctx->pf_fn, removal_looks[i].rrs);
		kunit_pci_take_count(ctx->pf_fn);

		start = ktime_get();
		KUNIT_EXPECT_EQ_MSG(test, pci_device_is_lost(pdev),
				    removal_looks[i].lost, "%s", desc);
		took = ktime_sub(ktime_get(), start);

		/* It is given time, unless nothing can come of that */
		KUNIT_EXPECT_GE_MSG(test, ktime_to_ms(took), waits * 100, "%s", desc);
		if (!waits)
			KUNIT_EXPECT_LT_MSG(test, ktime_to_ms(took), 200, "%s", desc);
		KUNIT_EXPECT_EQ_MSG(test, kunit_pci_take_count(ctx->pf_fn).reads,
				    removal_looks[i].reads, "%s", desc);
	}
	kunit_pci_set_rrs(ctx->pf_fn, 0);
	WRITE_ONCE(ctx->pf->error_state, pci_channel_io_normal);
}

static void test_lost(struct kunit *test)
{
	struct removal_ctx ctx;

	removal_init(test, &ctx, &removal_offsets[0]);
	expect_lost(test, &ctx, ctx.pf);
	expect_lost(test, &ctx, ctx.vfs[0]);
}

/* As pciehp does at surprise removal: all that is below, nothing beside */
static void test_bus_set_disconnected(struct kunit *test)
{
	struct removal_ctx ctx;
	int i;

	removal_init(test, &ctx, test->param_value);
	pci_bus_set_disconnected(ctx.root->subordinate);

	KUNIT_EXPECT_TRUE(test, pci_dev_is_disconnected(ctx.up));
	KUNIT_EXPECT_TRUE(test, pci_dev_is_disconnected(ctx.port));
	KUNIT_EXPECT_TRUE(test, pci_dev_is_disconnected(ctx.pf));
	KUNIT_EXPECT_TRUE(test, pci_dev_is_disconnected(ctx.sibling));
	KUNIT_EXPECT_TRUE(test, pci_dev_is_disconnected(ctx.other));
	for (i = 0; i < NR_VFS; i++)
		KUNIT_EXPECT_TRUE_MSG(test, pci_dev_is_disconnected(ctx.vfs[i]),
				      "VF %d", i);
	KUNIT_EXPECT_FALSE(test, pci_dev_is_disconnected(ctx.root));
	KUNIT_EXPECT_FALSE(test, pci_dev_is_disconnected(ctx.apart));
}

/* As acpiphp does: a device, its VFs, and what is below it */
static void test_hierarchy_set_disconnected(struct kunit *test)
{
	struct removal_ctx ctx;
	int i;

	removal_init(test, &ctx, &removal_offsets[1]);

	/* (acpiphp comes across some of the VFs ahead of their PF) */
	pci_hierarchy_set_disconnected(ctx.vfs[0]);
	KUNIT_EXPECT_TRUE(test, pci_dev_is_disconnected(ctx.vfs[0]));

	pci_hierarchy_set_disconnected(ctx.sibling);
	KUNIT_EXPECT_TRUE(test, pci_dev_is_disconnected(ctx.sibling));
	KUNIT_EXPECT_FALSE(test, pci_dev_is_disconnected(ctx.pf));
	for (i = 1; i < NR_VFS; i++)
		KUNIT_EXPECT_FALSE_MSG(test, pci_dev_is_disconnected(ctx.vfs[i]),
				       "VF %d", i);

	pci_hierarchy_set_disconnected(ctx.pf);
	KUNIT_EXPECT_TRUE(test, pci_dev_is_disconnected(ctx.pf));
	for (i = 0; i < NR_VFS; i++)
		KUNIT_EXPECT_TRUE_MSG(test, pci_dev_is_disconnected(ctx.vfs[i]),
				      "VF %d", i);
	KUNIT_EXPECT_FALSE(test, pci_dev_is_disconnected(ctx.port));

	pci_hierarchy_set_disconnected(ctx.up);
	KUNIT_EXPECT_TRUE(test, pci_dev_is_disconnected(ctx.up));
	KUNIT_EXPECT_TRUE(test, pci_dev_is_disconnected(ctx.port));
	KUNIT_EXPECT_TRUE(test, pci_dev_is_disconnected(ctx.other));
	KUNIT_EXPECT_FALSE(test, pci_dev_is_disconnected(ctx.root));
}

/* No reset of a disconnected device gets as far as the port above it */
static void test_reset_disconnected(struct kunit *test)
{
	struct kunit_pci_host *host = kunit_pci_alloc_host(test);
	struct kunit_pci_fn *port, *fn;
	struct kunit_pci_count count;
	struct pci_dev *pdev;
	int ret;

	port = kunit_pci_add_port(host, NULL, PCI_DEVFN(1, 0),
				  PCI_EXP_TYPE_ROOT_PORT);
	fn = kunit_pci_add_endpoint(host, port, 0);
	kunit_pci_probe_host(host);
	pdev = kunit_pci_get_dev(test, fn);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	KUNIT_ASSERT_TRUE(test, pci_reset_supported(pdev));
	KUNIT_ASSERT_EQ(test, 0, pci_probe_reset_bus(pdev->bus));

	kunit_pci_yank(fn);
	pci_dev_set_disconnected(pdev, NULL);
	kunit_pci_take_count(port);
	kunit_pci_take_count(fn);

	device_lock(&pdev->dev);
	ret = __pci_reset_function_locked(pdev);
	device_unlock(&pdev->dev);
	KUNIT_EXPECT_EQ(test, ret, -ENOTTY);
	KUNIT_EXPECT_EQ_MSG(test, kunit_pci_take_count(port).writes, 0, "function");

	KUNIT_EXPECT_EQ(test, pci_reset_bus(pdev), -ENOTTY);
	KUNIT_EXPECT_EQ_MSG(test, kunit_pci_take_count(port).writes, 0, "bus");

	count = kunit_pci_take_count(fn);
	KUNIT_EXPECT_EQ(test, count.reads, 0);
	KUNIT_EXPECT_EQ(test, count.writes, 0);
}

/* A PF that is pulled out while it is enumerated, so nobody has marked it */
static void test_vf_bar_absent(struct kunit *test)
{
	struct kunit_pci_host *host = kunit_pci_alloc_host(test);
	struct kunit_pci_fn *port, *fn;
	struct kunit_pci_count count;
	struct pci_dev *pdev;

	port = kunit_pci_add_port(host, NULL, PCI_DEVFN(1, 0),
				  PCI_EXP_TYPE_ROOT_PORT);
	fn = kunit_pci_add_endpoint(host, port, 0);
	kunit_pci_add_sriov(fn, NR_VFS, 8, 1);
	kunit_pci_probe_host(host);
	pdev = kunit_pci_get_dev(test, fn);
	KUNIT_ASSERT_NOT_NULL(test, pdev);

	kunit_pci_yank(fn);
	kunit_pci_take_count(fn);
	kunit_warning_suppress(test) {
		pci_update_resource(pdev, PCI_IOV_RESOURCES);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 0);
	}
	count = kunit_pci_take_count(fn);
	KUNIT_EXPECT_EQ(test, count.reads, 1);
	KUNIT_EXPECT_EQ(test, count.writes, 0);
}

static void test_wait_for_pending_disconnected(struct kunit *test)
{
	struct removal_ctx ctx;

	removal_init(test, &ctx, NULL);
	pci_dev_set_disconnected(ctx.pf, NULL);
	kunit_pci_take_count(ctx.pf_fn);
	KUNIT_EXPECT_EQ(test, pci_wait_for_pending_transaction(ctx.pf), 1);
	KUNIT_EXPECT_EQ(test, kunit_pci_take_count(ctx.pf_fn).reads, 0);
}

/* If there still are some after 700 ms, whoever asks gets to know */
static void test_wait_for_pending(struct kunit *test)
{
	struct removal_ctx ctx;

	removal_init(test, &ctx, NULL);
	kunit_pci_set_pending(ctx.pf_fn, true);
	KUNIT_EXPECT_EQ(test, pci_wait_for_pending_transaction(ctx.pf), 0);
	kunit_pci_set_pending(ctx.pf_fn, false);
	KUNIT_EXPECT_EQ(test, pci_wait_for_pending_transaction(ctx.pf), 1);
}

/* (The core gets it from the PM capability, which these have not) */
static void removal_set_d3cold_delay(struct removal_ctx *ctx)
{
	ctx->pf->d3cold_delay = PCI_PM_D3COLD_WAIT;
	ctx->sibling->d3cold_delay = PCI_PM_D3COLD_WAIT;
}

/* Of a port that is gone, nobody waits for what is below it */
static void test_secondary_bus_disconnected(struct kunit *test)
{
	struct removal_ctx ctx;

	removal_init(test, &ctx, NULL);
	removal_set_d3cold_delay(&ctx);
	pci_bus_set_disconnected(ctx.root->subordinate);
	kunit_pci_take_count(ctx.port_fn);
	KUNIT_EXPECT_EQ(test, pci_bridge_wait_for_secondary_bus(ctx.port, "test"), 0);
	KUNIT_EXPECT_EQ(test, kunit_pci_take_count(ctx.port_fn).reads, 0);
}

static const struct removal_d3cold {
	const char *desc;
	bool gone;
} removal_d3colds[] = {
	{ "card is there", false },
	{ "card is gone", true },
};

KUNIT_ARRAY_PARAM_DESC(removal_d3cold, removal_d3colds, desc);

/* What was pulled out while its port was in D3cold is marked when that resumes */
static void test_resume_d3cold(struct kunit *test)
{
	const struct removal_d3cold *d3cold = test->param_value;
	struct removal_ctx ctx;

	if (!IS_ENABLED(CONFIG_PM) || !IS_ENABLED(CONFIG_PCIEPORTBUS))
		kunit_skip(test, "needs CONFIG_PM and CONFIG_PCIEPORTBUS");

	removal_init(test, &ctx, NULL);
	KUNIT_ASSERT_NOT_NULL(test, ctx.port->driver);
	removal_set_d3cold_delay(&ctx);
	/* With RRS Software Visibility, pci_dev_wait() would be content with ~0 */
	ctx.root->config_rrs_sv = 0;
	ctx.port->current_state = PCI_D3cold;
	if (d3cold->gone)
		kunit_pci_yank(ctx.pf_fn);
	KUNIT_EXPECT_EQ(test, 0, pci_bus_type.pm->runtime_resume(&ctx.port->dev));
	KUNIT_EXPECT_EQ(test, pci_dev_is_disconnected(ctx.pf), d3cold->gone);
	KUNIT_EXPECT_EQ(test, pci_dev_is_disconnected(ctx.sibling), d3cold->gone);
	KUNIT_EXPECT_FALSE(test, pci_dev_is_disconnected(ctx.port));
	KUNIT_EXPECT_FALSE(test, pci_dev_is_disconnected(ctx.other));
}

/* VFs of a PF that works are disabled, and get the second that they may need */
static void test_sriov_disable(struct kunit *test)
{
	unsigned long start;
	struct removal_ctx ctx;
	u16 ctrl;
	int pos;

	removal_init(test, &ctx, &removal_offsets[0]);
	pos = pci_find_ext_capability(ctx.pf, PCI_EXT_CAP_ID_SRIOV);
	pci_read_config_word(ctx.pf, pos + PCI_SRIOV_CTRL, &ctrl);
	KUNIT_EXPECT_TRUE(test, ctrl & PCI_SRIOV_CTRL_VFE);

	start = jiffies;
	pci_lock_rescan_remove();
	pci_disable_sriov(ctx.pf);
	pci_unlock_rescan_remove();
	KUNIT_EXPECT_GE(test, jiffies - start, HZ);
	pci_read_config_word(ctx.pf, pos + PCI_SRIOV_CTRL, &ctrl);
	KUNIT_EXPECT_EQ(test, ctrl & (PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE), 0);
}

static void test_sriov_disable_disconnected(struct kunit *test)
{
	unsigned long start;
	struct removal_ctx ctx;
	int i;

	removal_init(test, &ctx, &removal_offsets[0]);
	kunit_pci_yank(ctx.pf_fn);
	pci_bus_set_disconnected(ctx.pf->bus);

	start = jiffies;
	pci_lock_rescan_remove();
	pci_disable_sriov(ctx.pf);
	pci_unlock_rescan_remove();
	KUNIT_EXPECT_LT(test, jiffies - start, HZ / 2);
	KUNIT_EXPECT_EQ(test, pci_num_vf(ctx.pf), 0);
	for (i = 0; i < NR_VFS; i++)
		KUNIT_EXPECT_NULL(test, kunit_pci_get_dev(test, kunit_pci_vf(ctx.pf_fn, i)));
}

static void test_msix_mask_disconnected(struct kunit *test)
{
	u32 entry[PCI_MSIX_ENTRY_SIZE / sizeof(u32)] = { };
	struct msi_desc desc = {
		.pci.mask_base = (void __iomem __force *)entry,
		.pci.msi_attrib.is_msix = 1,
		.pci.msi_attrib.can_mask = 1,
	};
	struct removal_ctx ctx;

	removal_init(test, &ctx, NULL);
	pci_dev_set_disconnected(ctx.pf, NULL);
	desc.dev = &ctx.pf->dev;

	/* UML warns about MMIO that is not mapped, others just do it */
	kunit_warning_suppress(test) {
		pci_msix_mask(&desc);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 0);
	}
	KUNIT_EXPECT_EQ(test, entry[PCI_MSIX_ENTRY_VECTOR_CTRL / sizeof(u32)], 0);
	KUNIT_EXPECT_EQ(test, desc.pci.msix_ctrl, PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

static struct pci_dev *removal_find_vf(struct pci_dev *pf, int i)
{
	return pci_get_domain_bus_and_slot(pci_domain_nr(pf->bus),
					   pci_iov_virtfn_bus(pf, i),
					   pci_iov_virtfn_devfn(pf, i));
}

/* The VFs go with their PF, even if its driver has not disabled them */
static void test_vfs_left_enabled(struct kunit *test)
{
	struct pci_dev *vf;
	struct removal_ctx ctx;
	int i, domain;
	u8 busnr[NR_VFS], devfn[NR_VFS];

	removal_init(test, &ctx, &removal_offsets[1]);
	domain = pci_domain_nr(ctx.pf->bus);
	for (i = 0; i < NR_VFS; i++) {
		busnr[i] = ctx.vfs[i]->bus->number;
		devfn[i] = ctx.vfs[i]->devfn;
	}
	pci_bus_set_disconnected(ctx.pf->bus);
	pci_stop_and_remove_bus_device_locked(ctx.port);

	KUNIT_EXPECT_EQ(test, pci_num_vf(ctx.pf), 0);
	for (i = 0; i < NR_VFS; i++) {
		vf = pci_get_domain_bus_and_slot(domain, busnr[i], devfn[i]);
		KUNIT_EXPECT_NULL_MSG(test, vf, "VF %d", i);
		pci_dev_put(vf);
	}
}

/* Each VF holds one reference to its PF, for as long as it exists */
static void test_vf_holds_pf(struct kunit *test)
{
	struct pci_dev *vfs[NR_VFS], *pf;
	struct kunit_pci_host *host = kunit_pci_alloc_host(test);
	const struct removal_offset *offset = test->param_value;
	struct kunit_pci_fn *port, *fn;
	int i, ret, base;

	port = kunit_pci_add_port(host, NULL, PCI_DEVFN(1, 0),
				  PCI_EXP_TYPE_ROOT_PORT);
	fn = kunit_pci_add_endpoint(host, port, 0);
	kunit_pci_add_sriov(fn, NR_VFS, offset->offset, 1);
	kunit_pci_probe_host(host);
	pf = kunit_pci_get_dev(test, fn);
	KUNIT_ASSERT_NOT_NULL(test, pf);

	pci_lock_rescan_remove();
	ret = pci_enable_sriov(pf, NR_VFS);
	pci_unlock_rescan_remove();
	KUNIT_ASSERT_EQ(test, 0, ret);
	for (i = 0; i < NR_VFS; i++) {
		vfs[i] = removal_find_vf(pf, i);
		KUNIT_ASSERT_NOT_NULL(test, vfs[i]);
	}

	pci_bus_set_disconnected(pf->bus);
	pci_lock_rescan_remove();
	/* In reverse, as the PCI core and hotplug drivers do */
	for (i = NR_VFS - 1; i >= 0; i--)
		if (vfs[i]->bus == pf->bus)
			pci_stop_and_remove_bus_device(vfs[i]);
	pci_stop_and_remove_bus_device(pf);
	pci_unlock_rescan_remove();

	/* Removed: what is left is the reference of this test, and the VFs' */
	base = kref_read(&pf->dev.kobj.kref) - NR_VFS;
	KUNIT_EXPECT_EQ(test, base, 1);
	for (i = 0; i < NR_VFS; i++)
		pci_dev_put(vfs[i]);
	/* (CONFIG_DEBUG_KOBJECT_RELEASE puts it off) */
	for (i = 0; i < 1000 && kref_read(&pf->dev.kobj.kref) > 1; i++)
		msleep(20);
	KUNIT_EXPECT_EQ(test, kref_read(&pf->dev.kobj.kref), 1);
}

/* Where error recovery is */
enum recovery_step { NOWHERE, ERROR_DETECTED, RESET, SLOT_RESET, RESUME };

/* What ->remove() met with */
struct removal_driver {
	struct pci_driver drv;
	struct kunit_pci_fn *yank;	/* to be yanked in the midst of ->remove() */
	struct kunit_pci_fn *fn;
	struct pci_dev *pf;
	int probed, removed;
	int marked, absent;
	unsigned int reads, writes;	/* that reached the PF in ->remove() */

	/* Error recovery of the PF stops at @step, ->remove() waits for it */
	enum recovery_step step;
	struct completion reached, go_on;
	struct pci_dev *wait_in_remove;
	int detected, slot_resets, resumed;
	int told;		/* how many devices have been told of an error */
	pci_ers_result_t result;
};

static void recovery_stop(struct removal_driver *rdrv, enum recovery_step step)
{
	if (rdrv->step != step)
		return;
	complete_all(&rdrv->reached);
	wait_for_completion_timeout(&rdrv->go_on, 10 * HZ);
}

static int removal_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct removal_driver *rdrv = container_of(pdev->driver,
						   struct removal_driver, drv);

	rdrv->probed++;
	pci_set_master(pdev);
	return pci_enable_device(pdev);
}

static void removal_remove(struct pci_dev *pdev)
{
	struct removal_driver *rdrv = container_of(pdev->driver,
						   struct removal_driver, drv);
	struct kunit_pci_count count;
	u32 id;

	if (pdev == rdrv->wait_in_remove) {
		complete_all(&rdrv->reached);
		wait_for_completion_timeout(&rdrv->go_on, 10 * HZ);
	}

	rdrv->removed++;
	rdrv->marked += pci_dev_is_disconnected(pdev);
	rdrv->absent += !pci_device_is_present(pdev);
	if (pdev != rdrv->pf) {
		pci_disable_device(pdev);
		return;
	}

	if (rdrv->yank) {
		kunit_pci_yank(rdrv->yank);
		pci_bus_set_disconnected(pdev->bus);
	}
	kunit_pci_take_count(rdrv->fn);
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &id);
	pci_disable_sriov(pdev);
	pci_disable_device(pdev);
	count = kunit_pci_take_count(rdrv->fn);
	rdrv->reads = count.reads;
	rdrv->writes = count.writes;
}

static pci_ers_result_t removal_error_detected(struct pci_dev *pdev,
					       pci_channel_state_t state)
{
	struct removal_driver *rdrv = container_of(pdev->driver,
						   struct removal_driver, drv);

	if (state == pci_channel_io_perm_failure)
		return PCI_ERS_RESULT_DISCONNECT;
	rdrv->told++;
	if (pdev == rdrv->pf) {
		rdrv->detected++;
		recovery_stop(rdrv, ERROR_DETECTED);
	}
	return PCI_ERS_RESULT_NEED_RESET;
}

static pci_ers_result_t removal_slot_reset(struct pci_dev *pdev)
{
	struct removal_driver *rdrv = container_of(pdev->driver,
						   struct removal_driver, drv);

	if (pdev == rdrv->pf) {
		rdrv->slot_resets++;
		recovery_stop(rdrv, SLOT_RESET);
	}
	return PCI_ERS_RESULT_RECOVERED;
}

static void removal_resume(struct pci_dev *pdev)
{
	struct removal_driver *rdrv = container_of(pdev->driver,
						   struct removal_driver, drv);

	if (pdev == rdrv->pf) {
		rdrv->resumed++;
		recovery_stop(rdrv, RESUME);
	}
}

static const struct pci_error_handlers removal_err_handler = {
	.error_detected = removal_error_detected,
	.slot_reset = removal_slot_reset,
	.resume = removal_resume,
};

static const struct pci_device_id removal_ids[] = {
	{ PCI_DEVICE(KUNIT_PCI_VENDOR, KUNIT_PCI_ENDPOINT) },
	{ PCI_DEVICE(KUNIT_PCI_VENDOR, KUNIT_PCI_VF) },
	{ }
};

static struct removal_driver *removal_register_driver(struct kunit *test)
{
	struct removal_driver *rdrv = kunit_pci_zalloc(test, sizeof(*rdrv));

	rdrv->drv.name = "kunit-pci-removal";
	rdrv->drv.id_table = removal_ids;
	rdrv->drv.probe = removal_probe;
	rdrv->drv.remove = removal_remove;
	rdrv->drv.err_handler = &removal_err_handler;
	rdrv->drv.sriov_configure = pci_sriov_configure_simple;
	init_completion(&rdrv->reached);
	init_completion(&rdrv->go_on);
	kunit_pci_register_driver(test, &rdrv->drv);
	return rdrv;
}

static const struct removal_time {
	const char *desc;
	enum { YANK_BEFORE, YANK_UNNOTICED, YANK_DURING, YANK_AFTER } when;
	int nr_vfs;		/* none where it takes a second to disable them */
	int marked;		/* number of devices marked at their ->remove() */
	int absent;		/* number of devices not present then */
} removal_times[] = {
	{ "yank before", YANK_BEFORE, NR_VFS, 2 + NR_VFS, 2 + NR_VFS },
	{ "yank before, not noticed", YANK_UNNOTICED, 0, 0, 2 },
	{ "yank in the midst of the PF's", YANK_DURING, NR_VFS, 2, 2 },
	{ "yank after", YANK_AFTER, 0, 0, 0 },
};

KUNIT_ARRAY_PARAM_DESC(removal_time, removal_times, desc);

/* ->remove() of a PF, its VFs and another function with the card yanked */
static void test_driver_remove(struct kunit *test)
{
	const struct removal_time *time = test->param_value;
	struct removal_driver *rdrv;
	struct kunit_pci_count count;
	struct removal_ctx ctx;

	rdrv = removal_register_driver(test);
	removal_init(test, &ctx, time->nr_vfs ? &removal_offsets[1] : NULL);
	rdrv->pf = ctx.pf;
	rdrv->fn = ctx.pf_fn;
	/* PF, VFs, sibling; and the other two that nothing happens to */
	KUNIT_EXPECT_EQ(test, rdrv->probed, 2 + time->nr_vfs + 2);

	kunit_pci_take_count(ctx.pf_fn);
	if (time->when == YANK_BEFORE || time->when == YANK_UNNOTICED)
		kunit_pci_yank(ctx.port_fn);
	if (time->when == YANK_BEFORE)
		pci_bus_set_disconnected(ctx.port->subordinate);
	if (time->when == YANK_DURING)
		rdrv->yank = ctx.port_fn;

	pci_stop_and_remove_bus_device_locked(ctx.port);
	if (time->when == YANK_AFTER)
		kunit_pci_yank(ctx.port_fn);

	KUNIT_EXPECT_EQ(test, rdrv->removed, 2 + time->nr_vfs);
	KUNIT_EXPECT_EQ(test, rdrv->marked, time->marked);
	KUNIT_EXPECT_EQ(test, rdrv->absent, time->absent);
	if (time->when == YANK_BEFORE || time->when == YANK_DURING) {
		KUNIT_EXPECT_EQ(test, rdrv->reads, 0);
		KUNIT_EXPECT_EQ(test, rdrv->writes, 0);
	} else {
		KUNIT_EXPECT_GT(test, rdrv->reads, 0);
		KUNIT_EXPECT_GT(test, rdrv->writes, 0);
	}
	count = kunit_pci_take_count(ctx.pf_fn);
	if (time->when == YANK_BEFORE || time->when == YANK_DURING) {
		KUNIT_EXPECT_EQ_MSG(test, count.reads, 0, "after ->remove()");
		KUNIT_EXPECT_EQ_MSG(test, count.writes, 0, "after ->remove()");
	}
}

static int removal_remove_fn(void *data)
{
	pci_stop_and_remove_bus_device_locked(data);
	return 0;
}

static const struct removal_file {
	const char *name, *val;
	bool vf;		/* It is in the directory of a VF */
} removal_files[] = {
	{ "rescan", "1" },
	{ "remove", "1" },
	{ "sriov_numvfs", "0" },
	{ "sriov_vf_msix_count", "1", true },
};

KUNIT_ARRAY_PARAM_DESC(removal_file, removal_files, name);

/*
 * A file of a PF is written to when the PF is about to be removed.  Removal has
 * the rescan lock by then, and is to wait for those who write to its files.  For
 * a VF, which its PF's ->remove() is about to remove, it has the PF's lock, too.
 */
static void test_remove_during_write(struct kunit *test)
{
	const struct removal_file *file = test->param_value;
	struct kunit_pci_thread *write, *remove;
	struct removal_driver *rdrv;
	struct removal_ctx ctx;
	char path[64];
	int *ret;

	ret = kunit_pci_zalloc(test, sizeof(*ret));
	rdrv = removal_register_driver(test);
	removal_init(test, &ctx, &removal_offsets[2]);
	rdrv->pf = ctx.pf;
	rdrv->fn = ctx.pf_fn;
	/* The sibling comes before the PF */
	rdrv->wait_in_remove = file->vf ? ctx.pf : ctx.sibling;
	snprintf(path, sizeof(path), "bus/pci/devices/%s/%s",
		 pci_name(file->vf ? ctx.vfs[0] : ctx.pf), file->name);

	kunit_pci_yank(ctx.port_fn);
	pci_bus_set_disconnected(ctx.port->subordinate);
	remove = kunit_pci_run(test, removal_remove_fn, ctx.port);
	KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&rdrv->reached, 10 * HZ), 0);
	write = kunit_pci_write_sysfs(test, path, file->val, ret);
	KUNIT_EXPECT_FALSE(test, kunit_pci_wait(write, HZ / 5));
	complete_all(&rdrv->go_on);
	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(remove, 0));
	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(write, 0));
	KUNIT_EXPECT_EQ(test, rdrv->removed, 2 + NR_VFS);
	/* The file has gone before it had the lock */
	KUNIT_EXPECT_EQ(test, *ret, -ENODEV);
}

struct removal_reset {
	struct pci_dev *pdev;
	struct kunit_pci_thread *thread;
	int ret;
};

static int removal_reset_fn(void *data)
{
	struct removal_reset *reset = data;

	reset->ret = pci_reset_function(reset->pdev);
	return 0;
}

/* Returns when FLR of @pdev, which is @fn, is done, and it is waited for */
static struct removal_reset *removal_start_reset(struct kunit *test,
						 struct pci_dev *pdev,
						 struct kunit_pci_fn *fn)
{
	struct removal_reset *reset = kunit_pci_zalloc(test, sizeof(*reset));
	int i, rrs = 0;

	kunit_pci_set_reset_rrs(fn, KUNIT_PCI_RRS_FOREVER);
	reset->pdev = pdev;
	reset->thread = kunit_pci_run(test, removal_reset_fn, reset);
	for (i = 0; i < 1000 && rrs < 2; i++) {
		msleep(20);
		rrs += kunit_pci_take_count(fn).rrs;
	}
	KUNIT_EXPECT_GE(test, rrs, 2);
	KUNIT_EXPECT_FALSE(test, kunit_pci_wait(reset->thread, 1));
	return reset;
}

/* A reset that waits for a device ends when it is marked, and removal goes on */
static void test_remove_during_reset(struct kunit *test)
{
	struct removal_reset *reset;
	struct removal_driver *rdrv;
	struct removal_ctx ctx;
	struct kunit_pci_thread *remove;

	rdrv = removal_register_driver(test);
	removal_init(test, &ctx, NULL);
	reset = removal_start_reset(test, ctx.pf, ctx.pf_fn);
	kunit_pci_yank(ctx.pf_fn);
	pci_bus_set_disconnected(ctx.pf->bus);
	remove = kunit_pci_run(test, removal_remove_fn, ctx.pf);
	/* It has slept for less than two seconds, and looks when it wakes up */
	KUNIT_EXPECT_TRUE(test, kunit_pci_wait(reset->thread, 10 * HZ));
	KUNIT_EXPECT_TRUE(test, kunit_pci_wait(remove, 10 * HZ));
	KUNIT_EXPECT_EQ(test, rdrv->removed, 1);
	KUNIT_EXPECT_EQ(test, reset->ret, -ENOTTY);
}

/* If it goes during FLR, no other reset is tried, which would be of its port */
static void test_disconnected_during_reset(struct kunit *test)
{
	struct removal_reset *reset;
	struct removal_ctx ctx;

	removal_init(test, &ctx, NULL);
	KUNIT_ASSERT_EQ(test, 0, pci_probe_reset_bus(ctx.other->bus));
	reset = removal_start_reset(test, ctx.other, ctx.other_fn);
	kunit_pci_take_count(ctx.port2_fn);
	kunit_pci_yank(ctx.other_fn);
	pci_dev_set_disconnected(ctx.other, NULL);
	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(reset->thread, 10 * HZ));
	KUNIT_EXPECT_EQ(test, reset->ret, -ENOTTY);
	KUNIT_EXPECT_EQ(test, kunit_pci_take_count(ctx.port2_fn).writes, 0);
}

#ifdef CONFIG_PCIEAER
/* There is no way to hand anything to the one that resets */
static struct removal_driver *recovering;

static pci_ers_result_t removal_reset_subordinates(struct pci_dev *port)
{
	recovery_stop(recovering, RESET);
	return PCI_ERS_RESULT_RECOVERED;
}

static int removal_recover_fn(void *data)
{
	recovering->result = pcie_do_recovery(data, pci_channel_io_frozen,
					      removal_reset_subordinates);
	return 0;
}

static struct removal_driver *removal_recovery_init(struct kunit *test,
						    struct removal_ctx *ctx,
						    const struct removal_offset *offset)
{
	struct removal_driver *rdrv = removal_register_driver(test);

	removal_init(test, ctx, offset);
	rdrv->pf = ctx->pf;
	rdrv->fn = ctx->pf_fn;
	recovering = rdrv;
	return rdrv;
}

/* All that is below a port is told, but for the VFs on virtual buses */
static void test_recovery_reach(struct kunit *test)
{
	struct kunit_pci_thread *recover;
	struct removal_driver *rdrv;
	struct removal_ctx ctx;

	rdrv = removal_recovery_init(test, &ctx, &removal_offsets[1]);
	recover = kunit_pci_run(test, removal_recover_fn, ctx.root);
	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(recover, 0));
	/* The PF, the one beside it, and the one below the other port */
	KUNIT_EXPECT_EQ(test, rdrv->told, 3 + NR_VFS - removal_offsets[1].nr_virtual);
	KUNIT_EXPECT_EQ(test, rdrv->slot_resets, 1);
	KUNIT_EXPECT_EQ(test, rdrv->resumed, 1);
	KUNIT_EXPECT_EQ(test, (__force int)rdrv->result,
			(__force int)PCI_ERS_RESULT_RECOVERED);
}

/* What is gone does not recover: pciehp must not ignore that the link is down */
static void test_recovery_disconnected(struct kunit *test)
{
	struct kunit_pci_thread *recover;
	struct removal_driver *rdrv;
	struct removal_ctx ctx;

	rdrv = removal_recovery_init(test, &ctx, NULL);
	pci_bus_set_disconnected(ctx.port->subordinate);
	recover = kunit_pci_run(test, removal_recover_fn, ctx.port);
	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(recover, 0));
	KUNIT_EXPECT_EQ(test, rdrv->told, 0);
	KUNIT_EXPECT_EQ(test, rdrv->resumed, 0);
	KUNIT_EXPECT_EQ(test, (__force int)rdrv->result,
			(__force int)PCI_ERS_RESULT_DISCONNECT);
}

static const struct removal_step {
	const char *desc;
	enum recovery_step step;
	bool yank;
} removal_steps[] = {
	{ "yank in ->error_detected()", ERROR_DETECTED, true },
	{ "yank while the link is reset", RESET, true },
	{ "yank in ->slot_reset()", SLOT_RESET, true },
	{ "yank in ->resume()", RESUME, true },
	{ "sysfs in ->error_detected()", ERROR_DETECTED, false },
	{ "sysfs while the link is reset", RESET, false },
	{ "sysfs in ->slot_reset()", SLOT_RESET, false },
	{ "sysfs in ->resume()", RESUME, false },
};

KUNIT_ARRAY_PARAM_DESC(removal_step, removal_steps, desc);

/* Removal while the device is recovered from an error; either comes to an end */
static void test_remove_during_recovery(struct kunit *test)
{
	const struct removal_step *step = test->param_value;
	struct kunit_pci_thread *recover, *remove;
	struct kunit_pci_count count;
	struct removal_driver *rdrv;
	struct removal_ctx ctx;
	bool locked;

	rdrv = removal_recovery_init(test, &ctx, NULL);
	rdrv->step = step->step;
	recover = kunit_pci_run(test, removal_recover_fn, ctx.port);
	KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&rdrv->reached, 5 * HZ), 0);

	if (step->yank) {
		kunit_pci_yank(ctx.port_fn);
		pci_bus_set_disconnected(ctx.port->subordinate);
		kunit_pci_take_count(ctx.pf_fn);
	}
	remove = kunit_pci_run(test, removal_remove_fn, ctx.pf);
	/* A callback has the lock of the device, so ->remove() has to wait */
	locked = step->step != RESET;
	KUNIT_EXPECT_EQ(test, kunit_pci_wait(remove, locked ? HZ / 10 : 5 * HZ),
			!locked);
	complete_all(&rdrv->go_on);
	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(remove, 0));
	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(recover, 0));

	KUNIT_EXPECT_EQ(test, rdrv->removed, 1);
	KUNIT_EXPECT_EQ(test, rdrv->detected, 1);
	KUNIT_EXPECT_GE(test, rdrv->slot_resets, step->step >= SLOT_RESET);
	KUNIT_EXPECT_GE(test, rdrv->resumed, step->step >= RESUME);
	/* If nothing was pulled out, recovery may get the lock ahead of removal */
	if (step->yank || !locked) {
		KUNIT_EXPECT_EQ(test, rdrv->slot_resets, step->step >= SLOT_RESET);
		KUNIT_EXPECT_EQ(test, rdrv->resumed, step->step >= RESUME);
	}
	KUNIT_EXPECT_EQ(test, pci_dev_is_disconnected(ctx.pf), step->yank);
	if (step->yank) {
		count = kunit_pci_take_count(ctx.pf_fn);
		KUNIT_EXPECT_EQ(test, count.reads, 0);
		KUNIT_EXPECT_EQ(test, count.writes, 0);
	}
}

/*
 * Error recovery comes to a device whose ->remove() is about to remove others,
 * here its VFs.
 */
static void test_recover_during_remove(struct kunit *test)
{
	struct kunit_pci_thread *recover, *remove;
	struct removal_driver *rdrv;
	struct removal_ctx ctx;

	rdrv = removal_recovery_init(test, &ctx, &removal_offsets[2]);
	rdrv->wait_in_remove = ctx.pf;
	pci_bus_set_disconnected(ctx.port->subordinate);
	remove = kunit_pci_run(test, removal_remove_fn, ctx.pf);
	KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&rdrv->reached, 5 * HZ), 0);
	recover = kunit_pci_run(test, removal_recover_fn, ctx.port);
	/* Long enough for it to come to wait for the lock of the PF */
	KUNIT_EXPECT_FALSE(test, kunit_pci_wait(recover, HZ / 10));
	complete_all(&rdrv->go_on);
	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(remove, 0));
	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(recover, 0));
	KUNIT_EXPECT_EQ(test, rdrv->removed, 1 + NR_VFS);
	KUNIT_EXPECT_EQ(test, rdrv->detected, 0);
}
#endif

static struct kunit_case pci_removal_cases[] = {
	KUNIT_CASE(test_lost),
	KUNIT_CASE_PARAM(test_bus_set_disconnected, removal_offset_gen_params),
	KUNIT_CASE(test_hierarchy_set_disconnected),
	KUNIT_CASE(test_reset_disconnected),
	KUNIT_CASE(test_vf_bar_absent),
	KUNIT_CASE(test_wait_for_pending_disconnected),
	KUNIT_CASE(test_wait_for_pending),
	KUNIT_CASE(test_secondary_bus_disconnected),
	KUNIT_CASE_PARAM(test_resume_d3cold, removal_d3cold_gen_params),
	KUNIT_CASE(test_sriov_disable),
	KUNIT_CASE(test_sriov_disable_disconnected),
	KUNIT_CASE(test_msix_mask_disconnected),
	KUNIT_CASE(test_vfs_left_enabled),
	KUNIT_CASE_PARAM(test_vf_holds_pf, removal_offset_gen_params),
	KUNIT_CASE_PARAM(test_driver_remove, removal_time_gen_params),
	KUNIT_CASE_PARAM(test_remove_during_write, removal_file_gen_params),
	KUNIT_CASE(test_remove_during_reset),
	KUNIT_CASE(test_disconnected_during_reset),
#ifdef CONFIG_PCIEAER
	KUNIT_CASE(test_recovery_reach),
	KUNIT_CASE(test_recovery_disconnected),
	KUNIT_CASE_PARAM(test_remove_during_recovery, removal_step_gen_params),
	KUNIT_CASE(test_recover_during_remove),
#endif
	{}
};

static struct kunit_suite pci_removal_suite = {
	.name = "pci_removal",
	.test_cases = pci_removal_cases,
};

kunit_test_suite(pci_removal_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests for the removal of PCI devices");
