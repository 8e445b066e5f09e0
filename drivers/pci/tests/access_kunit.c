// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for a driver whose device goes at each of its accesses
 */

#include <linux/bits.h>
#include <linux/delay.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/pci.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include <kunit/pci.h>
#include <kunit/test.h>

#include "../pci.h"

/* Registers of the device */
#define ACCESS_ID	0x00
#define  THE_ID		0x600d1d
#define ACCESS_SIZE	0x04		/* number of entries that it wants */
#define  MAX_SIZE	64
#define ACCESS_CTRL	0x08
#define  CTRL_RESET	BIT(0)
#define  CTRL_RUN	BIT(1)
#define ACCESS_STATUS	0x0c
#define  STATUS_READY	BIT(0)
#define  STATUS_RUNS	BIT(1)

/* How long anything may take; the driver gives up much earlier */
#define BOUND		(10 * HZ)

struct access_ctx {
	struct pci_driver drv;
	struct kunit *test;
	struct kunit_pci_fn *port_fn, *fn;
	struct pci_dev *port;

	/* The device: it takes until @busy reads of its status have passed */
	u32 status, next;
	unsigned int busy;
	bool yank_at_size;

	/* What its driver has got, and has seen since the device is gone */
	int tables;
	unsigned int reads, ones;
	u32 size, largest;		/* as read, and ever relied on */
};

static u64 access_dev_read(void *priv, unsigned int offset, unsigned int size)
{
	struct access_ctx *ctx = priv;

	switch (offset) {
	case ACCESS_ID:
		return THE_ID;
	case ACCESS_SIZE:
		return MAX_SIZE / 2;
	case ACCESS_STATUS:
		if (!ctx->busy || !--ctx->busy)
			ctx->status = ctx->next;
		if (ctx->yank_at_size && ctx->status & STATUS_READY)
			kunit_pci_yank_after(ctx->fn, 1, NULL);
		return ctx->status;
	}
	return 0;
}

static void access_dev_write(void *priv, unsigned int offset, unsigned int size,
			     u64 val)
{
	struct access_ctx *ctx = priv;

	if (offset != ACCESS_CTRL)
		return;
	if (val & CTRL_RESET)
		ctx->status = 0;
	ctx->next = val & CTRL_RUN ? STATUS_READY | STATUS_RUNS : STATUS_READY;
	ctx->busy = 3;
}

static void access_dev_reset(void *priv)
{
	struct access_ctx *ctx = priv;

	ctx->status = 0;
	ctx->next = 0;
}

static const struct kunit_pci_bar_ops access_dev_ops = {
	.read = access_dev_read,
	.write = access_dev_write,
	.reset = access_dev_reset,
};

struct access_card {
	struct access_ctx *ctx;
	void __iomem *regs;
	u32 *table;
};

static u32 access_read(struct access_card *card, unsigned int reg)
{
	struct access_ctx *ctx = card->ctx;
	u32 val = readl(card->regs + reg);

	if (kunit_pci_yanked(ctx->fn)) {
		ctx->reads++;
		ctx->ones += PCI_POSSIBLE_ERROR(val);
	}
	return val;
}

static int access_wait(struct access_card *card, u32 mask, u32 status)
{
	u32 val;
	int i;

	for (i = 0; i < 100; i++) {
		val = access_read(card, ACCESS_STATUS);
		if (PCI_POSSIBLE_ERROR(val))
			return -ENODEV;
		if ((val & mask) == status)
			return 0;
		if (i < 10)
			udelay(5);
		else
			msleep(20);
	}
	return -ETIMEDOUT;
}

static int access_start(struct access_card *card)
{
	struct access_ctx *ctx = card->ctx;
	int ret;

	writel(CTRL_RESET, card->regs + ACCESS_CTRL);
	ret = access_wait(card, STATUS_READY, STATUS_READY);
	if (ret)
		return ret;

	/* Not to be relied on, whatever has been read before: so is all-ones */
	ctx->size = access_read(card, ACCESS_SIZE);
	if (ctx->size > MAX_SIZE)
		return -EIO;
	ctx->largest = max(ctx->largest, ctx->size);
	card->table = kcalloc(ctx->size, sizeof(*card->table), GFP_KERNEL);
	if (!card->table)
		return -ENOMEM;
	ctx->tables++;

	writel(CTRL_RUN, card->regs + ACCESS_CTRL);
	return access_wait(card, STATUS_RUNS, STATUS_RUNS);
}

static void access_stop(struct access_card *card)
{
	writel(0, card->regs + ACCESS_CTRL);
	access_wait(card, STATUS_RUNS, 0);
	/* It has stopped, or is gone, or there is nothing left to be done */
	card->ctx->tables -= !!card->table;
	kfree(card->table);
	card->table = NULL;
}

static int access_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct access_card *card = devm_kzalloc(&pdev->dev, sizeof(*card), GFP_KERNEL);
	int ret;

	if (!card)
		return -ENOMEM;
	card->ctx = container_of(pdev->driver, struct access_ctx, drv);
	pci_set_drvdata(pdev, card);
	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	card->regs = pcim_iomap_region(pdev, 0, "kunit-pci-access");
	if (IS_ERR(card->regs))
		return PTR_ERR(card->regs);
	if (access_read(card, ACCESS_ID) != THE_ID)
		return -ENODEV;
	pci_set_master(pdev);
	ret = access_start(card);
	if (ret)
		access_stop(card);
	return ret;
}

static void access_remove(struct pci_dev *pdev)
{
	access_stop(pci_get_drvdata(pdev));
}

static void access_reset_prepare(struct pci_dev *pdev)
{
	access_stop(pci_get_drvdata(pdev));
}

static void access_reset_done(struct pci_dev *pdev)
{
	struct access_card *card = pci_get_drvdata(pdev);

	if (access_start(card))
		access_stop(card);
}

static const struct pci_error_handlers access_err_handler = {
	.reset_prepare = access_reset_prepare,
	.reset_done = access_reset_done,
};

static const struct pci_device_id access_ids[] = {
	{ PCI_DEVICE(KUNIT_PCI_VENDOR, KUNIT_PCI_ENDPOINT) },
	{ }
};

static int access_do_reset(struct pci_dev *pdev)
{
	return pci_reset_function(pdev);
}

static const struct access_phase {
	const char *desc;
	int (*phase)(struct pci_dev *pdev);
	bool noticed;		/* It is marked when it goes, not after the phase */
} access_phases[] = {
	{ "probe", kunit_pci_probe, false },
	{ "probe, noticed", kunit_pci_probe, true },
	{ "unbind", kunit_pci_unbind, false },
	{ "remove", kunit_pci_remove, false },
	{ "remove, noticed", kunit_pci_remove, true },
	/* (Else each one waits for transactions that seem to be pending) */
	{ "reset, noticed", access_do_reset, true },
};

KUNIT_ARRAY_PARAM_DESC(access_phase, access_phases, desc);

static struct access_ctx *access_init(struct kunit *test)
{
	struct access_ctx *ctx = kunit_pci_zalloc(test, sizeof(*ctx));
	struct kunit_pci_host *host;

	ctx->test = test;
	ctx->drv.name = "kunit-pci-access";
	ctx->drv.id_table = access_ids;
	ctx->drv.probe = access_probe;
	ctx->drv.remove = access_remove;
	ctx->drv.err_handler = &access_err_handler;
	kunit_pci_register_driver(test, &ctx->drv);

	host = kunit_pci_alloc_host(test);
	ctx->port_fn = kunit_pci_add_port(host, NULL, PCI_DEVFN(1, 0),
					  PCI_EXP_TYPE_ROOT_PORT);
	ctx->fn = kunit_pci_add_endpoint(host, ctx->port_fn, 0);
	kunit_pci_add_bar(ctx->fn, 0, SZ_4K, &access_dev_ops, ctx);
	kunit_pci_probe_host(host);
	ctx->port = kunit_pci_get_dev(test, ctx->port_fn);
	KUNIT_ASSERT_NOT_NULL(test, ctx->port);
	return ctx;
}

/* A card that works, of which nothing is yanked yet */
static struct pci_dev *access_card(struct access_ctx *ctx, bool bound)
{
	struct pci_dev *pdev = kunit_pci_get_dev(ctx->test, ctx->fn);

	KUNIT_ASSERT_NOT_NULL(ctx->test, pdev);
	KUNIT_ASSERT_EQ(ctx->test, ctx->tables, 1);
	KUNIT_ASSERT_EQ(ctx->test, ctx->status, STATUS_READY | STATUS_RUNS);
	if (!bound)
		kunit_pci_call(ctx->test, kunit_pci_unbind, pdev, BOUND, 0);
	/* No need to wait after FLR */
	pdev->imm_ready = 1;
	ctx->reads = 0;
	ctx->ones = 0;
	kunit_pci_take_count(ctx->fn);
	return pdev;
}

/* What is left of it goes, and nothing is left behind */
static void access_remove_card(struct access_ctx *ctx, struct pci_dev *pdev,
			       unsigned int n)
{
	if (kunit_pci_yanked(ctx->fn))
		pci_dev_set_disconnected(pdev, NULL);
	kunit_pci_call(ctx->test, kunit_pci_remove, pdev, BOUND, n);
	KUNIT_EXPECT_NULL_MSG(ctx->test, kunit_pci_get_dev(ctx->test, ctx->fn), "%u", n);
	KUNIT_EXPECT_NULL_MSG(ctx->test, pdev->resource[0].child, "access %u", n);
	KUNIT_EXPECT_EQ_MSG(ctx->test, ctx->tables, 0, "access %u", n);
	/* What it has read since it is gone is all-ones, each time */
	KUNIT_EXPECT_EQ_MSG(ctx->test, ctx->reads, ctx->ones, "access %u", n);
}

/* Yank at access 1, 2, ... of a phase, up to the last one */
static void test_yank_at_access(struct kunit *test)
{
	const struct access_phase *phase = test->param_value;
	struct access_ctx *ctx = access_init(test);
	unsigned int n, total = 0, ones = 0;
	struct kunit_pci_count count;
	struct pci_dev *pdev;

	/* The first time only to count them */
	for (n = 0; n <= total; n++) {
		pdev = access_card(ctx, phase->phase != kunit_pci_probe);
		kunit_pci_yank_after(ctx->fn, n, phase->noticed ? pdev : NULL);
		kunit_pci_call(ctx->test, phase->phase, pdev, BOUND, n);
		KUNIT_EXPECT_EQ_MSG(test, kunit_pci_yanked(ctx->fn), !!n, "access %u", n);
		if (!n) {
			count = kunit_pci_take_count(ctx->fn);
			KUNIT_EXPECT_GT(test, count.mmio_reads, 1);
			KUNIT_EXPECT_GT(test, count.mmio_writes, 0);
			total = count.reads + count.writes + count.mmio_reads +
				count.mmio_writes;
		}
		/* Whatever the driver has seen, that it is gone is not for it to say */
		KUNIT_EXPECT_EQ_MSG(test, pci_channel_offline(pdev),
				    n && phase->noticed, "access %u", n);
		access_remove_card(ctx, pdev, n);
		ones += ctx->ones;
		kunit_pci_plug(ctx->fn, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));
		kunit_pci_call(ctx->test, kunit_pci_rescan, ctx->port, BOUND, n);
	}
	KUNIT_EXPECT_GT(test, ones, 0);
	kunit_info(test, "%s: yanked at %u accesses, %u reads of all-ones",
		   phase->desc, total, ones);
}

/* What says how much to allocate is read as all-ones, right after a good read */
static void test_all_ones_size(struct kunit *test)
{
	struct access_ctx *ctx = access_init(test);
	struct pci_dev *pdev = access_card(ctx, false);

	ctx->yank_at_size = true;
	kunit_pci_call(ctx->test, kunit_pci_probe, pdev, BOUND, 0);
	KUNIT_EXPECT_EQ(test, ctx->size, ~0);
	KUNIT_EXPECT_LE(test, ctx->largest, MAX_SIZE);
	KUNIT_EXPECT_NULL(test, pdev->dev.driver);
	KUNIT_EXPECT_GT(test, ctx->reads, 0);
	access_remove_card(ctx, pdev, 0);
}

static struct kunit_case pci_access_cases[] = {
	KUNIT_CASE_PARAM(test_yank_at_access, access_phase_gen_params),
	KUNIT_CASE(test_all_ones_size),
	{}
};

static struct kunit_suite pci_access_suite = {
	.name = "pci_access",
	.test_cases = pci_access_cases,
};

kunit_test_suite(pci_access_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests for accesses of devices that are gone");
