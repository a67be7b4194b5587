package redistest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Server is a redis-server of its own, with a folder of its own, which keeps
// what it is told as a server of the store should. It is reached through a
// socket in that folder, so that no port is taken, and on Linux dies
// with the process that has started it.
type Server struct {
	dir  string
	args []string
	cmd  *exec.Cmd     // nil: it does not run
	gone chan struct{} // closed when it has ended
}

// Databases is how many databases a Server has, for tests beside each other.
const Databases = 1024

// Start runs a redis-server whose further settings are args. Stop it.
func Start(args ...string) (*Server, error) {
	dir, err := os.MkdirTemp("", "redis") // the path of a socket must be short
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, args: args}
	if err := s.Run(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// URL is how a client names database n of the server; it needs Dial, too.
func (s *Server) URL(n int) string { return fmt.Sprintf("redis://localhost/%d", n) }

// Dial connects to the server; it fits the Dialer option.
func (s *Server) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", filepath.Join(s.dir, "s"))
}

// Run starts the server again after Kill, with what its disk has.
func (s *Server) Run() error {
	args := append([]string{
		"--port", "0", "--unixsocket", filepath.Join(s.dir, "s"), "--dir", s.dir, "--logfile", filepath.Join(s.dir, "log"),
		"--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--databases", fmt.Sprint(Databases),
	}, s.args...)
	cmd := exec.CommandContext(context.Background(), "redis-server", args...)
	gone := make(chan struct{})
	if err := startBound(cmd, gone); err != nil {
		return fmt.Errorf("redis-server, of the package of that name: %w", err)
	}
	s.cmd, s.gone = cmd, gone
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if s.ready() {
			return nil
		}
	}
	log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
	return errors.Join(fmt.Errorf("redis-server does not answer: %s", log), s.Kill())
}

// startBound starts a process that the kernel, where it is Linux, kills when
// this one dies, however that happens. gone is closed when it has ended. The kernel watches the thread
// that has started it, which therefore stays until then.
func startBound(cmd *exec.Cmd, gone chan<- struct{}) error {
	cmd.SysProcAttr = diesWithUs()
	started := make(chan error, 1)
	go func() {
		defer close(gone)
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it tells that it was killed
		}
	}()
	return <-started
}

// ready reports whether the server has read its data and answers.
func (s *Server) ready() bool {
	conn, err := s.Dial(context.Background(), "", "")
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	answer := make([]byte, 16)
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	n, err := conn.Read(answer)
	return err == nil && string(answer[:n]) == "+PONG\r\n"
}

// Kill ends the server as a crash would. That it does not run is no error.
func (s *Server) Kill() error {
	if s.cmd == nil {
		return nil
	}
	err := s.cmd.Process.Kill()
	<-s.gone
	s.cmd = nil
	return err
}

// Freeze stops the server where it is: connections stay, and nothing answers.
func (s *Server) Freeze() error { return s.cmd.Process.Signal(syscall.SIGSTOP) }

// Thaw lets a frozen server go on.
func (s *Server) Thaw() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Dir is where the server keeps its files.
func (s *Server) Dir() string { return s.dir }

// Stop ends the server and removes its folder.
func (s *Server) Stop() error { return errors.Join(s.Kill(), os.RemoveAll(s.dir)) }

// Lose takes the last n bytes off what a server that was killed has written, as
// when the machine loses its power before they reach the disk.
func (s *Server) Lose(n int64) error {
	files, err := filepath.Glob(filepath.Join(s.dir, "appendonlydir", "*.incr.aof"))
	if err != nil || len(files) == 0 {
		return errors.Join(fmt.Errorf("%s has no file of writes", s.dir), err)
	}
	last := files[len(files)-1]
	about, err := os.Stat(last)
	if err != nil {
		return err
	}
	return os.Truncate(last, max(0, about.Size()-n))
}
