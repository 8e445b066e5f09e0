// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit test for the fake PCI host bridge.
 */

#include <linux/pci.h>

#include <kunit/pci.h>
#include <kunit/test.h>

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

static struct kunit_case kunit_pci_test_cases[] = {
	KUNIT_CASE(kunit_pci_probe_host_test),
	KUNIT_CASE(kunit_pci_yank_test),
	KUNIT_CASE(kunit_pci_set_rrs_test),
	KUNIT_CASE(kunit_pci_many_hosts_test),
	KUNIT_CASE(kunit_pci_leak_test),
	{}
};

static struct kunit_suite kunit_pci_suite = {
	.name = "kunit_pci",
	.test_cases = kunit_pci_test_cases,
};

kunit_test_suite(kunit_pci_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit test for the fake PCI host bridge");
