package sqlite

// cache remembers what was used lately, between size and twice size entries: those of the present generation, and the ones
// before it that were used again or not yet pushed out. One goroutine uses it at a time.
type cache[K comparable, V any] struct {
	size     int
	now, old map[K]V
}

func newCache[K comparable, V any](size int) *cache[K, V] {
	return &cache[K, V]{size: size, now: map[K]V{}}
}

func (c *cache[K, V]) get(key K) (V, bool) {
	v, ok := c.now[key]
	if !ok {
		if v, ok = c.old[key]; ok {
			c.put(key, v)
		}
	}
	return v, ok
}

func (c *cache[K, V]) put(key K, v V) {
	if len(c.now) >= c.size {
		c.now, c.old = make(map[K]V, c.size), c.now
	}
	c.now[key] = v
}

func (c *cache[K, V]) drop(key K) {
	delete(c.now, key)
	delete(c.old, key)
}

func (c *cache[K, V]) clear() { c.now, c.old = map[K]V{}, nil }
