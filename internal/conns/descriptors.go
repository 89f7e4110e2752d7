package conns

// assumed is the number of descriptors that a process may have open if the system does
// not report it.
const assumed = 16_384
