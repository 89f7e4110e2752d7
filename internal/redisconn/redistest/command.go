package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// answer is a server's answer: a line, a bulk string, or an array; then text is the
// length of the array.
type answer struct {
	text string
	list []string // elements of an array; nested arrays are flattened
}

// command sends one command on a new connection, with as much of the Redis protocol
// (RESP2) as tests need. An error answer is returned as an error.
func command(addr string, args []string) (answer, error) {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return answer{}, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer{}, err
	}
	request := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, arg := range args {
		request = fmt.Appendf(request, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := c.Write(request); err != nil {
		return answer{}, err
	}
	return readAnswer(bufio.NewReader(c))
}

func readAnswer(r *bufio.Reader) (a answer, err error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return answer{}, err
	}
	kind, rest := line[0], strings.TrimSpace(line[1:])
	switch kind {
	case '-':
		return answer{}, errors.New(rest)
	case '$', '*':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return answer{}, err // nil counts as an empty answer
		}
		if kind == '*' {
			return readList(r, n)
		}
		body := make([]byte, n+len("\r\n"))
		_, err = io.ReadFull(r, body)
		return answer{text: string(body[:n])}, err
	}
	return answer{text: rest}, nil
}

func readList(r *bufio.Reader, n int) (answer, error) {
	list := answer{text: strconv.Itoa(n)}
	for range n {
		element, err := readAnswer(r)
		if err != nil {
			return answer{}, err
		}
		if element.list != nil {
			list.list = append(list.list, element.list...)
			continue
		}
		list.list = append(list.list, element.text)
	}
	return list, nil
}
