// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for error recovery by AER and DPC
 */

#include <linux/aer.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/string.h>

#include <kunit/pci.h>
#include <kunit/test.h>

#include "../pci.h"

#define OTHER		0x1234	/* Device ID of another card, without driver */
#define LINK_TIME	40	/* in ms */

/*
 * What the driver of the card has been called for, in that order: + probe, N F P
 * error_detected (by the state: normal, frozen, perm_failure), M mmio_enabled,
 * S slot_reset, R resume, - remove
 */
#define LOG_SIZE	32

struct recovery_ctx {
	struct pci_driver drv;
	struct kunit_pci_fn *port_fn, *fn;
	struct pci_dev *port, *pdev;
	pci_ers_result_t detected, slot_reset;	/* what the driver answers */
	char yank_at;		/* and what for it is called when the card goes */
	bool contained;		/* then: DPC has not reset the link yet */
	bool marked;		/* at the last ->remove() */
	int len;
	char log[LOG_SIZE];
};

static struct recovery_ctx *to_ctx(struct pci_dev *pdev)
{
	return container_of(pdev->driver, struct recovery_ctx, drv);
}

static void recovery_log(struct pci_dev *pdev, char what)
{
	struct recovery_ctx *ctx = to_ctx(pdev);
	int i;

	if (ctx->len < LOG_SIZE - 1)
		ctx->log[ctx->len++] = what;
	if (what != ctx->yank_at)
		return;
	kunit_pci_yank(ctx->fn);
	/* pciehp notices at once, but if it waits for DPC to be over */
	for (i = 0; i < 1000 && !ctx->contained && !pci_dev_is_disconnected(pdev); i++)
		msleep(20);
}

static int recovery_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	/* Without PM capability, the core would not wait for the link */
	pdev->d3cold_delay = LINK_TIME;
	pci_save_state(pdev);
	recovery_log(pdev, '+');
	return 0;
}

static void recovery_remove(struct pci_dev *pdev)
{
	to_ctx(pdev)->marked = pci_dev_is_disconnected(pdev);
	recovery_log(pdev, '-');
}

static pci_ers_result_t recovery_error_detected(struct pci_dev *pdev,
						pci_channel_state_t state)
{
	recovery_log(pdev, state == pci_channel_io_normal ? 'N' :
		     state == pci_channel_io_frozen ? 'F' : 'P');
	return to_ctx(pdev)->detected;
}

static pci_ers_result_t recovery_mmio_enabled(struct pci_dev *pdev)
{
	recovery_log(pdev, 'M');
	return PCI_ERS_RESULT_RECOVERED;
}

static pci_ers_result_t recovery_slot_reset(struct pci_dev *pdev)
{
	recovery_log(pdev, 'S');
	pci_restore_state(pdev);
	pci_save_state(pdev);
	return to_ctx(pdev)->slot_reset;
}

static void recovery_resume(struct pci_dev *pdev)
{
	recovery_log(pdev, 'R');
}

static const struct pci_error_handlers recovery_err_handler = {
	.error_detected = recovery_error_detected,
	.mmio_enabled = recovery_mmio_enabled,
	.slot_reset = recovery_slot_reset,
	.resume = recovery_resume,
};

static const struct pci_device_id recovery_ids[] = {
	{ PCI_DEVICE(KUNIT_PCI_VENDOR, KUNIT_PCI_ENDPOINT) },
	{ }
};

static void recovery_let_sleep(void *data)
{
	pm_runtime_put(data);
}

/* A Root Port with AER and, if there is a slot, pciehp; and perhaps with DPC */
static struct recovery_ctx *recovery_init(struct kunit *test, bool slot, bool dpc)
{
	struct recovery_ctx *ctx = kunit_pci_zalloc(test, sizeof(*ctx));
	struct kunit_pci_host *host;
	int ret;

	ctx->drv.name = "kunit-pci-recovery";
	ctx->drv.id_table = recovery_ids;
	ctx->drv.probe = recovery_probe;
	ctx->drv.remove = recovery_remove;
	ctx->drv.err_handler = &recovery_err_handler;
	ctx->detected = PCI_ERS_RESULT_NEED_RESET;
	ctx->slot_reset = PCI_ERS_RESULT_RECOVERED;
	kunit_pci_register_driver(test, &ctx->drv);

	host = kunit_pci_alloc_host(test);
	ctx->port_fn = kunit_pci_add_port(host, NULL, PCI_DEVFN(1, 0),
					  PCI_EXP_TYPE_ROOT_PORT);
	kunit_pci_add_aer(ctx->port_fn);
	if (slot)
		kunit_pci_add_slot(ctx->port_fn, PCI_EXP_SLTCAP_NCCS);
	if (dpc)
		kunit_pci_add_dpc(ctx->port_fn);
	ctx->fn = kunit_pci_add_endpoint(host, ctx->port_fn, 0);
	kunit_pci_add_aer(ctx->fn);
	kunit_pci_probe_host(host);

	ctx->port = kunit_pci_get_dev(test, ctx->port_fn);
	ctx->pdev = kunit_pci_get_dev(test, ctx->fn);
	KUNIT_ASSERT_NOT_NULL(test, ctx->port);
	KUNIT_ASSERT_NOT_NULL(test, ctx->pdev);
	KUNIT_ASSERT_STREQ(test, ctx->log, "+");

	/* While it sleeps, a slot has PME instead of interrupts */
	pm_runtime_get_sync(&ctx->port->dev);
	ret = kunit_add_action_or_reset(test, recovery_let_sleep, &ctx->port->dev);
	KUNIT_ASSERT_EQ(test, 0, ret);
	return ctx;
}

static int recovery_settle_fn(void *data)
{
	struct recovery_ctx *ctx = data;
	int i;

	/* Some of the threads give others work, and an interrupt may take a tick */
	for (i = 0; i < 3; i++) {
		msleep(30);
		synchronize_irq(ctx->port->irq);
	}
	return 0;
}

/* Until AER, DPC and pciehp are done, which they have to be some time */
static void recovery_settle(struct kunit *test, struct recovery_ctx *ctx)
{
	struct kunit_pci_thread *thread = kunit_pci_run(test, recovery_settle_fn, ctx);

	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(thread, 0));
}

/* @log: what comes on top of what was there before */
static void expect_log(struct kunit *test, struct recovery_ctx *ctx, const char *log)
{
	KUNIT_EXPECT_STREQ(test, ctx->log, log);
	memset(ctx->log, 0, sizeof(ctx->log));
	ctx->len = 0;
}

static int recovery_remove_fn(void *data)
{
	pci_stop_and_remove_bus_device_locked(data);
	return 0;
}

static const struct recovery_error {
	const char *desc;
	bool slot, dpc, fatal, unbound;
	pci_ers_result_t detected, slot_reset;
	const char *log;
	pci_channel_state_t state;	/* in the end */
} recovery_errors[] = {
	{
		.desc = "non-fatal, driver can recover",
		.detected = PCI_ERS_RESULT_CAN_RECOVER,
		.log = "NMR", .state = pci_channel_io_normal,
	}, {
		.desc = "non-fatal, driver needs reset",
		.detected = PCI_ERS_RESULT_NEED_RESET,
		.slot_reset = PCI_ERS_RESULT_RECOVERED,
		.log = "NSR", .state = pci_channel_io_normal,
	}, {
		.desc = "fatal", .fatal = true,
		.detected = PCI_ERS_RESULT_NEED_RESET,
		.slot_reset = PCI_ERS_RESULT_RECOVERED,
		.log = "FSR", .state = pci_channel_io_normal,
	}, {
		.desc = "fatal, in a slot", .fatal = true, .slot = true,
		.detected = PCI_ERS_RESULT_NEED_RESET,
		.slot_reset = PCI_ERS_RESULT_RECOVERED,
		.log = "FSR", .state = pci_channel_io_normal,
	}, {
		.desc = "contained, in a slot", .fatal = true, .slot = true, .dpc = true,
		.detected = PCI_ERS_RESULT_NEED_RESET,
		.slot_reset = PCI_ERS_RESULT_RECOVERED,
		.log = "FSR", .state = pci_channel_io_normal,
	}, {
		.desc = "non-fatal, driver gives up",
		.detected = PCI_ERS_RESULT_DISCONNECT,
		.log = "NP", .state = pci_channel_io_normal,
	}, {
		.desc = "fatal, driver gives up", .fatal = true, .slot = true,
		.detected = PCI_ERS_RESULT_DISCONNECT,
		.log = "FP", .state = pci_channel_io_frozen,
	}, {
		.desc = "contained, driver gives up", .fatal = true, .slot = true, .dpc = true,
		.detected = PCI_ERS_RESULT_DISCONNECT,
		.log = "FP", .state = pci_channel_io_frozen,
	}, {
		.desc = "fatal, driver gives up after reset", .fatal = true,
		.detected = PCI_ERS_RESULT_NEED_RESET,
		.slot_reset = PCI_ERS_RESULT_DISCONNECT,
		.log = "FSP", .state = pci_channel_io_normal,
	}, {
		.desc = "fatal, no driver", .fatal = true, .unbound = true,
		.log = "", .state = pci_channel_io_frozen,
	},
};

KUNIT_ARRAY_PARAM_DESC(recovery_error, recovery_errors, desc);

/*
 * What the driver is told, and what is known of the device when that is over.
 * That a recovery has failed is no reason to take it for gone: it is there, and
 * its removal is another matter.
 */
static void test_recovery(struct kunit *test)
{
	const struct recovery_error *e = test->param_value;
	struct recovery_ctx *ctx = recovery_init(test, e->slot, e->dpc);
	bool recovers = strchr(e->log, 'R'), failed = !recovers;
	struct kunit_pci_thread *thread;
	int round;
	u32 status;
	u16 cmd;

	if (e->unbound)
		device_release_driver(&ctx->pdev->dev);
	expect_log(test, ctx, e->unbound ? "+-" : "+");
	ctx->detected = e->detected;
	ctx->slot_reset = e->slot_reset;

	/* If it has recovered, it does so again */
	for (round = 0; round <= recovers; round++) {
		/* Of what the driver has saved, this is not: it shows a reset */
		pci_read_config_word(ctx->pdev, PCI_COMMAND, &cmd);
		pci_write_config_word(ctx->pdev, PCI_COMMAND, cmd | PCI_COMMAND_PARITY);
		kunit_pci_report_error(ctx->fn, PCI_ERR_UNC_COMP_TIME, e->fatal);
		recovery_settle(test, ctx);

		expect_log(test, ctx, e->log);
		KUNIT_EXPECT_PTR_EQ(test, kunit_pci_get_dev(test, ctx->fn), ctx->pdev);
		KUNIT_EXPECT_TRUE(test, ctx->pdev->error_state == e->state);
		KUNIT_EXPECT_FALSE(test, pci_dev_is_disconnected(ctx->pdev));
		KUNIT_EXPECT_EQ(test, pci_channel_offline(ctx->pdev),
				e->state != pci_channel_io_normal);
		KUNIT_EXPECT_TRUE(test, pci_device_is_present(ctx->pdev));
		pci_read_config_word(ctx->pdev, PCI_COMMAND, &cmd);
		KUNIT_EXPECT_EQ(test, !(cmd & PCI_COMMAND_PARITY),
				e->fatal || strchr(e->log, 'S'));
		pci_read_config_dword(ctx->pdev, ctx->pdev->aer_cap + PCI_ERR_UNCOR_STATUS,
				      &status);
		if (recovers)
			KUNIT_EXPECT_EQ(test, status, 0);
	}

	thread = kunit_pci_run(test, recovery_remove_fn, ctx->pdev);
	KUNIT_ASSERT_TRUE(test, kunit_pci_wait(thread, 0));
	expect_log(test, ctx, e->unbound ? "" : "-");
	KUNIT_EXPECT_FALSE(test, ctx->marked);
	KUNIT_EXPECT_EQ(test, pci_channel_offline(ctx->pdev),
			failed && e->state != pci_channel_io_normal);
}

/* Error recovery waits for the card to be ready after the reset */
#define WAIT	'w'

static const struct recovery_yank {
	const char *desc;
	char at;
	bool dpc;
	bool rrs_hidden;	/* all-ones says that the card is not ready */
} recovery_yanks[] = {
	{ "in ->error_detected()", 'F' },
	{ "while the reset is waited for", WAIT },
	{ "while the reset is waited for, RRS not visible", WAIT, .rrs_hidden = true },
	{ "in ->slot_reset()", 'S' },
	{ "in ->resume()", 'R' },
	{ "contained, in ->error_detected()", 'F', .dpc = true },
	{ "contained, while the link is waited for", WAIT, .dpc = true },
	{ "contained, while the link is waited for, RRS not visible", WAIT, .dpc = true,
	  .rrs_hidden = true },
	{ "contained, in ->slot_reset()", 'S', .dpc = true },
};

KUNIT_ARRAY_PARAM_DESC(recovery_yank, recovery_yanks, desc);

static void expect_new_card(struct kunit *test, struct recovery_ctx *ctx)
{
	kunit_pci_set_reset_rrs(ctx->fn, 0);
	kunit_pci_plug(ctx->fn, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));
	recovery_settle(test, ctx);
	expect_log(test, ctx, "+");
}

/* The card is pulled out while recovery is under way: marked, removed, and over */
static void test_yank(struct kunit *test)
{
	const struct recovery_yank *yank = test->param_value;
	struct recovery_ctx *ctx = recovery_init(test, true, yank->dpc);
	const char *removed;
	int i, rrs = 0;

	expect_log(test, ctx, "+");
	ctx->yank_at = yank->at;
	ctx->contained = yank->dpc && yank->at == 'F';
	ctx->port->config_rrs_sv = !yank->rrs_hidden;
	if (yank->at == WAIT)
		kunit_pci_set_reset_rrs(ctx->fn, KUNIT_PCI_RRS_FOREVER);
	kunit_pci_report_error(ctx->fn, PCI_ERR_UNC_COMP_TIME, true);
	if (yank->at == WAIT) {
		kunit_pci_take_count(ctx->fn);
		for (i = 0; i < 1000 && rrs < 2; i++) {
			msleep(20);
			rrs += kunit_pci_take_count(ctx->fn).rrs;
		}
		KUNIT_EXPECT_GE(test, rrs, 2);
		kunit_pci_yank(ctx->fn);
	}
	recovery_settle(test, ctx);

	KUNIT_EXPECT_EQ(test, ctx->log[0], 'F');
	if (yank->at != WAIT)
		KUNIT_EXPECT_NOT_NULL(test, strchr(ctx->log, yank->at));
	removed = strchr(ctx->log, '-');
	KUNIT_ASSERT_NOT_NULL(test, removed);
	KUNIT_EXPECT_STREQ_MSG(test, removed, "-", "%s", ctx->log);
	KUNIT_EXPECT_TRUE(test, ctx->marked);
	KUNIT_EXPECT_TRUE(test, pci_dev_is_disconnected(ctx->pdev));
	KUNIT_EXPECT_NULL(test, kunit_pci_get_dev(test, ctx->fn));
	/* With the card marked, the core goes no further */
	if (!yank->dpc && yank->at != WAIT && yank->at != 'R')
		KUNIT_EXPECT_NULL(test, strchr(ctx->log, 'R'));
	/* Nor if it has not become ready (all-ones is ready, where RRS is visible) */
	if (yank->rrs_hidden)
		KUNIT_EXPECT_NULL(test, strchr(ctx->log, 'S'));

	memset(ctx->log, 0, sizeof(ctx->log));
	ctx->len = 0;
	ctx->yank_at = 0;
	expect_new_card(test, ctx);
	if (yank->at != 'F')
		return;
	/* It can recover */
	kunit_pci_report_error(ctx->fn, PCI_ERR_UNC_COMP_TIME, true);
	recovery_settle(test, ctx);
	expect_log(test, ctx, "FSR");
}

static const struct recovery_removal {
	const char *desc;
	bool surprise_down;	/* is what the port says */
	u16 device;		/* that is there next */
} recovery_removals[] = {
	{ "Surprise Down", true, 0 },
	{ "Surprise Down, another card", true, OTHER },
	{ "fatal error of the card", false, 0 },
	{ "fatal error of the card, another card", false, OTHER },
};

KUNIT_ARRAY_PARAM_DESC(recovery_removal, recovery_removals, desc);

/* The card goes, and that is what is contained: pciehp must not miss it */
static void test_contained_removal(struct kunit *test)
{
	const struct recovery_removal *r = test->param_value;
	struct recovery_ctx *ctx = recovery_init(test, true, true);
	struct pci_dev *pdev;
	u16 status;

	expect_log(test, ctx, "+");
	if (!r->surprise_down)
		kunit_pci_report_error(ctx->fn, PCI_ERR_UNC_COMP_TIME, true);
	kunit_pci_yank(ctx->fn);
	if (r->surprise_down)
		kunit_pci_report_error(ctx->port_fn, PCI_ERR_UNC_SURPDN, true);
	if (r->device)
		kunit_pci_plug(ctx->fn, KUNIT_PCI_ID(r->device));
	recovery_settle(test, ctx);

	/* Nobody is asked to recover from being pulled out */
	if (r->surprise_down)
		KUNIT_EXPECT_STREQ(test, ctx->log, "-");
	KUNIT_ASSERT_NOT_NULL(test, strchr(ctx->log, '-'));
	KUNIT_EXPECT_TRUE(test, ctx->marked);
	KUNIT_EXPECT_TRUE(test, pci_dev_is_disconnected(ctx->pdev));
	pci_read_config_word(ctx->port, ctx->port->dpc_cap + PCI_EXP_DPC_STATUS, &status);
	KUNIT_EXPECT_EQ(test, status & PCI_EXP_DPC_STATUS_TRIGGER, 0);

	memset(ctx->log, 0, sizeof(ctx->log));
	ctx->len = 0;
	pdev = kunit_pci_get_dev(test, ctx->fn);
	if (!r->device) {
		KUNIT_EXPECT_NULL(test, pdev);
		expect_new_card(test, ctx);
		return;
	}
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	KUNIT_EXPECT_EQ(test, pdev->device, r->device);
	KUNIT_EXPECT_FALSE(test, pci_channel_offline(pdev));
}

static struct kunit_case pci_recovery_cases[] = {
	KUNIT_CASE_PARAM(test_recovery, recovery_error_gen_params),
	KUNIT_CASE_PARAM(test_yank, recovery_yank_gen_params),
	KUNIT_CASE_PARAM(test_contained_removal, recovery_removal_gen_params),
	{}
};

static struct kunit_suite pci_recovery_suite = {
	.name = "pci_recovery",
	.test_cases = pci_recovery_cases,
};

kunit_test_suite(pci_recovery_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests for error recovery of PCI devices");
