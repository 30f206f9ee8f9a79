package tables

// Cache remembers what was used lately, between size and twice size entries: those of the present generation, and the ones
// before it that were used again or not yet pushed out. One goroutine uses it at a time.
type Cache[K comparable, V any] struct {
	size     int
	now, old map[K]V
}

// NewCache makes an empty cache.
func NewCache[K comparable, V any](size int) *Cache[K, V] {
	return &Cache[K, V]{size: size, now: map[K]V{}}
}

// Get is what was put for a key, if it is still remembered.
func (c *Cache[K, V]) Get(key K) (V, bool) {
	v, ok := c.now[key]
	if !ok {
		if v, ok = c.old[key]; ok {
			c.Put(key, v)
		}
	}
	return v, ok
}

// Put remembers.
func (c *Cache[K, V]) Put(key K, v V) {
	if len(c.now) >= c.size {
		c.now, c.old = make(map[K]V, c.size), c.now
	}
	c.now[key] = v
}

// Drop forgets one key.
func (c *Cache[K, V]) Drop(key K) {
	delete(c.now, key)
	delete(c.old, key)
}

// Clear forgets all.
func (c *Cache[K, V]) Clear() { c.now, c.old = map[K]V{}, nil }
