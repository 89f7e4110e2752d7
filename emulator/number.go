package emulator

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
)

// calculate changes a number in place. The API description defines this for POST ("in a
// non-idempotent fashion") with a media type; the members of the body are the
// emulator's choice: {"operation":"add","numberValue":5}, with add, subtract, multiply.
// A key that does not exist counts as 0.
func (c *call) calculate() (answer, error) {
	operation := "add"
	var operand json.RawMessage // a json.Number would accept "1" for 1
	if err := c.body.read("operation", &operation); err != nil {
		return answer{}, err
	}
	if err := c.body.read("numberValue", &operand); err != nil {
		return answer{}, err
	}
	if len(operand) == 0 || !finite(string(operand)) {
		return answer{}, problemf(http.StatusBadRequest, "numberValue is missing or not a number")
	}
	old := value{kind: typeNumber, text: "0"}
	if c.wantItem() == nil {
		old = c.item.value
	}
	if old.kind != typeNumber {
		return answer{}, problemf(http.StatusBadRequest, "the key holds a %s, not a NUMBER", old.kind)
	}
	text, ok := arithmetic(operation, old.text, string(operand))
	if !ok {
		return answer{}, problemf(http.StatusBadRequest,
			"operation is not one of add, subtract, multiply, or the result is out of range")
	}
	v := old
	v.text = text
	if _, err := c.write(v, false); err != nil {
		return answer{}, err
	}
	return c.tagged(jsonAnswer(http.StatusOK, c.item.object(c.ref.key))), nil
}

// arithmetic applies an operation to two JSON numbers: exactly if both are integers and
// the result fits 64 bits, otherwise in floating point.
func arithmetic(operation, a, b string) (string, bool) {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	if errX == nil && errY == nil {
		if n, fits := integers(operation, x, y); fits {
			return strconv.FormatInt(n, 10), true
		}
	}
	p, _ := strconv.ParseFloat(a, 64) // both are finite, which was checked
	q, _ := strconv.ParseFloat(b, 64)
	var r float64
	switch operation {
	case "add":
		r = p + q
	case "subtract":
		r = p - q
	case "multiply":
		r = p * q
	default:
		return "", false
	}
	if r == 0 {
		r = 0 // no negative zero
	}
	return string(numberText(r)), !math.IsInf(r, 0)
}

// integers returns the result if it fits.
func integers(operation string, x, y int64) (n int64, fits bool) {
	switch operation {
	case "add":
		n = x + y
		return n, (n > x) == (y > 0)
	case "subtract":
		n = x - y
		return n, (n < x) == (y > 0)
	case "multiply":
		if x == 0 || y == 0 {
			return 0, true
		}
		n = x * y
		return n, n/y == x && !(x == -1 && y == math.MinInt64) && !(y == -1 && x == math.MinInt64)
	}
	return 0, false
}
