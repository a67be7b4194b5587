package tts

import (
	"container/list"

	"perezvon/media/g711"
)

// memoryCache keeps the clips used last, up to a number of bytes. It is not
// safe for concurrent use.
type memoryCache struct {
	limit, used int64
	order       *list.List // of *memoryEntry, the one used last in front
	entries     map[cacheKey]*list.Element
}

type memoryEntry struct {
	key  cacheKey
	clip *g711.Clip
}

func (e *memoryEntry) size() int64 { return 2 * int64(e.clip.Samples()) }

func newMemoryCache(limit int64) *memoryCache {
	return &memoryCache{limit: limit, order: list.New(), entries: make(map[cacheKey]*list.Element)}
}

// get returns nil when there is none.
func (c *memoryCache) get(key cacheKey) *g711.Clip {
	el := c.entries[key]
	if el == nil {
		return nil
	}
	c.order.MoveToFront(el)
	return el.Value.(*memoryEntry).clip
}

func (c *memoryCache) put(key cacheKey, clip *g711.Clip) {
	e := &memoryEntry{key, clip}
	if c.entries[key] != nil || e.size() > c.limit {
		return
	}
	c.entries[key] = c.order.PushFront(e)
	c.used += e.size()
	for c.used > c.limit {
		last := c.order.Remove(c.order.Back()).(*memoryEntry)
		delete(c.entries, last.key)
		c.used -= last.size()
	}
}
