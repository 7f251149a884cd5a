SUMMARY = "Doors, stock and pickup codes on the platforms behind kiosks, lockers and vending cabinets"
# Cargo.toml says "MIT OR Apache-2.0"; here it is written so.
LICENSE = "MIT | Apache-2.0"
LIC_FILES_CHKSUM = "file://LICENSE-MIT;md5=7794daf3ea449c993e44e5ec5a02ab75 \
                    file://LICENSE-APACHE;md5=3b83ef96387f14655fc854ddc3c6bd57"

# From `make dist TARGET=source`, laid beside this recipe in the folder files/. The crates are in it.
SRC_URI = "file://kiosklink-${PV}-source.tar.gz"
S = "${UNPACKDIR}/kiosklink-${PV}-source"

inherit cargo

# The tarball's .cargo/config.toml names its own vendored crates; a second [source.crates-io] beside it would not do.
CARGO_DISABLE_BITBAKE_VENDORING = "1"

# A library for C: what the class builds and installs would be Rust's. bitbake strips it itself. The class has target-dir written into
# cargo's configuration, which make asks.
EXTRA_OEMAKE = "CARGO_BUILD_TARGET=${RUST_HOST_SYS} CROSS_COMPILE=${TARGET_PREFIX} STRIP=no PROFILE=image \
                PREFIX=${prefix} LIBDIR=${libdir} INCLUDEDIR=${includedir} DATADIR=${datadir} MANDIR=${mandir}"

do_compile() {
    export RUSTFLAGS="${RUSTFLAGS}"
    export CARGO_NET_OFFLINE=true
    oe_runmake -C ${S} ship
}

do_install() {
    oe_runmake -C ${S} install-built DESTDIR=${D}
}

FILES:${PN}-dev += "${libdir}/cmake ${datadir}/kiosklink"
BBCLASSEXTEND = "nativesdk"
