package broker

import (
	"fmt"
	"io"
)

// redacted is printed in place of values that hold tokens.
const redacted = "[redacted]"

// Format implements [fmt.Formatter]: t prints as "[redacted]".
func (t *Tokens) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// Format implements [fmt.Formatter]: i prints as "[redacted]".
func (i *Identifier) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }
