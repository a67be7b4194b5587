package media

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// kernelConn is a socket of the kernel on any free port.
func kernelConn(tb testing.TB, ip string) *udpConn {
	tb.Helper()
	c, err := listenUDP(context.Background(), netip.AddrPortFrom(netip.MustParseAddr(ip), 0))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c.(*udpConn)
}

// drained reads c until it is closed, as a session does, and passes on what
// came.
func drained(tb testing.TB, c *udpConn) (packets chan string, failures chan error) {
	tb.Helper()
	packets, failures = make(chan string, 1000), make(chan error, 1000)
	var wg sync.WaitGroup
	wg.Go(func() {
		var scratch sync.Pool
		for {
			err := c.drain(&scratch, func(b []byte, from netip.AddrPort) {
				packets <- from.String() + " " + string(b)
			})
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				select {
				case failures <- err:
				default: // a past deadline fails without end
				}
			}
		}
	})
	tb.Cleanup(func() {
		_ = c.Close()
		wg.Wait()
	})
	return packets, failures
}

func TestKernelSocketReadsEveryPacketAndItsSource(t *testing.T) {
	for _, ip := range []string{"127.0.0.1", "::1"} {
		t.Run(ip, func(t *testing.T) {
			a, b := kernelConn(t, ip), kernelConn(t, ip)
			packets, _ := drained(t, a)
			send := func(s string) {
				if _, err := b.WriteToUDPAddrPort([]byte(s), a.AddrPort()); err != nil {
					t.Fatal(err)
				}
			}
			for range 100 { // one at a time, and several that wait together
				send("one")
				if got, want := <-packets, b.AddrPort().String()+" one"; got != want {
					t.Fatalf("got %q, want %q", got, want)
				}
				for _, s := range []string{"x", "yy", "zzz"} {
					send(s)
				}
				for _, s := range []string{"x", "yy", "zzz"} {
					if got, want := <-packets, b.AddrPort().String()+" "+s; got != want {
						t.Fatalf("got %q, want %q", got, want)
					}
				}
			}
			if err := b.Connect(a.AddrPort()); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Write(make([]byte, maxPacket+1)); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Write(make([]byte, maxPacket)); err != nil {
				t.Fatal(err)
			}
			if got := <-packets; len(got) != len(b.AddrPort().String())+1+maxPacket {
				t.Errorf("%d bytes: what is too long was not left out", len(got))
			}
		})
	}
}

func TestKernelSocketReportsPassingErrorsAndGoesOn(t *testing.T) {
	a, gone, b := kernelConn(t, "127.0.0.1"), kernelConn(t, "127.0.0.1"), kernelConn(t, "127.0.0.1")
	packets, failures := drained(t, a)
	if _, err := a.WriteToUDPAddrPort(nil, netip.MustParseAddrPort("[::1]:9")); err == nil {
		t.Error("sent to another family")
	}
	if err := a.Connect(gone.AddrPort()); err != nil {
		t.Fatal(err)
	}
	_ = gone.Close()
	if _, err := a.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := <-failures; !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("refused: %v", err)
	}
	_ = a.SetReadDeadline(time.Now().Add(-time.Second))
	if err := <-failures; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	_ = a.SetReadDeadline(time.Time{})
	if err := a.Connect(b.AddrPort()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.WriteToUDPAddrPort([]byte("still here"), a.AddrPort()); err != nil {
		t.Fatal(err)
	}
	if got, want := <-packets, b.AddrPort().String()+" still here"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_ = a.Close()
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
}

func TestFloodDoesNotKeepCloseWaiting(t *testing.T) {
	a, b := kernelConn(t, "127.0.0.1"), kernelConn(t, "127.0.0.1")
	begun, over := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		var scratch sync.Pool
		for i := 0; ; {
			err := a.drain(&scratch, func(p []byte, _ netip.AddrPort) {
				_, _ = b.WriteToUDPAddrPort(p, a.AddrPort()) // there is always one more
				if i++; i == 10*burst {
					close(begun)
				}
			})
			if errors.Is(err, net.ErrClosed) {
				return
			}
		}
	}()
	for range 2 {
		if _, err := b.WriteToUDPAddrPort([]byte("x"), a.AddrPort()); err != nil {
			t.Fatal(err)
		}
	}
	<-begun
	_ = a.Close()
	<-over
}

func TestKernelSocketDoesNotAllocate(t *testing.T) {
	a, b := kernelConn(t, "127.0.0.1"), kernelConn(t, "127.0.0.1")
	data, got, sum := make([]byte, 172), make(chan int), 0
	var wg sync.WaitGroup
	wg.Go(func() {
		var scratch sync.Pool
		for {
			err := a.drain(&scratch, func(b []byte, from netip.AddrPort) {
				if from.IsValid() {
					got <- len(b)
				}
			})
			if errors.Is(err, net.ErrClosed) {
				return
			}
		}
	})
	n := testing.AllocsPerRun(500, func() {
		_, _ = b.WriteToUDPAddrPort(data, a.AddrPort())
		sum += <-got
	})
	_ = a.Close()
	wg.Wait()
	if n != 0 || sum != 501*172 {
		t.Errorf("%v allocations for a packet, %d bytes", n, sum)
	}
}

// BenchmarkKernelRelay relays through sockets of the kernel, one packet at a
// time through a hundred paths in turn, so that each wakes its reader.
// cpu-ns/packet is the processor time of the process: one call to send a
// packet and two to wait for it are the parties'.
func BenchmarkKernelRelay(b *testing.B) {
	const paths = 100
	cfg := Config{BindIP: loopback}
	cfg.Ports.First, cfg.Ports.Last = 21000, 29999
	e, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close()
	party := func() (*udpConn, *Session) {
		s, err := e.Open(context.Background(), SessionConfig{})
		if err != nil {
			b.Fatal(err)
		}
		c := kernelConn(b, "127.0.0.1")
		p := udpPhone{conn: c.UDPConn, codec: PCMA}
		if _, err := s.AcceptOffer(p.sdp()); err != nil {
			b.Fatal(err)
		}
		return c, s
	}
	var from, to []*udpConn
	var dest []netip.AddrPort
	for range paths {
		a, sa := party()
		z, sz := party()
		e.Connect(sa, sz, PathConfig{})
		from, to, dest = append(from, a), append(to, z), append(dest, netip.AddrPortFrom(loopback, sa.Port()))
	}
	data, got := make([]byte, headerLen+160), make([]byte, maxPacket)
	n := 0
	before := processorTime(b)
	b.ReportAllocs()
	for b.Loop() {
		i, seq := n%paths, n/paths
		n++
		putHeader(data, PCMA.Payload(), false, uint16(seq), uint32(seq)*160, 7)
		if _, err := from[i].WriteToUDPAddrPort(data, dest[i]); err != nil {
			b.Fatal(err)
		}
		_ = to[i].SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := to[i].ReadFromUDPAddrPort(got); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(n), "cpu-ns/packet")
}

func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
