// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for what the PCI core knows of the presence of a device
 */

#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/pci.h>

#include <kunit/pci.h>
#include <kunit/test.h>

#include "../pci.h"

#define NR_VFS	2

struct presence_target {
	const char *desc;
	bool switched;		/* below a switch, of which a port gets yanked */
	u16 vf_offset;		/* of the VF to look at, if nonzero */
};

static const struct presence_target presence_targets[] = {
	{ .desc = "PF" },
	{ .desc = "VF on the bus of its PF", .vf_offset = 1 },
	{ .desc = "VF on a virtual bus", .vf_offset = 256 },
	{ .desc = "VF below a switch", .switched = true, .vf_offset = 256 },
	{ .desc = "device below a switch", .switched = true },
};

KUNIT_ARRAY_PARAM_DESC(presence_target, presence_targets, desc);

enum presence_answer { ANSWERS, ALL_ONES, RRS, RRS_HIDDEN, RRS_OF_VF, OTHER_CARD };

static const char * const presence_answers[] = {
	[ANSWERS] = "answers",
	[ALL_ONES] = "all-ones",
	[RRS] = "RRS",
	[RRS_HIDDEN] = "RRS, not visible to software",
	[RRS_OF_VF] = "RRS of the VF itself",
	[OTHER_CARD] = "another card",
};

static const struct {
	const char *desc;
	pci_channel_state_t state;
} presence_states[] = {
	{ "uninitialized", (__force pci_channel_state_t)0 },
	{ "normal", pci_channel_io_normal },
	{ "frozen", pci_channel_io_frozen },
	{ "perm_failure", pci_channel_io_perm_failure },
};

struct presence_ctx {
	struct kunit_pci_fn *port;	/* above @fn */
	struct kunit_pci_fn *fn;	/* what is asked for its Vendor ID */
	struct kunit_pci_fn *vf;
	struct pci_dev *root;
	struct pci_dev *pdev;		/* the device to look at */
	struct pci_dev *pf;
	struct pci_dev *above;		/* its PF, if it is a VF, else the port */
};

/* Have VFs marked, so that their removal takes no time */
static void presence_mark(void *data)
{
	struct pci_dev *pf = data;

	pci_bus_set_disconnected(pf->bus);
}

static void presence_init(struct kunit *test, struct presence_ctx *ctx,
			  const struct presence_target *target)
{
	struct kunit_pci_host *host = kunit_pci_alloc_host(test);
	int ret;

	ctx->port = kunit_pci_add_port(host, NULL, PCI_DEVFN(1, 0),
				       PCI_EXP_TYPE_ROOT_PORT);
	if (target->switched) {
		ctx->port = kunit_pci_add_port(host, ctx->port, 0,
					       PCI_EXP_TYPE_UPSTREAM);
		ctx->port = kunit_pci_add_port(host, ctx->port, 0,
					       PCI_EXP_TYPE_DOWNSTREAM);
	}
	ctx->fn = kunit_pci_add_endpoint(host, ctx->port, 0);
	if (target->vf_offset)
		kunit_pci_add_sriov(ctx->fn, NR_VFS, target->vf_offset, 1);
	kunit_pci_probe_host(host);

	ctx->pf = kunit_pci_get_dev(test, ctx->fn);
	KUNIT_ASSERT_NOT_NULL(test, ctx->pf);
	ctx->pdev = ctx->pf;
	ctx->above = pci_upstream_bridge(ctx->pf);
	ctx->root = pcie_find_root_port(ctx->pf);
	KUNIT_ASSERT_NOT_NULL(test, ctx->above);
	KUNIT_ASSERT_NOT_NULL(test, ctx->root);
	ctx->vf = NULL;
	if (!target->vf_offset)
		return;

	pci_lock_rescan_remove();
	ret = pci_enable_sriov(ctx->pf, NR_VFS);
	pci_unlock_rescan_remove();
	KUNIT_ASSERT_EQ(test, 0, ret);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, presence_mark,
							   ctx->pf));
	ctx->above = ctx->pf;
	ctx->vf = kunit_pci_vf(ctx->fn, 0);
	ctx->pdev = kunit_pci_get_dev(test, ctx->vf);
	KUNIT_ASSERT_NOT_NULL(test, ctx->pdev);
	KUNIT_ASSERT_EQ(test, ctx->pdev->bus != ctx->pf->bus,
			target->vf_offset == 256);
}

static void presence_set_answer(struct presence_ctx *ctx, bool switched,
				enum presence_answer answer, bool on)
{
	struct kunit_pci_fn *yank = switched ? ctx->port : ctx->fn;

	switch (answer) {
	case ANSWERS:
		break;
	case ALL_ONES:
		if (on)
			kunit_pci_yank(yank);
		else
			kunit_pci_restore(yank);
		break;
	case RRS_HIDDEN:
		pcie_capability_clear_and_set_word(ctx->root, PCI_EXP_RTCTL,
						   PCI_EXP_RTCTL_RRS_SVE,
						   on ? 0 : PCI_EXP_RTCTL_RRS_SVE);
		fallthrough;
	case RRS:
		kunit_pci_set_rrs(ctx->fn, on ? KUNIT_PCI_RRS_FOREVER : 0);
		break;
	case RRS_OF_VF:
		if (ctx->vf)
			kunit_pci_set_rrs(ctx->vf, on ? KUNIT_PCI_RRS_FOREVER : 0);
		break;
	case OTHER_CARD:
		kunit_pci_plug(ctx->fn, KUNIT_PCI_ID(on ? 0x1234 :
						     KUNIT_PCI_ENDPOINT));
		break;
	}
}

static void expect_reads(struct kunit *test, struct kunit_pci_fn *fn,
			 unsigned int reads, const char *row)
{
	struct kunit_pci_count count = kunit_pci_take_count(fn);

	KUNIT_EXPECT_EQ_MSG(test, count.reads, reads, "%s", row);
	KUNIT_EXPECT_EQ_MSG(test, count.writes, 0, "%s", row);
}

/*
 * What the predicates say, and how many config accesses it takes them, if the
 * device is in state @s, its PF or the port above it in state @above
 */
static void expect_predicates(struct kunit *test, struct presence_ctx *ctx,
			      const char *row, pci_channel_state_t s,
			      pci_channel_state_t above, bool answers)
{
	/* The presence of a VF is that of its PF; a port is not asked */
	bool asked = (ctx->vf ? above : s) != pci_channel_io_perm_failure;

	WRITE_ONCE(ctx->pdev->error_state, s);
	WRITE_ONCE(ctx->above->error_state, above);
	kunit_pci_take_count(ctx->fn);
	kunit_pci_take_count(ctx->port);
	if (ctx->vf)
		kunit_pci_take_count(ctx->vf);

	KUNIT_EXPECT_EQ_MSG(test, pci_dev_is_disconnected(ctx->pdev),
			    s == pci_channel_io_perm_failure, "%s", row);
	KUNIT_EXPECT_EQ_MSG(test, pci_channel_offline(ctx->pdev),
			    s != pci_channel_io_normal, "%s", row);
	expect_reads(test, ctx->fn, 0, row);

	KUNIT_EXPECT_EQ_MSG(test, pci_device_is_present(ctx->pdev),
			    asked && answers, "%s", row);
	expect_reads(test, ctx->fn, asked, row);
	expect_reads(test, ctx->port, 0, row);
	if (ctx->vf)
		expect_reads(test, ctx->vf, 0, row);
}

static void test_predicates(struct kunit *test)
{
	const struct presence_target *target = test->param_value;
	struct presence_ctx ctx;
	enum presence_answer a;
	unsigned int i, j;
	bool answers;
	char row[128];

	presence_init(test, &ctx, target);

	for (a = ANSWERS; a <= OTHER_CARD; a++) {
		answers = a == ANSWERS || a == OTHER_CARD || a == RRS_OF_VF;
		presence_set_answer(&ctx, target->switched, a, true);
		for (i = 0; i < ARRAY_SIZE(presence_states); i++) {
			for (j = 0; j < ARRAY_SIZE(presence_states); j++) {
				snprintf(row, sizeof(row), "%s %s, above it %s, %s",
					 target->desc, presence_states[i].desc,
					 presence_states[j].desc, presence_answers[a]);
				expect_predicates(test, &ctx, row, presence_states[i].state,
						  presence_states[j].state, answers);
			}
		}
		WRITE_ONCE(ctx.pdev->error_state, pci_channel_io_normal);
		WRITE_ONCE(ctx.above->error_state, pci_channel_io_normal);
		presence_set_answer(&ctx, target->switched, a, false);
	}
}

/* Config accessors leave a disconnected device alone, and say so */
static void test_config_accessors(struct kunit *test)
{
	struct presence_ctx ctx;
	u32 dword;
	u16 word;
	u8 byte;

	presence_init(test, &ctx, &presence_targets[0]);
	pci_dev_set_disconnected(ctx.pdev, NULL);
	kunit_pci_take_count(ctx.fn);

	byte = 0, word = 0, dword = 0;
	KUNIT_EXPECT_EQ(test, pci_read_config_byte(ctx.pdev, 0, &byte),
			PCIBIOS_DEVICE_NOT_FOUND);
	KUNIT_EXPECT_EQ(test, byte, 0xff);
	KUNIT_EXPECT_EQ(test, pci_read_config_word(ctx.pdev, 0, &word),
			PCIBIOS_DEVICE_NOT_FOUND);
	KUNIT_EXPECT_EQ(test, word, 0xffff);
	KUNIT_EXPECT_EQ(test, pci_read_config_dword(ctx.pdev, 0, &dword),
			PCIBIOS_DEVICE_NOT_FOUND);
	KUNIT_EXPECT_EQ(test, dword, ~0);
	/* Those of the PCIe capability report the error, but another value */
	KUNIT_EXPECT_EQ(test, pcie_capability_read_word(ctx.pdev, PCI_EXP_DEVSTA, &word),
			PCIBIOS_DEVICE_NOT_FOUND);
	KUNIT_EXPECT_EQ(test, word, 0);
	KUNIT_EXPECT_EQ(test, pcie_capability_read_dword(ctx.pdev, PCI_EXP_DEVCAP, &dword),
			PCIBIOS_DEVICE_NOT_FOUND);
	KUNIT_EXPECT_EQ(test, dword, 0);

	KUNIT_EXPECT_EQ(test, pci_write_config_byte(ctx.pdev, PCI_COMMAND, 0),
			PCIBIOS_DEVICE_NOT_FOUND);
	KUNIT_EXPECT_EQ(test, pci_write_config_word(ctx.pdev, PCI_COMMAND, 0),
			PCIBIOS_DEVICE_NOT_FOUND);
	KUNIT_EXPECT_EQ(test, pci_write_config_dword(ctx.pdev, PCI_COMMAND, 0),
			PCIBIOS_DEVICE_NOT_FOUND);
	KUNIT_EXPECT_EQ(test, pcie_capability_write_word(ctx.pdev, PCI_EXP_DEVCTL, 0),
			PCIBIOS_DEVICE_NOT_FOUND);
	expect_reads(test, ctx.fn, 0, "accessors");
}

/* Recovery has to read and write what is frozen */
static void test_config_accessors_frozen(struct kunit *test)
{
	struct kunit_pci_count count;
	struct presence_ctx ctx;
	u32 dword;
	u16 word;

	presence_init(test, &ctx, &presence_targets[0]);
	pci_dev_set_io_state(ctx.pdev, pci_channel_io_frozen);
	kunit_pci_take_count(ctx.fn);
	KUNIT_EXPECT_EQ(test, pci_read_config_dword(ctx.pdev, PCI_VENDOR_ID, &dword), 0);
	KUNIT_EXPECT_EQ(test, dword, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));
	KUNIT_EXPECT_EQ(test, pci_write_config_word(ctx.pdev, PCI_COMMAND,
						    PCI_COMMAND_MASTER), 0);
	KUNIT_EXPECT_EQ(test, pci_read_config_word(ctx.pdev, PCI_COMMAND, &word), 0);
	KUNIT_EXPECT_EQ(test, word, PCI_COMMAND_MASTER);
	KUNIT_EXPECT_EQ(test, pcie_capability_read_dword(ctx.pdev, PCI_EXP_DEVCAP, &dword), 0);
	KUNIT_EXPECT_NE(test, dword, 0);
	count = kunit_pci_take_count(ctx.fn);
	KUNIT_EXPECT_EQ(test, count.reads, 3);
	KUNIT_EXPECT_EQ(test, count.writes, 1);
}

#define NR_STATES	5

struct presence_transition {
	const char *desc;
	unsigned int old;
	unsigned int new[NR_STATES];	/* by the state asked for */
	bool ret[NR_STATES];
};

/*
 * By number, see pci_channel_state_t.  States 0 and 4 do not exist, a device
 * has 0 until it is set up.
 */
static const struct presence_transition presence_transitions[] = {
	{ "uninitialized", 0, { 0, 0, 0, 3, 0 }, { 0, 1, 1, 1, 0 } },
	{ "normal", 1, { 1, 1, 2, 3, 1 }, { 0, 1, 1, 1, 0 } },
	{ "frozen", 2, { 2, 1, 2, 3, 2 }, { 0, 1, 1, 1, 0 } },
	{ "perm_failure", 3, { 3, 3, 3, 3, 3 }, { 0, 0, 0, 1, 0 } },
};

KUNIT_ARRAY_PARAM_DESC(presence_transition, presence_transitions, desc);

static void test_set_io_state(struct kunit *test)
{
	const struct presence_transition *t = test->param_value;
	struct pci_dev *pdev = kunit_kzalloc(test, sizeof(*pdev), GFP_KERNEL);
	unsigned int new;

	KUNIT_ASSERT_NOT_NULL(test, pdev);
	for (new = 0; new < NR_STATES; new++) {
		pdev->error_state = (__force pci_channel_state_t)t->old;
		KUNIT_EXPECT_EQ_MSG(test,
				    pci_dev_set_io_state(pdev, (__force pci_channel_state_t)new),
				    t->ret[new], "%s to %u", t->desc, new);
		KUNIT_EXPECT_EQ_MSG(test, (__force unsigned int)pdev->error_state,
				    t->new[new], "%s to %u", t->desc, new);
	}
}

static int presence_recover(void *data)
{
	struct pci_dev *pdev = data;
	unsigned int i;

	while (!kthread_should_stop()) {
		for (i = 0; i < 100; i++) {
			pci_dev_set_io_state(pdev, pci_channel_io_frozen);
			pci_dev_set_io_state(pdev, pci_channel_io_normal);
		}
		usleep_range(1, 10);
	}
	return 0;
}

/* perm_failure stays, whatever an error recovery does at the same time */
static void test_set_io_state_race(struct kunit *test)
{
	struct pci_dev *pdev = kunit_kzalloc(test, sizeof(*pdev), GFP_KERNEL);
	struct task_struct *task;
	unsigned int i, j, lost = 0;

	KUNIT_ASSERT_NOT_NULL(test, pdev);
	/* On one processor, what goes wrong is a matter of a single instruction */
	if (num_online_cpus() < 2)
		kunit_skip(test, "this takes two processors");
	pdev->error_state = pci_channel_io_normal;
	task = kthread_run(presence_recover, pdev, "kunit-pci-recover");
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);
	for (i = 0; i < 100; i++) {
		WRITE_ONCE(pdev->error_state, pci_channel_io_normal);
		usleep_range(1, 10);
		pci_dev_set_io_state(pdev, pci_channel_io_perm_failure);
		for (j = 0; j < 1000; j++)
			lost += !pci_dev_is_disconnected(pdev);
		usleep_range(1, 10);
		lost += !pci_dev_is_disconnected(pdev);
	}
	kthread_stop(task);
	KUNIT_EXPECT_EQ(test, lost, 0);
}

static struct kunit_case pci_presence_cases[] = {
	KUNIT_CASE_PARAM(test_predicates, presence_target_gen_params),
	KUNIT_CASE(test_config_accessors),
	KUNIT_CASE(test_config_accessors_frozen),
	KUNIT_CASE_PARAM(test_set_io_state, presence_transition_gen_params),
	KUNIT_CASE(test_set_io_state_race),
	{}
};

static struct kunit_suite pci_presence_suite = {
	.name = "pci_presence",
	.test_cases = pci_presence_cases,
};

kunit_test_suite(pci_presence_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests for the presence of PCI devices");
