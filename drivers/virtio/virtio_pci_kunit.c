// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests for virtio-pci with a device that goes at each access
 */

#include <linux/completion.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/pci.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/unaligned.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>

#include <kunit/pci.h>
#include <kunit/test.h>

/* A virtio device ID that is not assigned, the last one that virtio-pci takes */
#define VP_TEST_ID	0x3f
#define VP_TEST_PCI_ID	((0x1040 + VP_TEST_ID) << 16 | PCI_VENDOR_ID_REDHAT_QUMRANET)

/* Where in its BAR the device has what */
#define VP_TEST_COMMON	0x000
#define VP_TEST_ISR	0x100
#define VP_TEST_NOTIFY	0x200
#define VP_TEST_DEVICE	0x300
#define VP_TEST_REGS	0x400
#define VP_TEST_QUEUE	16

/* How long anything may take: to find the device dead, and to reset it, twice */
#define BOUND		(10 * HZ)

struct vp_test_ctx {
	struct virtio_driver drv;
	struct kunit_pci_fn *port_fn, *fn;
	struct pci_dev *port;

	/* The device */
	u8 regs[VP_TEST_REGS];
	u16 used;

	/* How many the driver has, and how many buffers it got back */
	int devices, bufs;
};

struct vp_test_dev {
	struct vp_test_ctx *ctx;
	struct virtqueue *vq;
	struct completion done;
	u8 buf[16];
};

static void vp_test_dev_reset(void *priv)
{
	struct vp_test_ctx *ctx = priv;

	memset(ctx->regs, 0, sizeof(ctx->regs));
	put_unaligned_le16(VIRTIO_MSI_NO_VECTOR, ctx->regs + VIRTIO_PCI_COMMON_MSIX);
	put_unaligned_le16(1, ctx->regs + VIRTIO_PCI_COMMON_NUMQ);
	put_unaligned_le16(VP_TEST_QUEUE, ctx->regs + VIRTIO_PCI_COMMON_Q_SIZE);
	ctx->used = 0;
}

static u64 vp_test_dev_read(void *priv, unsigned int offset, unsigned int size)
{
	struct vp_test_ctx *ctx = priv;
	u8 val[8] = { };

	if (offset + size > VP_TEST_REGS)
		return 0;
	memcpy(val, ctx->regs + offset, size);
	if (offset == VP_TEST_ISR) {
		ctx->regs[VP_TEST_ISR] = 0;
		kunit_pci_set_intx(ctx->fn, false);
	}
	return get_unaligned_le64(val);
}

static void *vp_test_ring(struct vp_test_ctx *ctx, unsigned int lo)
{
	return phys_to_virt(get_unaligned_le64(ctx->regs + lo));
}

/* Use whatever is there to be used */
static void vp_test_dev_notified(struct vp_test_ctx *ctx)
{
	struct vring_avail *avail = vp_test_ring(ctx, VIRTIO_PCI_COMMON_Q_AVAILLO);
	struct vring_used *used = vp_test_ring(ctx, VIRTIO_PCI_COMMON_Q_USEDLO);
	vring_used_elem_t *elem;

	while (ctx->used != le16_to_cpu((__force __le16)avail->idx)) {
		elem = &used->ring[ctx->used % VP_TEST_QUEUE];
		elem->id = (__force __virtio32)cpu_to_le32(le16_to_cpu((__force __le16)
				avail->ring[ctx->used % VP_TEST_QUEUE]));
		elem->len = 0;
		ctx->used++;
	}
	used->idx = (__force __virtio16)cpu_to_le16(ctx->used);
	ctx->regs[VP_TEST_ISR] = 1;
	kunit_pci_set_intx(ctx->fn, true);
}

static void vp_test_dev_write(void *priv, unsigned int offset, unsigned int size,
			      u64 val)
{
	struct vp_test_ctx *ctx = priv;
	u8 bytes[8];

	if (offset + size > VP_TEST_REGS)
		return;
	put_unaligned_le64(val, bytes);
	memcpy(ctx->regs + offset, bytes, size);

	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		/* Bit 32 is VIRTIO_F_VERSION_1 */
		put_unaligned_le32(val == 1, ctx->regs + VIRTIO_PCI_COMMON_DF);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		if (!val)
			vp_test_dev_reset(ctx);
		break;
	case VP_TEST_NOTIFY:
		vp_test_dev_notified(ctx);
		break;
	}
}

static const struct kunit_pci_bar_ops vp_test_dev_ops = {
	.read = vp_test_dev_read,
	.write = vp_test_dev_write,
	.reset = vp_test_dev_reset,
};

static void vp_test_add_cap(struct kunit_pci_fn *fn, u8 type, u32 offset, u32 length)
{
	struct virtio_pci_notify_cap cap = {
		.cap.cap_vndr = PCI_CAP_ID_VNDR,
		.cap.cfg_type = type,
		.cap.offset = cpu_to_le32(offset),
		.cap.length = cpu_to_le32(length),
		.notify_off_multiplier = cpu_to_le32(4),
	};

	cap.cap.cap_len = type == VIRTIO_PCI_CAP_NOTIFY_CFG ? sizeof(cap) : sizeof(cap.cap);
	kunit_pci_add_cap(fn, &cap, cap.cap.cap_len);
}

static void vp_test_done(struct virtqueue *vq)
{
	struct vp_test_dev *dev = vq->vdev->priv;
	unsigned int len;

	while (virtqueue_get_buf(vq, &len)) {
		dev->ctx->bufs++;
		complete(&dev->done);
	}
}

static void vp_test_stop(struct virtio_device *vdev)
{
	struct vp_test_dev *dev = vdev->priv;

	virtio_reset_device(vdev);
	while (virtqueue_detach_unused_buf(dev->vq))
		;
	vdev->config->del_vqs(vdev);
	dev->vq = NULL;
}

/* Have one buffer used */
static int vp_test_start(struct virtio_device *vdev)
{
	struct vp_test_dev *dev = vdev->priv;
	struct scatterlist sg;
	int ret;

	reinit_completion(&dev->done);
	dev->vq = virtio_find_single_vq(vdev, vp_test_done, "requests");
	if (IS_ERR(dev->vq)) {
		ret = PTR_ERR(dev->vq);
		dev->vq = NULL;
		return ret;
	}
	virtio_device_ready(vdev);

	sg_init_one(&sg, dev->buf, sizeof(dev->buf));
	ret = virtqueue_add_inbuf(dev->vq, &sg, 1, dev, GFP_KERNEL);
	if (!ret) {
		virtqueue_kick(dev->vq);
		if (!virtio_wait_for_completion(vdev, &dev->done))
			ret = -EIO;
	}
	if (ret)
		vp_test_stop(vdev);
	return ret;
}

static int vp_test_probe(struct virtio_device *vdev)
{
	struct vp_test_dev *dev = kzalloc_obj(*dev);
	int ret;
	u32 val;

	if (!dev)
		return -ENOMEM;
	dev->ctx = container_of(drv_to_virtio(vdev->dev.driver), struct vp_test_ctx, drv);
	init_completion(&dev->done);
	vdev->priv = dev;
	vdev->config->get(vdev, 0, &val, sizeof(val));
	ret = vp_test_start(vdev);
	if (ret) {
		kfree(dev);
		return ret;
	}
	dev->ctx->devices++;
	return 0;
}

static void vp_test_remove(struct virtio_device *vdev)
{
	struct vp_test_dev *dev = vdev->priv;

	if (dev->vq)
		vp_test_stop(vdev);
	dev->ctx->devices--;
	kfree(dev);
}

static int vp_test_reset_prepare(struct virtio_device *vdev)
{
	vp_test_stop(vdev);
	return 0;
}

static const struct virtio_device_id vp_test_ids[] = {
	{ VP_TEST_ID, VIRTIO_DEV_ANY_ID },
	{ }
};

static int vp_test_do_reset(struct pci_dev *pdev)
{
	/* No need to wait after FLR */
	pdev->imm_ready = 1;
	return pci_reset_function(pdev);
}

static const struct vp_test_phase {
	const char *desc;
	int (*phase)(struct pci_dev *pdev);
} vp_test_phases[] = {
	{ "probe", kunit_pci_probe },
	{ "remove", kunit_pci_remove },
	{ "reset", vp_test_do_reset },
};

KUNIT_ARRAY_PARAM_DESC(vp_test_phase, vp_test_phases, desc);

static void vp_test_unregister(void *data)
{
	if (!kunit_pci_stuck())
		unregister_virtio_driver(data);
}

static struct vp_test_ctx *vp_test_init(struct kunit *test)
{
	struct vp_test_ctx *ctx = kunit_pci_zalloc(test, sizeof(*ctx));
	struct kunit_pci_host *host;

	KUNIT_ASSERT_FALSE(test, kunit_pci_stuck());
	ctx->drv.driver.name = "kunit-virtio-pci";
	ctx->drv.id_table = vp_test_ids;
	ctx->drv.probe = vp_test_probe;
	ctx->drv.remove = vp_test_remove;
	ctx->drv.reset_prepare = vp_test_reset_prepare;
	ctx->drv.reset_done = vp_test_start;
	KUNIT_ASSERT_EQ(test, register_virtio_driver(&ctx->drv), 0);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, vp_test_unregister,
							   &ctx->drv));

	host = kunit_pci_alloc_host(test);
	ctx->port_fn = kunit_pci_add_port(host, NULL, PCI_DEVFN(1, 0),
					  PCI_EXP_TYPE_ROOT_PORT);
	ctx->fn = kunit_pci_add_endpoint(host, ctx->port_fn, 0);
	kunit_pci_add_bar(ctx->fn, 0, SZ_4K, &vp_test_dev_ops, ctx);
	vp_test_add_cap(ctx->fn, VIRTIO_PCI_CAP_COMMON_CFG, VP_TEST_COMMON,
			sizeof(struct virtio_pci_modern_common_cfg));
	vp_test_add_cap(ctx->fn, VIRTIO_PCI_CAP_ISR_CFG, VP_TEST_ISR, 1);
	vp_test_add_cap(ctx->fn, VIRTIO_PCI_CAP_NOTIFY_CFG, VP_TEST_NOTIFY, 4);
	vp_test_add_cap(ctx->fn, VIRTIO_PCI_CAP_DEVICE_CFG, VP_TEST_DEVICE, 16);
	kunit_pci_plug(ctx->fn, VP_TEST_PCI_ID);
	kunit_pci_probe_host(host);
	ctx->port = kunit_pci_get_dev(test, ctx->port_fn);
	KUNIT_ASSERT_NOT_NULL(test, ctx->port);
	return ctx;
}

/* Yank at access 1, 2, ... of a phase, up to the last one */
static void vp_test_yank(struct kunit *test, bool noticed)
{
	const struct vp_test_phase *phase = test->param_value;
	struct vp_test_ctx *ctx = vp_test_init(test);
	unsigned int n, total = 0;
	struct kunit_pci_count count;
	struct pci_dev *pdev;

	/* The first time only to count them */
	for (n = 0; n <= total; n++) {
		pdev = kunit_pci_get_dev(test, ctx->fn);
		KUNIT_ASSERT_NOT_NULL(test, pdev);
		KUNIT_ASSERT_EQ(test, ctx->devices, 1);
		KUNIT_ASSERT_EQ(test, ctx->bufs, 1);
		if (phase->phase == kunit_pci_probe)
			kunit_pci_call(test, kunit_pci_unbind, pdev, BOUND, 0);

		kunit_pci_take_count(ctx->fn);
		kunit_pci_yank_after(ctx->fn, n, noticed ? pdev : NULL);
		kunit_pci_call(test, phase->phase, pdev, BOUND, n);
		KUNIT_EXPECT_EQ_MSG(test, kunit_pci_yanked(ctx->fn), !!n, "access %u", n);
		if (!n) {
			count = kunit_pci_take_count(ctx->fn);
			total = count.reads + count.writes + count.mmio_reads +
				count.mmio_writes;
			KUNIT_EXPECT_GT(test, count.mmio_reads, 0);
			if (phase->phase != kunit_pci_remove)
				KUNIT_EXPECT_EQ(test, ctx->bufs, 2);
		}

		kunit_pci_call(test, kunit_pci_remove, pdev, BOUND, n);
		KUNIT_EXPECT_NULL_MSG(test, kunit_pci_get_dev(test, ctx->fn), "%u", n);
		KUNIT_EXPECT_EQ_MSG(test, ctx->devices, 0, "access %u", n);
		KUNIT_EXPECT_NULL_MSG(test, pdev->resource[0].child, "access %u", n);
		ctx->bufs = 0;
		kunit_pci_plug(ctx->fn, VP_TEST_PCI_ID);
		kunit_pci_call(test, kunit_pci_rescan, ctx->port, BOUND, n);
	}
	kunit_info(test, "%s: yanked at %u accesses", phase->desc, total);
}

static void test_yank_noticed(struct kunit *test)
{
	vp_test_yank(test, true);
}

/* Whoever waits for the device takes a while to find it dead */
static void test_yank_unnoticed(struct kunit *test)
{
	vp_test_yank(test, false);
}

static struct kunit_case vp_test_cases[] = {
	KUNIT_CASE_PARAM(test_yank_noticed, vp_test_phase_gen_params),
	KUNIT_CASE_PARAM_ATTR(test_yank_unnoticed, vp_test_phase_gen_params,
			      { .speed = KUNIT_SPEED_SLOW }),
	{}
};

static struct kunit_suite vp_test_suite = {
	.name = "virtio_pci",
	.test_cases = vp_test_cases,
};

kunit_test_suite(vp_test_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit tests for virtio-pci with devices that are gone");
