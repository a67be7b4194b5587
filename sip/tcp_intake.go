package sip

import (
	"net"
	"time"
)

// intake is a stream as the transport reads it: one Read, one message. Its
// addresses are the stream's key, so that nothing else is found by them.
type intake struct {
	s    *stream
	rest []byte
	told bool // of the end
}

type keyAddr string

func (keyAddr) Network() string  { return "tcp" }
func (k keyAddr) String() string { return string(k) }

var _ net.Conn = (*intake)(nil)

// Read implements net.Conn.
func (c *intake) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		m, err := c.s.next()
		if err != nil {
			c.s.end(err)
			c.told = true
			c.s.a.streams.finish(c.s)
			return 0, net.ErrClosed // whatever else it is would be logged there
		}
		c.rest = m
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write implements net.Conn.
func (c *intake) Write(b []byte) (int, error) {
	if err := c.s.send(append([]byte(nil), b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close is how the transport's read loop ends. The transport's pool is locked.
func (c *intake) Close() error {
	c.s.end(net.ErrClosed)
	if !c.told {
		c.told = true
		go c.s.a.streams.finish(c.s)
	}
	return nil
}

// LocalAddr implements net.Conn.
func (c *intake) LocalAddr() net.Addr { return keyAddr(c.s.key) }

// RemoteAddr implements net.Conn.
func (c *intake) RemoteAddr() net.Addr { return keyAddr(c.s.key) }

// SetDeadline implements net.Conn; the stream has limits of its own.
func (c *intake) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (c *intake) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (c *intake) SetWriteDeadline(time.Time) error { return nil }
