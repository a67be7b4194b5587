package memnet

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

var (
	here  = netip.MustParseAddrPort("10.0.0.1:0")
	there = netip.MustParseAddrPort("10.0.0.2:5060")
)

// pair is a connection between two hosts.
func pair(t *testing.T, n *Net) (near, far *Stream) {
	t.Helper()
	l := n.MustListenStream(there.String())
	near, err := n.DialStream(t.Context(), here, there)
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return near, c.(*Stream)
}

func TestStreamKeepsBytesAndSegments(t *testing.T) {
	n := New()
	near, far := pair(t, n)
	if near.RemoteAddr().String() != there.String() || far.RemoteAddr().String() != near.LocalAddr().String() {
		t.Errorf("%s, %s", near, far)
	}
	for _, s := range []string{"first", "second"} {
		if _, err := near.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	_ = near.Close()
	buf := make([]byte, 3)
	var got []string
	for {
		k, err := far.Read(buf)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(buf[:k]))
	}
	if strings.Join(got, "|") != "fir|st|sec|ond" {
		t.Errorf("%q", got)
	}
	if _, err := far.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write to a closed end: %v", err)
	}
	_ = far.Close()
	if n.Streams() != 0 {
		t.Errorf("%d ends open", n.Streams())
	}
}

func TestWriterWaitsForASlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := pair(t, New())
		_ = near.SetWriteDeadline(time.Now().Add(time.Second))
		k, err := near.Write(make([]byte, window+1))
		if k != window || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%d, %v", k, err)
		}
		_ = near.SetWriteDeadline(time.Time{})
		done := make(chan error, 1)
		go func() {
			_, err := near.Write(make([]byte, 10))
			done <- err
		}()
		synctest.Wait()
		if _, err := io.ReadFull(far, make([]byte, window+10)); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestDialIsRefusedResetOrUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		if _, err := n.DialStream(t.Context(), here, there); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nobody listens: %v", err)
		}
		near, far := pair(t, n)
		_, _ = far.Write([]byte("lost"))
		far.Reset()
		if _, err := near.Read(make([]byte, 9)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("reset: %v", err)
		}
		near, err := n.DialStream(t.Context(), here, there)
		if err != nil {
			t.Fatal(err)
		}
		n.Unplug(there.Addr())
		if _, err := near.Write([]byte("x")); err != nil {
			t.Errorf("a dead host does not say so: %v", err)
		}
		_ = near.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := near.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := n.DialStream(ctx, here, there); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dial: %v", err)
		}
	})
}

func TestListenerEndsAndFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New()
		l := n.MustListenStream(there.String())
		if _, err := n.ListenStream(t.Context(), there); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("second listener: %v", err)
		}
		errs := make(chan error)
		go func() {
			for range 2 {
				_, err := l.Accept()
				errs <- err
			}
		}()
		synctest.Wait()
		n.FailAccept(syscall.EMFILE)
		if err := <-errs; !errors.Is(err, syscall.EMFILE) {
			t.Errorf("accept: %v", err)
		}
		n.FailAccept(nil)
		_ = l.Close()
		if err := <-errs; !errors.Is(err, syscall.EMFILE) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("accept: %v", err)
		}
	})
}
