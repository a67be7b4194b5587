package redistest

import (
	"net"
	"sync"
)

// buffered returns a connection to what answers at the other end of conn. What
// either end writes does not wait for a reader, as with a socket: a client that
// writes many commands before it reads the first answer would wait forever for
// a server that waits for it.
func buffered(conn net.Conn) net.Conn {
	near, far := net.Pipe()
	go carry(conn, far)
	go carry(far, conn)
	return near
}

// carry writes to one what is read of the other, until either ends, and closes
// it then.
func carry(to, from net.Conn) {
	q := &queue{}
	q.more.L = &q.mu
	var writing sync.WaitGroup
	writing.Go(func() {
		for {
			data, ok := q.take()
			if !ok {
				break
			}
			if _, err := to.Write(data); err != nil {
				break
			}
		}
		_ = to.Close()
	})
	data := make([]byte, 4096)
	for {
		n, err := from.Read(data)
		if err != nil {
			break
		}
		q.write(data[:n])
	}
	q.close()
	writing.Wait()
}

// queue is what was written and not read yet.
type queue struct {
	mu     sync.Mutex
	more   sync.Cond
	data   []byte // guarded by mu
	closed bool   // guarded by mu
}

func (q *queue) write(data []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.data = append(q.data, data...)
	q.more.Signal()
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.more.Signal()
}

// take waits for more and returns it; false after the end.
func (q *queue) take() ([]byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.data) == 0 && !q.closed {
		q.more.Wait()
	}
	data := q.data
	q.data = nil
	return data, !q.closed || len(data) > 0
}
