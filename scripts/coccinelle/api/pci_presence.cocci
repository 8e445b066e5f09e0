// SPDX-License-Identifier: GPL-2.0-only
/// Tests of whether a PCI device is still there that are open-coded, or that
/// deserve a second look.
///
/// A comparison of error_state has a helper, which also reads it just once:
/// pci_dev_is_disconnected() tells whether a device is gone for good,
/// pci_channel_offline() whether I/O to it is blocked, perhaps for a while.
///
/// pci_device_is_present() in ->remove() tells whether the device answers
/// right now.  It is false for one that is being reset and will be back.  If
/// the question is whether the device has been pulled out, that's
/// pci_dev_is_disconnected().  Either way, no data must be lost on the ground
/// of the answer, and ->remove() must end if the device goes right after it.
///
/// See Documentation/PCI/surprise-removal.rst.
//# The type of what error_state belongs to is not checked, so that headers
//# need not be included.  The two helpers themselves are left out.
//# Only calls made by ->remove() itself are seen, not those of its callees.
//# Spatch 1.1.1 skips functions with scoped_guard() and the like.
//
// Confidence: High for error_state, Low for ->remove()
// Options: --no-includes --include-headers
// Keywords: pci_dev_is_disconnected, pci_channel_offline, pci_device_is_present

virtual context
virtual org
virtual patch
virtual report

// ----------------------------------------------------------------------------

@depends on patch@
expression E;
position p: script:python() { p[0].current_element not in ["pci_dev_is_disconnected", "pci_channel_offline"] };
symbol pci_channel_io_perm_failure;
@@
(
- READ_ONCE(E->error_state@p) == pci_channel_io_perm_failure
+ pci_dev_is_disconnected(E)
|
- E->error_state@p == pci_channel_io_perm_failure
+ pci_dev_is_disconnected(E)
|
- pci_channel_io_perm_failure == E->error_state@p
+ pci_dev_is_disconnected(E)
|
- READ_ONCE(E->error_state@p) != pci_channel_io_perm_failure
+ !pci_dev_is_disconnected(E)
|
- E->error_state@p != pci_channel_io_perm_failure
+ !pci_dev_is_disconnected(E)
|
- pci_channel_io_perm_failure != E->error_state@p
+ !pci_dev_is_disconnected(E)
)

@depends on patch@
expression E;
position p: script:python() { p[0].current_element not in ["pci_dev_is_disconnected", "pci_channel_offline"] };
symbol pci_channel_io_normal;
@@
(
- READ_ONCE(E->error_state@p) != pci_channel_io_normal
+ pci_channel_offline(E)
|
- E->error_state@p != pci_channel_io_normal
+ pci_channel_offline(E)
|
- pci_channel_io_normal != E->error_state@p
+ pci_channel_offline(E)
|
- READ_ONCE(E->error_state@p) == pci_channel_io_normal
+ !pci_channel_offline(E)
|
- E->error_state@p == pci_channel_io_normal
+ !pci_channel_offline(E)
|
- pci_channel_io_normal == E->error_state@p
+ !pci_channel_offline(E)
)

// ----------------------------------------------------------------------------

@perm depends on !patch@
expression E;
symbol pci_channel_io_perm_failure;
position p: script:python() { p[0].current_element not in ["pci_dev_is_disconnected", "pci_channel_offline"] };
@@
(
* E->error_state@p == pci_channel_io_perm_failure
|
* E->error_state@p != pci_channel_io_perm_failure
|
* pci_channel_io_perm_failure == E->error_state@p
|
* pci_channel_io_perm_failure != E->error_state@p
|
* READ_ONCE(E->error_state@p) == pci_channel_io_perm_failure
|
* READ_ONCE(E->error_state@p) != pci_channel_io_perm_failure
)

@normal depends on !patch@
expression E;
symbol pci_channel_io_normal;
position p: script:python() { p[0].current_element not in ["pci_dev_is_disconnected", "pci_channel_offline"] };
@@
(
* E->error_state@p == pci_channel_io_normal
|
* E->error_state@p != pci_channel_io_normal
|
* pci_channel_io_normal == E->error_state@p
|
* pci_channel_io_normal != E->error_state@p
|
* READ_ONCE(E->error_state@p) == pci_channel_io_normal
|
* READ_ONCE(E->error_state@p) != pci_channel_io_normal
)

@cases depends on !patch@
expression E;
identifier C;
position p: script:python() { p[0].current_element not in ["pci_dev_is_disconnected", "pci_channel_offline"] };
@@
* switch (E->error_state@p) {
  case C: ...
  }

@driver depends on !patch@
identifier drv, fn;
@@
struct pci_driver drv = {
	.remove = fn,
};

@present depends on !patch@
identifier driver.fn;
expression E;
position p;
@@
fn(...)
{
	<+...
*	pci_device_is_present@p(E)
	...+>
}

// ----------------------------------------------------------------------------

@script:python depends on report@
p << perm.p;
@@
coccilib.report.print_report(p[0], "WARNING opportunity for pci_dev_is_disconnected()")

@script:python depends on report@
p << normal.p;
@@
coccilib.report.print_report(p[0], "WARNING opportunity for pci_channel_offline()")

@script:python depends on report@
p << cases.p;
@@
coccilib.report.print_report(p[0], "WARNING opportunity for pci_dev_is_disconnected() or pci_channel_offline()")

@script:python depends on report@
p << present.p;
@@
coccilib.report.print_report(p[0], "WARNING pci_device_is_present() in ->remove(): gone for good, or not answering right now?")

@script:python depends on org@
p << perm.p;
@@
coccilib.org.print_todo(p[0], "WARNING opportunity for pci_dev_is_disconnected()")

@script:python depends on org@
p << normal.p;
@@
coccilib.org.print_todo(p[0], "WARNING opportunity for pci_channel_offline()")

@script:python depends on org@
p << cases.p;
@@
coccilib.org.print_todo(p[0], "WARNING opportunity for pci_dev_is_disconnected() or pci_channel_offline()")

@script:python depends on org@
p << present.p;
@@
coccilib.org.print_todo(p[0], "WARNING pci_device_is_present() in ->remove(): gone for good, or not answering right now?")
