package media

import (
	"net/netip"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A packet through the net package costs the scheduler a notice, with each
// call, that the call may block, and locks and preparations around it. The
// calls below never block, so they are made raw, and a socket is read in one
// long Read. recvmmsg(2), which could spare the call that finds nothing more,
// costs as much as it spares.
//
// A descriptor is used inside callbacks of syscall.RawConn alone. They hold a
// reference to it, so Close waits for them and its number cannot become
// another file's meanwhile.

// incoming is what recvfrom(2) and recvmsg(2) fill. It is needed only while
// packets are being read, so all sockets share a few.
type incoming struct {
	from    unix.RawSockaddrInet6 // has room for either family
	fromLen uint32
	buf     [maxPacket]byte
	header  unix.Msghdr
	part    unix.Iovec
	control [64]byte
}

// drain implements drainer. In the ordinary it returns only when the socket
// is closed.
//
// No packet is left lying: the poller reports each arrival once, and RawConn
// takes the report before it runs the callback again. What the callback does
// not find has thus come after its last look and has a report of its own,
// which ends the wait that follows. A return with true is followed by a new
// Read, which forgets old reports and then looks first.
func (c *udpConn) drain(scratch *sync.Pool, handle func(b []byte, from netip.AddrPort)) error {
	var failure error
	err := c.raw.Read(func(fd uintptr) bool {
		in, ok := scratch.Get().(*incoming)
		if !ok {
			in = new(incoming)
		}
		var wait bool
		wait, failure = in.drain(fd, handle)
		scratch.Put(in)
		return !wait
	})
	if err != nil {
		return err
	}
	return failure
}

// drain hands on what waits in the socket. It reports whether that was
// everything, so that there is something to wait for.
func (in *incoming) drain(fd uintptr, handle func(b []byte, from netip.AddrPort)) (wait bool, err error) {
	for range burst {
		n, errno := in.recvfrom(fd)
		switch {
		case errno == unix.EAGAIN:
			return true, nil
		case errno != 0:
			return false, errno
		case n <= maxPacket:
			handle(in.buf[:n], in.source())
		}
	}
	return false, nil
}

// recvfrom takes a packet and returns its true length, also when that is more
// than the buffer holds.
func (in *incoming) recvfrom(fd uintptr) (int, syscall.Errno) {
	in.fromLen = unix.SizeofSockaddrInet6 // the kernel writes the length it used
	n, _, errno := syscall.RawSyscall6(unix.SYS_RECVFROM, fd,
		uintptr(unsafe.Pointer(&in.buf)), maxPacket, unix.MSG_DONTWAIT|unix.MSG_TRUNC,
		uintptr(unsafe.Pointer(&in.from)), uintptr(unsafe.Pointer(&in.fromLen)))
	return int(n), errno
}

// source is the address that the packet came from.
func (in *incoming) source() netip.AddrPort {
	port := port(&in.from.Port)
	if in.from.Family == unix.AF_INET {
		four := (*unix.RawSockaddrInet4)(unsafe.Pointer(&in.from))
		return netip.AddrPortFrom(netip.AddrFrom4(four.Addr), port)
	}
	return netip.AddrPortFrom(netip.AddrFrom16(in.from.Addr), port)
}

// outgoing is the packet that is being sent.
type outgoing struct {
	call func(fd uintptr) // sendto as a value, made once: made per packet it would be garbage

	mu    sync.Mutex
	data  []byte                // guarded by mu
	to    unix.RawSockaddrInet6 // guarded by mu; has room for either family
	toLen uintptr               // guarded by mu; 0: to the connected peer
	errno syscall.Errno         // guarded by mu
}

// Write sends to the connected peer. A packet for which there is no room in
// the socket is lost and EAGAIN returned: late sound is worth nothing.
func (c *udpConn) Write(b []byte) (int, error) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.toLen = 0
	return c.send(b)
}

// WriteToUDPAddrPort sends to anyone, with the errors of Write.
func (c *udpConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	if to.Addr().Zone() != "" || c.addr.Addr().Is4() && !to.Addr().Unmap().Is4() {
		return c.UDPConn.WriteToUDPAddrPort(b, to) // rare, or an error to be worded
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.address(to, c.addr.Addr().Is4())
	return c.send(b)
}

// address sets the destination in the family of the socket. o.mu is held.
func (o *outgoing) address(to netip.AddrPort, four bool) {
	if four {
		sa := (*unix.RawSockaddrInet4)(unsafe.Pointer(&o.to))
		sa.Family, sa.Addr, o.toLen = unix.AF_INET, to.Addr().Unmap().As4(), unix.SizeofSockaddrInet4
		setPort(&sa.Port, to.Port())
		return
	}
	o.to = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: to.Addr().As16()}
	o.toLen = unix.SizeofSockaddrInet6
	setPort(&o.to.Port, to.Port())
}

// send sends b to the address set before. c.out.mu is held.
func (c *udpConn) send(b []byte) (int, error) {
	o := &c.out
	o.data = b
	err := c.raw.Control(o.call)
	o.data = nil
	if err != nil {
		return 0, err
	}
	if o.errno != 0 {
		return 0, o.errno
	}
	return len(b), nil
}

// sendto is the system call; o.mu is held.
func (o *outgoing) sendto(fd uintptr) {
	var to unsafe.Pointer
	if o.toLen != 0 {
		to = unsafe.Pointer(&o.to)
	}
	_, _, o.errno = syscall.RawSyscall6(unix.SYS_SENDTO, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(o.data))), uintptr(len(o.data)), unix.MSG_DONTWAIT, uintptr(to), o.toLen)
}

// port reads a port in the order of the network.
func port(p *uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(p))
	return uint16(b[0])<<8 | uint16(b[1])
}

func setPort(p *uint16, port uint16) {
	b := (*[2]byte)(unsafe.Pointer(p))
	b[0], b[1] = byte(port>>8), byte(port)
}
