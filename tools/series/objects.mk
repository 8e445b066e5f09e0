# SPDX-License-Identifier: GPL-2.0-only
# What kbuild builds in a directory, as it is configured: DIR below SRC, with
# the configuration in OUT. (It compiles any object when told by name, so its
# Makefile is asked.)
srctree := $(SRC)
src := $(SRC)/$(DIR)
obj := $(DIR)
-include $(OUT)/include/config/auto.conf
include $(MAKEFILE)
all := $(obj-y) $(obj-m) $(lib-y)
all += $(foreach o,$(all:.o=),$($(o)-objs) $($(o)-y) $($(o)-m))
all += $(foreach o,$(all:.o=),$($(o)-objs) $($(o)-y) $($(o)-m))
one: ; @printf '%s\n' $(all)
