// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit test for the fake PCI host bridge.
 */

#include <linux/pci.h>

#include <kunit/pci.h>
#include <kunit/test.h>

#include "try-catch-impl.h"

/* Root Port > Upstream Port > Downstream Port > PF, and an endpoint beside */
struct kunit_pci_tree {
	struct kunit_pci_host *host;
	struct kunit_pci_fn *root, *up, *down, *pf, *beside;
};

static void kunit_pci_tree_init(struct kunit *test, struct kunit_pci_tree *t)
{
	t->host = kunit_pci_alloc_host(test);
	KUNIT_ASSERT_NOT_NULL(test, t->host);
	t->root = kunit_pci_add_port(t->host, NULL, PCI_DEVFN(1, 0),
				     PCI_EXP_TYPE_ROOT_PORT);
	t->up = kunit_pci_add_port(t->host, t->root, 0, PCI_EXP_TYPE_UPSTREAM);
	t->down = kunit_pci_add_port(t->host, t->up, PCI_DEVFN(3, 0),
				     PCI_EXP_TYPE_DOWNSTREAM);
	t->pf = kunit_pci_add_endpoint(t->host, t->down, 0);
	t->beside = kunit_pci_add_endpoint(t->host, NULL, PCI_DEVFN(2, 0));
}

/* Everything is where it was put, and counted */
static void kunit_pci_probe_host_test(struct kunit *test)
{
	struct kunit_pci_count count;
	struct kunit_pci_tree t;
	struct pci_dev *pdev;
	u32 id;

	kunit_pci_tree_init(test, &t);
	KUNIT_ASSERT_EQ(test, 0, kunit_pci_probe_host(t.host));

	pdev = kunit_pci_get_dev(test, t.pf);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	KUNIT_EXPECT_EQ(test, pdev->vendor, KUNIT_PCI_VENDOR);
	KUNIT_EXPECT_EQ(test, pdev->device, KUNIT_PCI_ENDPOINT);
	KUNIT_EXPECT_EQ(test, pdev->cfg_size, PCI_CFG_SPACE_EXP_SIZE);
	KUNIT_EXPECT_PTR_EQ(test, pdev->bus->self,
			    kunit_pci_get_dev(test, t.down));
	KUNIT_EXPECT_PTR_EQ(test, pcie_find_root_port(pdev),
			    kunit_pci_get_dev(test, t.root));

	kunit_pci_count(t.pf);
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &id);
	pci_write_config_word(pdev, PCI_COMMAND, 0);
	KUNIT_EXPECT_EQ(test, id, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));
	count = kunit_pci_count(t.pf);
	KUNIT_EXPECT_EQ(test, count.reads, 1);
	KUNIT_EXPECT_EQ(test, count.writes, 1);
	count = kunit_pci_count(t.pf);
	KUNIT_EXPECT_EQ(test, count.reads, 0);
	KUNIT_EXPECT_EQ(test, count.writes, 0);
}

/* All that is below a yanked function falls silent, nothing else does */
static void kunit_pci_yank_test(struct kunit *test)
{
	struct pci_dev *pdev, *beside;
	struct kunit_pci_tree t;
	u16 cmd;
	u32 id;

	kunit_pci_tree_init(test, &t);
	KUNIT_ASSERT_EQ(test, 0, kunit_pci_probe_host(t.host));
	pdev = kunit_pci_get_dev(test, t.pf);
	beside = kunit_pci_get_dev(test, t.beside);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	KUNIT_ASSERT_NOT_NULL(test, beside);
	pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_MASTER);

	kunit_pci_yank(t.up);
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &id);
	KUNIT_EXPECT_EQ(test, id, ~0);
	pci_write_config_word(pdev, PCI_COMMAND, 0);
	pci_read_config_dword(beside, PCI_VENDOR_ID, &id);
	KUNIT_EXPECT_EQ(test, id, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));

	kunit_pci_restore(t.up);
	pci_read_config_word(pdev, PCI_COMMAND, &cmd);
	KUNIT_EXPECT_EQ(test, cmd, PCI_COMMAND_MASTER);

	kunit_pci_yank(t.pf);
	kunit_pci_plug(t.pf, KUNIT_PCI_ID(0x1234));
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &id);
	KUNIT_EXPECT_EQ(test, id, KUNIT_PCI_ID(0x1234));
	pci_read_config_word(pdev, PCI_COMMAND, &cmd);
	KUNIT_EXPECT_EQ(test, cmd, 0);
}

static void kunit_pci_set_rrs_test(struct kunit *test)
{
	struct kunit_pci_tree t;
	struct pci_dev *pdev;
	u32 val;

	kunit_pci_tree_init(test, &t);
	KUNIT_ASSERT_EQ(test, 0, kunit_pci_probe_host(t.host));
	pdev = kunit_pci_get_dev(test, t.pf);
	KUNIT_ASSERT_NOT_NULL(test, pdev);

	kunit_pci_set_rrs(t.pf, 2);
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &val);
	KUNIT_EXPECT_EQ(test, val, 0xffff0001);
	pci_read_config_dword(pdev, PCI_CLASS_REVISION, &val);
	KUNIT_EXPECT_EQ(test, val, ~0);
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &val);
	KUNIT_EXPECT_EQ(test, val, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));
}

/* Hosts do not get into each other's way, and go without leaving a trace */
static void kunit_pci_many_hosts_test(struct kunit *test)
{
	struct kunit_pci_tree a, b;
	struct pci_dev *pdev;
	struct kunit fake;
	int i, domain;

	kunit_pci_tree_init(test, &a);
	KUNIT_ASSERT_EQ(test, 0, kunit_pci_probe_host(a.host));

	for (i = 0; i < 3; i++) {
		kunit_init_test(&fake, "kunit_pci_fake_test", NULL);
		kunit_pci_tree_init(&fake, &b);
		KUNIT_EXPECT_EQ(test, 0, kunit_pci_probe_host(b.host));
		pdev = kunit_pci_get_dev(&fake, b.pf);
		domain = pdev ? pci_domain_nr(pdev->bus) : -1;
		KUNIT_EXPECT_NOT_NULL(test, kunit_pci_get_dev(test, a.pf));
		kunit_cleanup(&fake);

		KUNIT_EXPECT_GE(test, domain, 0);
		KUNIT_EXPECT_EQ(test, fake.status, KUNIT_SUCCESS);
		KUNIT_EXPECT_NULL(test, pci_find_bus(domain, 0));
	}
}

/* A reference to a device that is not dropped is a failure of the test */
static void kunit_pci_leak_test(struct kunit *test)
{
	struct kunit_pci_tree t;
	struct pci_dev *pdev;
	struct kunit fake;

	kunit_init_test(&fake, "kunit_pci_fake_test", NULL);
	kunit_pci_tree_init(&fake, &t);
	KUNIT_EXPECT_EQ(test, 0, kunit_pci_probe_host(t.host));
	pdev = pci_dev_get(kunit_pci_get_dev(&fake, t.pf));
	KUNIT_EXPECT_NOT_NULL(test, pdev);

	kunit_info(test, "the next failure is expected");
	kunit_cleanup(&fake);
	KUNIT_EXPECT_EQ(test, fake.status, KUNIT_FAILURE);
	pci_dev_put(pdev);
}

static int kunit_pci_test_probe(struct pci_dev *pdev,
				const struct pci_device_id *id)
{
	return pci_enable_sriov(pdev, 2);
}

static void kunit_pci_test_remove(struct pci_dev *pdev)
{
	pci_disable_sriov(pdev);
}

static const struct pci_device_id kunit_pci_test_ids[] = {
	{ PCI_DEVICE(KUNIT_PCI_VENDOR, KUNIT_PCI_ENDPOINT) },
	{ }
};

struct kunit_pci_abort {
	struct kunit fake;
	struct pci_driver drv;
	int domain;
};

KUNIT_DEFINE_ACTION_WRAPPER(pci_unregister_driver_wrapper,
			    pci_unregister_driver, struct pci_driver *);

/* Give up with a card at work: bound, and with VFs enabled */
static void kunit_pci_abort_try(void *data)
{
	struct kunit_pci_abort *abort = data;
	struct kunit *fake = &abort->fake;
	struct kunit_pci_host *host;
	struct kunit_pci_fn *pf;
	struct pci_dev *pdev;

	abort->drv.name = "kunit-pci-test";
	abort->drv.id_table = kunit_pci_test_ids;
	abort->drv.probe = kunit_pci_test_probe;
	abort->drv.remove = kunit_pci_test_remove;
	KUNIT_ASSERT_EQ(fake, 0, pci_register_driver(&abort->drv));
	KUNIT_ASSERT_EQ(fake, 0,
			kunit_add_action_or_reset(fake, pci_unregister_driver_wrapper,
						  &abort->drv));
	host = kunit_pci_alloc_host(fake);
	KUNIT_ASSERT_NOT_NULL(fake, host);
	pf = kunit_pci_add_endpoint(host, NULL, PCI_DEVFN(1, 0));
	kunit_pci_add_sriov(pf, 2, 256, 1);
	KUNIT_ASSERT_EQ(fake, 0, kunit_pci_probe_host(host));
	pdev = kunit_pci_get_dev(fake, kunit_pci_vf(pf, 1));
	KUNIT_ASSERT_NOT_NULL(fake, pdev);
	abort->domain = pci_domain_nr(pdev->bus);
	__kunit_abort(fake);
}

static void kunit_pci_abort_catch(void *data)
{
}

static void kunit_pci_abort_test(struct kunit *test)
{
	struct kunit_pci_abort *abort;
	struct kunit_try_catch *try_catch;

	abort = kunit_kzalloc(test, sizeof(*abort), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, abort);
	abort->domain = -1;
	kunit_init_test(&abort->fake, "kunit_pci_fake_test", NULL);
	try_catch = &abort->fake.try_catch;
	kunit_try_catch_init(try_catch, &abort->fake, kunit_pci_abort_try,
			     kunit_pci_abort_catch, 300 * HZ);
	kunit_try_catch_run(try_catch, abort);
	kunit_cleanup(&abort->fake);

	KUNIT_EXPECT_EQ(test, abort->fake.status, KUNIT_SUCCESS);
	KUNIT_EXPECT_GE(test, abort->domain, 0);
	KUNIT_EXPECT_NULL(test, pci_find_bus(abort->domain, 0));
}

static struct kunit_case kunit_pci_test_cases[] = {
	KUNIT_CASE(kunit_pci_probe_host_test),
	KUNIT_CASE(kunit_pci_yank_test),
	KUNIT_CASE(kunit_pci_set_rrs_test),
	KUNIT_CASE(kunit_pci_many_hosts_test),
	KUNIT_CASE(kunit_pci_leak_test),
	KUNIT_CASE(kunit_pci_abort_test),
	{}
};

static struct kunit_suite kunit_pci_suite = {
	.name = "kunit_pci",
	.test_cases = kunit_pci_test_cases,
};

kunit_test_suite(kunit_pci_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit test for the fake PCI host bridge");
