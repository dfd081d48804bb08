package engine

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

// newID makes a time-ordered unique id: prefix, milliseconds in base 36, and
// five random bytes.
func newID(prefix string) string {
	var b [5]byte
	rand.Read(b[:])
	return fmt.Sprintf("%s-%s%s", prefix, base36(time.Now().UnixMilli()), hex.EncodeToString(b[:]))
}

func base36(n int64) string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	out := make([]byte, 9)
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = digits[n%36]
		n /= 36
	}
	return string(out)
}
