"""The version of this package, which is that of the library. The build reads it too."""

VERSION = "0.2.0"
