################################################################################
#
# kiosklink
#
################################################################################

KIOSKLINK_VERSION = 0.2.0
KIOSKLINK_SOURCE = kiosklink-$(KIOSKLINK_VERSION)-source.tar.gz
# Where `make dist TARGET=source` left it; the crates are in it.
KIOSKLINK_SITE ?= $(BR2_EXTERNAL_KIOSKLINK_PATH)/../../dist
KIOSKLINK_SITE_METHOD = file
KIOSKLINK_LICENSE = MIT or Apache-2.0
KIOSKLINK_LICENSE_FILES = LICENSE-MIT LICENSE-APACHE
KIOSKLINK_INSTALL_STAGING = YES
KIOSKLINK_DEPENDENCIES = host-rustc

# A library for C: not what cargo-package, which is for programs, would install.
# Buildroot strips the image itself. The profile is one that its
# CARGO_PROFILE_RELEASE_... do not reach: they would make the library half as
# large again.
KIOSKLINK_MAKE_OPTS = \
	CARGO_BUILD_TARGET=$(RUSTC_TARGET_NAME) \
	CROSS_COMPILE=$(TARGET_CROSS) \
	STRIP=no PREFIX=/usr PROFILE=image

define KIOSKLINK_BUILD_CMDS
	$(TARGET_MAKE_ENV) $(TARGET_CONFIGURE_OPTS) $(PKG_CARGO_ENV) \
		CARGO_NET_OFFLINE=true $(MAKE1) -C $(@D) ship $(KIOSKLINK_MAKE_OPTS)
endef

define KIOSKLINK_INSTALL_STAGING_CMDS
	$(TARGET_MAKE_ENV) $(MAKE1) -C $(@D) install-built \
		$(KIOSKLINK_MAKE_OPTS) DESTDIR=$(STAGING_DIR)
endef

define KIOSKLINK_INSTALL_TARGET_CMDS
	$(TARGET_MAKE_ENV) $(MAKE1) -C $(@D) install-built \
		$(KIOSKLINK_MAKE_OPTS) DESTDIR=$(TARGET_DIR)
endef

$(eval $(generic-package))
