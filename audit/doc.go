// Package audit writes the audit file: one line for each write, delete, refusal and
// admin action, in a chain that shows whether a line was changed, removed, moved or
// added afterwards.
//
// A line is a JSON object that begins with its number and the SHA-256 of the line
// before it, and ends with its own checksum:
//
//	{"seq":7,"prev":"<SHA-256>","time":"…","kind":"exchange",…,"sum":"<SHA-256>"}
//
// prev is the hash of the whole line before, without its line feed. sum is the hash of
// the text before ,"sum":. With a secret the last member is mac, an HMAC-SHA-256 of the
// same text, which cannot be made without the secret.
//
// The idea a reader needs: no request waits for the disk. Lines wait in a queue with a
// bound, one goroutine chains, writes and syncs them, and lines without room are counted
// and reported by a line of the file. [Verify] is pure; the [Writer] uses the same code
// to continue a file.
package audit
