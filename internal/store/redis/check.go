package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// serverInfo is what a Redis says of itself.
type serverInfo struct {
	RunID   string        // of the process, or of all masters of a cluster; for reopened
	Version string        // the oldest, where there are several
	Role    string        // "master" or "slave"
	Offset  time.Duration // how far its clock is ahead of this machine's
}

// Problem is something about a Redis that is not as it should be.
type Problem struct {
	Fatal bool   // the store cannot be used like this
	Text  string // what is wrong, and what to change where
}

// How much the clock of a Redis may differ from this machine's: beyond the
// first it is said, beyond the second refused.
const (
	clockWarn  = 500 * time.Millisecond
	clockFatal = 2 * time.Second
)

// eventJump is how far numbers of events jump when Redis may have lost some:
// further than can be lost.
const eventJump = 1 << 20

// check asks the Redis what it is and says what is wrong with it. It is the one
// question that is put to any process, also one that reopened was not told of.
// The error is about a Redis that does not answer.
func (r *remote) check(ctx context.Context) (serverInfo, []Problem, error) {
	type result struct {
		info     serverInfo
		problems []Problem
	}
	all, err := within(ctx, r, func(ctx context.Context) (result, error) {
		nodes, err := r.nodes(ctx)
		if err != nil {
			return result{}, err
		}
		var res result
		var runs []string
		for _, n := range nodes {
			runs = append(runs, n.info["run_id"])
			res.problems = append(res.problems, r.problems(n)...)
			if res.info.Version == "" || major(n.info["redis_version"]) < major(res.info.Version) {
				res.info.Version = n.info["redis_version"]
			}
			res.info.Role = cmp.Or(res.info.Role, n.info["role"])
			if n.offset.Abs() > res.info.Offset.Abs() {
				res.info.Offset = n.offset
			}
		}
		slices.Sort(runs)
		res.info.RunID = strings.Join(runs, ",")
		return res, nil
	})
	if err != nil {
		return serverInfo{}, nil, fmt.Errorf("%s: %w", r.where, advise(err))
	}
	return all.info, all.problems, nil
}

// node is one process of a Redis.
type node struct {
	info   map[string]string // of INFO
	addr   string            // host:port; empty: Sentinel knows it
	fsync  string            // appendfsync; empty: it does not tell
	offset time.Duration
}

// nodes asks all masters of a cluster, or the only one.
func (r *remote) nodes(ctx context.Context) ([]node, error) {
	cluster, ok := r.probe.(*goredis.ClusterClient)
	if !ok {
		n, err := ask(ctx, r.probe)
		n.addr = r.addr
		return []node{n}, err
	}
	var mu sync.Mutex
	var all []node
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *goredis.Client) error {
		n, err := ask(ctx, c)
		n.addr = c.Options().Addr
		mu.Lock()
		defer mu.Unlock()
		all = append(all, n)
		return err
	})
	return all, err
}

// errLoading is a Redis that was just started. What it says of itself while it
// reads its data is not to be relied on: it tells of no append-only file then.
var errLoading = errors.New("it still reads its data, wait")

func ask(ctx context.Context, c goredis.Cmdable) (node, error) {
	text, err := c.Info(ctx).Result()
	if err != nil {
		return node{}, err
	}
	n := node{info: parseInfo(text)}
	if n.info["loading"] == "1" {
		return node{}, errLoading
	}
	before := time.Now()
	now, err := c.Time(ctx).Result()
	if err != nil {
		return node{}, err
	}
	took := time.Since(before)
	n.offset = now.Sub(before.Add(took / 2))
	if n.offset.Abs() <= took/2 {
		n.offset = 0 // as far as can be told
	}
	// Not every user may ask this, and a hosted Redis may not know it.
	if config, err := c.ConfigGet(ctx, "appendfsync").Result(); err == nil {
		n.fsync = config["appendfsync"]
	}
	return n, nil
}

// problems says what is wrong with a process.
func (r *remote) problems(n node) (all []Problem) {
	file := cmp.Or(n.info["config_file"], "redis.conf")
	say := func(fatal bool, format string, args ...any) {
		all = append(all, Problem{Fatal: fatal, Text: r.where + " " + fmt.Sprintf(format, args...)})
	}
	if v := n.info["redis_version"]; major(v) < 7 {
		say(true, "is Redis %s, and 7 or newer is needed: upgrade the server", cmp.Or(v, "of an unknown version"))
	}
	if n.info["cluster_enabled"] == "1" && !r.cluster() {
		say(true, "is part of a cluster: write redis-cluster:// and its hosts in the setting store")
	}
	if n.info["role"] == "slave" {
		say(true, "is a replica of %s:%s, which takes no writes: name that one in the setting store, or the Sentinels with redis-sentinel://",
			n.info["master_host"], n.info["master_port"])
	}
	if n.info["aof_enabled"] != "1" {
		say(true, "keeps nothing over a restart: %s", n.keep(file))
	}
	if n.fsync == "no" {
		say(false, "leaves it to the kernel when it writes, half a minute late: %s", r.set(n, "appendfsync everysec", file))
	}
	if n.info["aof_last_write_status"] == "err" {
		say(false, "cannot write its file, look at its disk and its log")
	}
	if limit, policy := n.info["maxmemory"], n.info["maxmemory_policy"]; limit != "0" && limit != "" && policy != "noeviction" {
		say(true, "forgets records when its memory is full: %s", r.set(n, "maxmemory-policy noeviction", file))
	}
	if n.offset.Abs() > clockWarn {
		ahead := "ahead of"
		if n.offset < 0 {
			ahead = "behind"
		}
		say(n.offset.Abs() > clockFatal, "has a clock that is %v %s this machine's: keep both right with NTP (timedatectl set-ntp true)",
			n.offset.Abs().Round(time.Millisecond), ahead)
	}
	return all
}

// keep says how a process comes to keep what it has. To have a running one do so
// replaces the append-only file that a former one has left by what is in memory,
// so that nobody is told to; while to restart one that has data and no such file
// has it begin with nothing, since it does not read its dump then.
func (n node) keep(file string) string {
	text := fmt.Sprintf(`put "appendonly yes" in %s and restart Redis; where it has kept data before, in an appendonlydir, `+
		"never CONFIG SET appendonly on the running one: that deletes them", file)
	for name := range n.info {
		if strings.HasPrefix(name, "db") && strings.HasPrefix(n.info[name], "keys=") {
			return "it has data in memory, so read how to turn on appendonly in docs/storage.md before you restart it; then " + text
		}
	}
	return text
}

// set says how a setting is changed, of the running process and for good.
func (r *remote) set(n node, setting, file string) string {
	if host, port, err := net.SplitHostPort(n.addr); err == nil {
		secure := ""
		if strings.HasPrefix(r.where, "rediss") {
			secure = " --tls"
		}
		return fmt.Sprintf("redis-cli -h %s -p %s%s CONFIG SET %s, and %q in %s", host, port, secure, setting, setting, file)
	}
	return fmt.Sprintf("CONFIG SET %s on the master, and %q in %s", setting, setting, file)
}

func (r *remote) cluster() bool {
	_, ok := r.probe.(*goredis.ClusterClient)
	return ok
}

// advise adds to an answer of Redis' what the administrator can do.
func advise(err error) error {
	var network net.Error
	switch {
	case goredis.HasErrorPrefix(err, "NOAUTH"):
		return fmt.Errorf("it asks for a password: write it in the setting store, as in redis://:password@host: %w", err)
	case goredis.HasErrorPrefix(err, "WRONGPASS"):
		return fmt.Errorf("it refuses the user or the password in the setting store: %w", err)
	case goredis.HasErrorPrefix(err, "NOPERM"):
		return fmt.Errorf("its user may not do what is needed, see ACL SETUSER in docs/storage.md: %w", err)
	case goredis.HasErrorPrefix(err, "LOADING"):
		return fmt.Errorf("it still reads its data, wait: %w", err)
	case errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errSlow):
		return fmt.Errorf("nobody answers there; see that Redis runs, that this is its address, and that it lets this machine in, then try again: %w", err)
	}
	return err
}

// reopened acknowledges the process that check has told of: from now on it may
// be asked. Once for each, the numbers of events jump ahead, so that events that
// are sent again get greater ids than any that a reader may have seen. Whoever
// calls it sends everything that may be lost before anything newer: what a slot
// has had of a newer change it does not take of an older one.
func (r *remote) reopened(ctx context.Context, runID string) error {
	_, err := within(ctx, r, func(ctx context.Context) (int, error) {
		return r.scripts["reopen"].Run(ctx, r.probe, []string{eventsSlot}, runID, eventJump).Int()
	})
	if err != nil {
		return fmt.Errorf("acknowledge %s: %w", r.where, err)
	}
	runs := make(map[string]bool)
	for id := range strings.SplitSeq(runID, ",") {
		runs[id] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs = runs
	return nil
}

// parseInfo reads the lines of INFO.
func parseInfo(text string) map[string]string {
	info := make(map[string]string)
	for line := range strings.Lines(text) {
		if name, value, found := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); found {
			info[name] = value
		}
	}
	return info
}

// major returns the first number of a version, 0 where there is none.
func major(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, _ := strconv.Atoi(first) // 0 where it is none
	return n
}
