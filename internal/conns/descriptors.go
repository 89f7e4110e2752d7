package conns

// assumed is how many descriptors a process may have open where the system does not say.
const assumed = 16_384
