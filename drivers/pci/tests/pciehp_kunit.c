// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for surprise removal with pciehp
 */

#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/pci.h>
#include <linux/pm.h>
#include <linux/pm_runtime.h>
#include <linux/sched.h>
#include <linux/suspend.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include <kunit/pci.h>
#include <kunit/test.h>

#include "../hotplug/pciehp.h"
#include "../pci.h"
#include "../pcie/portdrv.h"

#define NR_VFS	4
#define NR_FNS	(1 + NR_VFS)
#define OTHER	0x1234		/* Device ID of another card, without driver */

/* A slot with an SR-IOV card, half of its VFs on a virtual bus */
struct pciehp_ctx {
	struct pci_driver drv;
	struct kunit_pci_fn *port_fn, *pf;
	struct pci_dev *port;
	struct controller *ctrl;
	int probed, removed, marked;
	bool yank_and_reset;	/* what ->remove() of the PF shall do */
	bool wait_in_remove;
	struct completion reached, go_on;
	struct controller *outer;	/* of a slot above, if there is one */
	struct pci_dev *up;		/* in that slot */
	int ret;		/* of a thread */
	bool poll_mode;		/* as they were before */
	int poll_time;
};

/*
 * Unless it has interrupts, pciehp polls when the test tells it to, and not at
 * any other time.
 */
#define POLL_TIME	60

static void pciehp_look(struct pciehp_ctx *ctx)
{
	if (ctx->ctrl->poll_thread)
		wake_up_process(ctx->ctrl->poll_thread);
	msleep(20);
}

/* Until pciehp has got to the point where it waits for the rescan lock */
static bool pciehp_look_until_waiting(struct pciehp_ctx *ctx)
{
	int i;

	for (i = 0; i < 1000; i++) {
		/* No need for order: who is there stays until the test goes on */
		if (waitqueue_active(&pci_rescan_remove_wq))
			return true;
		pciehp_look(ctx);
	}
	return false;
}

static bool pciehp_poll_until(struct pciehp_ctx *ctx, int *count, int target)
{
	int i;

	for (i = 0; i < 1000; i++) {
		if (READ_ONCE(*count) == target && !READ_ONCE(ctx->ctrl->ist_running))
			return true;
		pciehp_look(ctx);
	}
	return false;
}

/* Until pciehp has dealt with all that the slot has told */
static bool pciehp_settle(struct pciehp_ctx *ctx)
{
	int i, quiet = 0;
	u16 sltsta;

	for (i = 0; i < 1000 && quiet < 3; i++) {
		pciehp_look(ctx);
		pcie_capability_read_word(ctx->port, PCI_EXP_SLTSTA, &sltsta);
		if (sltsta & ~PCI_EXP_SLTSTA_PDS ||
		    atomic_read(&ctx->ctrl->pending_events) ||
		    READ_ONCE(ctx->ctrl->ist_running))
			quiet = 0;
		else
			quiet++;
	}
	return quiet == 3;
}

static int pciehp_test_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct pciehp_ctx *ctx = container_of(pdev->driver, struct pciehp_ctx, drv);
	int ret;

	/*
	 * Turning the slot off and on makes the link go and come.  pciehp ignores
	 * that up to here, but if it has to poll, it gets to know only later.
	 */
	if (ctx->ctrl && POWER_CTRL(ctx->ctrl))
		pcie_clear_hotplug_events(ctx->ctrl);

	ret = pci_enable_device(pdev);
	pci_set_master(pdev);
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
		for (i = 0; i < 1000 && !pci_dev_is_disconnected(pdev); i++)
			pciehp_look(ctx);
		pciehp_reset_slot(&ctx->ctrl->hotplug_slot, PCI_RESET_DO_RESET);
	}
	if (ctx->wait_in_remove) {
		complete(&ctx->reached);
		wait_for_completion_timeout(&ctx->go_on, 60 * HZ);
	}
	if (pdev->is_physfn)
		pci_disable_sriov(pdev);
	/* It is left at work, to be stopped by pciehp */
	ctx->marked += pci_dev_is_disconnected(pdev);
	ctx->removed++;
}

static const struct pci_device_id pciehp_test_ids[] = {
	{ PCI_DEVICE(KUNIT_PCI_VENDOR, KUNIT_PCI_ENDPOINT) },
	{ PCI_DEVICE(KUNIT_PCI_VENDOR, KUNIT_PCI_VF) },
	{ }
};

static void pciehp_restore_poll_mode(void *data)
{
	struct pciehp_ctx *ctx = data;

	pciehp_poll_mode = ctx->poll_mode;
	pciehp_poll_time = ctx->poll_time;
}

static void pciehp_let_sleep(void *data)
{
	pm_runtime_put(data);
}

static void pciehp_mark(void *data)
{
	struct pci_dev *port = data;

	/* If SR-IOV is still enabled, it takes a second to disable it */
	if (port->subordinate && !kunit_pci_stuck())
		pci_bus_set_disconnected(port->subordinate);
}

static struct controller *pciehp_get_ctrl(struct kunit *test, struct pci_dev *port)
{
	struct device *service, *awake;
	struct controller *ctrl;
	int ret;

	ret = kunit_add_action_or_reset(test, pciehp_mark, port);
	KUNIT_ASSERT_EQ(test, 0, ret);

	/*
	 * With its parent suspended, pciehp_isr() never says that it is done.  A
	 * port that is suspended itself has PME instead of interrupts.
	 */
	awake = pciehp_poll_mode ? port->dev.parent : &port->dev;
	pm_runtime_get_sync(awake);
	ret = kunit_add_action_or_reset(test, pciehp_let_sleep, awake);
	KUNIT_ASSERT_EQ(test, 0, ret);

	service = pcie_port_find_device(port, PCIE_PORT_SERVICE_HP);
	KUNIT_ASSERT_NOT_NULL(test, service);
	ctrl = get_service_data(to_pcie_device(service));
	KUNIT_ASSERT_NOT_NULL(test, ctrl);
	return ctrl;
}

static int pciehp_init(struct kunit *test, u32 caps, bool nested, bool poll)
{
	struct pciehp_ctx *ctx = kunit_pci_zalloc(test, sizeof(*ctx));
	struct kunit_pci_fn *root_fn, *up_fn;
	struct kunit_pci_host *host;
	struct pci_dev *root;
	int ret;

	test->priv = ctx;
	ctx->drv.name = "kunit-pciehp";
	ctx->drv.id_table = pciehp_test_ids;
	ctx->drv.probe = pciehp_test_probe;
	ctx->drv.remove = pciehp_test_remove;
	init_completion(&ctx->reached);
	init_completion(&ctx->go_on);
	kunit_pci_register_driver(test, &ctx->drv);

	/* To be restored after the slot is gone */
	ctx->poll_mode = pciehp_poll_mode;
	ctx->poll_time = pciehp_poll_time;
	ret = kunit_add_action(test, pciehp_restore_poll_mode, ctx);
	KUNIT_ASSERT_EQ(test, 0, ret);
	pciehp_poll_mode = poll;
	/* A thread that is busy when it is stopped looks up an interval later */
	pciehp_poll_time = nested ? 1 : POLL_TIME;

	host = kunit_pci_alloc_host(test);
	root_fn = kunit_pci_add_port(host, NULL, PCI_DEVFN(1, 0),
				     PCI_EXP_TYPE_ROOT_PORT);
	kunit_pci_add_slot(root_fn, caps);
	ctx->port_fn = root_fn;
	if (nested) {
		up_fn = kunit_pci_add_port(host, root_fn, 0, PCI_EXP_TYPE_UPSTREAM);
		ctx->port_fn = kunit_pci_add_port(host, up_fn, PCI_DEVFN(1, 0),
						  PCI_EXP_TYPE_DOWNSTREAM);
		kunit_pci_add_slot(ctx->port_fn, caps);
	}
	ctx->pf = kunit_pci_add_endpoint(host, ctx->port_fn, 0);
	if (!nested)
		kunit_pci_add_sriov(ctx->pf, NR_VFS, 254, 1);
	kunit_pci_probe_host(host);

	if (nested) {
		root = kunit_pci_get_dev(test, root_fn);
		KUNIT_ASSERT_NOT_NULL(test, root);
		ctx->outer = pciehp_get_ctrl(test, root);
		ctx->up = kunit_pci_get_dev(test, up_fn);
		KUNIT_ASSERT_NOT_NULL(test, ctx->up);
	}
	ctx->port = kunit_pci_get_dev(test, ctx->port_fn);
	KUNIT_ASSERT_NOT_NULL(test, ctx->port);
	ctx->ctrl = pciehp_get_ctrl(test, ctx->port);
	KUNIT_ASSERT_EQ(test, ctx->probed, nested ? 1 : NR_FNS);
	KUNIT_ASSERT_TRUE(test, pciehp_settle(ctx));
	return 0;
}

/* Nothing that the slot could have, as for NVMe or Thunderbolt */
static int pciehp_plain_init(struct kunit *test)
{
	return pciehp_init(test, PCI_EXP_SLTCAP_NCCS, false, true);
}

/* A button and indicators */
static int pciehp_full_init(struct kunit *test)
{
	return pciehp_init(test, PCI_EXP_SLTCAP_ABP | PCI_EXP_SLTCAP_AIP |
			   PCI_EXP_SLTCAP_PIP, false, true);
}

/* Interrupts; if there was a button, those for presence would not be enabled */
static int pciehp_irq_init(struct kunit *test)
{
	return pciehp_init(test, PCI_EXP_SLTCAP_AIP | PCI_EXP_SLTCAP_PIP, false, false);
}

/* A switch in the slot, with a slot below */
static int pciehp_nested_init(struct kunit *test)
{
	return pciehp_init(test, PCI_EXP_SLTCAP_NCCS, true, true);
}

static void expect_no_access(struct kunit *test, struct kunit_pci_fn *fn, const char *what)
{
	struct kunit_pci_count count = kunit_pci_take_count(fn);

	KUNIT_EXPECT_EQ_MSG(test, count.reads, 0, "%s", what);
	KUNIT_EXPECT_EQ_MSG(test, count.writes, 0, "%s", what);
}

/* Nobody is to think that something has gone wrong */
static void expect_no_alarm(struct kunit *test)
{
	struct pciehp_ctx *ctx = test->priv;
	u16 sltctl;

	if (!ATTN_LED(ctx->ctrl))
		return;
	pcie_capability_read_word(ctx->port, PCI_EXP_SLTCTL, &sltctl);
	KUNIT_EXPECT_NE(test, sltctl & PCI_EXP_SLTCTL_AIC, PCI_EXP_SLTCTL_ATTN_IND_ON);
}

/* Pull the card out, put one in, and again */
static void test_surprise_removal(struct kunit *test)
{
	struct pciehp_ctx *ctx = test->priv;
	int i, n;

	for (n = 1; n <= 2; n++) {
		kunit_pci_take_count(ctx->pf);
		for (i = 0; i < NR_VFS; i++)
			kunit_pci_take_count(kunit_pci_vf(ctx->pf, i));

		kunit_pci_yank(ctx->pf);
		KUNIT_ASSERT_TRUE(test, pciehp_poll_until(ctx, &ctx->removed, n * NR_FNS));
		KUNIT_EXPECT_EQ(test, ctx->marked, n * NR_FNS);
		KUNIT_EXPECT_NULL(test, kunit_pci_get_dev(test, ctx->pf));
		for (i = 0; i < NR_VFS; i++)
			expect_no_access(test, kunit_pci_vf(ctx->pf, i), "VF");
		expect_no_access(test, ctx->pf, "PF");
		KUNIT_EXPECT_TRUE(test, pciehp_settle(ctx));
		expect_no_alarm(test);

		kunit_pci_plug(ctx->pf, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));
		KUNIT_ASSERT_TRUE(test, pciehp_poll_until(ctx, &ctx->probed, (n + 1) * NR_FNS));
		KUNIT_EXPECT_NOT_NULL(test, kunit_pci_get_dev(test, ctx->pf));
	}
}

static int pciehp_disable_fn(void *data)
{
	struct pciehp_ctx *ctx = data;

	ctx->ret = pciehp_sysfs_disable_slot(&ctx->ctrl->hotplug_slot);
	return 0;
}

static int pciehp_enable_fn(void *data)
{
	struct pciehp_ctx *ctx = data;

	ctx->ret = pciehp_sysfs_enable_slot(&ctx->ctrl->hotplug_slot);
	return 0;
}

/* A card that is to be removed is there: its drivers get to know it as such */
static void expect_orderly(struct kunit *test)
{
	struct pciehp_ctx *ctx = test->priv;
	u16 cmd;

	KUNIT_EXPECT_EQ(test, ctx->removed, NR_FNS);
	KUNIT_EXPECT_EQ(test, ctx->marked, 0);
	KUNIT_EXPECT_NULL(test, kunit_pci_get_dev(test, ctx->pf));
	KUNIT_EXPECT_GT(test, kunit_pci_take_count(ctx->pf).writes, 0);
	if (POWER_CTRL(ctx->ctrl)) {
		KUNIT_EXPECT_FALSE(test, kunit_pci_powered(ctx->port_fn));
		return;
	}
	pci_bus_read_config_word(ctx->port->subordinate, 0, PCI_COMMAND, &cmd);
	KUNIT_EXPECT_EQ(test, cmd & (PCI_COMMAND_INTX_DISABLE | PCI_COMMAND_MASTER),
			PCI_COMMAND_INTX_DISABLE);
}

/* Turn the slot off and on by "power" in sysfs */
static void test_orderly_removal(struct kunit *test)
{
	struct pciehp_ctx *ctx = test->priv;
	struct kunit_pci_thread *thread;

	kunit_pci_take_count(ctx->pf);
	thread = kunit_pci_run(test, pciehp_disable_fn, ctx);
	KUNIT_ASSERT_TRUE(test, pciehp_poll_until(ctx, &ctx->removed, NR_FNS));
	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(thread, 0));
	KUNIT_EXPECT_EQ(test, ctx->ret, 0);
	expect_orderly(test);

	thread = kunit_pci_run(test, pciehp_enable_fn, ctx);
	KUNIT_ASSERT_TRUE(test, pciehp_poll_until(ctx, &ctx->probed, 2 * NR_FNS));
	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(thread, 0));
	KUNIT_EXPECT_EQ(test, ctx->ret, 0);
	KUNIT_EXPECT_EQ(test, ctx->ctrl->state, ON_STATE);
}

/* Five seconds later */
static void pciehp_button_time_is_up(struct pciehp_ctx *ctx)
{
	mod_delayed_work(system_percpu_wq, &ctx->ctrl->button_work, 0);
	flush_delayed_work(&ctx->ctrl->button_work);
}

static void press_button(struct kunit *test, u8 state)
{
	struct pciehp_ctx *ctx = test->priv;

	kunit_pci_press_button(ctx->port_fn);
	KUNIT_ASSERT_TRUE(test, pciehp_settle(ctx));
	KUNIT_EXPECT_EQ(test, ctx->ctrl->state, state);
	KUNIT_EXPECT_EQ(test, delayed_work_pending(&ctx->ctrl->button_work),
			state == BLINKINGOFF_STATE || state == BLINKINGON_STATE);
	KUNIT_EXPECT_EQ(test, ctx->removed, ctx->probed - NR_FNS +
			(state == OFF_STATE || state == BLINKINGON_STATE) * NR_FNS);
}

/* The same by the Attention Button: to press it again is to change one's mind */
static void test_button(struct kunit *test)
{
	struct pciehp_ctx *ctx = test->priv;

	kunit_pci_take_count(ctx->pf);
	press_button(test, BLINKINGOFF_STATE);
	press_button(test, ON_STATE);
	press_button(test, BLINKINGOFF_STATE);
	pciehp_button_time_is_up(ctx);
	KUNIT_ASSERT_TRUE(test, pciehp_poll_until(ctx, &ctx->removed, NR_FNS));
	KUNIT_ASSERT_TRUE(test, pciehp_settle(ctx));
	expect_orderly(test);

	/* To be resumed must not be what turns the slot on: let the port sleep */
	msleep(300);
	press_button(test, BLINKINGON_STATE);
	press_button(test, OFF_STATE);
	press_button(test, BLINKINGON_STATE);
	pciehp_button_time_is_up(ctx);
	KUNIT_ASSERT_TRUE(test, pciehp_poll_until(ctx, &ctx->probed, 2 * NR_FNS));
	KUNIT_ASSERT_TRUE(test, pciehp_settle(ctx));
	KUNIT_EXPECT_EQ(test, ctx->ctrl->state, ON_STATE);
	expect_no_alarm(test);
}

/* The card is pulled out before the five seconds are over */
static void test_yank_after_button(struct kunit *test)
{
	struct pciehp_ctx *ctx = test->priv;

	press_button(test, BLINKINGOFF_STATE);
	kunit_pci_yank(ctx->pf);
	KUNIT_ASSERT_TRUE(test, pciehp_poll_until(ctx, &ctx->removed, NR_FNS));
	KUNIT_ASSERT_TRUE(test, pciehp_settle(ctx));
	KUNIT_EXPECT_EQ(test, ctx->marked, NR_FNS);
	KUNIT_EXPECT_FALSE(test, delayed_work_pending(&ctx->ctrl->button_work));
	KUNIT_EXPECT_EQ(test, ctx->ctrl->state, OFF_STATE);
}

static void link_down(struct pciehp_ctx *ctx)
{
	kunit_pci_set_link(ctx->port_fn, false);
}

static void link_up(struct pciehp_ctx *ctx)
{
	kunit_pci_set_link(ctx->port_fn, true);
}

static void link_blinks(struct pciehp_ctx *ctx)
{
	link_down(ctx);
	link_up(ctx);
}

static void presence_blinks(struct pciehp_ctx *ctx)
{
	kunit_pci_glitch_presence(ctx->port_fn);
}

static void card_blinks(struct pciehp_ctx *ctx)
{
	kunit_pci_yank(ctx->pf);
	kunit_pci_restore(ctx->pf);
}

static void other_card(struct pciehp_ctx *ctx)
{
	kunit_pci_yank(ctx->pf);
	kunit_pci_plug(ctx->pf, KUNIT_PCI_ID(OTHER));
}

static const struct pciehp_event {
	const char *desc;
	void (*happen)(struct pciehp_ctx *ctx);
	void (*then)(struct pciehp_ctx *ctx);
	u16 device;		/* which is there in the end */
} pciehp_events[] = {
	{ "link down, then up", link_down, link_up, KUNIT_PCI_ENDPOINT },
	{ "link down and up", link_blinks, NULL, KUNIT_PCI_ENDPOINT },
	{ "presence lost and found", presence_blinks, NULL, KUNIT_PCI_ENDPOINT },
	{ "card out and in", card_blinks, NULL, KUNIT_PCI_ENDPOINT },
	{ "another card", other_card, NULL, OTHER },
};

KUNIT_ARRAY_PARAM_DESC(pciehp_event, pciehp_events, desc);

/*
 * Whatever it was that changed, the card may not be the same.  What was found
 * before is gone for its drivers, what is there now is found.
 */
static void test_event(struct kunit *test)
{
	const struct pciehp_event *event = test->param_value;
	struct pciehp_ctx *ctx = test->priv;
	int probed = (event->device == OTHER ? 1 : 2) * NR_FNS;
	struct pci_dev *pdev;

	event->happen(ctx);
	KUNIT_ASSERT_TRUE(test, pciehp_poll_until(ctx, &ctx->removed, NR_FNS));
	KUNIT_EXPECT_EQ(test, ctx->marked, NR_FNS);
	if (event->then) {
		KUNIT_EXPECT_TRUE(test, pciehp_settle(ctx));
		KUNIT_EXPECT_NULL(test, kunit_pci_get_dev(test, ctx->pf));
		KUNIT_EXPECT_EQ(test, ctx->probed, NR_FNS);
		event->then(ctx);
	}
	KUNIT_ASSERT_TRUE(test, pciehp_poll_until(ctx, &ctx->probed, probed));
	if (!POWER_CTRL(ctx->ctrl))
		KUNIT_ASSERT_TRUE(test, pciehp_settle(ctx));
	KUNIT_EXPECT_EQ(test, ctx->removed, NR_FNS);
	pdev = kunit_pci_get_dev(test, ctx->pf);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	KUNIT_EXPECT_EQ(test, pdev->device, event->device);
	KUNIT_EXPECT_FALSE(test, pci_dev_is_disconnected(pdev));
}

static void nothing(struct pciehp_ctx *ctx)
{
}

static void yank(struct pciehp_ctx *ctx)
{
	kunit_pci_yank(ctx->pf);
}

/* Unnoticed, because the system was asleep or the slot in a reset */
static void replace(struct pciehp_ctx *ctx)
{
	kunit_pci_plug(ctx->pf, KUNIT_PCI_ID(OTHER));
}

static const struct pciehp_while {
	const char *desc;
	void (*happen)(struct pciehp_ctx *ctx);
	bool gone;
} pciehp_whiles[] = {
	{ "same card", nothing, false },
	{ "link down and up", link_blinks, false },
	{ "card replaced", replace, true },
	{ "card pulled out", yank, true },
};

KUNIT_ARRAY_PARAM_DESC(pciehp_while, pciehp_whiles, desc);

static void expect_gone(struct kunit *test, bool gone)
{
	struct pciehp_ctx *ctx = test->priv;

	if (gone)
		KUNIT_EXPECT_TRUE(test, pciehp_poll_until(ctx, &ctx->removed, NR_FNS));
	else
		KUNIT_EXPECT_TRUE(test, pciehp_settle(ctx));
	KUNIT_EXPECT_EQ(test, ctx->removed, gone * NR_FNS);
	KUNIT_EXPECT_EQ(test, ctx->marked, gone * NR_FNS);
	KUNIT_EXPECT_EQ(test, ctx->probed, NR_FNS);
}

/* A reset of the slot is no removal, unless the card is another one thereafter */
static void test_reset_slot(struct kunit *test)
{
	const struct pciehp_while *w = test->param_value;
	struct pciehp_ctx *ctx = test->priv;

	pciehp_reset_slot(&ctx->ctrl->hotplug_slot, PCI_RESET_DO_RESET);
	w->happen(ctx);
	expect_gone(test, w->gone);
}

/* The same for a reset of what is above, after an error */
static void test_slot_reset(struct kunit *test)
{
	struct pciehp_ctx *ctx = test->priv;
	const struct pci_error_handlers *err = ctx->port->driver->err_handler;

	link_blinks(ctx);
	err->slot_reset(ctx->port);
	expect_gone(test, false);

	link_down(ctx);
	err->slot_reset(ctx->port);
	expect_gone(test, true);
}

/* What happens while the system sleeps is found out before drivers resume */
static void test_resume(struct kunit *test)
{
	const struct pciehp_while *w = test->param_value;
	struct pciehp_ctx *ctx = test->priv;
	const struct dev_pm_ops *pm = ctx->port->driver->driver.pm;
	struct pci_dev *pf, *vf;

	if (!IS_ENABLED(CONFIG_PM_SLEEP))
		kunit_skip(test, "needs CONFIG_PM_SLEEP");

	pf = kunit_pci_get_dev(test, ctx->pf);
	vf = kunit_pci_get_dev(test, kunit_pci_vf(ctx->pf, NR_VFS - 1));
	KUNIT_ASSERT_NOT_NULL(test, pf);
	KUNIT_ASSERT_NOT_NULL(test, vf);
	KUNIT_ASSERT_NE(test, pf->bus->number, vf->bus->number);

	KUNIT_EXPECT_EQ(test, 0, pm->suspend(&ctx->port->dev));
	w->happen(ctx);
	KUNIT_EXPECT_EQ(test, 0, pm->resume_noirq(&ctx->port->dev));
	KUNIT_EXPECT_EQ(test, pci_dev_is_disconnected(pf), w->gone);
	KUNIT_EXPECT_EQ(test, pci_dev_is_disconnected(vf), w->gone);
	KUNIT_EXPECT_EQ(test, 0, pm->resume(&ctx->port->dev));
	expect_gone(test, w->gone);
}

#ifdef CONFIG_SUSPEND
static void pciehp_awake(void *data)
{
	struct device *dev = data;

	pm_suspend_clear_flags();
	pm_runtime_put(dev);
}

/*
 * In suspend-to-idle the port stays in D0.  What pciehp does to the slot, as
 * soon as it knows what has happened, is not undone when the port is resumed.
 */
static void test_resume_idle(struct kunit *test)
{
	struct pciehp_ctx *ctx = test->priv;
	struct device *dev = &ctx->port->dev;
	const struct dev_pm_ops *pm = dev->bus->pm;
	u16 sltctl;
	int ret;

	/* What the PM core does */
	pm_runtime_get_sync(dev);
	pm_set_suspend_no_platform();
	ret = kunit_add_action_or_reset(test, pciehp_awake, dev);
	KUNIT_ASSERT_EQ(test, 0, ret);
	dev->power.must_resume = true;

	KUNIT_EXPECT_EQ(test, 0, pm->suspend(dev));
	KUNIT_EXPECT_EQ(test, 0, pm->suspend_noirq(dev));
	KUNIT_EXPECT_TRUE(test, ctx->port->current_state == PCI_D0);
	kunit_pci_yank(ctx->pf);
	KUNIT_EXPECT_EQ(test, 0, pm->resume_noirq(dev));
	KUNIT_ASSERT_TRUE(test, pciehp_poll_until(ctx, &ctx->removed, NR_FNS));
	KUNIT_EXPECT_TRUE(test, pciehp_settle(ctx));
	KUNIT_EXPECT_EQ(test, 0, pm->resume(dev));

	pcie_capability_read_word(ctx->port, PCI_EXP_SLTCTL, &sltctl);
	KUNIT_EXPECT_EQ(test, sltctl & PCI_EXP_SLTCTL_PIC, PCI_EXP_SLTCTL_PWR_IND_OFF);
}
#else
static void test_resume_idle(struct kunit *test)
{
	kunit_skip(test, "needs CONFIG_SUSPEND");
}
#endif

static int pciehp_remove_fn(void *data)
{
	pci_stop_and_remove_bus_device_locked(data);
	return 0;
}

/*
 * While a working card is removed, it is pulled out.  Its driver resets the
 * slot in ->remove(), at a time when pciehp waits for the removal to end.
 */
static void test_reset_slot_during_removal(struct kunit *test)
{
	struct pciehp_ctx *ctx = test->priv;
	struct pci_dev *pf = kunit_pci_get_dev(test, ctx->pf);
	struct kunit_pci_thread *thread;

	KUNIT_ASSERT_NOT_NULL(test, pf);
	ctx->yank_and_reset = true;
	thread = kunit_pci_run(test, pciehp_remove_fn, pf);
	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(thread, 0));
	KUNIT_EXPECT_EQ(test, ctx->removed, NR_FNS);
	KUNIT_EXPECT_TRUE(test, pciehp_poll_until(ctx, &ctx->removed, NR_FNS));
}

/* Returns with the rescan lock held, and pciehp waiting for it to add a card */
static bool plug_until_waiting(struct kunit *test)
{
	struct pciehp_ctx *ctx = test->priv;

	kunit_pci_yank(ctx->pf);
	KUNIT_ASSERT_TRUE(test, pciehp_poll_until(ctx, &ctx->removed, NR_FNS));
	KUNIT_ASSERT_TRUE(test, pciehp_settle(ctx));

	pci_lock_rescan_remove();
	kunit_pci_plug(ctx->pf, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));
	return pciehp_look_until_waiting(ctx);
}

/*
 * pciehp has looked at the link when it comes to wait for the rescan lock.  If
 * the bus is reset meanwhile, it has to wait for the link once more.
 */
static void test_reset_before_scan(struct kunit *test)
{
	struct pciehp_ctx *ctx = test->priv;
	bool waits;
	int i;

	waits = plug_until_waiting(test);
	link_down(ctx);
	/* As a reset does it: no event that pciehp could go by instead */
	pcie_clear_hotplug_events(ctx->ctrl);
	pci_unlock_rescan_remove();
	msleep(50);
	link_up(ctx);
	pcie_clear_hotplug_events(ctx->ctrl);

	KUNIT_EXPECT_TRUE(test, waits);
	for (i = 0; i < 500 && READ_ONCE(ctx->probed) < 2 * NR_FNS; i++)
		msleep(20);
	KUNIT_EXPECT_EQ(test, ctx->probed, 2 * NR_FNS);
}

/*
 * If the card is enumerated meanwhile, by "rescan" in sysfs, and pulled out, the
 * slot must not be taken for one that is off, or nobody removes the devices.
 */
static void test_rescan_before_scan(struct kunit *test)
{
	struct pciehp_ctx *ctx = test->priv;
	bool waits;

	waits = plug_until_waiting(test);
	pci_rescan_bus(ctx->port->subordinate);
	KUNIT_EXPECT_EQ(test, ctx->probed, 2 * NR_FNS);
	kunit_pci_yank(ctx->pf);
	pci_unlock_rescan_remove();

	KUNIT_EXPECT_TRUE(test, waits);
	KUNIT_EXPECT_TRUE(test, pciehp_poll_until(ctx, &ctx->removed, 2 * NR_FNS));
	KUNIT_EXPECT_EQ(test, ctx->marked, 2 * NR_FNS);
}

static int pciehp_disable_outer_fn(void *data)
{
	struct pciehp_ctx *ctx = data;

	ctx->ret = pciehp_sysfs_disable_slot(&ctx->outer->hotplug_slot);
	return 0;
}

static const struct pciehp_both {
	const char *desc;
	bool outer_slot;	/* is turned off, else the switch is removed */
	bool inner_slot;	/* is turned off, else the card is pulled out */
} pciehp_boths[] = {
	{ "switch removed, card pulled out", false, false },
	{ "slot of switch turned off, card pulled out", true, false },
	{ "switch removed, slot turned off", false, true },
};

KUNIT_ARRAY_PARAM_DESC(pciehp_both, pciehp_boths, desc);

/*
 * While a switch is removed, something happens to a slot below.  pciehp of that
 * slot comes to wait for the lock that the remover has, who is about to wait for
 * pciehp, or for who waits for that.
 */
static void test_nested_removal(struct kunit *test)
{
	const struct pciehp_both *both = test->param_value;
	struct kunit_pci_thread *remove, *power = NULL;
	struct pciehp_ctx *ctx = test->priv;
	bool reached = false, waits;
	char path[64];
	int *ret, i;

	ret = kunit_pci_zalloc(test, sizeof(*ret));
	snprintf(path, sizeof(path), "bus/pci/slots/%s/power", slot_name(ctx->ctrl));
	ctx->wait_in_remove = true;
	if (both->outer_slot)
		remove = kunit_pci_run(test, pciehp_disable_outer_fn, ctx);
	else
		remove = kunit_pci_run(test, pciehp_remove_fn, ctx->up);
	for (i = 0; i < 1000 && !reached; i++) {
		if (both->outer_slot)
			wake_up_process(ctx->outer->poll_thread);
		reached = wait_for_completion_timeout(&ctx->reached, HZ / 50);
	}
	KUNIT_EXPECT_TRUE(test, reached);

	if (both->inner_slot)
		power = kunit_pci_write_sysfs(test, path, "0", ret);
	else
		kunit_pci_yank(ctx->pf);
	waits = pciehp_look_until_waiting(ctx);
	KUNIT_EXPECT_TRUE(test, waits);
	complete(&ctx->go_on);

	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(remove, 0));
	KUNIT_EXPECT_EQ(test, ctx->ret, 0);
	if (power) {
		KUNIT_ASSERT_TRUE(test, kunit_pci_wait(power, 0));
		KUNIT_EXPECT_EQ(test, *ret, -ENODEV);
	}
	KUNIT_EXPECT_EQ(test, ctx->removed, 1);
	KUNIT_EXPECT_EQ(test, ctx->marked, !both->inner_slot);
	KUNIT_EXPECT_NULL(test, kunit_pci_get_dev(test, ctx->pf));
	KUNIT_EXPECT_NULL(test, kunit_pci_get_dev(test, ctx->port_fn));
}

/* Nobody waits for a port that is gone to complete a command */
static void test_disconnected_port(struct kunit *test)
{
	struct pciehp_ctx *ctx = test->priv;
	struct kunit_pci_thread *thread;
	unsigned long start;

	ctx->ctrl->slot_cap &= ~PCI_EXP_SLTCAP_NCCS;
	kunit_pci_yank(ctx->port_fn);
	pci_bus_set_disconnected(ctx->port->bus);
	kunit_pci_take_count(ctx->port_fn);

	start = jiffies;
	thread = kunit_pci_run(test, pciehp_remove_fn, ctx->port);
	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(thread, 0));
	KUNIT_EXPECT_LT(test, jiffies - start, HZ);
	KUNIT_EXPECT_EQ(test, ctx->removed, NR_FNS);
	expect_no_access(test, ctx->port_fn, "port");
}

static int pciehp_error_reset_fn(void *data)
{
	struct pciehp_ctx *ctx = data;

	ctx->ret = pci_bus_error_reset(ctx->port);
	return 0;
}

static int pciehp_assign_slot_fn(void *data)
{
	pci_dev_assign_slot(data);
	return 0;
}

/*
 * Error recovery resets the slot while pciehp enumerates what is in it, with
 * its reset_lock held.  Each of the two must be able to go on.
 */
static void test_error_reset_during_scan(struct kunit *test)
{
	struct pciehp_ctx *ctx = test->priv;
	struct pci_dev *pf = kunit_pci_get_dev(test, ctx->pf);
	struct kunit_pci_thread *reset, *scan;
	bool waits = false;
	int i;

	KUNIT_ASSERT_NOT_NULL(test, pf);
	down_read_nested(&ctx->ctrl->reset_lock, ctx->ctrl->depth);
	reset = kunit_pci_run(test, pciehp_error_reset_fn, ctx);
	for (i = 0; i < 1000 && !waits; i++) {
		msleep(20);
		waits = rwsem_is_contended(&ctx->ctrl->reset_lock);
	}
	scan = kunit_pci_run(test, pciehp_assign_slot_fn, pf);
	KUNIT_EXPECT_TRUE(test, kunit_pci_wait(scan, 10 * HZ));
	up_read(&ctx->ctrl->reset_lock);

	KUNIT_EXPECT_TRUE(test, kunit_pci_wait(reset, 0));
	KUNIT_EXPECT_TRUE(test, waits);
	KUNIT_EXPECT_EQ(test, ctx->ret, 0);
}

static struct kunit_case pciehp_cases[] = {
	KUNIT_CASE(test_surprise_removal),
	KUNIT_CASE(test_orderly_removal),
	KUNIT_CASE_PARAM(test_event, pciehp_event_gen_params),
	KUNIT_CASE_PARAM(test_reset_slot, pciehp_while_gen_params),
	KUNIT_CASE(test_slot_reset),
	KUNIT_CASE_PARAM(test_resume, pciehp_while_gen_params),
	KUNIT_CASE(test_reset_slot_during_removal),
	KUNIT_CASE(test_error_reset_during_scan),
	KUNIT_CASE(test_reset_before_scan),
	KUNIT_CASE(test_rescan_before_scan),
	KUNIT_CASE(test_disconnected_port),
	{}
};

static struct kunit_case pciehp_nested_cases[] = {
	KUNIT_CASE_PARAM(test_nested_removal, pciehp_both_gen_params),
	{}
};

static struct kunit_case pciehp_full_cases[] = {
	KUNIT_CASE(test_surprise_removal),
	KUNIT_CASE(test_orderly_removal),
	KUNIT_CASE(test_button),
	KUNIT_CASE(test_yank_after_button),
	KUNIT_CASE(test_resume_idle),
	KUNIT_CASE_PARAM(test_event, pciehp_event_gen_params),
	{}
};

static struct kunit_case pciehp_irq_cases[] = {
	KUNIT_CASE(test_surprise_removal),
	KUNIT_CASE(test_orderly_removal),
	KUNIT_CASE_PARAM(test_event, pciehp_event_gen_params),
	{}
};

static struct kunit_suite pciehp_suite = {
	.name = "pciehp",
	.init = pciehp_plain_init,
	.test_cases = pciehp_cases,
};

static struct kunit_suite pciehp_full_suite = {
	.name = "pciehp_full",
	.init = pciehp_full_init,
	.test_cases = pciehp_full_cases,
};

static struct kunit_suite pciehp_irq_suite = {
	.name = "pciehp_irq",
	.init = pciehp_irq_init,
	.test_cases = pciehp_irq_cases,
};

static struct kunit_suite pciehp_nested_suite = {
	.name = "pciehp_nested",
	.init = pciehp_nested_init,
	.test_cases = pciehp_nested_cases,
};

kunit_test_suites(&pciehp_suite, &pciehp_full_suite, &pciehp_irq_suite,
		  &pciehp_nested_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests for surprise removal with pciehp");
