// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit test for the fake PCI host bridge.
 */

#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/ioport.h>
#include <linux/pci.h>
#include <linux/sizes.h>

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
	static const u8 caps[] = { PCI_CAP_ID_VNDR, 0, 5, 0x12, 0x34 };
	struct kunit_pci_count count;
	struct kunit_pci_tree t;
	struct pci_dev *pdev;
	u32 id;
	int pos;
	u8 val;

	kunit_pci_tree_init(test, &t);
	kunit_pci_add_cap(t.pf, caps, sizeof(caps));
	kunit_pci_add_cap(t.pf, caps, sizeof(caps));
	kunit_pci_probe_host(t.host);

	pdev = kunit_pci_get_dev(test, t.pf);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	KUNIT_EXPECT_EQ(test, pdev->vendor, KUNIT_PCI_VENDOR);
	KUNIT_EXPECT_EQ(test, pdev->device, KUNIT_PCI_ENDPOINT);
	KUNIT_EXPECT_EQ(test, pdev->cfg_size, PCI_CFG_SPACE_EXP_SIZE);
	KUNIT_EXPECT_PTR_EQ(test, pdev->bus->self,
			    kunit_pci_get_dev(test, t.down));
	KUNIT_EXPECT_PTR_EQ(test, pcie_find_root_port(pdev),
			    kunit_pci_get_dev(test, t.root));

	pos = pci_find_capability(pdev, PCI_CAP_ID_VNDR);
	KUNIT_EXPECT_NE(test, pos, 0);
	pci_read_config_byte(pdev, pos + 4, &val);
	KUNIT_EXPECT_EQ(test, val, 0x34);
	pos = pci_find_next_capability(pdev, pos, PCI_CAP_ID_VNDR);
	KUNIT_EXPECT_NE(test, pos, 0);
	KUNIT_EXPECT_EQ(test, pci_find_next_capability(pdev, pos, PCI_CAP_ID_VNDR), 0);
	KUNIT_EXPECT_TRUE(test, pci_is_pcie(pdev));

	kunit_pci_take_count(t.pf);
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &id);
	pci_write_config_word(pdev, PCI_COMMAND, 0);
	KUNIT_EXPECT_EQ(test, id, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));
	count = kunit_pci_take_count(t.pf);
	KUNIT_EXPECT_EQ(test, count.reads, 1);
	KUNIT_EXPECT_EQ(test, count.writes, 1);
	count = kunit_pci_take_count(t.pf);
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
	kunit_pci_probe_host(t.host);
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
	kunit_pci_probe_host(t.host);
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

/* What FLR and Secondary Bus Reset get to is fresh from reset, after a while */
static void kunit_pci_reset_test(struct kunit *test)
{
	struct pci_dev *pdev, *down;
	struct kunit_pci_tree t;
	u16 cmd, lnksta;
	u32 id;

	kunit_pci_tree_init(test, &t);
	kunit_pci_probe_host(t.host);
	pdev = kunit_pci_get_dev(test, t.pf);
	down = kunit_pci_get_dev(test, t.down);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	KUNIT_ASSERT_NOT_NULL(test, down);
	kunit_pci_set_reset_rrs(t.pf, 1);

	pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_MASTER);
	pcie_capability_set_word(pdev, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR);
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &id);
	KUNIT_EXPECT_EQ(test, id, 0xffff0001);
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &id);
	KUNIT_EXPECT_EQ(test, id, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));
	pci_read_config_word(pdev, PCI_COMMAND, &cmd);
	KUNIT_EXPECT_EQ(test, cmd, 0);
	pcie_capability_read_word(pdev, PCI_EXP_DEVCTL, &cmd);
	KUNIT_EXPECT_EQ(test, cmd, 0);

	pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_MASTER);
	pci_write_config_byte(down, PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET);
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &id);
	KUNIT_EXPECT_EQ(test, id, ~0);
	pcie_capability_read_word(down, PCI_EXP_LNKSTA, &lnksta);
	KUNIT_EXPECT_EQ(test, lnksta & PCI_EXP_LNKSTA_DLLLA, 0);
	pci_write_config_byte(down, PCI_BRIDGE_CONTROL, 0);
	pcie_capability_read_word(down, PCI_EXP_LNKSTA, &lnksta);
	KUNIT_EXPECT_EQ(test, lnksta & PCI_EXP_LNKSTA_DLLLA, PCI_EXP_LNKSTA_DLLLA);
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &id);
	KUNIT_EXPECT_EQ(test, id, 0xffff0001);
	pci_read_config_word(pdev, PCI_COMMAND, &cmd);
	KUNIT_EXPECT_EQ(test, cmd, 0);
	KUNIT_EXPECT_EQ(test, kunit_pci_take_count(t.pf).rrs, 2);
}

static void expect_slot(struct kunit *test, struct pci_dev *port, u16 sltsta, bool link)
{
	u16 val;

	pcie_capability_read_word(port, PCI_EXP_SLTSTA, &val);
	KUNIT_EXPECT_EQ(test, val, sltsta);
	pcie_capability_write_word(port, PCI_EXP_SLTSTA, val);
	pcie_capability_read_word(port, PCI_EXP_SLTSTA, &val);
	KUNIT_EXPECT_EQ(test, val, sltsta & PCI_EXP_SLTSTA_PDS);
	pcie_capability_read_word(port, PCI_EXP_LNKSTA, &val);
	KUNIT_EXPECT_EQ(test, !!(val & PCI_EXP_LNKSTA_DLLLA), link);
}

/* What a slot tells, and when */
static void kunit_pci_slot_test(struct kunit *test)
{
	struct kunit_pci_host *host = kunit_pci_alloc_host(test);
	struct kunit_pci_fn *fn, *port_fn;
	struct pci_dev *port;
	u32 id;

	port_fn = kunit_pci_add_port(host, NULL, PCI_DEVFN(1, 0),
				     PCI_EXP_TYPE_ROOT_PORT);
	kunit_pci_add_slot(port_fn, PCI_EXP_SLTCAP_ABP | PCI_EXP_SLTCAP_PCP);
	fn = kunit_pci_add_endpoint(host, port_fn, 0);
	kunit_pci_probe_host(host);
	port = kunit_pci_get_dev(test, port_fn);
	KUNIT_ASSERT_NOT_NULL(test, port);
	/* Neither portdrv nor pciehp is to see to the slot meanwhile */
	device_release_driver(&port->dev);
	pcie_capability_write_word(port, PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_CC);
	expect_slot(test, port, PCI_EXP_SLTSTA_PDS, true);

	kunit_pci_set_link(port_fn, false);
	expect_slot(test, port, PCI_EXP_SLTSTA_DLLSC | PCI_EXP_SLTSTA_PDS, false);
	kunit_pci_set_link(port_fn, true);
	expect_slot(test, port, PCI_EXP_SLTSTA_DLLSC | PCI_EXP_SLTSTA_PDS, true);
	kunit_pci_glitch_presence(port_fn);
	expect_slot(test, port, PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_PDS, true);
	kunit_pci_press_button(port_fn);
	expect_slot(test, port, PCI_EXP_SLTSTA_ABP | PCI_EXP_SLTSTA_PDS, true);
	kunit_pci_yank(fn);
	expect_slot(test, port, PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC, false);
	kunit_pci_restore(fn);
	expect_slot(test, port, PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC |
		    PCI_EXP_SLTSTA_PDS, true);

	pcie_capability_set_word(port, PCI_EXP_SLTCTL, PCI_EXP_SLTCTL_PWR_OFF);
	expect_slot(test, port, PCI_EXP_SLTSTA_CC | PCI_EXP_SLTSTA_DLLSC |
		    PCI_EXP_SLTSTA_PDS, false);
	KUNIT_EXPECT_FALSE(test, kunit_pci_powered(port_fn));
	pci_bus_read_config_dword(port->subordinate, 0, PCI_VENDOR_ID, &id);
	KUNIT_EXPECT_EQ(test, id, ~0);
	pcie_capability_clear_word(port, PCI_EXP_SLTCTL, PCI_EXP_SLTCTL_PCC);
	expect_slot(test, port, PCI_EXP_SLTSTA_CC | PCI_EXP_SLTSTA_DLLSC |
		    PCI_EXP_SLTSTA_PDS, true);
	KUNIT_EXPECT_TRUE(test, kunit_pci_powered(port_fn));

	pcie_capability_set_word(port, PCI_EXP_LNKCTL, PCI_EXP_LNKCTL_LD);
	expect_slot(test, port, PCI_EXP_SLTSTA_DLLSC | PCI_EXP_SLTSTA_PDS, false);
	pcie_capability_clear_word(port, PCI_EXP_LNKCTL, PCI_EXP_LNKCTL_LD);
	expect_slot(test, port, PCI_EXP_SLTSTA_DLLSC | PCI_EXP_SLTSTA_PDS, true);
}

struct kunit_pci_reg {
	u64 val;
	unsigned int offset, size;	/* of the last access */
	unsigned int accesses, resets;
};

static u64 kunit_pci_reg_read(void *priv, unsigned int offset, unsigned int size)
{
	struct kunit_pci_reg *reg = priv;

	reg->offset = offset;
	reg->size = size;
	reg->accesses++;
	return reg->val;
}

static void kunit_pci_reg_write(void *priv, unsigned int offset, unsigned int size,
				u64 val)
{
	struct kunit_pci_reg *reg = priv;

	reg->offset = offset;
	reg->size = size;
	reg->accesses++;
	reg->val = val;
}

static void kunit_pci_reg_reset(void *priv)
{
	struct kunit_pci_reg *reg = priv;

	reg->resets++;
}

static const struct kunit_pci_bar_ops kunit_pci_reg_ops = {
	.read = kunit_pci_reg_read,
	.write = kunit_pci_reg_write,
	.reset = kunit_pci_reg_reset,
};

static void expect_reg(struct kunit *test, struct kunit_pci_reg *reg,
		       void __iomem *addr, bool answers, const char *what)
{
	unsigned int accesses = reg->accesses;

	reg->val = 0x1234;
	KUNIT_EXPECT_EQ_MSG(test, readl(addr), answers ? 0x1234 : ~0, "%s", what);
	writel(0x5678, addr);
	KUNIT_EXPECT_EQ_MSG(test, reg->val, answers ? 0x5678 : 0x1234, "%s", what);
	KUNIT_EXPECT_EQ_MSG(test, reg->accesses - accesses, answers ? 2 : 0, "%s", what);
}

/* BARs are where the core has put them, and answer as long as they can */
static void kunit_pci_bar_test(struct kunit *test)
{
	struct kunit_pci_reg *regs = kunit_pci_zalloc(test, 2 * sizeof(*regs));
	struct kunit_pci_count count;
	struct pci_dev *pdev, *down;
	struct kunit_pci_tree t;
	void __iomem *map, *map2;
	u32 id;

	kunit_pci_tree_init(test, &t);
	kunit_pci_add_bar(t.pf, 0, SZ_4K, &kunit_pci_reg_ops, &regs[0]);
	kunit_pci_add_bar(t.pf, 2, 16, &kunit_pci_reg_ops, &regs[1]);
	kunit_pci_probe_host(t.host);
	pdev = kunit_pci_get_dev(test, t.pf);
	down = kunit_pci_get_dev(test, t.down);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	KUNIT_ASSERT_NOT_NULL(test, down);
	KUNIT_EXPECT_EQ(test, pci_resource_len(pdev, 0), SZ_4K);
	KUNIT_EXPECT_EQ(test, pci_resource_len(pdev, 1), 0);
	KUNIT_EXPECT_EQ(test, pci_resource_len(pdev, 2), 16);
	KUNIT_ASSERT_EQ(test, pci_enable_device_mem(pdev), 0);
	map = pci_iomap(pdev, 0, 0);
	map2 = pci_iomap_range(pdev, 2, 4, 4);
	KUNIT_ASSERT_TRUE(test, !!map);
	KUNIT_ASSERT_TRUE(test, !!map2);

	kunit_pci_take_count(t.pf);
	expect_reg(test, &regs[0], map, true, "BAR 0");
	expect_reg(test, &regs[1], map2, true, "BAR 2");
	KUNIT_EXPECT_EQ(test, regs[1].offset, 4);
	KUNIT_EXPECT_EQ(test, readb(map + SZ_4K - 1), 0x78);
	KUNIT_EXPECT_EQ(test, regs[0].offset, SZ_4K - 1);
	KUNIT_EXPECT_EQ(test, regs[0].size, 1);
	count = kunit_pci_take_count(t.pf);
	KUNIT_EXPECT_EQ(test, count.mmio_reads, 3);
	KUNIT_EXPECT_EQ(test, count.mmio_writes, 2);
	KUNIT_EXPECT_EQ(test, count.reads + count.writes, 0);

	pci_write_config_word(pdev, PCI_COMMAND, 0);
	expect_reg(test, &regs[0], map, false, "no decoding");
	pci_write_config_word(pdev, PCI_COMMAND, PCI_COMMAND_MEMORY);
	pci_write_config_word(down, PCI_COMMAND, 0);
	expect_reg(test, &regs[0], map, false, "no decoding of a port");
	pci_write_config_word(down, PCI_COMMAND, PCI_COMMAND_MEMORY);
	pci_read_config_dword(down, PCI_MEMORY_BASE, &id);
	pci_write_config_dword(down, PCI_MEMORY_BASE, PCI_MEMORY_RANGE_MASK & 0xffff);
	expect_reg(test, &regs[0], map, false, "no window");
	pci_write_config_dword(down, PCI_MEMORY_BASE, id);
	kunit_pci_set_rrs(t.pf, KUNIT_PCI_RRS_FOREVER);
	expect_reg(test, &regs[0], map, false, "not ready");
	kunit_pci_set_rrs(t.pf, 0);
	kunit_pci_yank(t.up);
	expect_reg(test, &regs[0], map, false, "gone");
	kunit_pci_restore(t.up);
	expect_reg(test, &regs[0], map, true, "back");

	kunit_pci_yank_after(t.pf, 3, pdev);
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &id);
	KUNIT_EXPECT_EQ(test, id, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));
	KUNIT_EXPECT_EQ(test, readl(map), 0x5678);
	KUNIT_EXPECT_FALSE(test, kunit_pci_yanked(t.pf));
	KUNIT_EXPECT_FALSE(test, pci_channel_offline(pdev));
	KUNIT_EXPECT_EQ(test, readl(map), ~0);
	KUNIT_EXPECT_TRUE(test, kunit_pci_yanked(t.pf));
	KUNIT_EXPECT_TRUE(test, pci_channel_offline(pdev));
	pci_bus_read_config_dword(pdev->bus, pdev->devfn, PCI_VENDOR_ID, &id);
	KUNIT_EXPECT_EQ(test, id, ~0);

	KUNIT_EXPECT_EQ(test, regs[0].resets, 0);
	kunit_pci_plug(t.pf, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));
	KUNIT_EXPECT_EQ(test, regs[0].resets, 1);
	KUNIT_EXPECT_EQ(test, regs[1].resets, 1);
	expect_reg(test, &regs[0], map, false, "another card");

	pci_iounmap(pdev, map);
	pci_iounmap(pdev, map2);
	pci_disable_device(pdev);
}

/* Hosts with BARs do not run out of address space, unless one is still mapped */
static void kunit_pci_bar_hosts_test(struct kunit *test)
{
	struct kunit_pci_reg *reg = kunit_pci_zalloc(test, sizeof(*reg));
	struct kunit_pci_tree a, b;
	struct pci_dev *pdev, *pdev_a;
	struct kunit fake;
	void __iomem *map;
	int i;

	kunit_pci_tree_init(test, &a);
	kunit_pci_add_bar(a.beside, 0, SZ_4K, &kunit_pci_reg_ops, reg);
	kunit_pci_probe_host(a.host);
	pdev_a = kunit_pci_get_dev(test, a.beside);
	KUNIT_ASSERT_NOT_NULL(test, pdev_a);

	for (i = 0; i < 20; i++) {
		kunit_init_test(&fake, "kunit_pci_fake_test", NULL);
		kunit_pci_tree_init(&fake, &b);
		kunit_pci_add_bar(b.beside, 0, SZ_4K, &kunit_pci_reg_ops, reg);
		kunit_pci_probe_host(b.host);
		pdev = kunit_pci_get_dev(&fake, b.beside);
		KUNIT_EXPECT_NOT_NULL(test, pdev);
		map = NULL;
		if (pdev) {
			KUNIT_EXPECT_EQ(test, pci_resource_len(pdev, 0), SZ_4K);
			KUNIT_EXPECT_FALSE(test, resource_overlaps(&pdev->resource[0],
								   &pdev_a->resource[0]));
			map = pci_iomap(pdev, 0, 0);
		}
		KUNIT_EXPECT_TRUE(test, !!map);
		if (map && i < 19)
			iounmap(map);
		if (i == 19)
			kunit_info(test, "the next failure is expected");
		kunit_cleanup(&fake);
		KUNIT_EXPECT_EQ(test, fake.status, i < 19 ? KUNIT_SUCCESS : KUNIT_FAILURE);
	}
	if (map) {
		KUNIT_EXPECT_EQ(test, readl(map), ~0);
		iounmap(map);
	}
}

/* Who gets to know of an error, and the link that goes down for one */
static void kunit_pci_error_test(struct kunit *test)
{
	struct pci_dev *root, *down, *pdev;
	struct kunit_pci_tree t;
	u16 status, id;
	int aer, dpc;
	u32 val;

	kunit_pci_tree_init(test, &t);
	kunit_pci_add_aer(t.root);
	kunit_pci_add_aer(t.pf);
	kunit_pci_add_dpc(t.down);
	kunit_pci_probe_host(t.host);
	root = kunit_pci_get_dev(test, t.root);
	down = kunit_pci_get_dev(test, t.down);
	pdev = kunit_pci_get_dev(test, t.pf);
	KUNIT_ASSERT_NOT_NULL(test, root);
	KUNIT_ASSERT_NOT_NULL(test, down);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	aer = pci_find_ext_capability(root, PCI_EXT_CAP_ID_ERR);
	dpc = pci_find_ext_capability(down, PCI_EXT_CAP_ID_DPC);
	KUNIT_ASSERT_NE(test, aer, 0);
	KUNIT_ASSERT_NE(test, dpc, 0);
	/* Neither AER nor DPC is to see to that meanwhile, nor has enabled it */
	device_release_driver(&root->dev);
	device_release_driver(&down->dev);
	pcie_capability_clear_word(pdev, PCI_EXP_DEVCTL,
				   PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE);
	pci_write_config_word(down, dpc + PCI_EXP_DPC_CTL, 0);

	kunit_pci_report_error(t.pf, PCI_ERR_UNC_COMP_TIME, false);
	pci_read_config_dword(root, aer + PCI_ERR_ROOT_STATUS, &val);
	KUNIT_EXPECT_EQ(test, val, 0);
	pcie_capability_set_word(pdev, PCI_EXP_DEVCTL,
				 PCI_EXP_DEVCTL_NFERE | PCI_EXP_DEVCTL_FERE);
	kunit_pci_report_error(t.pf, PCI_ERR_UNC_COMP_TIME, false);
	kunit_pci_report_error(t.pf, PCI_ERR_UNC_DLP, true);
	pci_read_config_dword(root, aer + PCI_ERR_ROOT_STATUS, &val);
	KUNIT_EXPECT_EQ(test, val, PCI_ERR_ROOT_UNCOR_RCV | PCI_ERR_ROOT_MULTI_UNCOR_RCV |
			PCI_ERR_ROOT_NONFATAL_RCV | PCI_ERR_ROOT_FATAL_RCV);
	pci_read_config_word(root, aer + PCI_ERR_ROOT_ERR_SRC + 2, &id);
	KUNIT_EXPECT_EQ(test, id, pci_dev_id(pdev));
	pci_write_config_dword(root, aer + PCI_ERR_ROOT_STATUS, val);

	kunit_pci_trigger_dpc(t.down, PCI_EXP_DPC_STATUS_TRIGGER_RSN_IN_EXT |
			      PCI_EXP_DPC_STATUS_TRIGGER_RSN_SW_TRIGGER);
	pci_write_config_word(down, dpc + PCI_EXP_DPC_CTL, PCI_EXP_DPC_CTL_EN_FATAL);
	kunit_pci_report_error(t.pf, PCI_ERR_UNC_COMP_TIME, false);
	pci_read_config_word(down, dpc + PCI_EXP_DPC_STATUS, &status);
	KUNIT_EXPECT_EQ(test, status, 0);
	kunit_pci_report_error(t.pf, PCI_ERR_UNC_DLP, true);
	pci_read_config_word(down, dpc + PCI_EXP_DPC_STATUS, &status);
	KUNIT_EXPECT_EQ(test, status, PCI_EXP_DPC_STATUS_TRIGGER |
			PCI_EXP_DPC_STATUS_TRIGGER_RSN_FE | PCI_EXP_DPC_STATUS_INTERRUPT);
	pci_read_config_word(down, dpc + PCI_EXP_DPC_SOURCE_ID, &id);
	KUNIT_EXPECT_EQ(test, id, pci_dev_id(pdev));
	pci_read_config_dword(root, aer + PCI_ERR_ROOT_STATUS, &val);
	KUNIT_EXPECT_EQ(test, val, PCI_ERR_ROOT_UNCOR_RCV | PCI_ERR_ROOT_NONFATAL_RCV);
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &val);
	KUNIT_EXPECT_EQ(test, val, ~0);
	pci_write_config_word(down, dpc + PCI_EXP_DPC_STATUS, status);
	pci_read_config_dword(pdev, PCI_VENDOR_ID, &val);
	KUNIT_EXPECT_EQ(test, val, KUNIT_PCI_ID(KUNIT_PCI_ENDPOINT));

	kunit_pci_trigger_dpc(t.down, PCI_EXP_DPC_STATUS_TRIGGER_RSN_IN_EXT |
			      PCI_EXP_DPC_STATUS_TRIGGER_RSN_SW_TRIGGER);
	pci_read_config_word(down, dpc + PCI_EXP_DPC_STATUS, &status);
	KUNIT_EXPECT_EQ(test, status, PCI_EXP_DPC_STATUS_TRIGGER |
			PCI_EXP_DPC_STATUS_TRIGGER_RSN_IN_EXT |
			PCI_EXP_DPC_STATUS_INTERRUPT |
			PCI_EXP_DPC_STATUS_TRIGGER_RSN_SW_TRIGGER);
}

static const struct pci_device_id kunit_pci_test_ids[] = {
	{ PCI_DEVICE(KUNIT_PCI_VENDOR, KUNIT_PCI_ENDPOINT) },
	{ }
};

struct kunit_pci_intx {
	struct pci_driver drv;
	struct kunit_pci_fn *fn;
	int count;
	struct completion done;
};

/* Has a reason to be called three times */
static irqreturn_t kunit_pci_intx_handler(int irq, void *data)
{
	struct kunit_pci_intx *intx = data;

	if (++intx->count == 3) {
		kunit_pci_set_intx(intx->fn, false);
		complete(&intx->done);
	}
	return IRQ_HANDLED;
}

static int kunit_pci_intx_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct kunit_pci_intx *intx = container_of(pdev->driver, struct kunit_pci_intx, drv);

	return request_irq(pdev->irq, kunit_pci_intx_handler, 0, "kunit-pci", intx);
}

static void kunit_pci_intx_remove(struct pci_dev *pdev)
{
	free_irq(pdev->irq, container_of(pdev->driver, struct kunit_pci_intx, drv));
}

/* INTx is level-triggered, can be disabled, and is silent with its function */
static void kunit_pci_intx_test(struct kunit *test)
{
	struct kunit_pci_intx *intx = kunit_pci_zalloc(test, sizeof(*intx));
	struct kunit_pci_host *host;
	struct kunit_pci_fn *port;
	struct pci_dev *pdev;

	init_completion(&intx->done);
	intx->drv.name = "kunit-pci-intx";
	intx->drv.id_table = kunit_pci_test_ids;
	intx->drv.probe = kunit_pci_intx_probe;
	intx->drv.remove = kunit_pci_intx_remove;
	kunit_pci_register_driver(test, &intx->drv);
	host = kunit_pci_alloc_host(test);
	port = kunit_pci_add_port(host, NULL, PCI_DEVFN(1, 0), PCI_EXP_TYPE_ROOT_PORT);
	intx->fn = kunit_pci_add_endpoint(host, port, 0);
	kunit_pci_probe_host(host);
	pdev = kunit_pci_get_dev(test, intx->fn);
	KUNIT_ASSERT_NOT_NULL(test, pdev);
	KUNIT_ASSERT_NOT_NULL(test, pdev->driver);

	pci_intx(pdev, false);
	kunit_pci_set_intx(intx->fn, true);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&intx->done, HZ / 10), 0);
	disable_irq(pdev->irq);
	pci_intx(pdev, true);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&intx->done, HZ / 10), 0);
	kunit_pci_yank(intx->fn);
	enable_irq(pdev->irq);
	KUNIT_EXPECT_EQ(test, wait_for_completion_timeout(&intx->done, HZ / 10), 0);
	KUNIT_EXPECT_EQ(test, intx->count, 0);
	kunit_pci_restore(intx->fn);
	KUNIT_EXPECT_NE(test, wait_for_completion_timeout(&intx->done, HZ), 0);
	synchronize_irq(pdev->irq);
	KUNIT_EXPECT_EQ(test, intx->count, 3);
}

static int kunit_pci_wait_fn(void *data)
{
	wait_for_completion(data);
	return 0;
}

/* A thread is waited for only so long */
static void kunit_pci_run_test(struct kunit *test)
{
	struct completion *go_on = kunit_pci_zalloc(test, sizeof(*go_on));
	struct kunit_pci_thread *thread;

	init_completion(go_on);
	thread = kunit_pci_run(test, kunit_pci_wait_fn, go_on);
	KUNIT_EXPECT_FALSE(test, kunit_pci_wait(thread, HZ / 10));
	complete(go_on);
	KUNIT_EXPECT_TRUE(test, kunit_pci_wait(thread, 0));
}

/* Hosts do not get into each other's way, and go without leaving a trace */
static void kunit_pci_many_hosts_test(struct kunit *test)
{
	struct kunit_pci_tree a, b;
	struct pci_dev *pdev;
	struct kunit fake;
	int i, domain;

	kunit_pci_tree_init(test, &a);
	kunit_pci_probe_host(a.host);

	for (i = 0; i < 3; i++) {
		kunit_init_test(&fake, "kunit_pci_fake_test", NULL);
		kunit_pci_tree_init(&fake, &b);
		kunit_pci_probe_host(b.host);
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
	kunit_pci_probe_host(t.host);
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

struct kunit_pci_abort {
	struct kunit fake;
	struct pci_driver drv;
	int domain;
};

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
	kunit_pci_register_driver(fake, &abort->drv);
	host = kunit_pci_alloc_host(fake);
	pf = kunit_pci_add_endpoint(host, NULL, PCI_DEVFN(1, 0));
	kunit_pci_add_sriov(pf, 2, 256, 1);
	kunit_pci_probe_host(host);
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

	abort = kunit_pci_zalloc(test, sizeof(*abort));
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
	KUNIT_CASE(kunit_pci_reset_test),
	KUNIT_CASE(kunit_pci_slot_test),
	KUNIT_CASE(kunit_pci_bar_test),
	KUNIT_CASE(kunit_pci_bar_hosts_test),
	KUNIT_CASE(kunit_pci_error_test),
	KUNIT_CASE(kunit_pci_intx_test),
	KUNIT_CASE(kunit_pci_run_test),
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
