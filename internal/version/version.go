// Package version names the version of a command of this module.
package version

import "runtime/debug"

// Of returns linked, which the linker set, or where that is empty the version of the
// main module.
func Of(linked string) string {
	if linked != "" {
		return linked
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
