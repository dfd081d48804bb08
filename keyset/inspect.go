package keyset

import (
	"slices"
	"strings"
)

// Skipped is a key of a document that no Set would use, and why.
type Skipped struct {
	ID  string `json:"kid"`
	Why string `json:"why"`
}

// Inspect judges a key set document as a Set at its defaults would: the keys
// that would be used, those passed over, and why the whole is refused, if it is.
func Inspect(document []byte) ([]Key, []Skipped, error) {
	doc, err := readDocument(document, everyAlgorithm)
	skipped := make([]Skipped, 0, len(doc.skipped))
	for _, s := range doc.skipped {
		skipped = append(skipped, Skipped{s.kid, s.why})
	}
	if err != nil {
		return nil, skipped, err
	}
	keys := make([]Key, 0, len(doc.keys))
	for _, k := range doc.keys {
		keys = append(keys, Key{ID: k.kid, Algorithm: k.alg, Thumbprint: k.thumbprint})
	}
	slices.SortFunc(keys, func(a, b Key) int { return strings.Compare(a.ID, b.ID) })
	return keys, skipped, nil
}
