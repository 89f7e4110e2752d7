//go:build !unix

package conns

// Descriptors returns how many descriptors this process is assumed to have.
func Descriptors() int { return assumed }
