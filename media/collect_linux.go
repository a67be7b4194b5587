package media

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// keep implements keeper: the kernel notes when packets come (socket(7),
// SO_TIMESTAMPNS).
func (c *udpConn) keep() error {
	return c.control("note the times of packets", func(fd uintptr) error {
		return unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
}

// collect implements keeper.
func (c *udpConn) collect(scratch *sync.Pool, handle func(b []byte, from netip.AddrPort, age time.Duration)) {
	in, ok := scratch.Get().(*incoming)
	if !ok {
		in = new(incoming)
	}
	defer scratch.Put(in)
	_ = c.raw.Control(func(fd uintptr) { // an error says that the socket is closed
		for range burst {
			n, errno := in.recvmsg(fd)
			switch {
			case errno == unix.EAGAIN:
				return
			case errno != 0: // passing: an ICMP message of somebody's
			case n <= maxPacket:
				handle(in.buf[:n], in.source(), in.age(time.Now()))
			}
		}
	})
}

// recvmsg takes a packet with the time at which it came, and returns its true
// length as recvfrom does.
func (in *incoming) recvmsg(fd uintptr) (int, syscall.Errno) {
	in.part = unix.Iovec{Base: &in.buf[0]}
	in.part.SetLen(maxPacket)
	in.header = unix.Msghdr{
		Name: (*byte)(unsafe.Pointer(&in.from)), Namelen: unix.SizeofSockaddrInet6,
		Iov: &in.part, Control: &in.control[0],
	}
	in.header.SetIovlen(1)
	in.header.SetControllen(len(in.control))
	n, _, errno := syscall.RawSyscall(unix.SYS_RECVMSG, fd, uintptr(unsafe.Pointer(&in.header)), unix.MSG_DONTWAIT|unix.MSG_TRUNC)
	return int(n), errno
}

// age is how long ago the packet came, 0 where the kernel does not say.
func (in *incoming) age(now time.Time) time.Duration {
	messages, err := unix.ParseSocketControlMessage(in.control[:in.header.Controllen])
	if err != nil {
		return 0
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
			seconds, nanos := binary.NativeEndian.Uint64(m.Data), binary.NativeEndian.Uint64(m.Data[8:])
			return max(now.Sub(time.Unix(int64(seconds), int64(nanos))), 0)
		}
	}
	return 0
}
