package sip

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

const (
	streamIdle   = time.Hour        // without a byte
	streamKnock  = 30 * time.Second // for a stranger to register
	streamFirst  = 5 * time.Second  // for the first message of a stranger, with the handshake
	streamHalf   = 30 * time.Second // for the rest of a message that has begun
	streamWrite  = 10 * time.Second // for the far side to take something
	streamFlush  = time.Second      // the same when the agent closes
	maxUnwritten = 1 << 20          // bytes that wait for the far side
	streamRead   = 16 << 10
)

// stream is one connection over TCP or TLS, dialled or accepted.
//
// Two goroutines belong to it: the transport's read loop, which takes one
// message at a time out of next, and write. Whoever sends never waits: what the
// far side does not take in time ends the connection.
type stream struct {
	a       *Agent
	conn    net.Conn
	raw     net.Conn // is what is closed: closing TLS writes, and waits for that
	way     way
	local   netip.AddrPort
	remote  netip.AddrPort
	dialled bool
	place   *place      // nil: it was dialled
	key     string      // by which the transport knows it
	laddr   sipmsg.Addr // the same for requests of ours: no address of this world

	// Of the read loop.
	frames framer
	order  orderly
	parser *sipmsg.ParserStream
	buf    []byte
	began  time.Time // when the message came that is not whole yet; zero: there is none
	known  time.Time // when its address was last that of somebody we know, or it was made
	spoken bool      // a whole message has come
	ending error     // no more bytes will come

	born time.Time
	done chan struct{} // closed when it is over
	wake chan struct{} // there is something to write, or it is over

	mu       sync.Mutex
	over     error                         // guarded by mu; why it is over
	queue    [][]byte                      // guarded by mu
	size     int                           // guarded by mu; bytes in queue
	draining bool                          // guarded by mu; it ends when queue is written
	heard    time.Time                     // guarded by mu; when the last byte came
	finished bool                          // guarded by mu; no transaction is added any more
	waiting  map[*sipmsg.ClientTx]struct{} // guarded by mu; client transactions that it carries
}

func (s *stream) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// send queues bytes. An error says that the connection is over.
func (s *stream) send(data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over != nil:
		return s.over
	case s.draining:
		return ErrClosed
	case s.size+len(data) > maxUnwritten:
		s.endLocked(errSlow)
		return errSlow
	}
	s.a.seen(Message{At: time.Now(), Sent: true, Transport: s.way.transport, Local: s.local, Remote: s.remote, Data: data})
	s.queue = append(s.queue, data)
	s.size += len(data)
	nudge(s.wake)
	return nil
}

var errSlow = errors.New("the far side does not read")

// end makes the connection over, once. What belongs to it is told by the read
// loop, since the caller may hold any lock.
func (s *stream) end(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(why)
}

func (s *stream) endLocked(why error) {
	if s.over != nil {
		return
	}
	if t, ok := s.raw.(*timely); ok && t.asked && s.heard.Equal(s.born) && !errors.Is(why, ErrClosed) {
		why = wishes(s.way.trunk) // with TLS 1.3 that is seen only now
	}
	s.over = why
	close(s.done)
	_ = s.raw.Close() // wakes the reader; there is nobody to tell
}

// drain ends the connection when everything is written, or soon.
func (s *stream) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	_ = s.conn.SetWriteDeadline(time.Now().Add(streamFlush)) // an error is the write's, too
	nudge(s.wake)
}

// write sends what is queued until the connection is over.
func (s *stream) write() {
	for {
		select {
		case <-s.done:
			return
		case <-s.wake:
		}
		s.mu.Lock()
		draining := s.draining
		bufs := net.Buffers(s.queue)
		s.queue, s.size = nil, 0
		if !draining {
			_ = s.conn.SetWriteDeadline(time.Now().Add(streamWrite)) // an error is the write's, too
		}
		s.mu.Unlock()
		if _, err := bufs.WriteTo(s.conn); err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = errSlow
			}
			s.end(err)
			return
		}
		if draining {
			sayGoodbye(s.conn)
			s.end(ErrClosed)
			return
		}
	}
}

// next returns the next message of a known peer whose turn it is. The error
// says that there are no more.
func (s *stream) next() ([]byte, error) {
	for {
		if p, ok := s.order.ready(time.Now()); ok {
			return p.data, nil
		}
		if s.ending == nil && !s.order.full() {
			m, pings, err := s.frames.next()
			if pings > 0 {
				_ = s.send(crlf) // one for all; if it is over, the read says so
			}
			switch {
			case err != nil:
				s.ending = err
			case m == nil:
				s.ending = s.fill()
				continue
			}
			s.began = time.Time{}
			s.speak()
			switch {
			case err != nil, !s.accept(m):
			case s.order.hold(m, s.remote, time.Now()):
				s.a.streams.reordered.Add(1)
			default:
				return m, nil
			}
			continue
		}
		if s.ending != nil {
			s.a.streams.leave(s) // before what is held is handed on
		}
		due, waiting := s.order.next()
		if !waiting {
			return nil, s.ending
		}
		time.Sleep(time.Until(due)) // a few milliseconds at most
	}
}

// speak notes that a whole message has come.
func (s *stream) speak() {
	if s.place != nil && !s.spoken {
		s.a.streams.spoke(s.place)
	}
	s.spoken = true
}

// fill reads what there is, until the next held message is due.
func (s *stream) fill() error {
	now := time.Now()
	limit := now.Add(streamIdle)
	known := s.a.peers.allows(s.remote.Addr())
	if known {
		s.known = now
	} else if limit = s.known.Add(streamKnock); !s.spoken && s.place != nil {
		limit = s.known.Add(streamFirst)
	}
	if s.frames.half() {
		if s.began.IsZero() {
			s.began = now
		}
		if rest := s.began.Add(streamHalf); rest.Before(limit) {
			limit = rest
		}
	}
	due, waiting := s.order.next()
	if !waiting || due.After(limit) {
		due = limit
	}
	if err := s.conn.SetReadDeadline(due); err != nil {
		return err
	}
	n, err := s.conn.Read(s.buf)
	if n > 0 {
		s.frames.add(s.buf[:n])
		s.mu.Lock()
		s.heard = time.Now()
		s.mu.Unlock()
		return nil
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF): // without a word, over TLS
		return errPeerEnded
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case waiting && due.Before(limit):
		return nil
	case !known && s.a.peers.allows(s.remote.Addr()): // by now: it has registered
		return nil
	case s.frames.half():
		return errHalfSent
	}
	return errIdle
}

// accept drops what somebody sends who is not known any more, and what the
// parser does not take: the connection and its other calls go on.
func (s *stream) accept(m []byte) bool {
	ok, answer := s.a.guard.admits(s.remote, m)
	if answer != nil {
		_ = s.send(answer) // if it is over, the read says so
	}
	if !ok {
		return false
	}
	if !tame(m) || !s.parses(m) {
		s.a.streams.garbage.Add(1)
		return false
	}
	if !s.a.receive(m, s.remote, s.way.transport, func(res []byte, _ netip.AddrPort) { _ = s.send(res) }) {
		return false
	}
	s.a.seen(Message{At: time.Now(), Transport: s.way.transport, Local: s.local, Remote: s.remote, Data: m})
	return true
}

// parses asks the parser that the transport uses whether this is exactly one
// message to it. The transport closes a connection over one that is not, and
// its read loop does not survive a panic.
func (s *stream) parses(m []byte) (ok bool) {
	defer s.a.rescue("parser", nil)
	defer s.parser.Reset()
	if _, err := s.parser.Write(m); err != nil {
		return false
	}
	_, _, err := s.parser.ParseNext()
	return err == nil && s.parser.Buffer().Len() == 0
}

// carry has a transaction ended when the connection is over. It is false where
// it is over already.
func (s *stream) carry(tx *sipmsg.ClientTx) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished {
		return false
	}
	s.waiting[tx] = struct{}{}
	return true
}

func (s *stream) release(tx *sipmsg.ClientTx) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waiting, tx)
}

// finish ends what the connection carried.
func (s *stream) finish() {
	s.mu.Lock()
	s.endLocked(errPeerEnded)
	s.finished = true
	all := make([]*sipmsg.ClientTx, 0, len(s.waiting))
	for tx := range s.waiting {
		all = append(all, tx)
	}
	why := s.over
	s.mu.Unlock()
	for _, tx := range all {
		tx.Terminate()
	}
	if s.a.isClosing() {
		return
	}
	bell := &s.a.streams.theirEnds
	if s.dialled {
		bell = &s.a.streams.ourEnds
	}
	if suppressed, tell := bell.press(s.remote.Addr(), time.Now()); tell {
		s.a.log.Info("sip: connection ended", "peer", s.remote, "transport", s.way.transport, "dialled", s.dialled, "why", innermost(why), "requests", len(all), "suppressed", suppressed)
	}
}
