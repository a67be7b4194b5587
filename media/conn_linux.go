package media

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// expedited is the DSCP class EF in the place of the old type-of-service byte:
// routers that honour it send voice before bulk.
const expedited = 0xb8

// udpConn is a socket of the kernel. Go takes it for an unconnected one; the
// kernel is told behind its back, because Go has no way back from connected.
// Packets come and go by system calls of its own, see transfer_linux.go.
type udpConn struct {
	*net.UDPConn
	raw  syscall.RawConn
	addr netip.AddrPort
	out  outgoing
}

func listenUDP(_ context.Context, addr netip.AddrPort) (Conn, error) {
	network := "udp6"
	if addr.Addr().Is4() {
		network = "udp4"
	}
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if err != nil {
		return nil, err
	}
	raw, err := c.SyscallConn()
	if err == nil {
		// A kernel that refuses only takes away the priority.
		err = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_TOS, expedited) })
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	local := c.LocalAddr().(*net.UDPAddr).AddrPort()
	u := &udpConn{UDPConn: c, raw: raw, addr: netip.AddrPortFrom(local.Addr().Unmap(), local.Port())}
	u.out.call = u.out.sendto
	return u, nil
}

func (c *udpConn) AddrPort() netip.AddrPort { return c.addr }

func (c *udpConn) Connect(peer netip.AddrPort) error {
	var sa unix.Sockaddr
	if peer.Addr().Is4() {
		sa = &unix.SockaddrInet4{Port: int(peer.Port()), Addr: peer.Addr().As4()}
	} else {
		sa = &unix.SockaddrInet6{Port: int(peer.Port()), Addr: peer.Addr().As16()}
	}
	return c.control("connect", func(fd uintptr) error { return unix.Connect(int(fd), sa) })
}

// Disconnect is connect(2) with AF_UNSPEC. The local port stays, because it
// was bound by number; one of the kernel's choice would be lost.
func (c *udpConn) Disconnect() error {
	return c.control("disconnect", func(fd uintptr) error {
		sa := unix.RawSockaddr{Family: unix.AF_UNSPEC}
		_, _, errno := unix.RawSyscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&sa)), unsafe.Sizeof(sa))
		if errno != 0 {
			return errno
		}
		return nil
	})
}

func (c *udpConn) control(op string, f func(fd uintptr) error) error {
	var inner error
	if err := c.raw.Control(func(fd uintptr) { inner = f(fd) }); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	if inner != nil {
		return fmt.Errorf("%s: %w", op, inner)
	}
	return nil
}
