SUMMARY = "Doors, stock and pickup codes on the platforms behind kiosks, lockers and vending cabinets"
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE-MIT;md5=7794daf3ea449c993e44e5ec5a02ab75 \
                    file://LICENSE-APACHE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# From `make dist TARGET=source`, laid beside this recipe in the folder files/. The crates are in it.
SRC_URI = "file://kiosklink-${PV}-source.tar.gz"
S = "${WORKDIR}/kiosklink-${PV}-source"

inherit cargo

CARGO_VENDORING_DIRECTORY = "${S}/vendor"

# A library for C, and bitbake strips it itself.
EXTRA_OEMAKE = "CARGO_BUILD_TARGET=${RUST_HOST_SYS} CROSS_COMPILE=${TARGET_PREFIX} STRIP=no \
                PREFIX=${prefix} LIBDIR=${libdir} INCLUDEDIR=${includedir}"

do_compile() {
    oe_runmake -C ${S} ship
}

do_install() {
    oe_runmake -C ${S} install-built DESTDIR=${D}
}

FILES:${PN}-dev += "${libdir}/cmake"
BBCLASSEXTEND = "nativesdk"
