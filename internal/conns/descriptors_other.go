//go:build !unix

package conns

// Descriptors returns how many descriptors this process is taken to have.
func Descriptors() int { return assumed }
