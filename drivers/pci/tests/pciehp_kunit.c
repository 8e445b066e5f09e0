// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for surprise removal with pciehp
 */

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/sched.h>

#include <kunit/pci.h>
#include <kunit/test.h>

#include "../hotplug/pciehp.h"
#include "../pci.h"
#include "../pcie/portdrv.h"

#define NR_VFS	4

/* A slot with an SR-IOV card, half of its VFs on a virtual bus */
struct pciehp_ctx {
	struct pci_driver drv;
	struct kunit_pci_fn *port, *pf;
	struct controller *ctrl;
	int probed, removed, marked;
	bool yank_and_reset;	/* what ->remove() of the PF shall do */
};

/* pciehp polls after 10 seconds, and then once a second: don't wait for it */
static bool pciehp_poll_until(struct pciehp_ctx *ctx, int *count, int target)
{
	int i;

	for (i = 0; i < 1000; i++) {
		if (READ_ONCE(*count) == target && !READ_ONCE(ctx->ctrl->ist_running))
			return true;
		wake_up_process(ctx->ctrl->poll_thread);
		msleep(20);
	}
	return false;
}

static int pciehp_test_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct pciehp_ctx *ctx = container_of(pdev->driver, struct pciehp_ctx, drv);
	int ret;

	ret = pci_enable_device(pdev);
	if (!ret && pdev->is_physfn)
		ret = pci_enable_sriov(pdev, NR_VFS);
	ctx->probed++;
	return ret;
}

static void pciehp_test_remove(struct pci_dev *pdev)
{
	struct pciehp_ctx *ctx = container_of(pdev->driver, struct pciehp_ctx, drv);
	int i;

	if (pdev->is_physfn && ctx->yank_and_reset) {
		kunit_pci_yank(ctx->pf);
		for (i = 0; i < 1000 && !pci_dev_is_disconnected(pdev); i++) {
			wake_up_process(ctx->ctrl->poll_thread);
			msleep(20);
		}
		pciehp_reset_slot(&ctx->ctrl->hotplug_slot, PCI_RESET_DO_RESET);
	}
	if (pdev->is_physfn)
		pci_disable_sriov(pdev);
	pci_disable_device(pdev);
	ctx->marked += pci_dev_is_disconnected(pdev);
	ctx->removed++;
}

static const struct pci_device_id pciehp_test_ids[] = {
	{ PCI_DEVICE(KUNIT_PCI_VENDOR, KUNIT_PCI_ENDPOINT) },
	{ PCI_DEVICE(KUNIT_PCI_VENDOR, KUNIT_PCI_VF) },
	{ }
};

KUNIT_DEFINE_ACTION_WRAPPER(pci_unregister_driver_wrapper,
			    pci_unregister_driver, struct pci_driver *);

static void pciehp_restore_poll_mode(void *data)
{
	pciehp_poll_mode = !!data;
}

static void pciehp_suspend_parent(void *data)
{
	struct pci_dev *port = data;

	pm_runtime_put(port->dev.parent);
}

static void pciehp_mark(void *data)
{
	struct pci_dev *port = data;

	/* If SR-IOV is still enabled, it takes a second to disable it */
	if (port->subordinate)
		pci_bus_set_disconnected(port->subordinate);
}

static struct pciehp_ctx *pciehp_init(struct kunit *test)
{
	struct kunit_pci_host *host;
	struct pciehp_ctx *ctx;
	struct device *service;
	struct pci_dev *port;
	int ret;

	ctx = kunit_kzalloc(test, sizeof(*ctx), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, ctx);
	ctx->drv.name = "kunit-pciehp";
	ctx->drv.id_table = pciehp_test_ids;
	ctx->drv.probe = pciehp_test_probe;
	ctx->drv.remove = pciehp_test_remove;
	KUNIT_ASSERT_EQ(test, 0, pci_register_driver(&ctx->drv));
	ret = kunit_add_action_or_reset(test, pci_unregister_driver_wrapper,
					&ctx->drv);
	KUNIT_ASSERT_EQ(test, 0, ret);

	/* To be restored after the slot is gone */
	ret = kunit_add_action(test, pciehp_restore_poll_mode,
			       pciehp_poll_mode ? ctx : NULL);
	KUNIT_ASSERT_EQ(test, 0, ret);
	pciehp_poll_mode = true;

	host = kunit_pci_alloc_host(test);
	KUNIT_ASSERT_NOT_NULL(test, host);
	ctx->port = kunit_pci_add_port(host, NULL, PCI_DEVFN(1, 0),
				       PCI_EXP_TYPE_ROOT_PORT);
	kunit_pci_add_slot(ctx->port);
	ctx->pf = kunit_pci_add_endpoint(host, ctx->port, 0);
	kunit_pci_add_sriov(ctx->pf, NR_VFS, 254, 1);
	KUNIT_ASSERT_EQ(test, 0, kunit_pci_probe_host(host));

	port = kunit_pci_get_dev(test, ctx->port);
	KUNIT_ASSERT_NOT_NULL(test, port);
	ret = kunit_add_action_or_reset(test, pciehp_mark, port);
	KUNIT_ASSERT_EQ(test, 0, ret);

	/* With its parent suspended, pciehp_isr() never says that it is done */
	pm_runtime_get_sync(port->dev.parent);
	ret = kunit_add_action_or_reset(test, pciehp_suspend_parent, port);
	KUNIT_ASSERT_EQ(test, 0, ret);

	service = pcie_port_find_device(port, PCIE_PORT_SERVICE_HP);
	KUNIT_ASSERT_NOT_NULL(test, service);
	ctx->ctrl = get_service_data(to_pcie_device(service));
	KUNIT_ASSERT_NOT_NULL(test, ctx->ctrl);
	KUNIT_ASSERT_EQ(test, ctx->probed, 1 + NR_VFS);
	return ctx;
}

/* Pull the card out, put one in, and again */
static void test_surprise_removal(struct kunit *test)
{
	struct pciehp_ctx *ctx = pciehp_init(test);
	struct kunit_pci_count count;
	int i, n;

	for (n = 1; n <= 2; n++) {
		kunit_pci_count(ctx->pf);
		for (i = 0; i < NR_VFS; i++)
			kunit_pci_count(kunit_pci_vf(ctx->pf, i));

		kunit_pci_yank(ctx->pf);
		KUNIT_ASSERT_TRUE(test, pciehp_poll_until(ctx, &ctx->removed,
							  n * (1 + NR_VFS)));
		KUNIT_EXPECT_EQ(test, ctx->marked, n * (1 + NR_VFS));
		KUNIT_EXPECT_NULL(test, kunit_pci_get_dev(test, ctx->pf));
		for (i = 0; i < NR_VFS; i++) {
			count = kunit_pci_count(kunit_pci_vf(ctx->pf, i));
			KUNIT_EXPECT_EQ_MSG(test, count.reads, 0, "VF %d", i);
			KUNIT_EXPECT_EQ_MSG(test, count.writes, 0, "VF %d", i);
		}
		count = kunit_pci_count(ctx->pf);
		KUNIT_EXPECT_EQ(test, count.reads, 0);
		KUNIT_EXPECT_EQ(test, count.writes, 0);

		kunit_pci_plug(ctx->pf, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));
		KUNIT_ASSERT_TRUE(test, pciehp_poll_until(ctx, &ctx->probed,
							  (n + 1) * (1 + NR_VFS)));
		KUNIT_EXPECT_NOT_NULL(test, kunit_pci_get_dev(test, ctx->pf));
	}
}

/*
 * While a working card is removed, it is pulled out.  Its driver resets the
 * slot in ->remove(), at a time when pciehp waits for the removal to end.
 */
static void test_reset_slot_during_removal(struct kunit *test)
{
	struct pciehp_ctx *ctx = pciehp_init(test);
	struct pci_dev *pf = kunit_pci_get_dev(test, ctx->pf);

	KUNIT_ASSERT_NOT_NULL(test, pf);
	ctx->yank_and_reset = true;
	pci_stop_and_remove_bus_device_locked(pf);
	KUNIT_EXPECT_EQ(test, ctx->removed, 1 + NR_VFS);
	KUNIT_EXPECT_TRUE(test, pciehp_poll_until(ctx, &ctx->removed, 1 + NR_VFS));
}

/* Nobody waits for a port that is gone to complete a command */
static void test_disconnected_port(struct kunit *test)
{
	struct pciehp_ctx *ctx = pciehp_init(test);
	struct pci_dev *port = kunit_pci_get_dev(test, ctx->port);
	struct kunit_pci_count count;
	unsigned long start;

	KUNIT_ASSERT_NOT_NULL(test, port);
	ctx->ctrl->slot_cap &= ~PCI_EXP_SLTCAP_NCCS;
	kunit_pci_yank(ctx->port);
	pci_bus_set_disconnected(port->bus);
	kunit_pci_count(ctx->port);

	start = jiffies;
	pci_stop_and_remove_bus_device_locked(port);
	KUNIT_EXPECT_LT(test, jiffies - start, HZ);
	KUNIT_EXPECT_EQ(test, ctx->removed, 1 + NR_VFS);
	count = kunit_pci_count(ctx->port);
	KUNIT_EXPECT_EQ(test, count.reads, 0);
	KUNIT_EXPECT_EQ(test, count.writes, 0);
}

struct error_reset {
	struct completion done;
	struct pci_dev *port;
	int ret;
};

static int error_reset_thread(void *data)
{
	struct error_reset *reset = data;

	reset->ret = pci_bus_error_reset(reset->port);
	complete(&reset->done);
	return 0;
}

/*
 * Error recovery resets the slot while pciehp enumerates what is in it, with
 * its reset_lock held.  Each of the two must be able to go on.
 */
static void test_error_reset_during_scan(struct kunit *test)
{
	struct pciehp_ctx *ctx = pciehp_init(test);
	struct pci_dev *pf = kunit_pci_get_dev(test, ctx->pf);
	struct error_reset reset = {
		.port = kunit_pci_get_dev(test, ctx->port),
	};
	struct task_struct *task;
	bool waits = false;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pf);
	KUNIT_ASSERT_NOT_NULL(test, reset.port);
	init_completion(&reset.done);
	task = kthread_create(error_reset_thread, &reset, "kunit-pciehp");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);

	down_read_nested(&ctx->ctrl->reset_lock, ctx->ctrl->depth);
	wake_up_process(task);
	for (i = 0; i < 1000 && !waits; i++) {
		msleep(20);
		waits = rwsem_is_contended(&ctx->ctrl->reset_lock);
	}
	pci_dev_assign_slot(pf);
	up_read(&ctx->ctrl->reset_lock);

	wait_for_completion(&reset.done);
	KUNIT_EXPECT_TRUE(test, waits);
	KUNIT_EXPECT_EQ(test, reset.ret, 0);
}

static struct kunit_case pciehp_cases[] = {
	KUNIT_CASE(test_surprise_removal),
	KUNIT_CASE(test_reset_slot_during_removal),
	KUNIT_CASE(test_error_reset_during_scan),
	KUNIT_CASE(test_disconnected_port),
	{}
};

static struct kunit_suite pciehp_suite = {
	.name = "pciehp",
	.test_cases = pciehp_cases,
};

kunit_test_suite(pciehp_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests for surprise removal with pciehp");
