// Package packagetest tests the deliverables: the unit of systemd, the images, the
// packages and the archives. Its tests run by `make deploy-test`, because they compile
// all of it and need root.
package packagetest
