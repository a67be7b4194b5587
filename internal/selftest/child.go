package selftest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"perezvon/configs"
)

// child is a server in a process of its own, which can be killed.
type child struct {
	cmd  *exec.Cmd
	url  string
	out  *tail
	done chan struct{} // closed when it has ended
	err  error         // written before done is closed
}

// startChild writes the configuration of a house as a file and starts serve
// with it.
func startChild(ctx context.Context, h *house) (*child, error) {
	if h.opts.Program == "" {
		return nil, errors.New("no program to start was named")
	}
	if err := os.MkdirAll(h.dir, 0o750); err != nil {
		return nil, err
	}
	at, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	h.cfg.HTTP.Listen = at
	file, err := json.MarshalIndent(asFile(h.cfg), "", "  ") // JSON is YAML
	if err != nil {
		return nil, err
	}
	path := filepath.Join(h.dir, "perezvon.yaml")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		return nil, err
	}
	c := &child{url: "http://" + at.String(), out: new(tail), done: make(chan struct{})}
	c.cmd = exec.CommandContext(context.WithoutCancel(ctx), h.opts.Program, "--config", path, "serve", "--log-level", "warn")
	c.cmd.Dir, c.cmd.Stderr, c.cmd.Stdout = h.dir, c.out, c.out
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(c.done)
		c.err = c.cmd.Wait()
	}()
	if err := c.ready(ctx); err != nil {
		c.kill()
		return nil, fmt.Errorf("%w; it printed:\n%s", err, c.out)
	}
	return c, nil
}

// ready waits until the child takes calls.
func (c *child) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return poll(ctx, func() (bool, error) {
		select {
		case <-c.done:
			return false, fmt.Errorf("the server ended at once: %w", c.err)
		default:
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/readyz", nil)
		if err != nil {
			return false, err
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return false, nil //nolint:nilerr // it does not listen yet
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK, nil
	})
}

// URL is where its API is.
func (c *child) URL() string { return c.url }

// Run waits until ctx ends, asks the child to end and waits for that. A child
// that was killed is no error.
func (c *child) Run(ctx context.Context) error {
	select {
	case <-c.done:
	case <-ctx.Done():
		_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may end at this moment
		select {
		case <-c.done:
		case <-time.After(time.Minute):
			c.kill()
			return errors.New("the server did not end within a minute of SIGTERM")
		}
	}
	var status *exec.ExitError
	if errors.As(c.err, &status) && status.ExitCode() < 0 {
		return nil
	}
	if c.err != nil {
		return fmt.Errorf("%w; it printed:\n%s", c.err, c.out)
	}
	return nil
}

// kill ends the child at once, as kill -9 does, and waits for that.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.done
}

// kill ends the server of a house at once.
func (h *house) kill() error {
	c, ok := h.server.(*child)
	if !ok {
		return errors.New("this server cannot be killed: it is in this process")
	}
	c.kill()
	h.drain()
	return h.gone()
}

// asFile is what a configuration file says that makes cfg, as far as the
// scenarios that need a file go: extensions, trunks and lines of extensions.
func asFile(cfg *configs.Config) map[string]any {
	type object = map[string]any
	var trunks, extensions, lines []object
	for _, t := range cfg.Trunks {
		trunks = append(trunks, object{"name": t.Name, "host": t.Host, "try": t.Try.String(), "options": t.Options})
	}
	for _, e := range cfg.Extensions {
		extensions = append(extensions, object{"number": e.Number, "name": e.Name, "contact": e.Contact})
	}
	for i := range cfg.Lines {
		l := &cfg.Lines[i]
		var route []object
		for _, step := range l.Route {
			route = append(route, object{"extension": object{"number": step.Extension.Number}})
		}
		lines = append(lines, object{
			"id": l.ID, "name": l.ID, "number": l.Number, "trunks": l.Trunks, "record": l.Record, "route": route,
			"callback": timersAsFile(l.Callback),
		})
	}
	store := cfg.Store.Engine
	if store == configs.Redis {
		store = cfg.Store.URL.Reveal() // nobody else reads the file
	}
	return object{
		"data_dir": cfg.DataDir, "store": store, "drain": cfg.Drain.String(), "http": object{"listen": cfg.HTTP.Listen.String()},
		"media":  object{"ports": fmt.Sprintf("%d-%d", cfg.Media.Ports.First, cfg.Media.Ports.Last)},
		"sip":    object{"listen": []string{"udp://" + cfg.SIP.Listen[0].Addr.String()}},
		"trunks": trunks, "extensions": extensions, "lines": lines,
	}
}

func timersAsFile(c *configs.Callback) map[string]any {
	retry := make([]string, 0, len(c.Retry))
	for _, r := range c.Retry {
		retry = append(retry, r.String())
	}
	return map[string]any{
		"ring": c.Ring.String(), "customer_ring": c.CustomerRing.String(), "attempts": c.Attempts, "retry": retry,
		"busy_retry": c.BusyRetry.String(), "ttl": c.TTL.String(),
	}
}

// tail keeps the last of what a process prints.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

const maxTail = 8 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(p)
	if extra := t.buf.Len() - maxTail; extra > 0 {
		t.buf.Next(extra)
	}
	return len(p), nil
}

// String is what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
