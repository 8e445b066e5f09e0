// SPDX-License-Identifier: GPL-2.0
/*
 * What suites have the core do with devices of the fake PCI host
 */

#include <linux/device.h>
#include <linux/export.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>

#include <kunit/pci.h>
#include <kunit/test.h>

struct kunit_pci_call {
	struct kunit *test;
	int (*fn)(struct pci_dev *pdev);
	struct pci_dev *pdev;
};

static int call_fn(void *data)
{
	struct kunit_pci_call *call = data;

	kunit_warning_suppress(call->test) {
		call->fn(call->pdev);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(call->test, 0);
	}
	return 0;
}

/**
 * kunit_pci_call() - Have the core do something with a device, which has to end
 * @test: test context
 * @fn: what to do, its return value is not used
 * @pdev: argument of @fn
 * @timeout: how long it may take, in jiffies
 * @n: the access at which the device goes, for the message if it fails
 *
 * The test is aborted if @fn does not end, and fails if it warns.
 */
void kunit_pci_call(struct kunit *test, int (*fn)(struct pci_dev *pdev),
		    struct pci_dev *pdev, unsigned long timeout, unsigned int n)
{
	struct kunit_pci_call *call = kunit_pci_zalloc(test, sizeof(*call));
	struct kunit_pci_thread *thread;

	call->test = test;
	call->fn = fn;
	call->pdev = pdev;
	thread = kunit_pci_run(test, call_fn, call);
	KUNIT_ASSERT_TRUE_MSG(test, kunit_pci_wait(thread, timeout),
			      "%ps() does not end, access %u", fn, n);
}
EXPORT_SYMBOL_GPL(kunit_pci_call);

/**
 * kunit_pci_rescan() - Look for a new card below a port, for kunit_pci_call()
 * @port: Root Port or Downstream Port
 *
 * Return: 0.
 */
int kunit_pci_rescan(struct pci_dev *port)
{
	pm_runtime_get_sync(&port->dev);
	pci_lock_rescan_remove();
	pci_rescan_bus(port->subordinate);
	pci_unlock_rescan_remove();
	pm_runtime_put(&port->dev);
	return 0;
}
EXPORT_SYMBOL_GPL(kunit_pci_rescan);

/**
 * kunit_pci_remove() - Remove a device, for kunit_pci_call()
 * @pdev: the device
 *
 * Return: 0.
 */
int kunit_pci_remove(struct pci_dev *pdev)
{
	pci_stop_and_remove_bus_device_locked(pdev);
	return 0;
}
EXPORT_SYMBOL_GPL(kunit_pci_remove);

/**
 * kunit_pci_probe() - Have a driver probe a device, for kunit_pci_call()
 * @pdev: the device
 *
 * Return: as device_attach().
 */
int kunit_pci_probe(struct pci_dev *pdev)
{
	return device_attach(&pdev->dev);
}
EXPORT_SYMBOL_GPL(kunit_pci_probe);

/**
 * kunit_pci_unbind() - Unbind the driver of a device, for kunit_pci_call()
 * @pdev: the device
 *
 * Return: 0.
 */
int kunit_pci_unbind(struct pci_dev *pdev)
{
	device_release_driver(&pdev->dev);
	return 0;
}
EXPORT_SYMBOL_GPL(kunit_pci_unbind);
