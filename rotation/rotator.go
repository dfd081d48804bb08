package rotation

// Rotator is one node's hand on a ring of keys: it runs the loop, signs tokens,
// serves the key set, takes acknowledgements and delivers hints. All methods
// may be called from any number of goroutines.
type Rotator struct{}
