// SPDX-License-Identifier: GPL-2.0-only
/*
 * The init of make kunit KUNIT=x86_64-modules: loads the modules it is given
 * by name and unloads them in reverse.  What they print is the result.  Built
 * with the kernel's nolibc.
 */
static int kmsg;

static void complain(const char *what, const char *module)
{
	dprintf(kmsg, "kunit-modules: BUG: cannot %s %s: %d\n", what, module, errno);
}

int main(int argc, char **argv)
{
	int i, fd;
	char *c;

	mknod("/kmsg", S_IFCHR | 0600, 1 << 8 | 11);
	kmsg = open("/kmsg", O_WRONLY);
	for (i = 1; i < argc; i++) {
		fd = open(argv[i], O_RDONLY);
		if (fd < 0 || syscall(__NR_finit_module, fd, "", 0))
			complain("load", argv[i]);
		close(fd);
	}
	for (i = argc - 1; i > 0; i--) {
		for (c = argv[i]; *c && *c != '.'; c++)
			if (*c == '-')
				*c = '_';
		*c = '\0';
		if (syscall(__NR_delete_module, argv[i], 0))
			complain("unload", argv[i]);
	}
	dprintf(kmsg, "kunit-modules: done\n");
	reboot(LINUX_REBOOT_CMD_RESTART);
	return 0;
}
