// SPDX-License-Identifier: GPL-2.0-only
/* Load: character devices, USB, attributes of sysfs */
#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static void read_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	char buf[64];
	ssize_t len;
	int fd;

	(void)nr;
	fd = open_raw(arg[0], O_RDONLY);
	if (fd < 0) {
		w->error = errno;
		return;
	}
	while (!count || w->ok < count) {
		memset(buf, 0, sizeof(buf));
		w->submitted++;
		len = read(fd, buf, sizeof(buf));
		if (len <= 0) {
			w->error = len < 0 ? errno : 0;
			w->failed++;
			return;
		}
		w->ok++;
	}
}

static void write_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	char buf[64];
	ssize_t len;
	int fd;

	(void)nr;
	fd = open_raw(arg[0], O_WRONLY);
	if (fd < 0) {
		w->error = errno;
		return;
	}
	while (!count || w->ok < count) {
		snprintf(buf, sizeof(buf), "%062u\n", w->submitted++);
		len = write(fd, buf, 63);
		if (len != 63) {
			w->error = len < 0 ? errno : 0;
			w->failed++;
			return;
		}
		w->ok++;
		usleep(2000);
	}
}

/* Control transfers; the odd workers wait for an interrupt that never comes */
static void usb_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	unsigned char buf[18];
	struct usbdevfs_ctrltransfer ct = {
		.bRequestType = 0x80, .bRequest = 6, .wValue = 0x100,
		.wLength = sizeof(buf), .timeout = 0, .data = buf,
	};
	struct usbdevfs_bulktransfer bt = {
		.ep = 0x81, .len = 8, .timeout = 0, .data = buf,
	};
	struct usbdevfs_disconnect_claim claim = {};
	int fd, len, idle = nr & 1;

	fd = open(arg[0], O_RDWR);
	if (fd < 0 || (idle && ioctl(fd, USBDEVFS_DISCONNECT_CLAIM, &claim))) {
		w->error = errno;
		return;
	}
	while (!count || w->ok < count) {
		memset(buf, 0, sizeof(buf));
		w->submitted++;
		if (idle)
			len = ioctl(fd, USBDEVFS_BULK, &bt);
		else
			len = ioctl(fd, USBDEVFS_CONTROL, &ct);
		if (len < 0) {
			w->error = errno;
			w->failed++;
			return;
		}
		w->ok++;
		if (!idle && (len != sizeof(buf) || buf[0] != len))
			w->bad++;
	}
}

/* Writes to a sysfs attribute, over and over */
static void poke_worker(struct worker *w, char **arg, uint32_t count, int nr)
{
	int fd;

	(void)nr;
	while (!count || w->ok < count) {
		w->submitted++;
		fd = open(arg[0], O_WRONLY);
		if (fd < 0 || write(fd, "1", 1) != 1) {
			w->error = errno;
			w->failed++;
			return;
		}
		close(fd);
		w->ok++;
	}
}

const struct load char_loads[] = {
	{ "read", read_worker },
	{ "write", write_worker },
	{ "usb", usb_worker },
	{ "poke", poke_worker },
	{}
};
