package serve

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"osgate/bench/pace"
)

// delay forwards connections to an address, so that a round trip takes a time longer:
// half of it in each direction. It is like a network between a gateway and its Redis.
func delay(to, roundTrip string) error {
	by, err := time.ParseDuration(roundTrip)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "tcp://%s\n", listener.Addr())
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go forward(client, to, by/2)
	}
}

// forward carries one connection in both directions, until both have ended.
func forward(client net.Conn, to string, by time.Duration) {
	defer client.Close()
	server, err := net.Dial("tcp", to) //nolint:noctx // loopback
	if err != nil {
		fmt.Fprintln(os.Stderr, "delay:", err)
		return
	}
	defer server.Close()
	there := make(chan struct{})
	go func() {
		defer close(there)
		carry(server, client, by)
	}()
	carry(client, server, by)
	<-there
}

// part is the data of one Read, and the time at which it is due on the other side.
type part struct {
	due  time.Time
	data []byte
}

// carry copies the data of one connection to the other, each part later by the same
// time: a part does not wait for the one before it.
func carry(to, from net.Conn, by time.Duration) {
	parts := make(chan part, 1024)
	go func() { // ends when from is closed or fails
		defer close(parts)
		for {
			data := make([]byte, 16<<10)
			n, err := from.Read(data)
			if n > 0 {
				parts <- part{time.Now().Add(by), data[:n]}
			}
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
					fmt.Fprintln(os.Stderr, "delay:", err)
				}
				return
			}
		}
	}()
	pace.OnThread(func(sleep pace.Sleep) {
		for p := range parts {
			sleep.Until(p.due)
			if _, err := to.Write(p.data); err != nil {
				_ = from.Close() // ends the reader
			}
		}
	})
	_ = to.Close()
}
